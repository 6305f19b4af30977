"""Which files go by courier, and that those which do are recorded as if they had gone the usual way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios3sync.events import ObjectUploaded
from aios3sync.local.read import path_of
from aios3sync.processes.protocol import LARGEST, Delivered, UploadJob, UploadResult
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import PutOptions, PutResult
from aios3sync.testing.faulty import unavailable
from tests.sync.conftest import Bench

pytestmark = pytest.mark.usefixtures("settle", "at_once")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ProcessPool are worth it from the first file on."""
    monkeypatch.setattr("aios3sync.sync.transfers.offload._WORTH", 0)


@dataclass
class PretendCourier:
    """Puts into the store of the bench.

    Attributes:
        refuse: tells whether a key comes back.
        encryption: what every answer tells.
    """

    bench: Bench
    refuse: Callable[[str], bool] = lambda key: False
    encryption: str = ""
    kinds: list[PutOptions] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    recalled: int = 0
    closed: int = 0

    def kind(
        self, options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False
    ) -> int | None:
        assert mtime_name in options.metadata
        assert (md5_name == "md5chksum") == ("md5chksum" in options.metadata)
        assert utf8 == options.content_type.endswith("; charset=utf-8")
        self.kinds.append(options)
        return len(self.kinds) - 1

    async def deliver(self, parcels: Sequence[UploadJob], delivered: Delivered) -> list[int]:
        back = []
        for place, parcel in enumerate(parcels):
            if self.refuse(parcel.key):
                back.append(place)
                continue
            body = await anyio.Path(path_of(parcel.place)).read_bytes()
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            result = await self.bench.memory.put(parcel.key, body, self.kinds[parcel.kind], md5=digest)
            self.delivered.append(parcel.key)
            delivered(place, UploadResult(digest, 10**19, PutResult(result.etag, self.encryption)))
        return back

    def cancel_pending(self) -> None:
        self.recalled += 1

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def courier(bench: Bench) -> PretendCourier:
    """A courier that the bench opens."""
    courier = PretendCourier(bench)

    async def opened() -> PretendCourier:
        return courier

    bench.open_offloader = opened
    return courier


async def test_what_goes_by_courier_is_recorded_like_the_rest(bench: Bench, courier: PretendCourier) -> None:
    bench.tree({f"d/f{n:03}.txt": f"body {n}" for n in range(300)})
    courier.refuse = lambda key: key.endswith("7.txt")
    told: list[Any] = []

    class Sink:
        async def outcomes(self, batch: Sequence[Any]) -> None:
            told.extend(batch)

    bench.outcome_sinks = (Sink(),)
    report = await bench.sync()
    assert (report.uploaded, report.failed, courier.closed) == (300, 0, 1)
    assert len(courier.delivered) == 270
    assert report.uploaded_bytes == sum(len(f"body {n}") for n in range(300))
    assert {outcome.row.key: (outcome.row.md5, outcome.content_type) for outcome in told} == {
        f"d/f{n:03}.txt": (hashlib.md5(f"body {n}".encode()).hexdigest(), "text/plain; charset=utf-8")  # noqa: S324
        for n in range(300)
    }
    again = await bench.sync()
    assert (again.kept, again.uploaded, again.requests) == (300, 0, {})


async def test_what_needs_more_goes_the_usual_way(bench: Bench, courier: PretendCourier) -> None:
    bench.tree({"plain.bin": "x", "page.html": "<p>", "large.bin": b"x" * (LARGEST + 1), "b.txt": "y"})
    assert (await bench.sync(gzip=("html",))).uploaded == 4
    assert sorted(courier.delivered) == ["p/b.txt", "p/plain.bin"]
    assert [options.content_type for options in courier.kinds] == [
        "text/plain; charset=utf-8",
        "application/octet-stream",
    ]


async def test_headers_of_what_goes_by_courier_are_recorded_and_differ_by_pattern(
    bench: Bench, courier: PretendCourier
) -> None:
    bench.tree({"a.txt": "1", "b.txt": "2", "c.html": "3"})
    rules = ("b*:cache-control=no-cache",)
    assert (await bench.sync(header_for=rules)).uploaded == 3
    assert sorted(courier.delivered) == ["p/a.txt", "p/b.txt", "p/c.html"]
    sent = {key: stored.options.cache_control for key, stored in bench.memory.objects.items()}
    assert sent == {"p/a.txt": "", "p/b.txt": "no-cache", "p/c.html": ""}
    assert (await bench.sync(header_for=rules)).requests == {}
    assert (await bench.sync()).updated == 1


async def test_nothing_goes_by_courier_where_etags_prove_nothing(
    bench: Bench, courier: PretendCourier
) -> None:
    """Such objects carry their MD5 in the head, which has to be known before."""
    bench.tree({"a": "1"})
    assert (await bench.sync(sse="aws:kms")).uploaded == 1
    assert courier.delivered == []


