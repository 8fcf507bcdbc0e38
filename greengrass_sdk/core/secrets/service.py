# SPDX-License-Identifier: Apache-2.0
"""
The secret service: answers who asks for a secret, and tells the log why somebody got none.

To the caller every refusal looks the same, so that nobody learns which secrets there are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from greengrass_sdk.core.secrets import documents
from greengrass_sdk.core.secrets.store import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greengrass_sdk.core.secrets.access import Access, Grant
    from greengrass_sdk.core.secrets.documents import Request
    from greengrass_sdk.core.secrets.store import Store, Version

__all__ = ["SecretService"]

log = logging.getLogger(__name__)

_TOLD = 256  # refusals remembered, to tell each once
_REMEMBERED = 1024  # requests whose way is known ...
_REMEMBERED_BYTES = 4096  # ... of no more than this


class _RefusedError(Exception):
    """The request for `secret` is refused; the text is for the core's log."""

    def __init__(self, secret: str, why: str) -> None:
        super().__init__(why)
        self.secret = secret


@frozen
class _Found:
    """What a request leads to while its secret has these versions; nothing of it is secret."""

    grant: Grant
    versions: Sequence[Version]
    version: Version
    head: bytes


@define(eq=False)
class SecretService:
    """
    Answers requests for secrets.

    Args:
        revealed: Is told of every value before its caller is, to keep it out of sight.
    """

    store: Store
    access: Access
    revealed: Callable[[bytes], None] = lambda _: None
    _found: dict[tuple[str, bytes], _Found] = field(factory=dict, init=False, repr=False)
    _told: dict[str, None] = field(factory=dict, init=False, repr=False)

    def answer(self, caller: str, payload: bytes) -> bytes:
        """
        Return the answer to a request.

        Args:
            caller: The address of who asks, which the core knows; not what a request says.
        """
        try:
            found = self._found.get((caller, payload))
            if found is None or found.versions is not self.store.versions(found.grant.key):
                found = self._find(caller, payload)
            value = self.store.reveal(found.version)
        except documents.BadRequestError as error:
            return documents.refused(400, str(error))
        except _RefusedError as error:
            who = self.access.name(caller)
            self._tell_once(f"{who} gets no secret {error.secret!r}: {error}")
            return documents.refused(404, documents.NOT_FOUND)
        except OSError as error:
            who, secret = self.access.name(caller), documents.parse(payload).secret
            log.error("%s asks for secret %r: %s", who, secret, error)  # noqa: TRY400 - told, not a fault
            return documents.refused(500, "Internal error; see the log GGSecretManager.log")
        self.revealed(value)
        return documents.told(found.head, value, binary=found.version.binary)

    def _find(self, caller: str, payload: bytes) -> _Found:
        """Return what a request leads to, and remember it."""
        request = documents.parse(payload)
        grant = self.access.find(caller, request.secret)
        if grant is None:
            raise _RefusedError(request.secret, self.access.why_not(caller, request.secret))
        versions = self.store.versions(grant.key)
        version = _chosen(grant, versions, request)
        found = _Found(grant, versions, version, documents.head(grant, version))
        if len(payload) <= _REMEMBERED_BYTES:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[caller, payload] = found
        return found

    def _tell_once(self, text: str) -> None:
        if text in self._told:
            return
        if len(self._told) >= _TOLD:
            self._told.clear()
        self._told[text] = None
        log.warning("%s", text)


def _chosen(grant: Grant, versions: Sequence[Version], request: Request) -> Version:
    """Return the version that is asked for, if it has a label that may be read."""
    stage = request.stage
    if stage is None and request.version is None:
        stage = CURRENT
    if stage is not None and stage not in grant.stages:
        why = f"the label {stage!r} is not among the `stages` of [secrets.{grant.key}]"
        raise _RefusedError(request.secret, why)
    if not versions:
        why = f"it has no value; put one: greengrass secret put {grant.key}"
        raise _RefusedError(request.secret, why)
    for version in versions:
        if (
            (stage is None or stage in version.stages)
            and (request.version is None or request.version == version.id)
            and not grant.hides(version.stages)
        ):
            return version
    asked = [f"the label {stage!r}"] if stage is not None else []
    if request.version is not None:
        asked.append(f"the id {request.version!r}")
    why = f"no version that may be read has {' and '.join(asked)}"
    raise _RefusedError(request.secret, why)
