# SPDX-License-Identifier: Apache-2.0
"""Copies of secrets of AWS Secrets Manager, as a deployment of V1 made them; needs boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from greengrass_sdk.core.secrets.store import Version
from greengrass_sdk.errors import SecretError, SecretNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fetched", "fetch"]


@frozen
class Fetched:
    """A version that was fetched, and where it came from."""

    version: Version
    value: bytes = field(repr=False)
    arn: str


def fetch(
    identifier: str, stages: Iterable[str], *, name: str | None = None, region: str | None = None
) -> list[Fetched]:
    """
    Return the versions of a secret that have these labels, the same version once.

    Credentials, region and endpoint are found as by the AWS CLI.

    Args:
        identifier: Name or ARN in AWS.
        name: What it is called here; by default as in AWS.

    Raises:
        SecretNotFoundError: AWS has no such secret, or none with a label.
        SecretError: boto3 is missing, or AWS gives no answer.
    """
    client = _client(region)
    found: dict[str, Fetched] = {}
    for stage in stages:
        answer = _get(client, identifier, stage)
        version = answer["VersionId"]
        labels = (*found[version].version.stages, stage) if version in found else (stage,)
        binary = "SecretBinary" in answer
        found[version] = Fetched(
            Version(
                name or answer["Name"],
                version,
                labels,
                int(answer["CreatedDate"].timestamp() * 1000),
                binary,
            ),
            answer["SecretBinary"] if binary else answer["SecretString"].encode(),
            answer["ARN"],
        )
    return list(found.values())


def _client(region: str | None) -> Any:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise SecretError(
            f"AWS is reached through boto3 ({error}); install it with:"
            " pip install 'greengrass-core[aws]'"
        ) from error
    try:
        return boto3.client("secretsmanager", region_name=region)
    except BotoCoreError as error:
        raise SecretError(f"AWS cannot be asked: {error}") from error


def _get(client: Any, identifier: str, stage: str) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = client.get_secret_value(SecretId=identifier, VersionStage=stage)
    except ClientError as error:
        missing = error.response["Error"]["Code"] == "ResourceNotFoundException"
        kind = SecretNotFoundError if missing else SecretError
        text = f"AWS gives no secret {identifier!r} with the label {stage!r}: {error}"
        raise kind(text, secret=identifier, stage=stage) from error
    except BotoCoreError as error:
        raise SecretError(f"AWS cannot be asked for {identifier!r}: {error}") from error
    return answer