async def test_encryption_that_is_learnt_has_couriers_write_the_md5(
    bench: Bench, courier: PretendCourier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.uploads._CHUNK_FILES", 10)
    monkeypatch.setattr("aios3sync.sync.transfers.uploads._READERS", 1)
    courier.encryption = "aws:kms"
    bench.tree({f"f{n:02}": str(n) for n in range(40)})
    assert (await bench.sync()).uploaded == 40
    assert len(courier.delivered) == 40
    assert ["md5chksum" in options.metadata for options in courier.kinds] == [False, True]


async def test_before_the_first_answer_couriers_write_the_md5(bench: Bench, courier: PretendCourier) -> None:
    bench.profile = EndpointProfile("http://memory")
    bench.tree({"a": "1"})
    assert (await bench.sync()).uploaded == 1
    assert courier.delivered == ["p/a"]
    assert ["md5chksum" in options.metadata for options in courier.kinds] == [True]


async def test_images_that_are_looked_at_go_the_usual_way(bench: Bench, courier: PretendCourier) -> None:
    bench.inspect = lambda key, body: (1, 2)
    bench.tree({"a.png": "1"})
    assert (await bench.sync()).uploaded == 1
    assert courier.delivered == []


async def test_what_is_not_looked_at_goes_by_courier_beside_images(
    bench: Bench, courier: PretendCourier
) -> None:
    """A sync that feeds an index wants the size of images; that must not slow down all other files."""
    bench.inspect = lambda key, body: (1, 2)
    bench.inspected = lambda key: key.endswith(".png")
    bench.tree({"a.png": "1", "b.txt": "2"})
    assert (await bench.sync()).uploaded == 2
    assert [key.rpartition("/")[2] for key in courier.delivered] == ["b.txt"]


async def test_a_few_files_are_not_worth_a_process(
    bench: Bench, courier: PretendCourier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios3sync.sync.transfers.offload._WORTH", 20)
    bench.tree({f"f{n:02}": str(n) for n in range(20)})
    assert (await bench.sync()).uploaded == 20
    assert courier.delivered == []


async def test_P8_a_file_that_changes_while_it_is_sent_is_not_recorded(
    bench: Bench, courier: PretendCourier, tmp_path: Path
) -> None:
    bench.tree({"a": "1", "b": "2"})
    real = courier.deliver

    async def slow(parcels: Sequence[UploadJob], delivered: Delivered) -> list[int]:
        back = await real(parcels, delivered)
        await anyio.Path(bench.root / "a").write_text("changed meanwhile")
        return back

    courier.deliver = slow  # type: ignore[method-assign]
    report = await bench.sync()
    assert (report.failed, report.uploaded) == (1, 1)
    assert "changed while it was sent" in report.errors[0].error


async def test_a_stop_recalls_what_was_not_begun(bench: Bench, courier: PretendCourier) -> None:
    bench.tree({f"f{n}": str(n) for n in range(5)})
    asked = anyio.Event()

    async def stuck(parcels: Sequence[UploadJob], delivered: Delivered) -> list[int]:
        bench.stop.request()
        await asked.wait()
        return [*range(len(parcels))]

    def cancel_pending() -> None:
        asked.set()

    courier.deliver, courier.cancel_pending = stuck, cancel_pending  # type: ignore[method-assign]
    report = await bench.sync()
    assert (report.uploaded, report.cancelled, report.exit_code) == (0, 5, 130)


@pytest.mark.parametrize("error", [RuntimeError("broken"), BrokenPipeError(), unavailable()], ids=repr)
async def test_what_a_courier_raises_is_not_the_end_and_each_file_ends_once(
    bench: Bench, courier: PretendCourier, error: Exception
) -> None:
    """Neither the file that had arrived before is sent again, nor does a late answer count."""
    bench.tree({f"f{n}": "x" * 1000 for n in range(5)})
    real = courier.deliver
    late: list[Any] = []

    async def broken(parcels: Sequence[UploadJob], delivered: Delivered) -> list[int]:
        await real(parcels[:1], delivered)
        late.append((delivered, UploadResult(b"x" * 16, 0, PutResult("x"))))
        raise error

    def told(event: object) -> None:
        while isinstance(event, ObjectUploaded) and late:
            delivered, receipt = late.pop()
            delivered(3, receipt)

    courier.deliver, bench.on_event = broken, told  # type: ignore[method-assign]
    report = await bench.sync()
    assert (report.uploaded, report.failed, courier.closed, bench.faults.calls["put"]) == (5, 0, 1, 4)
    assert not late


async def test_couriers_that_cannot_be_opened_are_done_without(bench: Bench) -> None:
    bench.tree({f"f{n}": str(n) for n in range(5)})

    async def broken() -> PretendCourier:
        raise OSError("no more processes")

    bench.open_offloader = broken
    assert (await bench.sync()).uploaded == 5


async def test_a_file_whose_headers_a_courier_cannot_take_is_sent_all_the_same(
    bench: Bench, courier: PretendCourier
) -> None:
    bench.tree({f"f{n}": str(n) for n in range(5)})

    def broken(options: PutOptions, mtime_name: str, *, md5_name: str = "", utf8: bool = False) -> int | None:
        raise ValueError("what nobody foresaw")

    courier.kind = broken  # type: ignore[method-assign]
    assert (await bench.sync()).uploaded == 5
