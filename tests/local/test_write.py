"""Writing below a directory: whole files or none, nothing outside, nothing replaced that was not compared."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aios3sync.core.entries import SourceEntry
from aios3sync.core.filters import Filters
from aios3sync.errors import UsageError
from aios3sync.local.digest import entry_of
from aios3sync.local.part_file import PartFile
from aios3sync.local.tree import LocalTree
from aios3sync.local.walk import Walk
from aios3sync.local.write import ChangedHereError, NewFile, TreeWriter, lock

MTIME = 1_600_000_000_123_456_789


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def writer(root: Path) -> Any:
    made = TreeWriter(str(root))
    made.open()
    yield made
    made.close()


def seen(root: Path, key: str) -> SourceEntry:
    return entry_of(key, os.stat(root / key))


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def test_files_arrive_with_their_content_and_time(writer: TreeWriter, root: Path) -> None:
    written = writer.write_many(
        [NewFile("a", b"1", MTIME), NewFile("d/e/f", b"", MTIME), NewFile("d/g\n", b"2" * 100_000, 0)]
    )
    assert written == [seen(root, "a"), seen(root, "d/e/f"), seen(root, "d/g\n")]
    assert (root / "d/g\n").read_bytes() == b"2" * 100_000
    assert (root / "a").stat().st_mtime_ns == MTIME
    assert names(root) == ["a", "d/e/f", "d/g\n"], "no temporary file is left"


def test_the_umask_gives_the_mode(writer: TreeWriter, root: Path) -> None:
    writer.write_many([NewFile("a", b"", MTIME)])
    mask = os.umask(0)
    os.umask(mask)
    assert (root / "a").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_compared_file_is_replaced_and_its_readers_keep_the_old_one(writer: TreeWriter, root: Path) -> None:
    (root / "a").write_bytes(b"old")
    with (root / "a").open("rb") as reader:
        assert writer.write_many([NewFile("a", b"new", MTIME, seen(root, "a"))]) == [seen(root, "a")]
        assert reader.read() == b"old"
    assert (root / "a").read_bytes() == b"new"


@pytest.mark.parametrize("change", ["content", "new", "link", "directory", "gone"])
def test_a_file_that_changed_since_the_comparison_stays(
    writer: TreeWriter, root: Path, tmp_path: Path, change: str
) -> None:
    path = root / "a"
    path.write_bytes(b"old")
    compared = None if change == "new" else seen(root, "a")
    if change == "content":
        path.write_bytes(b"mine, and longer")
    elif change == "link":
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
    elif change == "directory":
        path.unlink()
        path.mkdir()
    elif change == "gone":
        path.unlink()
    before = path.read_bytes() if path.is_file() else None
    [error] = writer.write_many([NewFile("a", b"theirs", MTIME, compared)])
    assert isinstance(error, ChangedHereError | FileNotFoundError)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert not [name for name in names(root) if "aios3sync" in name]
    assert not (tmp_path / "elsewhere").exists()


def test_one_failure_does_not_stop_the_rest(writer: TreeWriter, root: Path) -> None:
    (root / "file").write_bytes(b"")
    first, second, third = writer.write_many(
        [NewFile("a", b"1", MTIME), NewFile("file/below", b"2", MTIME), NewFile("z", b"3", MTIME)]
    )
    assert isinstance(second, OSError)
    assert second.strerror == "a file has the name of this directory"
    assert [first, third] == [seen(root, "a"), seen(root, "z")]


@pytest.mark.parametrize("key", ["../a", "d/../../a", "d/..", "..", ".", "d/./a", "/../a", "x/../a"])
def test_steps_are_no_names(writer: TreeWriter, root: Path, key: str) -> None:
    (written,) = writer.write_many([NewFile(key, b"1", MTIME)])
    assert isinstance(written, OSError)
    assert names(root) == []
    assert list(root.parent.iterdir()) == [root]
    (removed,) = writer.remove_many([SourceEntry(key, 1, 1, 1, 1)])
    assert isinstance(removed, OSError)


def test_a_link_in_the_place_of_a_directory_is_not_followed(
    writer: TreeWriter, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "d").symlink_to(outside)
    [error] = writer.write_many([NewFile("d/e", b"1", MTIME)])
    assert isinstance(error, OSError)
    assert error.strerror is not None
    assert "symbolic link" in error.strerror
    assert list(outside.iterdir()) == []
    with pytest.raises(OSError, match="symbolic link"):
        writer.make_directory("d/f/")
    assert writer.remove_many([SourceEntry("d/x", 1, 1, 1, 1)])[0] is not None


def test_a_directory_that_becomes_a_link_at_any_moment_leads_nothing_out(
    writer: TreeWriter, root: Path, tmp_path: Path
) -> None:
    """One thread swaps the directory for a link all the time, while files are written into it."""
    outside, inside, link = tmp_path / "outside", root / "d", tmp_path / "link"
    outside.mkdir()
    inside.mkdir(parents=True)
    done = threading.Event()
    swapped: list[int] = []

    def swap() -> None:
        for number in itertools.count():
            if done.is_set():
                break
            with suppress(OSError):  # the writer makes the directory again in between
                os.rename(inside, root / f"hidden{number}")
                os.symlink(outside, link)
            with suppress(OSError):
                os.rename(link, inside)
                swapped.append(number)
                os.unlink(inside)
            link.unlink(missing_ok=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(300):
            writer.write_many([NewFile(f"d/{number}", b"x", MTIME), NewFile(f"d/e/{number}", b"x", MTIME)])
    finally:
        done.set()
        thread.join()
    assert list(outside.iterdir()) == []
    assert swapped


def test_a_full_disk_leaves_no_file(writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, body: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    [error] = writer.write_many([NewFile("a", b"x", MTIME)])
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ENOSPC, "a")
    assert names(root) == []


def test_what_does_not_get_to_the_disk_leaves_no_file(
    writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("aios3sync.local.write._sync_filesystem", full)
    open_before = len(os.listdir("/proc/self/fd"))
    written = writer.write_many([NewFile("a", b"1", MTIME), NewFile("d/b", b"2", MTIME)])
    assert [getattr(result, "errno", 0) for result in written] == [errno.ENOSPC] * 2
    assert names(root) == []
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_short_writes_are_continued(writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, body: whole(descriptor, bytes(body)[:3]))
    writer.write_many([NewFile("a", b"0123456789", MTIME)])
    assert (root / "a").read_bytes() == b"0123456789"


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_disk_that_fails_to_sync_leaves_no_file_and_nothing_open(
    writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (root / "b").mkdir()
    before = open_descriptors()
    monkeypatch.setattr("aios3sync.local.write._sync_filesystem", fail)
    errors = writer.write_many([NewFile(key, b"1", MTIME) for key in ("a", "b/c", "a/d")])
    assert [error.errno for error in errors if isinstance(error, OSError)] == [errno.EIO] * 3
    assert names(root) == []
    assert open_descriptors() == before


def test_a_filesystem_without_hard_links(
    writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    (root / "b").write_bytes(b"mine")
    first, second = writer.write_many([NewFile("a", b"1", MTIME), NewFile("b", b"2", MTIME)])
    assert first == seen(root, "a")
    assert isinstance(second, ChangedHereError)
    assert names(root) == ["a", "b"]


def test_a_time_that_cannot_be_set_does_not_lose_the_file(writer: TreeWriter, root: Path) -> None:
    writer.write_many([NewFile("a", b"1", 2**80)])
    assert (root / "a").read_bytes() == b"1"


# Removing


def test_only_the_compared_file_is_removed(writer: TreeWriter, root: Path) -> None:
    for name in ("same", "changed", "gone"):
        (root / name).write_bytes(b"1")
    entries = [seen(root, name) for name in ("same", "changed", "gone")]
    (root / "changed").write_bytes(b"12")
    (root / "gone").unlink()
    same, changed, gone = writer.remove_many(entries)
    assert same is None
    assert isinstance(changed, ChangedHereError)
    assert gone is None, "what is gone is removed"
    assert names(root) == ["changed"]


def test_the_trash_takes_what_is_removed_and_replaces_nothing(root: Path, tmp_path: Path) -> None:
    writer = TreeWriter(str(root), trash=str(tmp_path / "trash"))
    writer.open()
    for content in (b"1", b"2", b"3"):
        writer.write_many([NewFile("d/a", content, MTIME)])
        assert writer.remove_many([seen(root, "d/a")]) == [None]
    writer.close()
    trash = tmp_path / "trash/d"
    assert {path.name: path.read_bytes() for path in trash.iterdir()} == {"a": b"1", "a.1": b"2", "a.2": b"3"}
    assert names(root) == []


@pytest.mark.parametrize(
    ("code", "gone", "said"),
    [(errno.EXDEV, False, "another filesystem"), (errno.ENOSPC, False, "No space"), (errno.ENOENT, True, "")],
)
def test_what_the_trash_cannot_take_stays_and_says_why(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, gone: bool, said: str
) -> None:
    def refuse(name: str, *_: object, **__: object) -> None:
        if gone:
            (root / name).unlink()
        raise OSError(code, os.strerror(code))

    writer = TreeWriter(str(root), trash=str(tmp_path / "trash"))
    writer.open()
    (root / "a").write_bytes(b"1")
    entry = seen(root, "a")
    monkeypatch.setattr(os, "link", refuse)
    [error] = writer.remove_many([entry])
    writer.close()
    assert (error is None) is gone
    assert said in str(error)
    assert str(tmp_path / "trash") in str(error) or gone
    assert (root / "a").exists() is not gone


@pytest.mark.parametrize(("target", "trash"), [("tree", "link/bin"), ("link", "tree"), ("link", "link/bin")])
def test_a_trash_that_a_link_leads_below_the_target_is_refused(
    tmp_path: Path, target: str, trash: str
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "link").symlink_to("tree")
    tree = LocalTree(str(tmp_path / target))
    with pytest.raises(UsageError, match="trash"):
        tree.writer(fsync=False, trash=str(tmp_path / trash))
    tree.writer(fsync=False, trash=str(tmp_path / "tree-bin")).close()


def test_empty_directories_are_removed_from_the_inside_out(writer: TreeWriter, root: Path) -> None:
    (root / "a/b/c").mkdir(parents=True)
    (root / "d/e").mkdir(parents=True)
    (root / "d/keep").write_bytes(b"")
    assert writer.remove_empty(["a/b/c/file", "d/e/file"]) == ["d/e", "a/b/c", "a/b", "a"]
    assert (root / "d/keep").exists()


def test_a_marker_makes_a_directory(writer: TreeWriter, root: Path) -> None:
    writer.make_directory("a/b/")
    assert (root / "a/b").is_dir()


# Temporary files


def test_temporary_files_are_no_part_of_a_walk_and_are_swept(writer: TreeWriter, root: Path) -> None:
    with writer.directories(make=True) as directories:
        stale, descriptor = writer.create(directories, "d/a")
        os.close(descriptor)
        locked, descriptor = writer.create(directories, "b")
    (root / ".aios3sync-mine.part").write_bytes(b"")
    walk = Walk(str(root), Filters())
    keys = [entry.key for batch in walk.batches() for entry in batch.entries]
    assert keys == [".aios3sync-mine.part"]
    assert sorted(walk.temporaries) == sorted([stale, locked])
    assert writer.sweep([*walk.temporaries, ".aios3sync-mine.part"]) == 1
    assert not (root / stale).exists()
    assert (root / locked).exists(), "another process is writing it"
    os.close(descriptor)


# Large files


SIZE = 5 * 65_536 + 7
BODY = os.urandom(65_536) + bytes(65_536) + os.urandom(3 * 65_536 + 7)
RANGE = 2 * 65_536


def write_range(part: PartFile, start: int) -> None:
    part.write(start, memoryview(BODY)[start : start + RANGE])


def opened(writer: TreeWriter, etag: str = "e1") -> PartFile:
    return PartFile.open(writer, "d/large", SIZE, etag, RANGE)


def test_ranges_arrive_in_any_order(writer: TreeWriter, root: Path) -> None:
    part = opened(writer)
    for start in (4 * 65_536, 0, 2 * 65_536):
        write_range(part, start)
    assert part.commit(MTIME, None) == seen(root, "d/large")
    part.close()
    assert (root / "d/large").read_bytes() == BODY
    assert names(root) == ["d/large"], "neither the temporary file nor its journal is left"


def test_a_later_run_goes_on_with_what_is_missing(writer: TreeWriter, root: Path) -> None:
    part = opened(writer)
    write_range(part, 2 * 65_536)
    part.close()
    part = opened(writer)
    assert part.finished == {2 * 65_536}
    for start in (0, 4 * 65_536):
        write_range(part, start)
    part.commit(MTIME, None)
    part.close()
    assert (root / "d/large").read_bytes() == BODY


def test_another_object_begins_anew(writer: TreeWriter, root: Path) -> None:
    part = opened(writer)
    write_range(part, 0)
    part.close()
    other = opened(writer, "e2")
    assert other.finished == set()
    other.close()
    walk = Walk(str(root), Filters())
    assert list(walk.batches()) == []
    assert writer.sweep(walk.temporaries) == 4
    assert names(root) == []


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_journal_that_was_cut_is_read_up_to_the_cut(writer: TreeWriter, root: Path, cut: int) -> None:
    part = opened(writer)
    write_range(part, 0)
    write_range(part, 2 * 65_536)
    part.close()
    [journal] = (root / "d").glob("*.ranges")
    content = journal.read_bytes()
    journal.write_bytes(content[:-cut])
    part = opened(writer)
    assert part.finished == {0}
    part.close()


def test_a_damaged_journal_begins_anew(writer: TreeWriter, root: Path) -> None:
    part = opened(writer)
    write_range(part, 0)
    part.close()
    [journal] = (root / "d").glob("*.ranges")
    journal.write_bytes(b"\xff\xfe")
    part = opened(writer)
    assert part.finished == set()
    part.close()


def test_blocks_of_zeros_stay_holes(writer: TreeWriter, root: Path) -> None:
    size = 64 * 1024 * 1024
    part = PartFile.open(writer, "sparse", size, "e", size)
    part.write(0, bytes(size))
    part.commit(MTIME, None)
    part.close()
    result = (root / "sparse").stat()
    assert result.st_size == size
    assert result.st_blocks * 512 < size // 8


def test_a_file_that_proved_wrong_begins_anew(writer: TreeWriter) -> None:
    part = opened(writer)
    write_range(part, 0)
    part.restart()
    assert part.finished == set()
    buffer = bytearray(RANGE)
    assert part.read_into(0, memoryview(buffer)) == RANGE
    assert not any(buffer)
    part.close()
    part = opened(writer)
    assert part.finished == set()
    part.close()


def test_two_processes_at_one_object_do_not_share_a_file(writer: TreeWriter, root: Path) -> None:
    first, second = opened(writer), opened(writer)
    write_range(first, 0)
    assert second.finished == set()
    for start in (0, 2 * 65_536, 4 * 65_536):
        write_range(second, start)
    second.commit(MTIME, None)
    second.close()
    with pytest.raises(ChangedHereError):
        first.commit(MTIME, None)
    first.discard()
    first.close()
    assert names(root) == ["d/large"]


class _KilledError(BaseException):
    """The process ends here."""


def test_a_file_that_another_process_commits_meanwhile_stays_whole(
    writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened, then committed and unlocked by the other process, and only then locked here."""
    first = opened(writer)
    for start in (0, 2 * 65_536, 4 * 65_536):
        write_range(first, start)

    def lock_late(descriptor: int) -> bool:
        if not (root / "d/large").exists():
            first.commit(MTIME, None)
            first.close()
        return lock(descriptor)

    monkeypatch.setattr("aios3sync.local.part_file.lock", lock_late)
    second = opened(writer)
    assert second.finished == set()
    write_range(second, 2 * 65_536)
    assert (root / "d/large").read_bytes() == BODY
    second.discard()
    second.close()
    assert names(root) == ["d/large"]


