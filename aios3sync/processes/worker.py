"""WorkerProcess: the session's side of one process: the child process, its two pipes and its jobs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self

from aios3sync.errors import ThrottledError
from aios3sync.processes import messages
from aios3sync.processes.messages import CANCEL_PENDING, JOBS, RETURNED
from aios3sync.store.wrappers.limit import ConcurrencyLimiter

__all__ = ("SLOW_DOWN", "OnSettled", "ProcessJob", "WorkerProcess")

Result = tuple[Any, ...]
OnSettled = Callable[[int, Result], None]
"""Called with the position of a job in its list, and its result; see :mod:`aios3sync.processes.messages`."""


class ProcessJob(Protocol):
    """A job of any type: a tuple of plain values."""

    @property
    def size(self) -> int:
        """Bytes of the body of its request, or of the response."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


_LOG: Final = logging.getLogger(__name__)
_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); from importlib import import_module; "
    "import_module(sys.argv[2]).main()"
)
_PACKAGE: Final = str(Path(__file__).parents[2])
_EXIT_GRACE: Final = 1.0
"""Seconds that the process has to exit after its input is closed, before it is killed."""
_SLOT_POLL_SECONDS: Final = 0.01
_SLOT_POLLS: Final = 100
"""How often to look for a free slot while other requests hold all of them."""
SLOW_DOWN: Final = (429, 503)
"""Statuses by which an endpoint demands fewer requests."""
_LOST: Final = "the process ended"


class _Batch:
    """Jobs that were submitted together."""

    def __init__(self, on_settled: OnSettled, count: int) -> None:
        self._on_settled = on_settled
        self._left = count
        self._error: Exception | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, position: int, result: Result) -> None:
        """End one job; the first error of the callback is raised when all jobs of the batch have ended."""
        self._left -= 1
        try:
            self._on_settled(position, result)
        except Exception as error:  # noqa: BLE001 - the other jobs still have to be settled
            self._error = self._error or error
        if self._left or self.ended.done():
            return
        if self._error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(self._error)


