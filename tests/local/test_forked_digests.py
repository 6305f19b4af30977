"""Files are hashed by several processes as by one, and nothing is left of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aios3sync.core.entries import SourceEntry
from aios3sync.local.forked_digests import hash_files
from aios3sync.local.root import TreeRoot

# A process of its own has no threads, as those that use it.
PROGRAM = """
import os, sys, time
from aios3sync.core.entries import SourceEntry
from aios3sync.local.forked_digests import hash_files

count, processes, until = map(int, sys.argv[1:4])
caller = os.getpid()
def read(entry):
    if entry.key == "bad":
        raise PermissionError
    if entry.key == "other":
        return None
    if entry.key == "interrupted":
        raise KeyboardInterrupt
    if entry.key == "slow":
        time.sleep(600)
    if entry.key == "fatal" and os.getpid() != caller:
        os.abort()
    return f"{entry.key} {os.getpid()}".encode(), 7
keys = sys.argv[4:] or map(str, range(count))
entries = [SourceEntry(key, 1, 0, 0, 0) for key in keys]
import hashlib
own = {hashlib.md5(f"{entry.key} {caller}".encode()).digest() for entry in entries}
for found in hash_files(read, entries, processes, time.monotonic() + until):
    print("-" if found is None else "own" if found.md5 in own else "child", end=" ")
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child is left")
"""


def run(*arguments: object) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert not ended.stderr
    return ended.stdout.removesuffix("no child is left\n")


@pytest.mark.parametrize(
    ("count", "processes", "found"),
    [
        (0, 4, ""),
        (1, 1, "own "),
        (1, 4, "own "),
        (3, 1, "own own own "),
        (5, 2, "own own own child child "),
        (5, 4, "own own child child child "),
        (6, 3, "own own child child child child "),
    ],
)
def test_processes_share_the_files(count: int, processes: int, found: str) -> None:
    assert run(count, processes, 600) == found


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_what_cannot_be_read_has_no_digest(processes: int) -> None:
    found = run(0, processes, 600, "bad", "a", "other", "b", "bad", "c").split()
    assert [word == "-" for word in found] == [True, False, True, False, True, False]


def test_a_process_that_dies_leaves_no_digest() -> None:
    assert run(0, 2, 600, "a", "b", "fatal", "c") == "own own - - "


@pytest.mark.parametrize("processes", [1, 2])
def test_without_time_nothing_is_read(processes: int) -> None:
    assert run(4, processes, -1) == "- - - - "


def test_an_error_of_the_caller_ends_its_processes() -> None:
    """The other process would read for minutes; its output, which is that of the caller, ends at once."""
    arguments = [sys.executable, "-c", PROGRAM, "0", "2", "600", "interrupted", "slow"]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    assert "KeyboardInterrupt" in ended.stderr


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_text("longer")])
def test_the_files_of_a_tree(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    stats = {name: os.stat(tmp_path / name) for name in "ab"}
    entries = [
        SourceEntry(name, each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_ino)
        for name, each in stats.items()
    ]
    change(tmp_path / "b")
    before = time.time_ns()
    first, second = TreeRoot(str(tmp_path)).hash_now(entries, time.monotonic() + 600)
    assert first is not None
    assert first.md5 == hashlib.md5(b"1", usedforsecurity=False).digest()
    assert first.started_ns >= before
    assert second is None
    assert list(hash_files(TreeRoot(str(tmp_path)).read_now, [], 1, 0)) == []
