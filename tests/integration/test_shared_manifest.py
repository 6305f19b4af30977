"""Machines that keep nothing, with one manifest in the bucket: nothing is sent twice, and nothing is lost."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

import aios3sync
from aios3sync.errors import ManifestError, UsageError
from aios3sync.report import SyncReport
from tests.integration.conftest import Place


class Machine:
    """A fresh checkout in a place of its own, without state."""

    def __init__(self, place: Place, root: Path) -> None:
        self._place = place
        self.root = root
        root.mkdir()

    def checkout(self, files: dict[str, str]) -> Machine:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, ns=(time.time_ns(), time.time_ns()))
        return self

    async def sync(self, **options: Any) -> SyncReport:
        async with aios3sync.connect() as s3:
            options.setdefault("manifest", self._place.url("state/site.sqlite"))
            return await s3.sync(self.root, self._place.url("p"), **options)


FILES = {"a": "1", "d/b": "22", "c": "333"}


@pytest.mark.parametrize("name", ["m.sqlite", "m.json"])
async def test_a_fresh_checkout_asks_for_one_object(place: Place, tmp_path: Path, name: str) -> None:
    manifest = place.url(f"state/{name}")
    first = await Machine(place, tmp_path / "one").checkout(FILES).sync(manifest=manifest)
    assert (first.uploaded, first.warnings) == (3, ())
    second = await Machine(place, tmp_path / "two").checkout(FILES).sync(manifest=manifest)
    assert (second.uploaded, second.touched, second.requests) == (0, 3, {"GetObject": 1})
    assert second.checked == "manifest"


async def test_a_receipt_is_known_to_the_next_machine(place: Place, tmp_path: Path) -> None:
    await Machine(place, tmp_path / "one").checkout(FILES).sync()
    receipt = place.url("p/SHA256SUMS")
    second = await Machine(place, tmp_path / "two").checkout(FILES).sync(receipt=receipt)
    assert (second.touched, second.receipt and second.receipt.files) == (3, 3)
    third = await Machine(place, tmp_path / "three").checkout(FILES).sync(delete="mirror")
    assert (third.deleted, third.exit_code) == (0, 0)
    assert len((await place.read("p/"))["SHA256SUMS"].splitlines()) == 3


async def test_a_change_is_sent_and_known_to_the_next_machine(place: Place, tmp_path: Path) -> None:
    await Machine(place, tmp_path / "one").checkout(FILES).sync()
    second = await Machine(place, tmp_path / "two").checkout({**FILES, "a": "9"}).sync()
    assert (second.uploaded, second.requests) == (1, {"GetObject": 1, "PutObject": 3})
    third = await Machine(place, tmp_path / "three").checkout({**FILES, "a": "9"}).sync()
    assert (third.uploaded, third.requests) == (0, {"GetObject": 1})


async def test_a_dry_run_stores_nothing(place: Place, tmp_path: Path) -> None:
    report = await Machine(place, tmp_path / "one").checkout(FILES).sync(dry_run=True)
    assert report.uploaded == 3
    assert await place.read() == {}


async def test_two_at_once_lose_nothing(place: Place, tmp_path: Path) -> None:
    """Both have read the same manifest, and both store theirs: what either has sent is known afterwards."""
    await Machine(place, tmp_path / "one").checkout(FILES).sync()
    machines = [
        Machine(place, tmp_path / "left").checkout({**FILES, "left": "l"}),
        Machine(place, tmp_path / "right").checkout({**FILES, "right": "r"}),
    ]
    reports: list[SyncReport] = []

    async def run(machine: Machine) -> None:
        reports.append(await machine.sync())

    async with anyio.create_task_group() as tasks:
        for machine in machines:
            tasks.start_soon(run, machine)
    assert [report.uploaded for report in reports] == [1, 1]
    assert (await place.read("p/")).keys() == {*FILES, "left", "right"}
    both = Machine(place, tmp_path / "both").checkout({**FILES, "left": "l", "right": "r"})
    report = await both.sync()
    assert report.uploaded == 0
    assert (await both.sync()).checked == "manifest"


async def test_deletes_of_another_machine_are_seen(place: Place, tmp_path: Path) -> None:
    await Machine(place, tmp_path / "one").checkout(FILES).sync()
    fewer = {"a": "1", "c": "333"}
    second = await Machine(place, tmp_path / "two").checkout(fewer).sync(delete="tracked")
    assert second.deleted == 1
    third = await Machine(place, tmp_path / "three").checkout(fewer).sync(delete="tracked")
    assert (third.deleted, third.uploaded, third.requests) == (0, 0, {"GetObject": 1})


async def test_a_run_that_fails_stores_what_it_has_done(place: Place, tmp_path: Path) -> None:
    machine = Machine(place, tmp_path / "one").checkout(FILES)
    done = anyio.Event()

    class EndsIt:
        async def outcomes(self, batch: Any) -> None:
            done.set()
            raise RuntimeError("the application ends the run")

    with pytest.raises(RuntimeError, match="ends the run"):
        await machine.sync(outcome_sinks=[EndsIt()])
    again = await Machine(place, tmp_path / "two").checkout(FILES).sync()
    assert (again.uploaded, again.checked) == (0, "list")


async def test_another_object_is_no_manifest_and_stays(place: Place, tmp_path: Path) -> None:
    place.client.put_object(Bucket=place.bucket, Key="state/site.sqlite", Body=b"somebody's work")
    with pytest.raises(ManifestError, match="is no manifest that a sync has stored; name another key"):
        await Machine(place, tmp_path / "one").checkout(FILES).sync()
    assert await place.read() == {"state/site.sqlite": b"somebody's work"}


async def test_a_bucket_that_is_not_there_is_named_before_anything_is_sent(
    place: Place, tmp_path: Path
) -> None:
    machine = Machine(place, tmp_path / "one").checkout(FILES)
    with pytest.raises(ManifestError, match=r"the manifest cannot be read: .*no such bucket"):
        await machine.sync(manifest="s3://no-such-bucket-x/m")
    assert await place.read() == {}


async def test_only_a_sync_takes_it(place: Place, tmp_path: Path) -> None:
    machine = Machine(place, tmp_path / "one").checkout(FILES)
    options: Any = {"manifest": place.url("m")}
    with pytest.raises(UsageError, match="one in a bucket is read and stored by a sync"):
        await place.session.explain(machine.root, place.url("p"), "a", **options)


async def test_nothing_is_left_on_the_disk(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    await Machine(place, tmp_path / "one").checkout(FILES).sync()
    assert [*scratch.iterdir()] == []
