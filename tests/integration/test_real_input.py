"""Real trees and hostile names on real servers, checked by an independent client."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

import aios3sync
from aios3sync.errors import ListingError
from aios3sync.store.protocol import PutOptions
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
    """Return every regular file that has a key, read without this package."""
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
    assert (report.uploaded, report.skipped, report.failed) == (len(names) + 2, 3, 1), report.errors
    expected = {name: f"content of {name}".encode() for name in names}
    expected |= {"empty": b"", "sparse": bytes(40 * 1024 * 1024)}
    assert await place.read("p/") == expected
    for check in ("auto", "list", "content"):
        again = await place.session.sync(root, place.url("p"), check=check, delete="mirror")
        assert (again.uploaded, again.deleted, again.kept) == (0, 0, len(expected)), again
    verified = await place.session.verify(root, place.url("p"), on_bad_name="skip")
    assert verified.exit_code == 0


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


LANES = pytest.mark.parametrize("lane", ["wire", "boto"])
REFUSED = {
    "moto": {"new\nline": "Not Found (404)", "sub/x\ny": "Not Found (404)"},
    "seaweedfs": {
        **dict.fromkeys(["a/../b", "./x", "sub/.."], "Invalid Request (InvalidRequest)"),
        "n" * 256: "Your key is too long (KeyTooLongError)",
    },
}
"""Keys that a server refuses, and its error messages."""


@LANES
async def test_a_key_that_the_store_refuses_is_named_with_its_words_and_deletes_wait(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest, lane: Any
) -> None:
    refused = REFUSED[request.node.callspec.params["endpoint"]]
    root = make_tree(tmp_path / "t", {"file": "x"})
    files = dict.fromkeys([*refused, "ok"], root / "file")
    store = await place.session.store(place.bucket)
    await store.put("p/extra", b"e", PutOptions(), md5=hashlib.md5(b"e", usedforsecurity=False).digest())
    async with aios3sync.connect(lane=lane) as session:
        for run in range(2):
            report = await session.sync(files, place.url("p"), delete="mirror")
            assert {each.key for each in report.errors} == set(refused)
            assert all(refused[each.key] in each.error for each in report.errors)
            assert all(repr(each.key)[1:-1] in each.error for each in report.errors)
            assert (report.uploaded, report.withheld, report.deleted) == (1 - run, 1, 0)
            assert report.exit_code == 3
    assert set(await place.read("p/")) == {"ok", "extra"}


@LANES
async def test_keys_that_a_server_takes_for_paths_are_never_deleted_after_their_upload(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest, lane: Any
) -> None:
    """SeaweedFS stores `a//b` as `a/b` and `/lead` as `lead`: deleting these would delete what was sent."""
    folds = request.node.callspec.params["endpoint"] == "seaweedfs"
    root = make_tree(tmp_path / "t", {"file": "x"})
    files = dict.fromkeys(["a//b", "/lead", "c\\d", "ok"], root / "file")
    stored = {"a/b", "lead", "c/d", "ok"} if folds else set(files)
    async with aios3sync.connect(lane=lane) as session:
        for _ in range(3):
            report = await session.sync(files, place.url("p"), delete="mirror")
            assert (report.failed, report.deleted) == (0, 0)
            assert await place.read("p/") == dict.fromkeys(stored, b"x")
            assert bool([text for text in report.warnings if "in another form" in text]) <= folds


@LANES
async def test_a_prefix_that_the_store_lists_as_another_ends_the_run_before_any_delete(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest, lane: Any
) -> None:
    root = make_tree(tmp_path / "t", {"ok": "x"})
    store = await place.session.store(place.bucket)
    await store.put("q/extra", b"e", PutOptions(), md5=hashlib.md5(b"e", usedforsecurity=False).digest())
    async with aios3sync.connect(lane=lane) as session:
        if request.node.callspec.params["endpoint"] == "seaweedfs":
            with pytest.raises(ListingError, match="'q/extra', which is not below the prefix; nothing is"):
                await session.sync(root, place.url("q//"), delete="mirror")
        else:
            report = await session.sync(root, place.url("q//"), delete="mirror")
            assert (report.uploaded, report.deleted) == (1, 0)
    assert "extra" in await place.read("q/")


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
