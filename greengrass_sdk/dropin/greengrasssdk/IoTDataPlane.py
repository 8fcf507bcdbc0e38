# SPDX-License-Identifier: Apache-2.0
"""`client("iot-data")`: publish messages, and read and write shadows."""

from __future__ import annotations

from greengrass_sdk.client.v1 import SHADOW_ARN, GreengrassError, encode_client_context
from greengrasssdk import Lambda

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Client", "ShadowError"]


class ShadowError(Exception):
    """Raised when the shadow service answers with an error."""


class Client:
    """Publishes and asks the shadow service. Keyword arguments only; unknown ones are ignored."""

    def __init__(self) -> None:
        self.lambda_client = Lambda.Client()

    def publish(self, **kwargs: Any) -> None:
        """
        Publish a message; the subscriptions of the group decide who gets it.

        Args:
            topic: Required.
            payload: bytes or str.
            queueFullPolicy: "BestEffort" (also "") or "AllOrException".

        Raises:
            ValueError: The topic is missing, or the policy is unknown.
            InvocationException: The core refused, or there is none.
        """
        topic = kwargs["topic"] if "topic" in kwargs else _required("topic", kwargs)
        policy = kwargs.get("queueFullPolicy", "")
        if policy and policy not in ("BestEffort", "AllOrException"):
            raise ValueError(f"Invalid value for queueFullPolicy: {policy}")
        try:
            self.lambda_client._work.publish(  # noqa: SLF001 - the same package
                topic, kwargs.get("payload", b""), policy or "BestEffort"
            )
        except GreengrassError as error:
            raise Lambda.failed(error) from error

    def get_thing_shadow(self, **kwargs: Any) -> dict[str, bytes]:
        """Return the shadow of `thingName` as {"payload": bytes}, JSON."""
        return self._shadow_op("get", _required("thingName", kwargs), b"")

    def update_thing_shadow(self, **kwargs: Any) -> dict[str, bytes]:
        """Update the shadow of `thingName` with `payload`, JSON; return what was accepted."""
        thing = _required("thingName", kwargs)
        return self._shadow_op("update", thing, _required("payload", kwargs))

    def delete_thing_shadow(self, **kwargs: Any) -> dict[str, bytes]:
        """Delete the shadow of `thingName`."""
        return self._shadow_op("delete", _required("thingName", kwargs), b"")

    def _shadow_op(self, op: str, thing: str, payload: Any) -> dict[str, bytes]:
        """
        Ask the shadow service, as V1 did: it is a function with a reserved ARN.

        Raises:
            ShadowError: It answered with an error.
            InvocationException: The core does not know the service, or there is no core.
        """
        import json
        import os

        context = encode_client_context({"custom": {"subject": f"$aws/things/{thing}/shadow/{op}"}})
        response = self.lambda_client._invoke_internal(  # noqa: SLF001 - the same package
            os.environ.get("SHADOW_FUNCTION_ARN", SHADOW_ARN), payload, context
        )
        if response["FunctionError"]:
            raise ShadowError(
                f'Request for shadow state returned FunctionError "{response["FunctionError"]}"'
                f' with error payload "{response["Payload"]}"'
            )
        answer: bytes = response["Payload"].read()
        document = json.loads(answer.decode())
        if "code" in document and "message" in document:
            raise ShadowError(
                f"Request for shadow state returned error code {document['code']}"
                f' with message "{document["message"]}"'
            )
        return {"payload": answer}


def _required(name: str, kwargs: dict[str, Any]) -> Any:
    if name not in kwargs:
        raise ValueError(f'Parameter "{name}" is a required parameter but was not provided.')
    return kwargs[name]
