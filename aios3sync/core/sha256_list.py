r"""Reads and writes the lines of a list of ``sha256sum``: a digest, two spaces and a name. Pure.

A backslash in front of the digest says that the name is escaped: ``\n`` is a line feed, ``\r`` a carriage
return, ``\\`` a backslash. Names are bytes, which need not be UTF-8.
(https://www.gnu.org/software/coreutils/manual/html_node/md5sum-invocation.html)
"""

from __future__ import annotations

from typing import Final

from aios3sync._lazy import lazy_pattern

__all__ = ("LONGEST_LINE", "NO_LINE", "line_of", "read_line")

LONGEST_LINE: Final = 16 * 1024
"""Bytes that hold any line: a path has up to 4 KiB, and each of its letters may be escaped."""
NO_LINE: Final = "it is no line of sha256sum"

_LINE = lazy_pattern(rb"(\\?)([0-9A-Fa-f]{64}) [ *](.+)")
_ESCAPED = lazy_pattern(rb"\\(.?)")
_SPECIAL: Final = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_MEANINGS: Final = {written[1:]: meant for meant, written in _SPECIAL.items()}


def line_of(name: bytes, sha256: str) -> bytes:
    """Return a line with its end."""
    if any(special in name for special in _SPECIAL):
        for special, written in _SPECIAL.items():  # the backslash comes first
            name = name.replace(special, written)
        return b"\\%b  %b\n" % (sha256.encode(), name)
    return b"%b  %b\n" % (sha256.encode(), name)


def read_line(line: bytes) -> tuple[bytes, str] | None:
    """Return the name and the digest of a line without its end; ``None`` for a comment or an empty line.

    Raises:
        ValueError: it is no such line.
    """
    line = line.removesuffix(b"\r")  # in a name it is escaped
    if not line or line.startswith(b"#"):
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(NO_LINE)
    mark, digest, name = found.groups()
    return (_unescaped(name) if mark else name), digest.decode().lower()


def _unescaped(name: bytes) -> bytes:
    parts: list[bytes] = []
    end = 0
    for found in _ESCAPED.finditer(name):
        if found[1] not in _MEANINGS:
            raise ValueError("its name has an escape that sha256sum does not write")
        parts += (name[end : found.start()], _MEANINGS[found[1]])
        end = found.end()
    return b"".join((*parts, name[end:]))
