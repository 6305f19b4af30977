"""ProcessPool on endpoints good and bad: what is stored is told, all else comes back, no slot is lost."""

from __future__ import annotations

import os
import signal
from base64 import b64encode
from hashlib import md5
from typing import Any

import anyio
import pytest

from aios3sync.core.etag import META_MD5, META_MTIME, rclone_md5, rclone_mtime
from aios3sync.errors import UsageError
from aios3sync.options import ConnectOptions
from aios3sync.processes import pool as module
from aios3sync.processes.main import UploadProcess, _Route
from aios3sync.processes.messages import RouteMessage, framed
from aios3sync.store.protocol import PutOptions
from aios3sync.store.wire.sigv4 import Credentials
from aios3sync.testing.http_server import canned_server, error_body
from tests.processes.conftest import Desks
from tests.store.wire.conftest import Authority

pytestmark = pytest.mark.timeout(60)


def digest(body: bytes) -> bytes:
    return md5(body, usedforsecurity=False).digest()


async def test_files_arrive_as_they_are(desk: Desks) -> None:
    names = [f"f{number:02}" for number in range(40)] + ["ü +%&.bin", "a'b"]
    async with canned_server() as server, desk(server.url) as d:
        parcels = [d.parcel(name) for name in names]
        assert await d.deliver(parcels) == []
        assert {key: receipt.md5 for key, receipt in d.receipts.items()} == {
            f"p/{name}": digest(name.encode()) for name in names
        }
        assert all(receipt.result.etag == receipt.md5.hex() for receipt in d.receipts.values())
    assert (d.counts.requests["PutObject"], d.counts.retries) == (42, 0)
    assert d.counts.bytes_sent == sum(parcel.size for parcel in parcels)
    by_path = {request.path: request for request in server.requests}
    request = by_path["/bkt/p/%C3%BC%20%2B%25%26.bin"]
    assert request.body == "ü +%&.bin".encode()
    parcel = parcels[names.index("ü +%&.bin")]
    sent = {name: request.headers[f"x-amz-meta-{name}"] for name in ("a", "mtime", "z")}
    assert sent == {"a": "1", "mtime": rclone_mtime(parcel.mtime_ns), "z": "2"}
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["content-md5"] == b64encode(digest(request.body)).decode()


async def test_a_courier_writes_the_md5_of_each_file_where_it_is_asked_to(desk: Desks) -> None:
    headers = PutOptions(metadata={META_MD5: "", "model": "1", META_MTIME: ""})
    async with canned_server() as server, desk(server.url, headers=headers) as d:
        assert d.couriers.kind(headers, META_MTIME, md5_name=META_MD5) == 0
        assert await d.deliver([d.parcel(name) for name in ("f", "g")]) == []
    for request in server.requests:
        assert request.headers["x-amz-meta-md5chksum"] == rclone_md5(digest(request.body).hex())
        assert request.headers["x-amz-meta-model"] == "1"
        assert float(request.headers["x-amz-meta-mtime"]) > 0


