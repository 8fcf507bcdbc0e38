# SPDX-License-Identifier: Apache-2.0
"""The name of the log handler in the oldest versions of V1."""

from __future__ import annotations

import logging

from greengrass_common.common_log_appender import LOCAL_CLOUDWATCH_FORMAT, LocalwatchLogHandler

__all__ = ["LocalCloudwatchLogHandler"]


class LocalCloudwatchLogHandler(LocalwatchLogHandler):
    """Writes records to the function's log; the names of group and stream are the core's here."""

    def __init__(self, component_type: str, component_name: str) -> None:
        super().__init__()
        self.component_type = component_type
        self.component_name = component_name
        self.setFormatter(logging.Formatter(LOCAL_CLOUDWATCH_FORMAT))

    def write(self, data: object) -> None:
        """Log a text, for use as a stream."""
        text = str(data)
        if text.strip():
            record = logging.LogRecord(
                *(self.component_name, logging.INFO, "", 0, text.rstrip("\n"), None, None)
            )
            self.handle(record)