def test_what_was_killed_between_its_two_names_is_no_file_to_write_to(
    writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object, **__: object) -> None:
        raise _KilledError

    part = opened(writer)
    for start in (0, 2 * 65_536, 4 * 65_536):
        write_range(part, start)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", kill)
        with pytest.raises(_KilledError):
            part.commit(MTIME, None)
    part.close()
    (root / "d/large").write_bytes(b"mine")
    part = opened(writer)
    assert part.finished == set()
    write_range(part, 0)
    assert (root / "d/large").read_bytes() == b"mine"
    assert part.commit(MTIME, seen(root, "d/large")) == seen(root, "d/large")
    part.close()
    assert names(root) == ["d/large"]


def test_a_journal_that_cannot_be_opened_leaves_nothing_open(
    writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith(".ranges"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really_open(path, *arguments, **options)

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="d/large"):
            opened(writer)
    assert open_descriptors() == before
    part = opened(writer)
    assert len(names(root)) == 2, "the file is not locked any more"
    part.close()


def test_the_number_after_a_cut_one_is_read_as_itself(writer: TreeWriter, root: Path) -> None:
    """A number that continued the cut one would name a range that was never written."""
    part = opened(writer)
    write_range(part, 2 * 65_536)
    part.close()
    [journal] = (root / "d").glob("*.ranges")
    journal.write_bytes(journal.read_bytes()[:-1])
    part = opened(writer)
    assert part.finished == set()
    write_range(part, 0)
    part.close()
    part = opened(writer)
    assert part.finished == {0}
    part.close()


def test_a_download_that_begins_while_another_ends_is_not_swept(
    writer: TreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is swept was committed meanwhile, and its name is that of a new download."""
    first = opened(writer)
    [name] = (str(path.relative_to(root)) for path in (root / "d").glob("*.part"))
    begun: list[PartFile] = []

    def lock_late(descriptor: int) -> bool:
        if not begun:
            first.commit(MTIME, None)
            first.close()
            begun.append(first)
            begun.append(opened(writer))
        return lock(descriptor)

    monkeypatch.setattr("aios3sync.local.write.lock", lock_late)
    assert writer.sweep([name]) == 0
    assert (root / name).exists()
    begun[1].close()
