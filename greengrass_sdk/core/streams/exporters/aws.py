# SPDX-License-Identifier: Apache-2.0
"""
What exports to services of AWS share: clients of boto3, and its errors in one line.

Credentials, endpoints and proxies are where boto3 looks for them: the environment of the core, the
files of its user. The region is the group's.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from greengrass_sdk.core.streams.exporters.exporter import ExportError, one_line

if TYPE_CHECKING:
    from greengrass_sdk.core.streams.exporters.exporter import Setting

__all__ = ["client", "error_code", "failure"]


def client(service: str, setting: Setting) -> Any:
    """
    Return a client of boto3 that tries once: pauses are the schedule's.

    Raises:
        ImportError: botocore, a part of boto3, is not installed.
        ExportError: It does not know the service.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, UnknownServiceError
    from botocore.session import Session

    elsewhere = any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ)
    config = Config(
        connect_timeout=min(setting.timeout_s, 10.0),
        read_timeout=setting.timeout_s,
        retries={"total_max_attempts": 1},
        inject_host_prefix=not elsewhere,
    )
    session = Session()
    session.register_component("data_loader", _loader())
    try:
        return session.create_client(service, region_name=setting.region, config=config)
    except UnknownServiceError as error:
        raise ExportError(f"this boto3 knows no {service}: AWS has ended it") from error
    except BotoCoreError as error:
        raise ExportError(f"{service}: {one_line(error)}") from error


@cache
def _loader() -> Any:
    """Return what keeps the descriptions of services in memory: reading them takes long."""
    from botocore.loaders import Loader

    return Loader()


def error_code(error: Exception) -> str:
    """Return the code that a service of AWS gave an error; empty if none did."""
    response = getattr(error, "response", None) or {}
    code: str = response.get("Error", {}).get("Code", "")
    return code


def failure(service: str, error: Exception, *, done: int = 0) -> ExportError:
    """Return what an error of boto3 means for an export."""
    return ExportError(f"{service}: {one_line(error)}", done=done)
