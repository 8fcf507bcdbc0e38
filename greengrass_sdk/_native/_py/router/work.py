# SPDX-License-Identifier: Apache-2.0
"""
Work items: which worker runs what, since when, and how it ended.

An item is a message or an invocation for a function.  It waits in the function's queue, is sent to
a worker against credit, and ends with exactly one outcome: the worker's answer, its death, or a
deadline, whichever the machine sees first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greengrass_sdk._native import Flag, Kind, request_id
from greengrass_sdk._native._py.router.events import (
    Finished,
    ImportFailed,
    NeedWorkers,
    Outcome,
    RetireWorker,
    Send,
    WorkerReady,
)
from greengrass_sdk._native._py.router.state import FunctionTarget, Timers, Worker, WorkerState
from greengrass_sdk._native._py.router.texts import error_document, timeout_text, too_large

if TYPE_CHECKING:
    from greengrass_sdk._native import Frame
    from greengrass_sdk._native._py.router.events import Output
    from greengrass_sdk._native._py.router.state import Item

__all__ = ["Work"]

_START_DEADLINE_S = 60.0  # a RequestResponse that has not started by then ends Unhandled
_IMPORT_DEADLINE_S = 10.0  # on demand only: a pinned function may never return from import
_EXIT_DEADLINE_S = 5.0  # a worker that could not import its handler exits by itself
_CREDIT_ITEMS = 32  # what lies with a pinned worker at most ...
_CREDIT_BYTES = 204800  # ... three of 64 KiB, which the default ring holds; a larger one goes alone
_ITEM_BYTES = 2048  # of a credit of its own
_QUICK_S = 0.05  # items are sent ahead only to a handler whose last run was this short


class Work:
    """
    All work items of a core.

    Args:
        outputs: Where sends and events go, in order.
        limit: Waiting and running items of the whole core.
        payload_bytes: Largest result.
        boot: Part of every request id.
        epoch: Wall-clock seconds at monotonic time 0.
    """

    def __init__(
        self, outputs: list[Output], *, limit: int, payload_bytes: int, boot: bytes, epoch: float
    ) -> None:
        self.items = 0
        """Items now, of all functions."""
        self.limit = limit
        self.tap = False
        self.stopping = False
        self._outputs = outputs
        self._payload_bytes = payload_bytes
        self._boot = boot
        self._epoch = epoch
        self._timers = Timers()
        self._holders: dict[int, FunctionTarget] = {}  # functions that hold items
        self._last_id = 0

    def share_refusal(self, target: FunctionTarget) -> str:
        """Return why `target`, being above its share of a full core, gets no further item."""
        if self.items < self.limit:
            return ""
        holders = len(self._holders) + (target.endpoint not in self._holders)
        if target.items >= max(1, self.limit // holders):
            return "work items of the core used up"
        return ""

    def enqueue(self, target: FunctionTarget, item: Item, now: float) -> None:
        """Take an item in; it gets its number."""
        self._last_id += 1
        item.id = self._last_id
        item.queued_at = now
        if item.is_call:
            item.start_by = now + _START_DEADLINE_S
        self.items += 1
        target.put(item)
        self._holders[target.endpoint] = target
        self._timers.arm(target)
        self.dispatch(target, now)

    # Workers.

    def attach(self, worker: Worker, now: float) -> None:
        """Add a worker that begins its import."""
        target = worker.target
        self.admit()
        target.workers[worker.peer.number] = worker
        if target.starting:
            target.starting -= 1
        if not target.rules.pinned:
            worker.deadline = now + _IMPORT_DEADLINE_S
            self._timers.arm(worker)

    def admit(self) -> None:
        """Make room for the deadlines of one more function or worker."""
        self._timers.admit()

    def retire(self, owner: Worker | FunctionTarget) -> None:
        """Forget the deadlines of a worker that is buried, or of a function that is replaced."""
        self._timers.retire(owner)

    def failed_to_start(self, target: FunctionTarget, document: bytes, now: float) -> None:
        """Note that a worker that was asked for does not come."""
        if target.starting:
            target.starting -= 1
        self._fail_for_import(target, document, now)

    def leave_idle(self, worker: Worker) -> None:
        """Give the worker nothing more."""
        if worker in worker.target.idle:
            worker.target.idle.remove(worker)
            worker.deadline = None

    def dispatch(self, target: FunctionTarget, now: float) -> None:
        """Send waiting items to workers with credit, and ask for workers where more would help."""
        if target.rules.pinned:
            for worker in target.workers.values():
                while target.waiting and _has_credit(worker, target.waiting[0]):
                    self._give(worker, target.take(), now)
            return
        while target.waiting and target.idle:
            self._give(target.idle.pop(), target.take(), now)
        importing = sum(w.state is WorkerState.STARTING for w in target.workers.values())
        room = target.rules.max_workers - len(target.workers) - target.starting
        wanted = min(len(target.waiting) - target.starting - importing, room)
        if wanted > 0 and not self.stopping:
            target.starting += wanted
            self._outputs.append(NeedWorkers(target.endpoint, wanted))

    def ready(self, worker: Worker, frame: Frame, now: float) -> None:
        """Take the report that an import ended, well or not."""
        target = worker.target
        worker.deadline = None
        if frame.flags & Flag.FAILED:
            document = frame.payload
            if len(document) > self._payload_bytes:
                text = too_large("import error", document, self._payload_bytes)
                document = error_document(text, "ImportErrorTooLarge")
            worker.state = WorkerState.FAILED
            worker.deadline = now + _EXIT_DEADLINE_S
            self._timers.arm(worker)
            self._outputs.append(ImportFailed(worker.peer.number, target.endpoint, document))
            self._fail_for_import(target, document, now)
            return
        worker.state = WorkerState.READY
        target.last_failure = b""
        self._outputs.append(WorkerReady(worker.peer.number, target.endpoint))
        self._idle(worker, now)
        self.dispatch(target, now)

    def result(self, worker: Worker, frame: Frame, now: float) -> None:
        """Take the answer to the item that runs."""
        item = worker.pop()
        worker.last_run_s = now - (now if item.started_at is None else item.started_at)
        outcome, document = Outcome.OK, frame.payload
        if len(document) > self._payload_bytes:
            text = too_large("result", document, self._payload_bytes)
            outcome, document = Outcome.UNHANDLED, error_document(text, "ResultTooLarge")
        elif frame.flags & Flag.HANDLED:
            outcome = Outcome.HANDLED
        worker.deadline = None
        if worker.sent:
            self._start(worker, now)
        else:
            self._idle(worker, now)
        secret = worker.target.rules.confidential
        self._finish(worker.target, item, outcome, document, now, secret=secret)
        self.dispatch(worker.target, now)

    def bury(self, worker: Worker, outcome: Outcome, document: bytes, now: float) -> None:
        """End the item that ran, put the others back in front, and forget the worker."""
        target = worker.target
        if target.workers.pop(worker.peer.number, None) is None:
            return
        self.leave_idle(worker)
        worker.deadline = None
        running = worker.sent.popleft() if worker.sent else None
        for item in reversed(worker.sent):
            if not item.ended:
                target.put_back(item)
        worker.sent.clear()
        if running is not None:
            if outcome is Outcome.TIMEOUT:
                document = self._timeout_document(target, running, now)
            self._finish(target, running, outcome, document, now)
        elif worker.state is WorkerState.STARTING and outcome is not Outcome.OK:
            self._fail_for_import(target, document, now)
        self.dispatch(target, now)

    # Deadlines.

    def fire(self, now: float) -> None:
        """Do what the deadlines that have come demand."""
        for due in self._timers.due(now):
            if isinstance(due, Worker):
                self._worker_due(due, now)
            else:
                self._start_due(due, now)

    def next_deadline(self) -> float | None:
        """Return when `fire` must be called again; it may be early."""
        return self._timers.next()

    def _worker_due(self, worker: Worker, now: float) -> None:
        worker.deadline = None
        if worker.state is WorkerState.STARTING:
            text = f"import did not finish within {_IMPORT_DEADLINE_S:.0f} s"
            document = error_document(text, "ImportTimeout")
            self._retire(worker, Outcome.UNHANDLED, text, document, now)
        elif worker.state is WorkerState.FAILED:
            text = f"did not exit within {_EXIT_DEADLINE_S:.0f} s after its import failed"
            self._retire(worker, Outcome.UNHANDLED, text, b"", now)
        elif worker.sent:
            text = f"timed out after {worker.target.rules.timeout_s:g} s"
            self._retire(worker, Outcome.TIMEOUT, text, b"", now)
        else:
            text = f"idle for {worker.target.rules.idle_s:g} s"
            self._retire(worker, Outcome.OK, text, b"", now)

    def _retire(
        self, worker: Worker, outcome: Outcome, reason: str, document: bytes, now: float
    ) -> None:
        """Take the worker out in this step: nothing it writes later counts."""
        worker.peer.cut = True
        retired = RetireWorker(worker.peer.number, worker.target.endpoint, outcome, reason)
        self._outputs.append(retired)
        self.bury(worker, outcome, document, now)

    def _start_due(self, target: FunctionTarget, now: float) -> None:
        while (item := target.overdue(now)) is not None:
            document = error_document(target.why_not_started(_START_DEADLINE_S), "NotStarted")
            self._finish(target, item, Outcome.UNHANDLED, document, now)
        self._timers.arm(target)

    # The life of an item.

    def _give(self, worker: Worker, item: Item, now: float) -> None:
        worker.push(item)
        if worker.sent[0] is item:
            self._start(worker, now)
        self._outputs.append(
            Send(
                worker.peer.number,
                item.kind,
                Flag.EVENT if item.event else 0,
                item.source if worker.target.rules.confidential else worker.target.endpoint,
                item.id,
                item.topic,
                item.context,
                item.payload,
            )
        )

    def _start(self, worker: Worker, now: float) -> None:
        """The first item of the worker starts now: answers come in order, one at a time."""
        worker.target.begin(worker.sent[0], now)
        worker.deadline = now + worker.target.rules.timeout_s
        self._timers.arm(worker)

    def _finish(
        self,
        target: FunctionTarget,
        item: Item,
        outcome: Outcome,
        document: bytes,
        now: float,
        *,
        secret: bool = False,
    ) -> None:
        """
        Give `item` its one outcome; the first one wins.

        A call that was sent ahead and given up has ended before its worker answers it.
        """
        if item.ended:
            return
        target.end(item)
        self.items -= 1
        if not target.items:
            del self._holders[target.endpoint]
        target.outcomes[outcome] += 1
        caller = item.caller
        if item.is_call and caller is not None and not caller.silent:
            work_id = item.id.to_bytes(8, "little")
            answer = (item.source, item.number, b"", work_id, document)
            self._outputs.append(Send(caller.number, Kind.RESULT, outcome.flags, *answer))
        if self.tap or outcome is not Outcome.OK:
            shown = b"" if secret else document
            self._outputs.append(Finished(target.endpoint, item, outcome, shown, now))

    def _fail_for_import(self, target: FunctionTarget, document: bytes, now: float) -> None:
        """
        End what waited for an import that failed.

        On demand, the one item that asked for the worker; pinned, the invocations whose callers
        wait, while messages and events stay queued for the next start.
        """
        target.last_failure = document
        if target.rules.pinned:
            failed = [item for item in target.waiting if item.is_call]
        else:
            failed = [target.waiting[0]] if target.waiting else []
        for item in failed:
            self._finish(target, item, Outcome.UNHANDLED, document, now)
        self.dispatch(target, now)

    def _timeout_document(self, target: FunctionTarget, item: Item, now: float) -> bytes:
        number = request_id(self._boot, item.id)
        text = timeout_text(self._epoch + now, number, target.rules.timeout_s)
        return error_document(text, "Timeout")

    def _idle(self, worker: Worker, now: float) -> None:
        """Offer an on-demand worker for the next item, and end it if none comes."""
        if worker.target.rules.pinned or worker.peer.silent:
            return
        worker.target.idle.append(worker)
        worker.deadline = now + worker.target.rules.idle_s
        self._timers.arm(worker)


def _has_credit(worker: Worker, item: Item) -> bool:
    if worker.state is not WorkerState.READY or worker.peer.silent:
        return False
    if not worker.sent:
        return True
    credit = worker.target.rules.credit
    if credit:
        room = credit * _ITEM_BYTES
        return len(worker.sent) < credit and worker.sent_bytes + item.size <= room
    return (
        worker.last_run_s <= _QUICK_S
        and len(worker.sent) < _CREDIT_ITEMS
        and worker.sent_bytes + item.size <= _CREDIT_BYTES
    )