async def test_a_courier_signs_as_the_session_does(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        parcel = d.parcel("f")
        assert await d.deliver([parcel]) == []
        metadata = {**d.options.metadata, META_MTIME: rclone_mtime(parcel.mtime_ns)}
        options = PutOptions("text/plain", metadata=metadata)
        await d.wire.store.put(parcel.key, b"f", options, md5=digest(b"f"))
    ours, theirs = (request.headers for request in server.requests)
    names = ours["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == theirs["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert {name: ours[name] for name in ours if name not in {"authorization", "x-amz-date"}} == {
        name: theirs[name] for name in theirs if name not in {"authorization", "x-amz-date"}
    }
    if ours["x-amz-date"] == theirs["x-amz-date"]:
        assert ours["authorization"] == theirs["authorization"]


async def test_C1_what_is_not_as_it_was_comes_back_unsent(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        parcels = [d.parcel(name) for name in ("good", "gone", "longer", "touched", "fifo", "moved")]
        (d.root / "gone").unlink()
        (d.root / "longer").write_bytes(b"longer than before")
        os.utime(d.root / "touched", ns=(1, 1))
        (d.root / "fifo").unlink()
        os.mkfifo(d.root / "fifo")
        (d.root / "moved").rename(d.root / "old")
        (d.root / "moved").write_bytes(b"moved")
        assert await d.deliver(parcels) == ["p/fifo", "p/gone", "p/longer", "p/moved", "p/touched"]
        assert [*d.receipts] == ["p/good"]
    assert len(server.requests) == d.counts.requests["PutObject"] == 1


async def test_what_is_refused_comes_back_and_is_counted(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url, slots=1) as d:
        server.will(500, error_body("InternalError"))
        server.will(200, b"<Error><Code>InternalError</Code></Error>", {"ETag": '"x"'})
        server.will(200, headers={"ETag": f'"{digest(b"other").hex()}"'})
        server.will(200)  # without an ETag
        parcels = [d.parcel(f"f{number}") for number in range(6)]
        assert await d.deliver(parcels) == ["p/f0", "p/f1", "p/f2", "p/f3"]
        assert sorted(d.receipts) == ["p/f4", "p/f5"]
    assert (d.counts.requests["PutObject"], d.counts.retries) == (6, 4)


async def test_a_request_to_slow_down_makes_everything_slower(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url, slots=8) as d:
        server.will(503, error_body("SlowDown"))
        assert len(await d.deliver([d.parcel(f"f{number}") for number in range(8)])) == 1
        assert d.limiter._cuts == 1, "by now the limit has recovered"


async def test_while_there_is_a_pace_to_keep_nothing_is_handed_over(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        d.limiter._paced, d.limiter._pace.rate = True, 100.0
        assert await d.deliver([d.parcel("f")]) == ["p/f"]
        assert server.requests == []


async def test_the_encryption_that_an_endpoint_tells_is_told(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        headers = {"ETag": '"0123"', "x-amz-server-side-encryption": "aws:kms", "x-amz-version-id": "v"}
        server.will(200, headers=headers)
        assert await d.deliver([d.parcel("f")]) == []
        assert d.receipts["p/f"].result == ("0123", "aws:kms", "v", "")


async def test_a_connection_that_was_closed_while_idle_is_no_failure(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url, slots=1) as d:
        server.will(200, headers={"ETag": f'"{digest(b"f0").hex()}"'}, close=True)
        assert await d.deliver([d.parcel("f0")]) == []
        assert await d.deliver([d.parcel("f1"), d.parcel("f2")]) == []
    assert (d.counts.requests["PutObject"], d.counts.retries) == (3, 0)


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url, slots=2, read_timeout=1.0) as d:
        server.will(hang=True)
        assert len(await d.deliver([d.parcel("f0"), d.parcel("f1"), d.parcel("f2")])) == 1
        assert len(d.receipts) == 2


async def test_without_an_endpoint_everything_comes_back(desk: Desks) -> None:
    async with canned_server() as server:
        url = server.url
    async with desk(url, connect_timeout=1.0) as d:
        assert await d.deliver([d.parcel("f0"), d.parcel("f1")]) == ["p/f0", "p/f1"]


async def test_a_courier_that_dies_loses_nothing(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url, slots=2) as d:
        server.will(hang=True)
        parcels = [d.parcel(f"f{number}") for number in range(9)]

        async def kill() -> None:
            await server.hanging.wait()
            os.kill(d.couriers._links[0]._process.pid, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            back = await d.deliver(parcels)
        assert len(back) + len(d.receipts) == 9
        assert back
        assert await d.deliver([d.parcel("later")]) == ["p/later"]


@pytest.mark.parametrize(
    "noise",
    [framed([(10**6, 0, "of nobody")]), framed(None), b"?" * 8, b"\x01" + bytes(7) + b"?"],
    ids=["a parcel of nobody", "no list", "no length", "no frame"],
)
async def test_a_courier_that_talks_nonsense_is_ended_and_loses_nothing(desk: Desks, noise: bytes) -> None:
    async with canned_server() as server, desk(server.url, slots=2) as d:
        server.will(hang=True)

        async def disturb() -> None:
            await server.hanging.wait()
            d.couriers._links[0]._answers.feed_data(noise)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(disturb)
            back = await d.deliver([d.parcel(f"f{number}") for number in range(9)])
        assert len(back) + len(d.receipts) == 9


@pytest.mark.parametrize("error", [BrokenPipeError(), RuntimeError("the handler is closed")], ids=repr)
async def test_a_courier_that_cannot_be_written_to_is_ended_and_loses_nothing(
    desk: Desks, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with canned_server() as server, desk(server.url) as d:
        assert await d.deliver([d.parcel("first")]) == []
        link = d.couriers._links[0]

        def refuse(content: bytes) -> None:
            raise error

        monkeypatch.setattr(link._asks, "write", refuse)
        assert await d.deliver([d.parcel("a"), d.parcel("b")]) == ["p/a", "p/b"]
        assert not link.alive
        d.couriers.cancel_pending()
        assert d.couriers.kind(PutOptions("x/y", metadata={META_MTIME: ""}), META_MTIME) == 1


async def test_what_a_listener_raises_reaches_who_waits_and_ends_no_other_parcel(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        parcels = [d.parcel(f"f{number}") for number in range(20)]
        arrived: list[int] = []

        def delivered(place: int, receipt: object) -> None:
            arrived.append(place)
            raise KeyError("listener")

        with pytest.raises(KeyError, match="listener"):
            await d.couriers.deliver(parcels, delivered)
        assert await d.deliver([d.parcel("later")]) == []
        assert len(arrived) == len(parcels), "all were handed over one by one, whatever the first raised"
        assert d.limiter.in_flight == 0


async def test_a_file_that_makes_the_reading_raise_comes_back_alone(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        parcels = [
            d.parcel("a"),
            d.parcel("b", place="/no\0where"),
            d.parcel("c", key="p/\ud800"),
            d.parcel("d"),
        ]
        parcels.append(d.parcel("e", mtime_ns="odd"))
        assert await d.deliver(parcels) == ["p/b", "p/e", "p/\ud800"]
        assert await d.deliver([d.parcel("later")]) == [], "the process still works"


def test_a_connection_that_fails_oddly_is_not_waited_for_for_ever() -> None:
    asks, answers = os.pipe()
    program = UploadProcess(asks, answers)
    try:
        odd = RouteMessage(*("",) * 8, "x" * 70, 80, None, 1.0, 1.0)  # a label that IDNA does not take
        program._connect(_Route(odd))
        ((_, opened),) = program._opened
        assert isinstance(opened, UnicodeError)
    finally:
        for descriptor in (asks, answers, program._woken, program._wake):
            os.close(descriptor)
        program._poll.close()


async def test_what_was_not_begun_can_be_recalled(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url, slots=1, read_timeout=2.0) as d:
        server.will(hang=True)

        async def cancel_pending() -> None:
            await server.hanging.wait()
            d.couriers.cancel_pending()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_pending)
            back = await d.deliver([d.parcel(f"f{number}") for number in range(30)])
        assert len(back) == 30
        assert len(server.requests) == 1


@pytest.mark.parametrize("error", [OSError("no more processes"), NotImplementedError()])
async def test_where_no_process_can_be_had_everything_comes_back(
    desk: Desks, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("asyncio.create_subprocess_exec", refuse)
    async with canned_server() as server, desk(server.url) as d:
        assert await d.deliver([d.parcel("f")]) == ["p/f"]
        assert server.requests == []


async def test_couriers_that_are_of_no_use_are_given_up(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        for _ in range(module._PATIENCE + 1):
            server.will(400, error_body("Odd"))
        count = module._PATIENCE + 1
        assert len(await d.deliver([d.parcel(f"f{number}") for number in range(count)])) == count
        assert await d.deliver([d.parcel("later")]) == ["p/later"]
        assert len(server.requests) == count


async def test_over_tls_the_endpoint_has_to_prove_itself(desk: Desks, authority: Authority) -> None:
    async with (
        canned_server(authority.server) as server,
        desk(server.url, ca_bundle=str(authority.bundle)) as d,
    ):
        big = os.urandom(60_000)
        assert await d.deliver([d.parcel("f"), d.parcel("big", big)]) == []
        assert {request.body for request in server.requests} == {b"f", big}


async def test_a_stranger_gets_nothing(desk: Desks, authority: Authority) -> None:
    async with (
        canned_server(authority.stranger) as server,
        desk(server.url, ca_bundle=str(authority.bundle), connect_timeout=2.0) as d,
    ):
        assert await d.deliver([d.parcel("f")]) == ["p/f"]
        assert server.requests == []


async def test_new_credentials_are_used_from_the_next_parcel_on(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        await d.deliver([d.parcel("f0")])
        d.wire.lane.credentials = Credentials("AKIANEWKEY", "new", "token")
        await d.deliver([d.parcel("f1")])
    first, second = (request.headers for request in server.requests)
    assert "Credential=AKIAEXAMPLE/" in first["authorization"]
    assert "Credential=AKIANEWKEY/" in second["authorization"]
    assert second["x-amz-security-token"] == "token"


async def test_couriers_that_were_refused_are_tried_again_with_new_credentials(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url) as d:
        count = module._PATIENCE + 1
        for _ in range(count):
            server.will(400, error_body("ExpiredToken"))
        assert len(await d.deliver([d.parcel(f"f{number}") for number in range(count)])) == count
        assert await d.deliver([d.parcel("with the old")]) == ["p/with the old"]
        d.wire.lane.credentials = Credentials("AKIANEWKEY", "new", "token")
        assert await d.deliver([d.parcel("with the new")]) == []
    assert len(server.requests) == count + 1


@pytest.mark.parametrize("options", [{"checksum": "crc32"}, {"if_none_match": True}, {"if_match": "x"}])
async def test_headers_that_need_more_go_the_usual_way(desk: Desks, options: Any) -> None:
    async with canned_server() as server, desk(server.url) as d:
        assert d.couriers.kind(PutOptions(metadata={META_MTIME: ""}, **options), META_MTIME) is None


async def test_no_process_and_no_secret_is_left(desk: Desks) -> None:
    async with canned_server() as server, desk(server.url, most=3) as d:
        for turn in range(3):
            d.couriers._handed += module._WORTH
            await d.deliver([d.parcel(f"f{turn}-{number}") for number in range(4)])
        processes = [link._process for link in d.couriers._links]
        assert len(processes) == 3
        for process in processes:
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                assert b"s3cr3t" not in file.read()
    assert [process.returncode for process in processes] == [0, 0, 0]


def test_the_number_of_processes_is_checked() -> None:
    with pytest.raises(UsageError, match="processes"):
        ConnectOptions(processes=-1)


async def test_a_courier_follows_no_link_that_must_not_be_followed(desk: Desks) -> None:
    """What a walk judged may be a link when a process reads it, with a stat that is the expected one."""
    async with canned_server() as server, desk(server.url) as d:
        parcels = [d.parcel(name) for name in ("plain", "link", "inside")]
        for name in ("link", "inside"):
            os.replace(d.root / name, d.root / f"{name}.moved")
            (d.root / name).symlink_to(f"{name}.moved")
        confined = []
        for parcel in parcels:
            name = parcel.key.removeprefix("p/")
            place = (str(d.root), name, name == "inside")
            confined.append(parcel._replace(place=place, ctime_ns=(d.root / name).stat().st_ctime_ns))
        assert await d.deliver(confined) == ["p/link"]
    assert sorted(d.receipts) == ["p/inside", "p/plain"]
