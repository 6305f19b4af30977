"""make_tree: writes a directory tree from one dictionary; for tests only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ("make_tree",)


def make_tree(
    root: Path,
    tree: Mapping[str, bytes | str | None],
    *,
    mtime_ns: int | None = None,
) -> Path:
    """Create files and directories below ``root`` and return it.

    ::

        make_tree(tmp_path, {"a.txt": b"content", "b/c": "text", "empty/": None, "link": "-> a.txt"})

    Args:
        root: created if it is missing.
        tree: path to content: bytes, text (as UTF-8), or ``None`` for a directory. A text that begins
            with ``-> `` becomes a symbolic link.
        mtime_ns: modification time of every file, nanoseconds since the epoch; now if unset.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name, content in tree.items():
        path = root / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("-> "):
            path.symlink_to(content[3:])
            continue
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if mtime_ns is not None:
            os.utime(path, ns=(mtime_ns, mtime_ns))
    return root
