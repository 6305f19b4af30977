"""The state of a socket in the kernel, by its file descriptor; Linux."""

from __future__ import annotations

import sys
from fcntl import ioctl
from select import POLLIN, poll
from termios import TIOCOUTQ

__all__ = ("is_readable", "unacknowledged")


def unacknowledged(socket: int) -> int:
    """Return the bytes in the kernel that the other side has not acknowledged; 0 where that is unknown.

    Linux: tcp(7), SIOCOUTQ.
    """
    try:
        return int.from_bytes(ioctl(socket, TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):
        return 0


def is_readable(number: int) -> bool:
    """Return whether a socket, by its file descriptor, has bytes to read or was reset."""
    if number < 0:
        return False
    looking = poll()
    looking.register(number, POLLIN)
    return bool(looking.poll(0))
