# SPDX-License-Identifier: Apache-2.0
"""
The secret service: answers who asks for a secret, and tells the log why somebody got none.

To the caller every refusal looks the same, so that nobody learns which secrets there are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from attrs import define, field

from greengrass_sdk.core.secrets import documents
from greengrass_sdk.core.secrets.store import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from greengrass_sdk.core.secrets.access import Access, Grant
    from greengrass_sdk.core.secrets.documents import Request
    from greengrass_sdk.core.secrets.store import Store, Version

__all__ = ["SecretService"]

log = logging.getLogger(__name__)

_TOLD = 256  # refusals remembered, to tell each once


class _RefusedError(Exception):
    """The request is refused; the text is for the core's log."""


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
    _told: dict[str, None] = field(factory=dict, init=False, repr=False)

    def answer(self, caller: str, payload: bytes) -> bytes:
        """
        Return the answer to a request.

        Args:
            caller: The address of who asks, which the core knows; not what a request says.
        """
        try:
            request = documents.parse(payload)
        except documents.BadRequestError as error:
            return documents.refused(400, str(error))
        try:
            grant = self._granted(caller, request)
            version = self._chosen(grant, request)
            value = self.store.reveal(version)
        except _RefusedError as error:
            who = self.access.name(caller)
            self._tell_once(f"{who} gets no secret {request.secret!r}: {error}")
            return documents.refused(404, documents.NOT_FOUND)
        except OSError as error:
            who = self.access.name(caller)
            log.error("%s asks for secret %r: %s", who, request.secret, error)  # noqa: TRY400 - told, not a fault
            return documents.refused(500, "Internal error; see the log GGSecretManager.log")
        self.revealed(value)
        return documents.told(grant, version, value)

    def _granted(self, caller: str, request: Request) -> Grant:
        grant = self.access.find(caller, request.secret)
        if grant is None:
            raise _RefusedError(self.access.why_not(caller, request.secret))
        return grant

    def _chosen(self, grant: Grant, request: Request) -> Version:
        """Return the version that is asked for, if it has a label that may be read."""
        stage = request.stage
        if stage is None and request.version is None:
            stage = CURRENT
        if stage is not None and stage not in grant.stages:
            raise _RefusedError(
                f"the label {stage!r} is not among the `stages` of [secrets.{grant.key}]"
            )
        versions = self.store.versions(grant.key)
        if not versions:
            raise _RefusedError(f"it has no value; put one: greengrass secret put {grant.key}")
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
        raise _RefusedError(f"no version that may be read has {' and '.join(asked)}")

    def _tell_once(self, text: str) -> None:
        if text in self._told:
            return
        if len(self._told) >= _TOLD:
            self._told.clear()
        self._told[text] = None
        log.warning("%s", text)
