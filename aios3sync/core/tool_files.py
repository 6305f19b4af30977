"""The files that tools keep for themselves in a bucket, which are in no statistics and in no index. Pure."""

from __future__ import annotations

from typing import Final

from aios3sync.core.entries import TargetEntry

__all__ = ("TOOL_FOLDERS", "is_tool_file", "without_tool_files")

TOOL_FOLDERS: Final = (".deltaglider/", ".aios3sync/")
"""Folders, at the top or below any other, in which tools keep their own files."""

_INNER: Final = tuple(f"/{folder}" for folder in TOOL_FOLDERS)


def is_tool_file(key: str) -> bool:
    """Return whether a key is a tool's own file."""
    return key.startswith(TOOL_FOLDERS) or any(folder in key for folder in _INNER)


def without_tool_files(page: list[TargetEntry]) -> list[TargetEntry]:
    """Return a page of full keys without the files of tools; most pages have none and come back as they are.

    One text is searched instead of each key: a tenth of the time.
    """
    text = "\0".join([entry[0] for entry in page])
    if not any(folder in text for folder in TOOL_FOLDERS):
        return page
    return [entry for entry in page if not is_tool_file(entry[0])]
