"""Real trees and hostile names on real servers, looked at by an independent client."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from aios3sync.testing.trees import make_tree
from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

ODD_NAMES = [
    "a b+c%20.txt",
    "é.txt",
    "e\u0301.txt",
    "日本/emoji-🙂.txt",
    "a!b",
    "a-b",
    "a.b",
    "a/x",
    "trailing ",
    "#?&=;'\"",
    "new\nline",
    "carriage\rreturn",
    "tab\there",
    "control\x01",
    "n" * 255,
    "%2F",
    "..dots",
    "~tilde",
    "*star*",
    "<angle>&amp;",
]
CANNOT_HOLD = {"moto": {"new\nline"}, "seaweedfs": set[str]()}
"""moto cuts keys at a newline; SeaweedFS holds all of these."""


def tree_of(root: Path) -> dict[str, bytes]:
    """Every regular file that has a key, read without this package."""
    return {
        os.path.relpath(os.path.join(directory, name), root): Path(directory, name).read_bytes()
        for directory, _, names in os.walk(root)
        for name in names
        if os.path.isfile(os.path.join(directory, name)) and name.isprintable() | name.isascii()
    }


async def test_odd_names_arrive_with_exactly_their_bytes(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.node.callspec.params["endpoint"]
    names = [name for name in ODD_NAMES if name not in CANNOT_HOLD[server]]
    root = make_tree(tmp_path / "odd", {name: f"content of {name}" for name in names})
    make_tree(root, {"empty": b"", "loop/up": "-> ..", "dangling": "-> nowhere"})
    with open(root / "sparse", "wb") as file:
        file.truncate(40 * 1024 * 1024)
    (root / os.fsdecode(b"bad\xff.txt")).write_bytes(b"x")
    os.mkfifo(root / "fifo")
    report = await place.session.sync(root, place.url("p"))
    assert (report.uploaded, report.skipped, report.failed) == (len(names) + 2, 4, 0), report.errors
    expected = {name: f"content of {name}".encode() for name in names}
    expected |= {"empty": b"", "sparse": bytes(40 * 1024 * 1024)}
    assert await place.read("p/") == expected
    for check in ("auto", "list", "content"):
        again = await place.session.sync(root, place.url("p"), check=check, delete="mirror")
        assert (again.uploaded, again.deleted, again.kept) == (0, 0, len(expected)), again
    assert (await place.session.verify(root, place.url("p"))).exit_code == 0


async def test_odd_names_are_deleted_and_nothing_else_is(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.node.callspec.params["endpoint"]
    names = [name for name in ODD_NAMES if name not in CANNOT_HOLD[server]]
    root = make_tree(tmp_path / "odd", {name: name for name in [*names, "stays"]})
    await place.session.sync(root, place.url("p"))
    for name in names:
        (root / name).unlink()
    report = await place.session.sync(root, place.url("p"), delete="mirror")
    assert (report.deleted, report.failed) == (len(names), 0), report.errors
    assert await place.read("p/") == {"stays": b"stays"}


async def test_a_backslash_survives_a_server_that_makes_a_slash_of_it(place: Place, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "odd", {"back\\slash": "x"})
    for _ in range(3):
        await place.session.sync(root, place.url("p"), delete="mirror")
    assert list((await place.read("p/")).values()) == [b"x"]


async def test_the_standard_library_arrives_and_is_recognised(
    place: Place, tmp_path: Path, isolated: Path, request: pytest.FixtureRequest
) -> None:
    root = Path(sysconfig.get_paths()["stdlib"])
    options: dict[str, Any] = {
        "exclude": ("*site-packages/*", "*__pycache__/*", "test/*", "*/test*/*", "lib2to3/*")
    }
    if request.node.callspec.params["endpoint"] == "moto":
        options["exclude"] += ("[a-hj-z]*",)  # moto stores 500 objects a second
    first = await place.session.sync(root, place.url("lib"), **options)
    assert (first.uploaded, first.failed) == (first.scanned, 0)
    assert first.scanned > 20
    stored = await place.read("lib/")
    assert all((root / key).read_bytes() == body for key, body in stored.items())
    assert len(stored) == first.scanned
    second = await place.session.sync(root, place.url("lib"), **options)
    assert (second.kept, second.requests) == (first.scanned, {})
    listed = await place.session.sync(root, place.url("lib"), check="list", delete="mirror", **options)
    assert (listed.uploaded, listed.deleted, listed.kept) == (0, 0, first.scanned)
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    lost = await place.session.sync(root, place.url("lib"), **options)
    assert (lost.adopted, lost.uploaded) == (first.scanned, 0)
    assert set(lost.requests) == {"ListObjectsV2"}


async def test_large_and_compressed_objects_are_recognised_without_the_manifest(
    place: Place, tmp_path: Path, isolated: Path
) -> None:
    root = make_tree(
        tmp_path / "t",
        {"big.bin": os.urandom(17 * 1024 * 1024), "a.txt": "text " * 1000, "b.csv": "1,2\n" * 99},
    )
    options: dict[str, Any] = {"gzip": ("txt", "csv"), "part_size": 6 * 1024 * 1024 + 7}
    assert (await place.session.sync(root, place.url("p"), **options)).uploaded == 3
    head = await to_thread.run_sync(lambda: place.client.head_object(Bucket=place.bucket, Key="p/a.txt"))
    assert head["ContentEncoding"] == "gzip"
    for path in isolated.glob("aios3sync/*"):
        path.unlink()
    report = await place.session.sync(root, place.url("p"), gzip=("txt", "csv"))
    assert (report.adopted, report.uploaded) == (3, 0)
    assert report.requests == {"ListObjectsV2": 1, "HeadObject": 3}


async def test_a_server_that_lists_out_of_byte_order_changes_nothing(place: Place, tmp_path: Path) -> None:
    """SeaweedFS lists `a/x` before `a!b` and `a-b`."""
    names = {f"{name}/{n:03}": "x" for name in ("a", "a!b", "a-b", "b") for n in range(300)}
    root = make_tree(tmp_path / "t", {**names, "a.file": "y", "b-file": "z"})
    await place.session.sync(root, place.url())
    (root / "a-b" / "007").unlink()
    report = await place.session.sync(root, place.url(), check="list", delete="mirror")
    assert (report.uploaded, report.deleted, report.kept) == (0, 1, 1201)
    report = await place.session.sync(root, place.url(), check="list")
    assert (report.uploaded, report.kept) == (0, 1201)


async def test_two_sessions_and_two_buckets_at_once(place: Place, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "t", {f"f{n}": str(n) for n in range(40)})
    async with anyio.create_task_group() as tasks:
        for prefix in ("one", "two", "three"):
            tasks.start_soon(place.session.sync, root, place.url(prefix))
    assert len(await place.read()) == 120
