# SPDX-License-Identifier: Apache-2.0
"""`client("lambda")`: invoke other functions of the group."""

from __future__ import annotations

from io import BytesIO

from greengrass_sdk.client.v1 import (
    SECRETS_ARN,
    GreengrassError,
    Work,
    split_function_arn,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Client", "InvocationException", "StreamingBody"]


class InvocationException(Exception):
    """
    Raised when the core refused a call, or there is none.

    What is raised is a subclass that is also one of this project's errors, with its attributes:
    `except greengrass_sdk.QueueFullError` works as well.
    """


class StreamingBody:
    """The payload of a result, to be read once, as from a file."""

    def __init__(self, payload: bytes) -> None:
        self._raw_stream = BytesIO(payload)
        self._amount_read = 0

    def read(self, amt: int | None = None) -> bytes:
        """Return at most so many bytes, by default all that are left."""
        data = self._raw_stream.read(amt)
        self._amount_read += len(data)
        return data

    def close(self) -> None:
        """Drop what is left."""
        self._raw_stream.close()


class Client:
    """Invokes functions. The arguments are accepted as in V1, and mean nothing here."""

    def __init__(self, endpoint: str = "localhost", port: int | None = None) -> None:
        self._work = Work()

    def invoke(self, **kwargs: Any) -> dict[str, Any]:
        """
        Invoke a function; see AWS's documentation of Lambda.Client.invoke.

        Args:
            FunctionName: Required; an ARN with or without version, no short name.
            Qualifier: The version, if the ARN has none.
            InvocationType: "RequestResponse" (default) or "Event".
            Payload: bytes or str.
            ClientContext: Base64 of JSON, as bytes.

        Returns:
            "Payload" and "FunctionError". The payload is a StreamingBody if the function returned,
            bytes if it failed, and b"" for an event.

        Raises:
            ValueError: An argument is missing or malformed.
            InvocationException: The core refused, or there is none.
        """
        if "FunctionName" not in kwargs:
            raise ValueError(
                '"FunctionName" argument of Lambda.Client.invoke is a required argument but was'
                " not provided."
            )
        unqualified, *_, own = split_function_arn(kwargs["FunctionName"])
        asked = kwargs.get("Qualifier") or ""
        if asked and own and asked != own:
            raise ValueError(
                "The derived qualifier from the function name does not match the specified"
                " qualifier."
            )
        qualifier = own or asked
        return self._invoke_internal(
            f"{unqualified}:{qualifier}" if qualifier else unqualified,
            kwargs.get("Payload", b""),
            _checked_context(kwargs.get("ClientContext", b"")),
            kwargs.get("InvocationType", "RequestResponse"),
        )

    def _invoke_internal(
        self,
        function_arn: str,
        payload: Any,
        client_context: bytes | str,
        invocation_type: str = "RequestResponse",
    ) -> dict[str, Any]:
        """Invoke whatever the ARN names, also a service of the core."""
        try:
            invocation_id = self._work.post(function_arn, payload, client_context, invocation_type)
            if invocation_type == "Event":
                return {"Payload": b"", "FunctionError": ""}
            result, failure = self._work.result(function_arn, invocation_id)
        except GreengrassError as error:
            raise failed(error, _UNSERVED.get(function_arn, "")) from error
        return {"Payload": result if failure else StreamingBody(result), "FunctionError": failure}


def failed(error: GreengrassError, unserved: str = "") -> InvocationException:
    """Return an error of the core as V1 raised it, which is still that error, too."""
    unknown = error.code == "FunctionNotFound"
    note = f"; this version does not serve {unserved}" if unserved and unknown else ""
    kind = type(error)
    if kind not in _kinds:
        _kinds[kind] = type(kind.__name__, (InvocationException, kind), {"__module__": __name__})
    exception: InvocationException = _kinds[kind](f"Failed to invoke function due to {error}{note}")
    vars(exception).update({**vars(error), "message": str(exception)})
    return exception


_kinds: dict[type, Any] = {}
_UNSERVED = {SECRETS_ARN: "secrets"}


def _checked_context(context: Any) -> str:
    """Return a ClientContext as text, or raise as V1 did."""
    import re

    try:
        text: str = context.decode()
    except AttributeError:
        raise ValueError(
            '"ClientContext" argument must be a byte string or support a decode method which'
            " returns a string"
        ) from None
    quads = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"
    if text and not re.fullmatch(quads, text):
        raise ValueError('"ClientContext" argument of Lambda.Client.invoke must be base64 encoded.')
    return text
