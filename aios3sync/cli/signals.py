"""Signals ask the run to stop, orderly; a second Ctrl-C ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aios3sync.sync.run import Stop

__all__ = ("exit_code_of_signal", "stopped_by_signals")

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
