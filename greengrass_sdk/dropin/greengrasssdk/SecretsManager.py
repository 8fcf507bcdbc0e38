# SPDX-License-Identifier: Apache-2.0
"""`client("secretsmanager")`: read the secrets that the function may read."""

from __future__ import annotations

from greengrass_sdk.client.v1 import SECRETS_ARN
from greengrasssdk import Lambda

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Client", "SecretsManagerError"]


class SecretsManagerError(Exception):
    """Raised when a secret cannot be read."""


class Client:
    """Reads secrets. Keyword arguments only; unknown ones are ignored."""

    def __init__(self) -> None:
        self.lambda_client = Lambda.Client()

    def get_secret_value(self, **kwargs: Any) -> dict[str, Any]:
        """
        Return a secret.

        Args:
            SecretId: Required; its name or ARN.
            VersionStage: A staging label; by default AWSCURRENT.
            VersionId: Not supported, as in V1.

        Returns:
            ARN, Name, VersionId, SecretString or SecretBinary (base64), VersionStages, CreatedDate
            (a datetime in local time, without zone).

        Raises:
            SecretsManagerError: There is no such secret for this function.
            InvocationException: The core does not know the service, or there is no core.
        """
        import json
        import os
        from datetime import datetime

        if "SecretId" not in kwargs:
            raise ValueError('Parameter "SecretId" is a required parameter but was not provided.')
        if kwargs.get("VersionId"):
            raise SecretsManagerError("Query by VersionId is not yet supported")
        request = {"SecretId": kwargs["SecretId"]}
        if kwargs.get("VersionStage"):
            request["VersionStage"] = kwargs["VersionStage"]
        response = self.lambda_client._invoke_internal(  # noqa: SLF001 - the same package
            os.environ.get("SECRETS_MANAGER_FUNCTION_ARN", SECRETS_ARN),
            json.dumps(request).encode(),
            b"",
        )
        if response["FunctionError"]:
            raise SecretsManagerError(
                f'Request for secret value returned FunctionError "{response["FunctionError"]}"'
                f' with error payload "{response["Payload"]}"'
            )
        answer: dict[str, Any] = json.loads(response["Payload"].read().decode())
        if "Status" in answer and "Message" in answer:
            raise SecretsManagerError(
                f"Request for secret value returned error code {answer['Status']}"
                f" with message {answer['Message']}"
            )
        created = answer["CreatedDate"] / 1000
        answer["CreatedDate"] = datetime.fromtimestamp(created)  # noqa: DTZ006 - as in V1
        return answer
