# SPDX-License-Identifier: Apache-2.0
"""
A function that attacks its core with all that a worker has: its socket, its memory, its eventfd.

The text of this file is deployed as the code of a function of another user; `handler` does what the
event names. It uses nothing of the SDK: everything goes past the library, as an attacker's code
would, through the descriptors and mappings that `/proc/self` shows.

Started as root it becomes another user when all is imported: the interpreter may lie where others
cannot read.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import socket
import stat
import struct
import threading
import time
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<IBBHIIQ")
PUBLISH, MESSAGE, INVOKE, RESULT, VERDICT, READY, CONTROL = range(1, 8)
EVENT = 1
BULK = 0x80
LINE = 128  # the control page: geometry, ring up (tail, head), ring down, where both ends sleep
UP_TAIL, UP_HEAD, DOWN_TAIL, DOWN_HEAD = (LINE * n for n in range(1, 5))
CONTROL_BYTES = LINE * 7
FOREVER_S = 60.0  # longer than the function's timeout
UID = 54321  # of nobody on this host


def become_another_user() -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)


def frame(
    kind: int,
    *,
    flags: int = 0,
    endpoint: int = 0,
    id: int = 0,
    topic: bytes = b"",
    context: bytes = b"",
    payload: bytes = b"",
    length: int | None = None,
) -> bytes:
    if length is None:
        length = HEADER.size + len(topic) + len(context) + len(payload)
    head = HEADER.pack(length, kind, flags, len(topic), len(context), endpoint, id)
    return head + topic + context + payload


class Memory:
    """The segment of the rings, as it is mapped into this process."""

    def __init__(self, base: int) -> None:
        self.base = base
        page = os.sysconf("SC_PAGESIZE")
        _, self.up, self.down = struct.unpack("<3I", ctypes.string_at(base, 12))
        self.size = page + 2 * (self.up + self.down)
        self.data = base + page

    def get(self, at: int) -> int:
        return ctypes.c_uint32.from_address(self.base + at).value

    def set(self, at: int, value: int) -> None:
        ctypes.c_uint32.from_address(self.base + at).value = value & 0xFFFFFFFF

    def write(self, at: int, data: bytes) -> None:
        ctypes.memmove(self.base + at, data, len(data))


def memory() -> Memory | None:
    with Path("/proc/self/maps").open() as maps:
        for line in maps:
            if "greengrass-rings" in line:
                return Memory(int(line.partition("-")[0], 16))
    return None


def channel() -> socket.socket:
    """Return the stream socket that this process was born with."""
    for fd in range(3, 100):
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
        except OSError:
            continue
        sock = socket.socket(fileno=os.dup(fd))
        if (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_STREAM):
            sock.settimeout(FOREVER_S)
            return sock
        sock.close()
    raise LookupError("no stream socket")


def wake_ups() -> list[int]:
    """Return the eventfds of this process."""
    found = []
    for fd in range(3, 100):
        try:
            if "eventfd" in str(Path(f"/proc/self/fd/{fd}").readlink()):
                found.append(fd)
        except OSError:
            continue
    return found


def wake() -> None:
    for fd in wake_ups():
        with contextlib.suppress(OSError):  # full: the core is awake
            os.write(fd, struct.pack("=Q", 1))


def inject(data: bytes, told: int | None = None) -> None:
    """Give the core these bytes where it reads frames; in a ring, tell it that `told` came."""
    rings = memory()
    if rings is None:
        channel().sendall(data)
        return
    tail = rings.get(UP_TAIL)
    ctypes.memmove(rings.data + tail % rings.up, data, len(data))
    rings.set(UP_TAIL, tail + (len(data) if told is None else told))
    wake()


def await_the_end() -> None:
    time.sleep(FOREVER_S)


def handler(event: Any, context: Any) -> Any:
    return globals()["do_" + event.pop("do")](context, **event)


def do_tell(context: Any) -> Any:
    return {
        "transport": "stream" if memory() is None else "rings",
        "uid": os.getuid(),
        "pid": os.getpid(),
    }


def do_inject(context: Any, data: str) -> None:
    inject(bytes.fromhex(data))
    await_the_end()


def do_noise(context: Any, seed: int, size: int) -> None:
    inject(random.Random(seed).randbytes(size))
    await_the_end()


def do_cut_frame(context: Any) -> None:
    """Half a frame, and then nothing: the socket ends, or the ring tells less than the header."""
    inject(frame(PUBLISH, topic=b"villain", payload=b"x" * 1000)[:512])
    if memory() is None:
        channel().shutdown(socket.SHUT_WR)
    await_the_end()


def do_speak(context: Any, **fields: Any) -> None:
    for name in ("topic", "context", "payload"):
        if name in fields:
            fields[name] = fields[name].encode("latin-1")  # ÿ is no UTF-8 then
    inject(frame(**fields))
    await_the_end()


def do_forge(context: Any, off: int) -> None:
    """Answer an item of somebody else: numbers count up over all functions."""
    mine = int(context.aws_request_id.replace("-", "")[16:], 16) & (2**48 - 1)
    inject(frame(RESULT, endpoint=own_endpoint(), id=(mine + off) % 2**64, payload=b'"forged"'))
    await_the_end()


def own_endpoint() -> int:
    from greengrass_sdk.client import session

    current = session.current()
    assert current is not None
    return current.endpoint


def do_all_endpoints(context: Any, topic: str, first: int) -> None:
    """Publish and invoke for each endpoint that is not ours; the first of them is the end."""
    mine = own_endpoint()
    data = b"".join(
        frame(PUBLISH, endpoint=number, topic=topic.encode(), payload=b'"forged"')
        for number in [*range(first, 64), *range(first)]
        if number != mine
    )
    inject(data)
    await_the_end()


def do_chatter(context: Any, count: int) -> Any:
    """Control frames that mean nothing, and nothing that is forbidden."""
    for number in range(count):
        junk = random.Random(number).randbytes(number % 200)
        inject(frame(CONTROL, id=number, payload=junk, endpoint=own_endpoint()))
    return "went on"


def do_descriptors(context: Any, count: int, number: int) -> Any:
    """Descriptors that nobody asked for, in empty control frames as large messages use them."""
    with Path("/dev/null").open() as null:
        for _ in range(count):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", null.fileno()))]
            try:
                channel().sendmsg([frame(CONTROL, id=number)], rights)
            except OSError:
                break
    wake()
    return "went on"


def do_large(context: Any, how: str) -> None:
    """A large message whose descriptor is not what it has to be; needs rings."""
    size = 300_000
    fd = os.memfd_create("villain", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    if how == "not a memfd":
        os.close(fd)
        fd = os.open("/proc/self/exe", os.O_RDONLY)
    else:
        os.ftruncate(fd, size + 4096 if how == "another size" else size)
    if how in ("another size", "told too large", "another number"):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 15)
    told = 2**31 if how == "told too large" else size
    number = 77 if how == "another number" else 1
    if how != "no descriptor":
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))]
        channel().sendmsg([frame(CONTROL, id=number)], rights)
    reference = struct.pack("<2I", told, number)
    inject(
        frame(PUBLISH | BULK, endpoint=own_endpoint(), topic=b"villain/large", payload=reference)
    )
    await_the_end()


def do_index(context: Any, at: int, change: int) -> None:
    """Move an index of the rings by `change`; needs rings."""
    rings = memory()
    assert rings is not None
    rings.set(at, rings.get(at) + change)
    wake()
    if at == DOWN_HEAD:  # the core looks at it when it needs room: let it answer a lot
        call = frame(INVOKE, flags=EVENT, endpoint=own_endpoint(), id=1, topic=b"nobody" * 80)
        for _ in range(10):
            inject(call * 200)
            while rings.get(UP_HEAD) != rings.get(UP_TAIL):
                time.sleep(0.001)
    await_the_end()


def do_scribble(context: Any, seed: int, rounds: int) -> None:
    """
    Random bytes over the whole segment at random times, then an impossible index.

    With even seeds only over the data, while another thread sends honest frames.
    """
    rings = memory()
    assert rings is not None
    chance = random.Random(seed)
    page = rings.data - rings.base
    if seed % 2 == 0:
        threading.Thread(target=publish_forever, daemon=True).start()
    for _ in range(rounds):
        size = 1 << chance.randrange(12)
        first, end = (page, rings.size) if seed % 2 == 0 else (0, rings.size)
        if seed % 2 and chance.random() < 0.1:
            first, end, size = 0, CONTROL_BYTES, 4
        rings.write(chance.randrange(first, end - size + 1), chance.randbytes(size))
        if chance.random() < 0.5:
            wake()
        if chance.random() < 0.3:
            time.sleep(chance.random() / 1000)  # random times are the point
    while True:  # the honest thread mends it
        rings.set(UP_TAIL, rings.get(UP_HEAD) + rings.up + 1)
        wake()


def publish_forever() -> None:
    from greengrass_sdk import Client

    client = Client()
    while True:
        client.publish("nowhere", b"x" * 1000)


def do_storm(context: Any, count: int) -> None:
    """Wake the core for nothing, again and again; needs rings."""
    (fd, *_) = wake_ups()
    value = struct.pack("=Q", 1)
    for _ in range(count):
        os.write(fd, value)
    await_the_end()


def do_pour(context: Any, size: int, burst: int) -> None:
    """Publish numbers until somebody ends it, no faster than they are received."""
    from greengrass_sdk import Client

    client = Client()
    number = 0
    while True:
        client.publish("villain/poured", f"{os.getpid()} {number} ".ljust(size, "x"))
        number += 1
        if number % burst == 0:
            time.sleep(0.001)


def do_flood(context: Any, count: int) -> Any:
    """More than any queue takes, to targets that do not keep up and to none."""
    from greengrass_sdk import Client

    client = Client()
    for number in range(count):
        client.publish("villain/flood" if number % 2 else f"nowhere/{number}", "x" * 500)
    return "went on"


def do_endpoint(context: Any) -> Any:
    return own_endpoint()


def do_answer_twice(context: Any) -> Any:
    from greengrass_sdk.client import session

    current = session.current()
    assert current is not None
    work = int(context.aws_request_id.replace("-", "")[16:], 16) & (2**48 - 1)
    current.channel.send(RESULT, 0, endpoint=current.endpoint, id=work, payload=b'"first"')
    return "second"


def do_ask_in_any_number(context: Any) -> Any:
    """Invoke events in numbers that others may be using."""
    from greengrass_sdk.client import session

    current = session.current()
    assert current is not None
    for number in range(1, 50):
        endpoint = current.endpoint
        current.channel.send(INVOKE, EVENT, endpoint=endpoint, id=2**40 + number, topic=b"nobody")
    return "went on"


def do_nothing(context: Any) -> Any:
    return os.getpid()


if "LAMBDA_TASK_ROOT" in os.environ:  # deployed, and not imported by a test
    become_another_user()
