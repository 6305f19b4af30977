"""What workers of a starter do in tests; a starter of its own interpreter imports it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def leave(begun: Callable[[], None], directory: str) -> None:
    """Begin and leave."""
    begun()
    Path(directory, str(os.getpid())).touch()


def stay(begun: Callable[[], None], directory: str) -> None:
    """Begin and stay for good."""
    leave(begun, directory)
    time.sleep(3600)


def fail(begun: Callable[[], None], text: str) -> None:
    """Fail before the beginning."""
    raise ValueError(text)


def crash_once(begun: Callable[[], None], directory: str) -> None:
    """Begin and fail, once; the next one leaves."""
    begun()
    Path(directory, str(os.getpid())).touch()
    if len(os.listdir(directory)) == 1:
        raise ValueError("once")
