"""`symlinks="skip"` and `"inside"` hold for every part of a path, also for what changes after the walk."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aios3sync.local import digest as hashing
from aios3sync.local import read as reading
from aios3sync.local.beneath import open_beneath
from aios3sync.local.read import READING
from aios3sync.testing.trees import make_tree
from tests.sync.conftest import MIB, Bench

TREE: dict[str, bytes | str | None] = {
    "d/f": "inside",
    "dir": "-> d",
    "file": "-> d/f",
    "out": "-> ../secret",
    "up": "-> ../source/d",
    "far": "-> out",
    "e/there": "-> ../dir",
}
SEEN = {
    "follow": {"d/f", "dir/f", "file", "out/f", "up/f", "far/f", "e/there/f"},
    "inside": {"d/f", "dir/f", "file", "up/f", "e/there/f"},
    "skip": {"d/f"},
}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A directory next to the source that must not be read."""
    return make_tree(tmp_path / "secret", {"f": "secret"})


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("named", [False, True], ids=["walk", "files-from"])
@pytest.mark.parametrize("symlinks", SEEN)
async def test_what_is_sent_is_what_may_be_reached(bench: Bench, symlinks: str, named: bool) -> None:
    bench.tree(TREE)
    files = tuple(sorted(SEEN["follow"])) if named else None
    report = await bench.sync(symlinks=symlinks, files=files)
    assert report.failed == 0
    assert bench.objects().keys() == SEEN[symlinks]
    bodies = {bench.objects()[key] for key in SEEN[symlinks] - {"out/f", "far/f"}}
    assert bodies == {b"inside"}


def swapped_before_reading(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], object]) -> None:
    """Do something between the walk and the first file that is opened."""
    real, todo = reading.open_place, [swap]

    def opened(place: reading.Place) -> int:
        while todo:
            todo.pop()()
        return real(place)

    for module in (reading, hashing):
        monkeypatch.setattr(module, "open_place", opened)


def replaced_by_link(path: Path, leads_to: str) -> None:
    """Put a link in the place of a file or directory."""
    path.rename(path.with_name(f".{path.name}.moved"))
    path.symlink_to(leads_to)


SWAPS = {
    "file": ("d/f", "../../secret/f"),
    "directory": ("d", "../secret"),
    "absolute": ("d/f", "{}/secret/f"),
}


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("size", [6, 6 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["upload", "compressed", "compare"])
@pytest.mark.parametrize("symlinks", ["skip", "inside"])
@pytest.mark.parametrize("name", SWAPS)
async def test_a_link_that_takes_a_place_after_the_walk_is_not_followed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, symlinks: str, kind: str, size: int
) -> None:
    bench.tree({"d/f": b"inside"[:6] + b"x" * (size - 6)})
    options: dict[str, Any] = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB, "symlinks": symlinks}
    if kind == "compressed":
        options["gzip"] = ("",)
        monkeypatch.setattr("aios3sync.core.policy.Policy.encoding", lambda policy, key: "gzip")
    if kind == "compare":
        await bench.sync(**options)
        os.utime(bench.root / "d/f", ns=(1, 1))
    key, leads_to = SWAPS[name]
    swap = partial(replaced_by_link, bench.root / key, leads_to.format(bench.root.parent))
    swapped_before_reading(monkeypatch, swap)
    report = await bench.sync(**options)
    assert (report.uploaded, report.touched, report.failed, report.vanished) == (0, 0, 1, 0)
    assert "symbolic link" in report.errors[0].error


@pytest.mark.usefixtures("secret")
async def test_a_link_that_stays_inside_may_take_a_place_after_the_walk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.tree({"d/f": "inside", "e/f": "inside"})
    swapped_before_reading(monkeypatch, partial(replaced_by_link, bench.root / "d/f", "../e/f"))
    report = await bench.sync(symlinks="inside")
    assert (report.failed, bench.objects()["e/f"]) == (0, b"inside")


async def test_a_source_below_links_of_its_own_is_read(bench: Bench, tmp_path: Path) -> None:
    bench.tree({"d/f": "1", "g": "-> d/f"})
    (tmp_path / "link").symlink_to(tmp_path)
    bench.root = tmp_path / "link" / bench.root.name
    assert (await bench.sync(symlinks="inside")).uploaded == 2
    assert (await bench.sync("s3://bucket/q", symlinks="skip")).uploaded == 1


def test_a_directory_that_may_only_be_passed_through_is_no_obstacle(tmp_path: Path) -> None:
    make_tree(tmp_path, {"d/f": "1"})
    (tmp_path / "d").chmod(0o311)
    os.close(open_beneath(str(tmp_path), "d/f", READING, inside=False))


@pytest.mark.parametrize("key", ["self", "loop/f", "gone", "d/gone", "f/below", "d"])
def test_what_cannot_be_opened_is_named_by_its_path(tmp_path: Path, key: str) -> None:
    make_tree(tmp_path, {"d/f": "1", "f": "2", "self": "-> self", "loop": "-> loop"})
    if key == "d":
        os.close(open_beneath(str(tmp_path), key, READING, inside=True))  # its stat tells that it is no file
        return
    with pytest.raises(OSError, match=r".") as caught:
        open_beneath(str(tmp_path), key, READING, inside=True)
    assert caught.value.filename == f"{tmp_path}/{key}"
    if "gone" in key:
        assert isinstance(caught.value, FileNotFoundError)


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    files=[], links={"a": "a", "b/a": "a/.."}, key="b/a"
)  # a loop that leads to a directory by its text alone
@example(files=["b/b"], links={"a": "b/b/.."}, key="a")  # a way through a file
@given(files=st.lists(PATHS, max_size=4), links=st.dictionaries(PATHS, TARGETS, max_size=4), key=PATHS)
def test_any_path_leads_to_the_file_that_it_names_or_to_none(
    files: list[str], links: dict[str, str], key: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With all links allowed that stay inside, what is opened is what the system opens, if that is inside."""
    base = tmp_path_factory.mktemp("t")
    root = base / "root"
    for place, name in [(base, name) for name in "abc"] + [(root, file) for file in files]:
        try:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("x")
        except OSError:
            continue
    root.mkdir(exist_ok=True)
    for name, leads_to in links.items():
        try:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(leads_to)
        except OSError:
            continue
    real = os.path.realpath(root / key)
    try:
        expected = os.stat(root / key) if f"{real}/".startswith(f"{root}/") else None
    except OSError:
        expected = None
    try:
        descriptor = open_beneath(str(root), key, READING, inside=True)
    except OSError:
        assert expected is None
        return
    found = os.fstat(descriptor)
    os.close(descriptor)
    assert expected is not None
    assert (found.st_dev, found.st_ino) == (expected.st_dev, expected.st_ino)
