"""Runs one command's work on an event loop: signals, ticks of the view, and what becomes of its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

import anyio

from aios3sync.cli.errors import exit_code_of
from aios3sync.cli.output.view import View
from aios3sync.concurrency import Stop

__all__ = (
    "execute",
    "exit_code_of_signal",
    "run_async",
    "stopped_by_signals",
)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_code_of_signal(number: int) -> int:
    """The exit code after a signal: that of the shell, but a hang-up is the same stop as SIGTERM."""
    return 128 + (signal.SIGTERM if number == signal.SIGHUP else number)


@contextmanager
def stopped_by_signals(
    stop: Stop, leave: Callable[[], None], acknowledge: Callable[[int], None]
) -> Iterator[None]:
    """Turn the signals of this process into requests to ``stop``; call it on the event loop.

    Args:
        stop: asked at the first signal.
        leave: called before the process ends at once, to give the terminal back.
        acknowledge: called at once with the number of the first signal.
    """
    loop = asyncio.get_running_loop()

    def arrived(number: int) -> None:
        if stop.signal and number == signal.SIGINT:
            leave()
            # Nothing is lost: what was uploaded is recorded, and the next run finds out about the rest.
            os._exit(exit_code_of_signal(number))
        first = not stop.signal
        stop.request(number)
        if first:
            acknowledge(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, arrived, int(number))
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


_TICK_S = 0.1


class _Report(Protocol):
    @property
    def exit_code(self) -> int: ...


ReportT = TypeVar("ReportT", bound=_Report)
T = TypeVar("T")


def run_async(main: Callable[[], Any]) -> Any:
    """Run a coroutine function on a loop of its own: uvloop's where there is one."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main())


def execute(
    work: Callable[[Stop], Awaitable[ReportT]],
    view: View,
    stop: Stop,
    *,
    orderly: bool = False,
) -> int:
    """Do the work and tell what came of it; the exit code.

    Args:
        work: makes the report.
        view: shows it.
        stop: what a signal asks.
        orderly: the work itself ends when ``stop`` asks; otherwise it is cancelled.
    """

    async def main() -> int:
        with stopped_by_signals(stop, view.close, view.stopping if orderly else _at_once):
            try:
                report = await _watched(work, view, stop, orderly=orderly)
            except Exception as error:  # noqa: BLE001 - whatever it is, the view tells it and the code follows
                view.close()
                view.fail(error)
                return exit_code_of(error)
            view.close()
            if report is None:
                return exit_code_of_signal(stop.signal)
            view.report(report)
            return report.exit_code

    code: int = run_async(main)
    return code


def _at_once(signal: int) -> None:
    """Work that is cancelled ends before anybody could read that it is going to."""


async def _watched(
    work: Callable[[Stop], Awaitable[ReportT]], view: View, stop: Stop, *, orderly: bool
) -> ReportT | None:
    """The report; ``None`` where the work was cancelled by a signal."""
    report: ReportT | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_tick, view)
        with anyio.CancelScope() as scope:
            if not orderly:
                tasks.start_soon(_cancel_on, stop, scope)
            try:
                report = await work(stop)
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
