# SPDX-License-Identifier: Apache-2.0
"""As whom a function runs."""

from __future__ import annotations

import grp
import os
import pwd

from attrs import frozen

from greengrass_sdk.errors import ConfigError

__all__ = ["DEFAULT_GROUP", "DEFAULT_USER", "Identity", "default_identity", "resolve"]

DEFAULT_USER = "ggc_user"
DEFAULT_GROUP = "ggc_group"


@frozen
class Identity:
    """User, group and supplementary groups of a process."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def default_identity() -> Identity:
    """
    Return `ggc_user` and `ggc_group`, as whom the service runs functions.

    Raises:
        ConfigError: One of them does not exist on this host, in V1's words.
    """
    try:
        user = pwd.getpwnam(DEFAULT_USER)
    except KeyError:
        msg = (
            f"could not find UID based on user name, userName: {DEFAULT_USER}: user: unknown user "
            f"{DEFAULT_USER}. Create it: adduser --system {DEFAULT_USER}"
        )
        raise ConfigError(msg) from None
    try:
        group = grp.getgrnam(DEFAULT_GROUP)
    except KeyError:
        msg = (
            f"could not find GID based on group name, groupName: {DEFAULT_GROUP}: group: unknown "
            f"group {DEFAULT_GROUP}. Create it: addgroup --system {DEFAULT_GROUP}"
        )
        raise ConfigError(msg) from None
    return Identity(user.pw_uid, group.gr_gid, (group.gr_gid,))


def resolve(uid: int | None, gid: int | None, default: Identity | None) -> Identity | None:
    """
    Return as whom a function runs, None for "as the core itself".

    Args:
        uid: From `run_as`, None for the default's.
        gid: From `run_as`, None for the default's.
        default: Identity of functions without `run_as`; None when the core runs as the user who
            started it.

    Raises:
        ConfigError: Another identity was asked for and the core is not root.
    """
    if uid is None and gid is None:
        chosen = default
    else:
        base = default or Identity(os.getuid(), os.getgid(), tuple(os.getgroups()))
        chosen_gid = base.gid if gid is None else gid
        chosen = Identity(base.uid if uid is None else uid, chosen_gid, (chosen_gid,))
    if chosen is None or (chosen.uid == os.getuid() and chosen.gid == os.getgid()):
        return None
    if os.geteuid() != 0:
        msg = (
            f"run_as uid {chosen.uid}, gid {chosen.gid}: only a core started by root can run "
            f"functions as another user; this one runs as uid {os.getuid()}"
        )
        raise ConfigError(msg)
    return chosen
