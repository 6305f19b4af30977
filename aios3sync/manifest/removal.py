"""Removes a manifest with all of its files. Blocks."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from aios3sync.core.text import count
from aios3sync.manifest.files import local_files
from aios3sync.manifest.lock import SHARDS, lock_path
from aios3sync.manifest.unfinished import join_journals

__all__ = ("left_in_bucket", "remove_manifest")


def remove_manifest(path: str) -> int:
    """Remove the files of a manifest, except its lock, which the caller holds.

    Returns:
        The number of unfinished multipart uploads, of which there is no record now.

    Raises:
        OSError: one of the files cannot be removed.
    """
    unfinished = join_journals(path, forget=True)
    if os.path.isdir(path + SHARDS):
        shutil.rmtree(path + SHARDS)
    for file in local_files(path):
        if file != lock_path(path):  # a lock that is removed can be held twice
            with suppress(FileNotFoundError):
                os.unlink(file)
    return unfinished


def left_in_bucket(unfinished: int) -> str:
    """Return the warning after the removal of the record of ``unfinished`` uploads."""
    return (
        f"{count(unfinished, 'multipart upload')} that a killed run had begun will not be continued: the "
        "parts stay in the bucket until a lifecycle rule (AbortIncompleteMultipartUpload) removes them"
    )
