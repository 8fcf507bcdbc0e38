# SPDX-License-Identifier: Apache-2.0
"""
ARNs: the addresses of functions, things, local clients and system services.

Everything that a message can come from or go to has one address, a plain `str`: the qualified ARN
of a function, the ARN of a thing, the ARN of a local client, or one of the words `cloud` and
`GGShadowService`. This module builds and takes apart the ARNs; `Group.address` knows the names.

Hand-written checks instead of regular expressions: the SDK inside a function imports this, and
`re` alone costs it two milliseconds.
"""

from __future__ import annotations

from greengrass_sdk.errors import InvalidInputError
from greengrass_sdk.model.limits import (
    CLIENT_NAME_CHARS,
    FUNCTION_NAME_CHARS,
    QUALIFIER_CHARS,
    THING_NAME_CHARS,
)

__all__ = [
    "CLOUD",
    "GGC_VERSION",
    "INTERFACE_VERSION",
    "ROUTER_ARN",
    "SECRETS_ARN",
    "SHADOW_ARN",
    "SHADOW_SERVICE",
    "STREAMS_ARN",
    "LambdaArn",
    "ThingArn",
    "check_account",
    "check_client_name",
    "check_function_name",
    "check_region",
    "check_thing_name",
    "check_version",
    "client_arn",
    "function_arn",
    "parse_lambda_arn",
    "parse_thing_arn",
    "partition_of",
    "short_name",
    "thing_arn",
]

ROUTER_ARN = "arn:aws:lambda:::function:GGRouter"
SHADOW_ARN = "arn:aws:lambda:::function:GGShadowService"
SECRETS_ARN = "arn:aws:lambda:::function:GGSecretManager:1"
STREAMS_ARN = "arn:aws:lambda:::function:GGStreamManager:1"
GGC_VERSION = "1.11.6"
INTERFACE_VERSION = "1.5"

# The two words that stand in a subscription instead of an ARN.
CLOUD = "cloud"
SHADOW_SERVICE = "GGShadowService"

_DIGITS = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_ALNUM = _DIGITS + _LOWER + _LOWER.upper()
_NAME = _ALNUM + "-_"
_THING = _NAME + ":"
_LATEST = "$LATEST"
_ACCOUNT_DIGITS = 12
_LAMBDA_PARTS = 7
_THING_PARTS = 6
_REGION_PARTS = 3
_VERSION_DIGITS = 10


class LambdaArn:
    """
    The ARN of a function, taken apart. Region and account are empty for system functions.

    `qualifier` is a version, an alias or `$LATEST`, or None for an unqualified ARN.
    """

    __slots__ = ("account", "name", "partition", "qualifier", "region")

    def __init__(
        self,
        region: str,
        account: str,
        name: str,
        qualifier: str | None = None,
        *,
        partition: str = "aws",
    ) -> None:
        self.region = region
        self.account = account
        self.name = name
        self.qualifier = qualifier
        self.partition = partition

    @property
    def unqualified(self) -> str:
        """The ARN without version or alias."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{self.name}"

    def __str__(self) -> str:
        return (
            self.unqualified if self.qualifier is None else f"{self.unqualified}:{self.qualifier}"
        )

    def __repr__(self) -> str:
        return f"LambdaArn({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LambdaArn) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class ThingArn:
    """The ARN of a core or a device, taken apart."""

    __slots__ = ("account", "name", "partition", "region")

    def __init__(self, region: str, account: str, name: str, *, partition: str = "aws") -> None:
        self.region = region
        self.account = account
        self.name = name
        self.partition = partition

    def __str__(self) -> str:
        return f"arn:{self.partition}:iot:{self.region}:{self.account}:thing/{self.name}"

    def __repr__(self) -> str:
        return f"ThingArn({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ThingArn) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def parse_lambda_arn(arn: str) -> LambdaArn:
    """
    Take apart the ARN of a function, qualified or not.

    System functions (`arn:aws:lambda:::function:GGRouter`) and AWS's connectors (account `aws`)
    are accepted. Unlike AWS's own pattern, text after the ARN is refused.

    Raises:
        InvalidInputError: It is no such ARN; the message says which part is wrong.
    """
    parts = _split(arn, "function", "arn:aws:lambda:REGION:ACCOUNT:function:NAME:VERSION")
    if len(parts) not in (_LAMBDA_PARTS, _LAMBDA_PARTS + 1) or parts[2] != "lambda":
        _refuse(arn, "function", "arn:aws:lambda:REGION:ACCOUNT:function:NAME:VERSION")
    _, partition, _, region, account, kind, name, *qualifiers = parts
    if kind != "function":
        _refuse(arn, "function", "arn:aws:lambda:REGION:ACCOUNT:function:NAME:VERSION")
    if region or account:
        check_region(region)
        if account.strip(_ALNUM) or not account:
            message = f"{arn!r}: account {account!r} must be letters and digits"
            raise InvalidInputError(message)
    check_function_name(name)
    for qualifier in qualifiers:
        if qualifier != _LATEST and not _fits(qualifier, _NAME, QUALIFIER_CHARS):
            message = (
                f"{arn!r}: qualifier {qualifier!r} must be a version, an alias of letters, digits, "
                "'-' and '_', or $LATEST"
            )
            raise InvalidInputError(message)
    return LambdaArn(
        region, account, name, qualifiers[0] if qualifiers else None, partition=partition
    )


def parse_thing_arn(arn: str) -> ThingArn:
    """
    Take apart the ARN of a core or a device.

    Raises:
        InvalidInputError: It is no such ARN; the message says which part is wrong.
    """
    form = "arn:aws:iot:REGION:ACCOUNT:thing/NAME"
    # A thing name may contain colons, so only the first five separate.
    parts = _split(arn, "thing", form, separators=_THING_PARTS - 1)
    if len(parts) != _THING_PARTS or parts[2] != "iot" or not parts[5].startswith("thing/"):
        _refuse(arn, "thing", form)
    _, partition, _, region, account, resource = parts
    check_region(region)
    check_account(account)
    name = resource.removeprefix("thing/")
    check_thing_name(name)
    return ThingArn(region, account, name, partition=partition)


def partition_of(region: str) -> str:
    """Return the partition of a region: ARNs of AWS's separate clouds start differently."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def function_arn(region: str, account: str, name: str, version: str) -> str:
    """Return the qualified ARN of a function: its address."""
    return f"arn:{partition_of(region)}:lambda:{region}:{account}:function:{name}:{version}"


