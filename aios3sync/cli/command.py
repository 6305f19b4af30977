"""Runs a command: with its stop, view and session; shows its error and chooses its exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aios3sync.cli.output.view import View
from aios3sync.errors import UnavailableError

if TYPE_CHECKING:
    from aios3sync.concurrency import Stop
    from aios3sync.options import ConnectOptions
    from aios3sync.session import Session
    from aios3sync.store.observer import Observer

__all__ = ("OpenView", "Work", "observed_by", "run_command")

ViewT = TypeVar("ViewT", bound=View)
ObserverT = TypeVar("ObserverT", bound="Observer")
OpenView = Callable[[Callable[[], None]], ViewT]
"""Makes a view; takes the function to call when the reader of standard output has closed it."""
Work = Callable[["Session", ViewT, "Stop"], Awaitable[Any]]
"""The work of a command; returns a report with an ``exit_code``, which the view shows."""


_observers: Final[list[Observer]] = []
"""The observers of all sessions of this command line."""


@contextmanager
def observed_by(observer: ObserverT) -> Iterator[ObserverT]:
    """Observe the sessions that are opened in the block."""
    _observers.append(observer)
    try:
        yield observer
    finally:
        _observers.remove(observer)


def run_command(
    work: Work[ViewT],
    connection: ConnectOptions,
    open_view: OpenView[ViewT],
    *,
    orderly: bool = False,
    stopped: str = "",
) -> int:
    """Open a session, do the work in it, show its report or its error, and return the exit code.

    Args:
        work: what the command does.
        connection: how to reach S3.
        open_view: makes the view; for most commands a partial of
            :func:`~aios3sync.cli.output.choose.choose_view`.
        orderly: whether the work ends by itself when a stop is requested; otherwise a signal cancels it.
        stopped: printed on standard error after a signal ended the work.
    """
    # Loaded here: a wrong command line should cost nothing.
    from aios3sync.cli.runner import execute
    from aios3sync.concurrency import Stop
    from aios3sync.session import connect

    stop = Stop()
    view = open_view(partial(stop.request, int(signal.SIGPIPE)))

    async def connected() -> Any:
        async with connect(connection, observers=_observers) as session:
            try:
                return await work(session, view, stop)
            except UnavailableError as error:
                from aios3sync.cli.scheme_probe import with_advice

                raise await with_advice(error, session.endpoint) from error

    code = execute(connected, view, stop, orderly=orderly)
    if stop.signal and stopped:
        with suppress(OSError):  # if standard error is closed, the exit code still reports it
            print(stopped, file=sys.stderr, flush=True)
    return code
