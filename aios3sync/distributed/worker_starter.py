"""Starts the worker processes of a cluster on this machine: one process, the *starter*, forks them.

Forked workers share the modules of the starter. An interpreter that imports Dask takes half a second of CPU
time for it, so it is imported once for all of them; where the program has done nothing yet, the starter is
forked as well, and Dask is imported once in all.

A fork copies one thread alone, and the locks of all others as they are. So only a process with one thread is
forked. Invariant: the starter has one thread and no event loop, as long as it lives.

Two pipes connect the starter with the coordinator. One brings the order, and is closed when the coordinator
ends, however it ends: workers that are still there then leave at once. The other one is open as long as the
starter or a worker lives, and brings the reasons of workers that could not begin.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import anyio
from anyio import to_thread

from aios3sync._namedtuple import NamedTuple

__all__ = ("PreparedCluster", "WorkerOrder", "WorkerStarter", "can_fork", "serve")

_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[3:]; from aios3sync.distributed.worker_starter import serve; "
    "serve(int(sys.argv[1]), int(sys.argv[2]))"
)
_PACKAGE: Final = str(Path(__file__).parents[2])
_COULD_NOT_BEGIN: Final = 3
"""The exit code of a worker that failed before it had begun: another one would fail as well."""
_PAUSE_S: Final = 0.5
"""Seconds before a worker that died is replaced."""
_MOST_TEXT: Final = 400
"""Bytes of a reason: a write of so few is never mixed with those of other processes."""


class WorkerOrder(NamedTuple):
    """What the starter has to start.

    Attributes:
        number: of workers.
        work: a function of a module, which is a worker until it returns. It calls the first argument once it
            has begun.
        arguments: its other arguments; they can be pickled.
    """

    number: int
    work: Callable[..., None]
    arguments: tuple[Any, ...]


class WorkerStarter:
    """The coordinator's side of a starter, which waits for its order.

    Args:
        orders: the descriptor that the order is written to.
        reasons: the descriptor that reasons are read from.
        wait: waits for the end of the process.
    """

    def __init__(self, orders: int, reasons: int, wait: Callable[[], object]) -> None:
        os.set_blocking(reasons, False)
        self._orders = orders
        self._reasons = reasons
        self._wait = wait

    @classmethod
    def fork(cls) -> Self | None:
        """Fork this process with all that it has imported; return None where that is not safe."""
        if not can_fork():
            return None
        theirs, ours = _pipes()
        pid = os.fork()
        if not pid:
            try:
                for descriptor in ours:
                    os.close(descriptor)
                serve(*theirs)
            finally:
                os._exit(1)
        for descriptor in theirs:
            os.close(descriptor)
        return cls(*ours, lambda: os.waitpid(pid, 0))

    @classmethod
    def spawn(cls) -> Self:
        """Start another interpreter; raises OSError where that is not possible. Blocks."""
        theirs, ours = _pipes()
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, with this package
                [sys.executable, "-c", _PROGRAM, *map(str, theirs), *sys.path, _PACKAGE],
                pass_fds=theirs,
                stdin=subprocess.DEVNULL,
            )
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return cls(*ours, process.wait)

    def start(self, order: WorkerOrder) -> None:
        """Start workers; call it once. Blocks.

        Raises:
            OSError: the starter has died.
        """
        with open(self._orders, "wb", closefd=False) as file:
            pickle.dump(order, file)

    async def reason(self) -> str:
        """Wait until a worker cannot begin, or all have ended; return why, empty where it is not known."""
        await _readable(self._reasons)
        return os.read(self._reasons, _MOST_TEXT).decode(errors="replace").strip()

    async def ended(self) -> None:
        """Wait until all workers and the starter have ended."""
        while True:
            await _readable(self._reasons)
            if not os.read(self._reasons, _MOST_TEXT):
                return

    async def close(self, patience_s: float) -> None:
        """Wait for the end of workers that were asked to leave; those that do not are ended.

        Args:
            patience_s: seconds to wait.
        """
        with anyio.move_on_after(patience_s, shield=True):
            await self.ended()
        os.close(self._orders)
        with anyio.CancelScope(shield=True):
            await self.ended()
            await to_thread.run_sync(self._wait)
        os.close(self._reasons)


class PreparedCluster(NamedTuple):
    """A cluster on this machine whose starter is there.

    Attributes:
        name: ``local:N``.
        starter: waits for its order.
    """

    name: str
    starter: WorkerStarter


def can_fork() -> bool:
    """Whether this process has one thread; libraries of macOS do not bear a fork in any case."""
    return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1


def _pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the descriptors of a starter and of its coordinator, of each first the one for orders."""
    orders, give_order = os.pipe()
    reasons, give_reason = os.pipe()
    return (orders, give_reason), (give_order, reasons)


async def _readable(descriptor: int) -> None:
    """Wait until something, or the end, can be read."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def serve(orders: int, reasons: int) -> NoReturn:
    """Be a starter: wait for the order, start workers, and replace those that die, until all have left.

    Args:
        orders: the descriptor that brings the order.
        reasons: the descriptor that takes the reasons of workers that could not begin.
    """
    # Ctrl-C goes to all processes of a terminal: the coordinator asks the workers to stop.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        with open(orders, "rb", closefd=False) as file:
            order: WorkerOrder = pickle.load(file)  # noqa: S301 - the process that made this one wrote it
    except EOFError:  # the coordinator has ended before it needed any
        os._exit(0)
    gc.freeze()  # what is not looked at is not copied
    running = {_started(order, orders, reasons) for _ in range(order.number)}
    while running:
        pid, status = os.wait()
        running.discard(pid)
        if os.waitstatus_to_exitcode(status) in (0, _COULD_NOT_BEGIN) or _is_closed(orders):
            continue
        time.sleep(_PAUSE_S)
        running.add(_started(order, orders, reasons))
    os._exit(0)


def _started(order: WorkerOrder, orders: int, reasons: int) -> int:
    """Fork a worker and return its number."""
    if pid := os.fork():
        return pid
    code = _COULD_NOT_BEGIN

    def begun() -> None:
        nonlocal code
        code = 1

    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=_leave_with_coordinator, args=(orders,), daemon=True).start()
        order.work(begun, *order.arguments)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the process ends with it
        if code == _COULD_NOT_BEGIN:
            with suppress(OSError):
                text = str(error) or type(error).__name__
                os.write(reasons, f"{text}\n".encode(errors="replace")[:_MOST_TEXT])
    finally:
        os._exit(code)


def _leave_with_coordinator(orders: int) -> None:
    """End this process once the coordinator has ended: nothing else may come after the order."""
    os.read(orders, 1)
    os._exit(1)


def _is_closed(orders: int) -> bool:
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    return bool(poll.poll(0))