class WorkerProcess:
    """One process that works on jobs.

    Its requests count like any others: for each one that may be in flight it holds a slot of the limiter,
    which adapts to their outcomes.

    Args:
        process, pipes: the child process, and the pipes to it and from it.
        limiter: requests in flight.
        share: returns how many requests this process may have in flight.
    """

    def __init__(
        self,
        process: Process,
        pipes: tuple[asyncio.StreamWriter, asyncio.StreamReader],
        limiter: ConcurrencyLimiter,
        share: Callable[[], int],
    ) -> None:
        self._process = process
        self._stdin, self._stdout = pipes
        self._limiter = limiter
        self._slots: deque[int] = deque()
        self._jobs: dict[int, tuple[_Batch, int, int]] = {}
        self._next = 0
        self._skew = 0.0
        self._share = share
        self._receiving = asyncio.create_task(self._receive())
        self.alive = True

    @classmethod
    async def start(cls, program: str, limiter: ConcurrencyLimiter, share: Callable[[], int]) -> Self:
        """Start a process that runs ``main`` of a module; raises OSError where that is not possible."""
        options = ["-I", "-S", *(["-X", "utf8"] if sys.flags.utf8_mode else [])]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *options, "-c", _PROGRAM, _PACKAGE, program),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,  # Ctrl-C is for the session alone: what the process sends is still wanted
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        return cls(process, (process.stdin, process.stdout), limiter, share)

    @property
    def pending(self) -> int:
        """How many jobs the process holds."""
        return len(self._jobs)

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message. If the pipe is closed, the process is abandoned, and its jobs are returned."""
        if not self.alive:
            return
        try:
            self._stdin.write(messages.frame(message))
        except (OSError, RuntimeError) as error:  # uvloop raises the latter for a closed pipe
            self._give_up(error)

    async def submit(self, jobs: Sequence[ProcessJob], skew: float, on_settled: OnSettled) -> bool:
        """Submit jobs and wait until each of them is settled.

        Returns:
            False, with no job submitted, if the process has ended, or if it holds no slot while the limiter
            keeps a start rate.
        """
        self._skew = skew
        if not self._slots and self._limiter.start_rate == float("inf"):
            self._slots.append(await self._limiter.acquire())
        self._acquire_slots(len(self._jobs) + len(jobs))
        if not (self._slots and self.alive):
            self._release_slots()
            return False
        if not jobs:
            return True
        batch = _Batch(on_settled, len(jobs))
        first, self._next = self._next, self._next + len(jobs)
        for position, job in enumerate(jobs):
            self._jobs[first + position] = (batch, position, job.size)
        self.send((JOBS, len(self._slots), skew, first, [(*job,) for job in jobs]))
        await batch.ended
        return True

    def cancel_pending(self) -> None:
        """Have all jobs returned that have not begun."""
        if self._jobs and self.alive:
            self.send((CANCEL_PENDING,))

    async def aclose(self) -> None:
        """End the process; its remaining jobs are returned."""
        self._receiving.cancel()
        await asyncio.wait([self._receiving])
        self._return_all()
        self._stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _EXIT_GRACE)
        except TimeoutError:  # it is blocked on the disk or on its output
            self._kill()
            await self._process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _receive(self) -> None:
        pipe = self._stdout
        try:
            while True:
                length = messages.length_of(await pipe.readexactly(messages.LENGTH))
                self._settle_all(messages.unframe(await pipe.readexactly(length)))
        except Exception as error:  # noqa: BLE001 - it died, or its message makes no sense
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _LOG.debug("a process is lost, the session does its jobs: %r", error)
        self._return_all()
        self._kill()

    def _settle_all(self, results: list[Result]) -> None:
        before = len(self._slots)
        for result in results:
            batch, position, size = self._jobs.pop(result[0])
            self._release_slot(result, size)
            batch.settle(position, result)
        self._acquire_slots(len(self._jobs))  # the limit may have grown
        if self._jobs and not self._slots:
            self._wait_for_slots()
        elif self._jobs and len(self._slots) != before:
            self._send_slots()

    def _return_all(self) -> None:
        """Return all jobs of the process, as there will be no more results."""
        self.alive = False
        self._release_slots()
        jobs, self._jobs = self._jobs, {}
        for batch, position, _ in jobs.values():
            batch.settle(position, (position, 0, _LOST, 0.0))

    # Slots of the limiter

    def _acquire_slots(self, wanted: int) -> None:
        most = min(self._share(), wanted)
        while len(self._slots) < most and (slot := self._limiter.try_acquire()) is not None:
            self._slots.append(slot)

    def _send_slots(self) -> None:
        self.send((JOBS, len(self._slots), self._skew, self._next, []))

    def _wait_for_slots(self, polls: int = 0) -> None:
        """Look for a slot every few milliseconds while other requests hold all of them.

        After a second without one, and while the limiter keeps a start rate, the pending jobs are cancelled.
        """
        if not (self._jobs and self.alive):
            return
        self._acquire_slots(len(self._jobs))
        if self._slots:
            self._send_slots()
        elif polls >= _SLOT_POLLS or self._limiter.start_rate < float("inf"):
            self.cancel_pending()
        else:
            asyncio.get_running_loop().call_later(_SLOT_POLL_SECONDS, self._wait_for_slots, polls + 1)

    def _release_slot(self, result: Result, size: int) -> None:
        """Release the slot of a job that has ended, and acquire one for the next."""
        if not self._slots:
            return
        throttled = len(result) == RETURNED and result[1] in SLOW_DOWN
        error = ThrottledError("a process was throttled") if throttled else None
        self._limiter.release(self._slots.popleft(), error, size)
        if len(self._slots) < len(self._jobs) and (slot := self._limiter.try_acquire()) is not None:
            self._slots.append(slot)

    def _release_slots(self) -> None:
        while self._slots and not (self.alive and self._jobs):
            self._limiter.release(self._slots.popleft(), asyncio.CancelledError())
