"""Runs the work of one command on an event loop: handles signals, redraws the view, and shows its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

import anyio

from aios3sync.cli.errors import exit_code_of, print_ended
from aios3sync.cli.output.view import View
from aios3sync.concurrency import Stop

__all__ = ("execute", "exit_code_of_signal")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK_S: Final = 0.1


class _Report(Protocol):
    @property
    def exit_code(self) -> int: ...


ReportT = TypeVar("ReportT", bound=_Report)


def exit_code_of_signal(number: int) -> int:
    """Return the exit code after a signal: 128 + its number; SIGHUP is the same stop as SIGTERM."""
    return 128 + (signal.SIGTERM if number == signal.SIGHUP else number)


def execute(
    work: Callable[[], Awaitable[ReportT]],
    view: View,
    stop: Stop,
    *,
    orderly: bool = False,
) -> int:
    """Do the work, show its report or its error, and return the exit code.

    Args:
        work: makes the report.
        view: shows it.
        stop: receives the signals of this process.
        orderly: whether the work ends by itself after a ``stop``; otherwise it is cancelled.
    """

    async def main() -> int:
        with _signals_request(stop, view.close, view.stopping if orderly else _say_nothing):
            try:
                with _suspended_orderly(view.close):
                    report = await _work_with_ticks(work, view, stop, orderly=orderly)
            except Exception as error:  # noqa: BLE001 - the view shows whatever it is, and the code follows
                view.close()
                view.fail(error)
                return exit_code_of(error)
            view.close()
            if report is None:
                return exit_code_of_signal(stop.signal)
            view.report(report)
            return report.exit_code

    code: int = _run_on_loop(main)
    return code


def _run_on_loop(main: Callable[[], Any]) -> Any:
    """Run a coroutine function on a new loop: uvloop's if it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main())


@contextmanager
def _signals_request(
    stop: Stop, close: Callable[[], None], acknowledge: Callable[[int], None]
) -> Iterator[None]:
    """Convert the signals of this process to requests of ``stop``; call it on the event loop.

    Args:
        stop: requested at the first signal.
        close: called before a second Ctrl-C ends the process at once, to restore the terminal.
        acknowledge: called at once with the number of the first signal.
    """
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.signal and number == signal.SIGINT:
            close()
            print_ended()
            # Nothing is lost: the manifest has every upload that was recorded, and the next run compares
            # what is missing in it.
            os._exit(exit_code_of_signal(number))
        first = not stop.signal
        stop.request(number)
        if first:
            acknowledge(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal, int(number))
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def _suspended_orderly(close: Callable[[], None]) -> Iterator[None]:
    """Restore the terminal before Ctrl-Z suspends the process; the next tick draws again."""
    if signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
        yield  # whoever started the process does not want it to be suspended
        return
    loop = asyncio.get_running_loop()

    def on_suspend() -> None:
        close()
        loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, on_suspend)

    loop.add_signal_handler(signal.SIGTSTP, on_suspend)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTSTP)


def _say_nothing(signal: int) -> None:
    """Print nothing: cancelled work ends before a message could be read."""


async def _work_with_ticks(
    work: Callable[[], Awaitable[ReportT]], view: View, stop: Stop, *, orderly: bool
) -> ReportT | None:
    """Return the report; ``None`` if a signal cancelled the work."""
    report: ReportT | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_tick, view)
        with anyio.CancelScope() as scope:
            if not orderly:
                tasks.start_soon(_cancel_on, stop, scope)
            try:
                report = await work()
            except Exception as error:  # noqa: BLE001 - raised below, outside of the group that would wrap it
                failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return report


async def _tick(view: View) -> None:
    while True:
        await anyio.sleep(_TICK_S)
        view.tick()


async def _cancel_on(stop: Stop, scope: anyio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()