def thing_arn(region: str, account: str, name: str) -> str:
    """Return the ARN of a core or a device: its address."""
    return f"arn:{partition_of(region)}:iot:{region}:{account}:thing/{name}"


def client_arn(region: str, account: str, name: str) -> str:
    """Return the ARN of a local client: its address. AWS has no such thing; the shape is ours."""
    return f"arn:{partition_of(region)}:greengrass:{region}:{account}:client/{name}"


def short_name(address: str) -> str:
    """Return the name in an address, for people: the last part without version."""
    if not address.startswith("arn:"):
        return address
    parts = address.split(":", _THING_PARTS - 1)
    resource = parts[-1]
    if resource.startswith("function:"):
        return resource.split(":")[1]
    return resource.removeprefix("thing/").removeprefix("client/")


def check_function_name(name: str) -> str:
    """Return the name of a function, or raise InvalidInputError."""
    return _check_name(name, "function name", _NAME, FUNCTION_NAME_CHARS)


def check_thing_name(name: str) -> str:
    """Return the name of a core or device, or raise InvalidInputError."""
    return _check_name(name, "thing name", _THING, THING_NAME_CHARS)


def check_client_name(name: str) -> str:
    """Return the name of a local client, or raise InvalidInputError. It is also a file name."""
    return _check_name(name, "client name", _NAME, CLIENT_NAME_CHARS)


def check_region(region: str) -> str:
    """
    Return the name of a region, or raise InvalidInputError.

    It need not exist, but must look like one (`us-east-1`, `eu-home-1`): AWS's SDK takes the ARN
    of the function apart with a pattern that demands it.
    """
    parts = region.split("-")
    if (
        len(parts) >= _REGION_PARTS
        and len(parts[0]) == len("us")
        and len(parts[-1]) == 1
        and parts[-1] in _DIGITS
        and all(part and not part.strip(_LOWER) for part in parts[:-1])
    ):
        return region
    message = f"region {region!r} must look like 'us-east-1': two letters, words, one digit"
    raise InvalidInputError(message)


def check_account(account: str) -> str:
    """Return the number of an account, or raise InvalidInputError."""
    if len(account) == _ACCOUNT_DIGITS and not account.strip(_DIGITS):
        return account
    message = f"account {account!r} must be {_ACCOUNT_DIGITS} digits"
    raise InvalidInputError(message)


def check_version(version: str) -> str:
    """
    Return the version of a function, or raise InvalidInputError.

    Ref: Greengrass V1 guide: functions are referenced by version or by an alias of a version;
    `$LATEST` is not supported.
    """
    if version == _LATEST:
        message = "version '$LATEST' is not supported; give the function a number, such as '1'"
        raise InvalidInputError(message)
    if _fits(version, _DIGITS, _VERSION_DIGITS) and version[0] != "0":
        return version
    message = f"version {version!r} must be a whole number from 1, as text, such as '1'"
    raise InvalidInputError(message)


def _check_name(name: str, what: str, allowed: str, limit: int) -> str:
    if _fits(name, allowed, limit):
        return name
    shown = repr(name) if len(name) <= limit else f"of {len(name)} characters"
    extra = "'-', '_' and ':'" if ":" in allowed else "'-' and '_'"
    message = f"{what} {shown} must be 1 to {limit} characters: letters, digits, {extra}"
    raise InvalidInputError(message)


def _fits(text: str, allowed: str, limit: int) -> bool:
    # `strip` takes away allowed characters from both ends: nothing is left if all are allowed.
    return 0 < len(text) <= limit and not text.strip(allowed)


def _split(arn: object, what: str, form: str, separators: int = -1) -> list[str]:
    if not isinstance(arn, str):
        message = f"{what} ARN must be str, not {type(arn).__name__}"
        raise InvalidInputError(message)
    parts = arn.split(":", separators)
    if len(parts) < _THING_PARTS or parts[0] != "arn" or not _is_partition(parts[1]):
        _refuse(arn, what, form)
    return parts


def _is_partition(text: str) -> bool:
    words = text.split("-")
    return words[0] == "aws" and all(word and not word.strip(_LOWER) for word in words)


def _refuse(arn: str, what: str, form: str) -> None:
    message = f"{arn!r} is no {what} ARN; its form is {form}"
    raise InvalidInputError(message)
