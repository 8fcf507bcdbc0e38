# SPDX-License-Identifier: Apache-2.0
"""The functions of a group, made ready to run: code, identity, environment, log, zygote."""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from greengrass_sdk.core.functions import environment, packages
from greengrass_sdk.core.functions.identity import default_identity, resolve
from greengrass_sdk.core.functions.pool import ManagedFunction
from greengrass_sdk.core.functions.zygote import SpawnRequest
from greengrass_sdk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from greengrass_sdk.core.config import CoreConfig
    from greengrass_sdk.core.functions.identity import Identity
    from greengrass_sdk.core.functions.zygotes import Zygotes
    from greengrass_sdk.core.layout import Layout
    from greengrass_sdk.core.ports import FunctionLog
    from greengrass_sdk.core.telemetry.logs import Logs
    from greengrass_sdk.model.function import Function
    from greengrass_sdk.model.group import Group

__all__ = ["Fleet"]

_TOKEN_BYTES = 16


@define(eq=False)
class Fleet:
    """
    Prepares functions for the pool.

    Args:
        descriptors: Soft and hard limit of open files that functions get.
        spin_ns: How long a function's call may spin for its reply.

    Attributes:
        logs: Log of each function, by endpoint.
        tokens: What the functions were given to prove who they are.
    """

    group: Group
    layout: Layout
    config: CoreConfig | None
    files: Logs
    zygotes: Zygotes
    boot: bytes
    descriptors: tuple[int, int]
    spin_ns: int = 0
    logs: dict[int, FunctionLog] = field(factory=dict)
    tokens: list[str] = field(factory=list)

    def prepare(
        self, numbers: Mapping[str, int], *, as_current_user: bool
    ) -> list[ManagedFunction]:
        """
        Install the code of every function and return what the pool needs to start workers.

        Raises:
            ConfigError: A function asks for an identity it must not or cannot have.
            PackageError: The code of a function cannot be used.
        """
        self._check_root()
        default = None if as_current_user else default_identity()
        managed = [
            self._managed(function, numbers[function.arn], self._identity(function, default))
            for function in self.group.functions.values()
        ]
        packages.remove_stale(
            self.layout, [function.arn for function in self.group.functions.values()]
        )
        return managed

    async def warm_up(self) -> None:
        """
        Start the zygote of every interpreter that the functions name.

        Raises:
            GreengrassError: An interpreter does not start or lacks this package.
        """
        pythons = {function.python for function in self.group.functions.values()}
        await asyncio.gather(*(self.zygotes.get(python) for python in pythons))

    def _check_root(self) -> None:
        refusal = self.group.root_refusal()
        allowed = self.config is not None and self.config.runtime.allow_functions_to_run_as_root
        if refusal is not None and not allowed:
            raise ConfigError(
                f'{refusal}; set runtime.allowFunctionsToRunAsRoot to "yes" in '
                f"{self.layout.config_file}, or another run_as"
            )

    def _identity(self, function: Function, default: Identity | None) -> Identity | None:
        asked = function.run_as
        if asked is None:
            return resolve(None, None, default)
        return resolve(asked.uid, asked.gid, default)

    def _managed(
        self, function: Function, endpoint: int, identity: Identity | None
    ) -> ManagedFunction:
        code = packages.install(function, self.layout)
        logs = self.files.function(self.group.region, self.group.account, function.name)
        self.logs[endpoint] = logs
        request = self._request(function, endpoint, code, identity)
        return ManagedFunction(
            name=function.name,
            endpoint=endpoint,
            pinned=function.pinned,
            memory_kib=function.memory_kib,
            logs=logs,
            request=lambda worker: evolve(request, worker=worker),
            zygote=lambda: self.zygotes.get(function.python),
        )

    def _request(
        self, function: Function, endpoint: int, code: Path, identity: Identity | None
    ) -> SpawnRequest:
        limits = self.group.limits
        token = secrets.token_hex(_TOKEN_BYTES)
        self.tokens.append(token)
        return SpawnRequest(
            worker=0,
            name=function.name,
            handler=function.handler,
            code=str(code),
            encoding=function.encoding,
            environment=environment.build(
                function,
                self.group,
                self.layout,
                code,
                token=token,
                base_env=os.environ,
                config=self.config,
                uid=None if identity is None else identity.uid,
            ),
            cwd=str(code),
            sys_path=environment.sys_path(function, code),
            arn=function.arn,
            function_name=function.name,
            version=function.version,
            timeout_s=function.timeout_s,
            memory_kib=function.memory_kib,
            boot=self.boot.hex(),
            endpoint=endpoint,
            address=function.arn,
            limits={
                "topic_payload_bytes": limits.topic_payload_bytes,
                "invoke_payload_bytes": limits.invoke_payload_bytes,
            },
            strict=self.group.strict,
            uid=None if identity is None else identity.uid,
            gid=None if identity is None else identity.gid,
            groups=None if identity is None else identity.groups,
            rlimits={"RLIMIT_NOFILE": self.descriptors},
            log_level=self.files.level,
            pinned=function.pinned,
            spin_ns=self.spin_ns,
        )
