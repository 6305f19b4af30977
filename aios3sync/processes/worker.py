"""The session's end of one courier: a process, two pipes, and what is with it; it judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from aios3sync.errors import ThrottledError
from aios3sync.processes import messages as frames
from aios3sync.processes.messages import PARCELS, RECALL, Told, Undone
from aios3sync.processes.protocol import UploadJob
from aios3sync.store.wrappers.limit import ConcurrencyLimiter

__all__ = ("Settle", "WorkerProcess", "can_spawn")

Settle = Callable[[int, Told | Undone], None]
"""Called with the place of a job in its list, and what came of it."""

_LOG: Final = logging.getLogger(__name__)
_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); from aios3sync.processes.main import main; main()"
)
_PACKAGE: Final = str(Path(__file__).parents[2])
_ENDS_IN: Final = 1.0
"""Seconds that the process gets to see that nobody asks any more."""
_LOOK_AGAIN: Final = 0.01
_LOOKS: Final = 100
_SLOW_DOWN: Final = (429, 503)
_LOST: Final = "the courier ended"


class _Bundle:
    """Parcels that were handed over together."""

    def __init__(self, settle: Settle, count: int) -> None:
        self._settle = settle
        self._left = count
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, place: int, told: Told | Undone) -> None:
        """End one job; what the listener raises is raised to who waits for the bundle."""
        self._left -= 1
        try:
            self._settle(place, told)
        except Exception as error:  # noqa: BLE001 - the jobs of others still have to be settled
            if not self.ended.done():
                self.ended.set_exception(error)
        if not self._left and not self.ended.done():
            self.ended.set_result(None)


class WorkerProcess:
    """One courier.

    Its requests are in flight like any others: for each that may be under way it holds a slot of the
    limiter, which learns from their outcomes.

    Args:
        process, pipes: the program, and the way to it and from it.
        limiter: requests in flight.
        share: tells how many of them may be this courier's.
    """

    def __init__(
        self,
        process: Process,
        pipes: tuple[asyncio.StreamWriter, asyncio.StreamReader],
        limiter: ConcurrencyLimiter,
        share: Callable[[], int],
    ) -> None:
        self._process = process
        self._asks, self._answers = pipes
        self._limiter = limiter
        self._slots: deque[int] = deque()
        self._parcels: dict[int, tuple[_Bundle, int, int]] = {}
        self._next = 0
        self._skew = 0.0
        self._share = share
        self._listening = asyncio.create_task(self._listen())
        self.alive = True

    @classmethod
    async def start(cls, limiter: ConcurrencyLimiter, share: Callable[[], int]) -> Self:
        """Start a process; raises OSError where that cannot be."""
        options = ["-I", "-S", *(["-X", "utf8"] if sys.flags.utf8_mode else [])]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *options, "-c", _PROGRAM, _PACKAGE),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            start_new_session=True,  # Ctrl-C is for us alone: what it sends is still wanted
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        return cls(process, (process.stdin, process.stdout), limiter, share)

    @property
    def load(self) -> int:
        """How many jobs are with it."""
        return len(self._parcels)

    def tell(self, message: tuple[Any, ...]) -> None:
        """Send a message. A process that has died meanwhile gets none, and gives everything back."""
        if not self.alive:
            return
        try:
            self._asks.write(frames.framed(message))
        except (OSError, RuntimeError) as error:  # the latter is uvloop's word for a closed pipe
            self._lose(error)

    async def hand_over(self, jobs: Sequence[UploadJob], skew: float, settle: Settle) -> bool:
        """Have jobs sent; False if that cannot be, or if there is no slot, but a pace to keep."""
        self._skew = skew
        if not self._slots and self._limiter.start_rate == float("inf"):
            self._slots.append(await self._limiter.enter())
        self._borrow(len(self._parcels) + len(jobs))
        if not (self._slots and self.alive):
            self._return_all()
            return False
        if not jobs:
            return True
        bundle = _Bundle(settle, len(jobs))
        first, self._next = self._next, self._next + len(jobs)
        for place, job in enumerate(jobs):
            self._parcels[first + place] = (bundle, place, job.size)
        self.tell((PARCELS, len(self._slots), skew, first, [(*job,) for job in jobs]))
        await bundle.ended
        return True

    def cancel_pending(self) -> None:
        """Have everything given back that was not begun."""
        if self._parcels and self.alive:
            self.tell((RECALL,))

    async def aclose(self) -> None:
        """End the process; what is still with it is given back."""
        self._listening.cancel()
        await asyncio.wait([self._listening])
        self._end()
        self._asks.close()
        try:
            await asyncio.wait_for(self._process.wait(), _ENDS_IN)
        except TimeoutError:  # the storage does not answer
            self._kill()
            await self._process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _borrow(self, wanted: int) -> None:
        most = min(self._share(), wanted)
        while len(self._slots) < most and (slot := self._limiter.try_enter()) is not None:
            self._slots.append(slot)

    async def _listen(self) -> None:
        pipe = self._answers
        try:
            while True:
                length = frames.length_of(await pipe.readexactly(frames.LENGTH))
                self._settle_all(frames.unframed(await pipe.readexactly(length)))
        except Exception as error:  # noqa: BLE001 - it died, or what it says makes no sense
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        _LOG.debug("a process that sent files is lost, the session sends them: %r", error)
        self._end()
        self._kill()

    def _settle_all(self, told: list[Told | Undone]) -> None:
        before = len(self._slots)
        for item in told:
            bundle, place, size = self._parcels.pop(item[0])
            self._give_back(item, size)
            bundle.settle(place, item)
        self._borrow(len(self._parcels))  # the limit may have grown
        if self._parcels and not self._slots:
            self._wait_for_slots()
        elif self._parcels and len(self._slots) != before:
            self.tell((PARCELS, len(self._slots), self._skew, self._next, []))

    def _wait_for_slots(self, times: int = 0) -> None:
        """Others took the last slot: a moment later one may be free, unless there is a pace to keep."""
        if not (self._parcels and self.alive):
            return
        self._borrow(len(self._parcels))
        if self._slots:
            self.tell((PARCELS, len(self._slots), self._skew, self._next, []))
        elif times >= _LOOKS or self._limiter.start_rate < float("inf"):
            self.cancel_pending()
        else:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._wait_for_slots, times + 1)

    def _give_back(self, item: Told | Undone, size: int) -> None:
        """Return the slot of a job that has ended, and take one for the next."""
        if not self._slots:
            return
        throttled = len(item) == 3 and item[1] in _SLOW_DOWN
        error = ThrottledError("told to slow down") if throttled else None
        self._limiter.leave(self._slots.popleft(), error, size)
        if len(self._slots) < len(self._parcels) and (slot := self._limiter.try_enter()) is not None:
            self._slots.append(slot)

    def _end(self) -> None:
        """Nothing comes any more: everything goes the usual way."""
        self.alive = False
        self._return_all()
        jobs, self._parcels = self._parcels, {}
        for bundle, place, _ in jobs.values():
            bundle.settle(place, (place, 0, _LOST))

    def _return_all(self) -> None:
        while self._slots and not (self.alive and self._parcels):
            self._limiter.leave(self._slots.popleft(), asyncio.CancelledError())


def can_spawn() -> bool:
    """Whether there is a Python to start; a frozen program's executable is none."""
    if getattr(sys, "frozen", False) or not Path(sys.executable or "").name.startswith("python"):
        return False
    return sys.platform == "linux"
