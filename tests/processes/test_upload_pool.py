"""UploadPool on good and bad endpoints: stored files are reported, others returned, no slot is lost."""

from __future__ import annotations

import os
import signal
from base64 import b64encode
from hashlib import md5, sha256
from typing import Any

import anyio
import pytest

from aios3sync.core.metadata import META_MD5, META_MTIME, rclone_md5, rclone_mtime
from aios3sync.errors import UsageError
from aios3sync.options import ConnectOptions
from aios3sync.processes import job_pool as module
from aios3sync.processes import worker
from aios3sync.processes.job_process import Route
from aios3sync.processes.messages import RouteMessage, frame
from aios3sync.processes.upload_main import UploadProcess
from aios3sync.store.protocol import PutOptions
from aios3sync.store.wire.sigv4 import Credentials
from aios3sync.store.wrappers.metrics import RetryDetails
from aios3sync.testing.http_server import canned_server, error_body
from tests.processes.conftest import OpenOffloading
from tests.store.wire.conftest import Authority

pytestmark = pytest.mark.timeout(60)


def digest(body: bytes) -> bytes:
    return md5(body, usedforsecurity=False).digest()


async def test_files_arrive_as_they_are(offloading: OpenOffloading) -> None:
    names = [f"f{number:02}" for number in range(40)] + ["ü +%&.bin", "a'b"]
    async with canned_server() as server, offloading(server.url) as o:
        jobs = [o.job(name) for name in names]
        assert await o.upload(jobs) == []
        assert {key: result.md5 for key, result in o.stored.items()} == {
            f"p/{name}": digest(name.encode()) for name in names
        }
        assert all(result.result.etag == result.md5.hex() for result in o.stored.values())
        assert {key: result.sha256 for key, result in o.stored.items()} == {
            f"p/{name}": sha256(name.encode()).hexdigest() for name in names
        }
    assert (o.counts.requests["PutObject"], o.counts.retries) == (42, 0)
    assert o.counts.bytes_sent == sum(job.size for job in jobs)
    by_path = {request.path: request for request in server.requests}
    request = by_path["/bkt/p/%C3%BC%20%2B%25%26.bin"]
    assert request.body == "ü +%&.bin".encode()
    job = jobs[names.index("ü +%&.bin")]
    sent = {name: request.headers[f"x-amz-meta-{name}"] for name in ("a", "mtime", "z")}
    assert sent == {"a": "1", "mtime": rclone_mtime(job.mtime_ns), "z": "2"}
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["content-md5"] == b64encode(digest(request.body)).decode()


async def test_the_md5_of_each_file_is_written_where_the_template_has_it(offloading: OpenOffloading) -> None:
    headers = PutOptions(metadata={META_MD5: "", "model": "1", META_MTIME: ""})
    async with canned_server() as server, offloading(server.url, headers=headers) as o:
        assert o.pool.header_template(headers, META_MTIME, md5_name=META_MD5) == 0
        assert await o.upload([o.job(name) for name in ("f", "g")]) == []
    for request in server.requests:
        assert request.headers["x-amz-meta-md5chksum"] == rclone_md5(digest(request.body).hex())
        assert request.headers["x-amz-meta-model"] == "1"
        assert float(request.headers["x-amz-meta-mtime"]) > 0


async def test_an_upload_process_signs_as_the_session_does(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        job = o.job("f")
        assert await o.upload([job]) == []
        metadata = {**o.options.metadata, META_MTIME: rclone_mtime(job.mtime_ns)}
        options = PutOptions("text/plain", metadata=metadata)
        await o.wire.store.put(job.key, b"f", options, md5=digest(b"f"))
    ours, theirs = (request.headers for request in server.requests)
    names = ours["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert names == theirs["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert {name: ours[name] for name in ours if name not in {"authorization", "x-amz-date"}} == {
        name: theirs[name] for name in theirs if name not in {"authorization", "x-amz-date"}
    }
    if ours["x-amz-date"] == theirs["x-amz-date"]:
        assert ours["authorization"] == theirs["authorization"]


async def test_C1_a_file_that_changed_is_returned_unsent(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        jobs = [o.job(name) for name in ("good", "gone", "longer", "touched", "fifo", "moved")]
        (o.root / "gone").unlink()
        (o.root / "longer").write_bytes(b"longer than before")
        os.utime(o.root / "touched", ns=(1, 1))
        (o.root / "fifo").unlink()
        os.mkfifo(o.root / "fifo")
        (o.root / "moved").rename(o.root / "old")
        (o.root / "moved").write_bytes(b"moved")
        assert await o.upload(jobs) == ["p/fifo", "p/gone", "p/longer", "p/moved", "p/touched"]
        assert [*o.stored] == ["p/good"]
    assert len(server.requests) == o.counts.requests["PutObject"] == 1


async def test_a_refused_file_is_returned_and_counted(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url, slots=1) as o:
        retries: list[RetryDetails] = []
        o.counts.on_retry = retries.append
        server.will(500, error_body("InternalError"))
        server.will(200, b"<Error><Code>InternalError</Code></Error>", {"ETag": '"x"'})
        server.will(200, headers={"ETag": f'"{digest(b"other").hex()}"'})
        server.will(200)  # without an ETag
        jobs = [o.job(f"f{number}") for number in range(6)]
        assert await o.upload(jobs) == ["p/f0", "p/f1", "p/f2", "p/f3"]
        assert sorted(o.stored) == ["p/f4", "p/f5"]
    assert (o.counts.requests["PutObject"], o.counts.retries) == (6, 4)
    assert o.counts.retry_codes == {"InternalError": 2, "ETagMismatch": 1, "UnexpectedAnswer": 1}
    assert [(retry.error.key, retry.error.code) for retry in retries[:1]] == [("p/f0", "InternalError")]


async def test_a_throttled_upload_cuts_the_limit_of_the_session(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url, slots=8) as o:
        server.will(503, error_body("SlowDown"))
        assert len(await o.upload([o.job(f"f{number}") for number in range(8)])) == 1
        assert o.limiter._cuts == 1, "by now the limit has recovered"
    assert (o.counts.retries, o.counts.throttled, o.counts.retry_codes) == (1, 1, {"SlowDown": 1})


async def test_while_the_limiter_keeps_a_start_rate_no_job_is_submitted(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        o.limiter._rate_limited, o.limiter._rate.rate = True, 100.0
        assert await o.upload([o.job("f")]) == ["p/f"]
        assert server.requests == []


async def test_the_encryption_of_the_response_is_reported(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        headers = {"ETag": '"0123"', "x-amz-server-side-encryption": "aws:kms", "x-amz-version-id": "v"}
        server.will(200, headers=headers)
        assert await o.upload([o.job("f")]) == []
        assert o.stored["p/f"].result == ("0123", "aws:kms", "v", "")


async def test_a_connection_that_was_closed_while_idle_is_no_failure(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url, slots=1) as o:
        server.will(200, headers={"ETag": f'"{digest(b"f0").hex()}"'}, close=True)
        assert await o.upload([o.job("f0")]) == []
        assert await o.upload([o.job("f1"), o.job("f2")]) == []
    assert (o.counts.requests["PutObject"], o.counts.retries) == (3, 0)


async def test_a_response_that_never_comes_times_out(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url, slots=2, read_timeout=1.0) as o:
        server.will(hang=True)
        assert len(await o.upload([o.job("f0"), o.job("f1"), o.job("f2")])) == 1
        assert len(o.stored) == 2


async def test_without_an_endpoint_all_jobs_are_returned(offloading: OpenOffloading) -> None:
    async with canned_server() as server:
        url = server.url
    async with offloading(url, connect_timeout=1.0) as o:
        assert await o.upload([o.job("f0"), o.job("f1")]) == ["p/f0", "p/f1"]


async def test_a_process_that_dies_loses_no_file(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url, slots=2) as o:
        server.will(hang=True)
        jobs = [o.job(f"f{number}") for number in range(9)]

        async def kill() -> None:
            await server.hanging.wait()
            os.kill(o.pool._workers[0]._process.pid, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            returned = await o.upload(jobs)
        assert len(returned) + len(o.stored) == 9
        assert returned
        assert await o.upload([o.job("later")]) == ["p/later"]


@pytest.mark.parametrize(
    "noise",
    [frame([(10**6, 0, "unknown")]), frame(None), b"?" * 8, b"\x01" + bytes(7) + b"?"],
    ids=["an unknown job", "no list", "no length", "no frame"],
)
async def test_an_upload_process_that_sends_nonsense_is_ended_and_loses_no_file(
    offloading: OpenOffloading, noise: bytes
) -> None:
    async with canned_server() as server, offloading(server.url, slots=2) as o:
        server.will(hang=True)

        async def disturb() -> None:
            await server.hanging.wait()
            o.pool._workers[0]._stdout.feed_data(noise)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(disturb)
            returned = await o.upload([o.job(f"f{number}") for number in range(9)])
        assert len(returned) + len(o.stored) == 9


@pytest.mark.parametrize("error", [BrokenPipeError(), RuntimeError("the handler is closed")], ids=repr)
async def test_a_process_with_a_closed_pipe_is_ended_and_loses_no_file(
    offloading: OpenOffloading, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        assert await o.upload([o.job("first")]) == []
        worker = o.pool._workers[0]

        def refuse(content: bytes) -> None:
            raise error

        monkeypatch.setattr(worker._stdin, "write", refuse)
        assert await o.upload([o.job("a"), o.job("b")]) == ["p/a", "p/b"]
        assert not worker.alive
        o.pool.cancel_pending()
        assert o.pool.header_template(PutOptions("x/y", metadata={META_MTIME: ""}), META_MTIME) == 1


async def test_an_error_of_the_callback_is_raised_and_ends_no_other_job(
    offloading: OpenOffloading,
) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        jobs = [o.job(f"f{number}") for number in range(20)]
        arrived: list[int] = []

        def on_stored(position: int, result: object) -> None:
            arrived.append(position)
            raise KeyError("listener")

        with pytest.raises(KeyError, match="listener"):
            await o.pool.upload(jobs, on_stored)
        assert len(arrived) == len(jobs), "all were reported one by one, whatever the first raised"
        assert await o.upload([o.job("later")]) == []
        assert o.limiter.in_flight == 0


async def test_a_file_whose_reading_raises_is_returned_alone(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        jobs = [
            o.job("a"),
            o.job("b", place="/no\0where"),
            o.job("c", key="p/\ud800"),
            o.job("d"),
        ]
        jobs.append(o.job("e", mtime_ns="odd"))
        assert await o.upload(jobs) == ["p/b", "p/e", "p/\ud800"]
        assert await o.upload([o.job("later")]) == [], "the process still works"


def test_a_connection_that_fails_with_any_error_is_not_waited_for() -> None:
    input_pipe, output_pipe = os.pipe()
    program = UploadProcess(input_pipe, output_pipe)
    try:
        odd = RouteMessage(*("",) * 8, "x" * 70, 80, None, 1.0, 1.0)  # a label that IDNA does not take
        program._connect(Route(odd))
        ((_, opened),) = program._opened
        assert isinstance(opened, UnicodeError)
    finally:
        for descriptor in (input_pipe, output_pipe, program._wake_read, program._wake_write):
            os.close(descriptor)
        program._poll.close()


async def test_jobs_that_have_not_begun_can_be_cancelled(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url, slots=1, read_timeout=2.0) as o:
        server.will(hang=True)

        async def cancel_pending() -> None:
            await server.hanging.wait()
            o.pool.cancel_pending()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_pending)
            returned = await o.upload([o.job(f"f{number}") for number in range(30)])
        assert len(returned) == 30
        assert len(server.requests) == 1


@pytest.mark.parametrize("error", [OSError("no more processes"), NotImplementedError()])
async def test_where_no_process_can_be_started_all_jobs_are_returned(
    offloading: OpenOffloading, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("asyncio.create_subprocess_exec", refuse)
    async with canned_server() as server, offloading(server.url) as o:
        assert await o.upload([o.job("f")]) == ["p/f"]
        assert server.requests == []


async def test_upload_processes_that_return_most_jobs_are_given_up(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        for _ in range(module._MIN_RETURNED + 1):
            server.will(400, error_body("Odd"))
        count = module._MIN_RETURNED + 1
        assert len(await o.upload([o.job(f"f{number}") for number in range(count)])) == count
        assert await o.upload([o.job("later")]) == ["p/later"]
        assert len(server.requests) == count


async def test_over_tls_the_endpoint_has_to_prove_itself(
    offloading: OpenOffloading, authority: Authority
) -> None:
    async with (
        canned_server(authority.server) as server,
        offloading(server.url, ca_bundle=str(authority.bundle)) as o,
    ):
        big = os.urandom(60_000)
        assert await o.upload([o.job("f"), o.job("big", big)]) == []
        assert {request.body for request in server.requests} == {b"f", big}


async def test_an_endpoint_with_a_wrong_certificate_gets_no_request(
    offloading: OpenOffloading, authority: Authority
) -> None:
    async with (
        canned_server(authority.stranger) as server,
        offloading(server.url, ca_bundle=str(authority.bundle), connect_timeout=2.0) as o,
    ):
        assert await o.upload([o.job("f")]) == ["p/f"]
        assert server.requests == []


async def test_new_credentials_are_used_from_the_next_job_on(offloading: OpenOffloading) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        await o.upload([o.job("f0")])
        o.wire.transport.credentials = Credentials("AKIANEWKEY", "new", "token")
        await o.upload([o.job("f1")])
    first, second = (request.headers for request in server.requests)
    assert "Credential=AKIAEXAMPLE/" in first["authorization"]
    assert "Credential=AKIANEWKEY/" in second["authorization"]
    assert second["x-amz-security-token"] == "token"


async def test_refused_processes_are_tried_again_with_new_credentials(
    offloading: OpenOffloading,
) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        count = module._MIN_RETURNED + 1
        for _ in range(count):
            server.will(400, error_body("ExpiredToken"))
        assert len(await o.upload([o.job(f"f{number}") for number in range(count)])) == count
        assert await o.upload([o.job("with the old")]) == ["p/with the old"]
        o.wire.transport.credentials = Credentials("AKIANEWKEY", "new", "token")
        assert await o.upload([o.job("with the new")]) == []
    assert len(server.requests) == count + 1


@pytest.mark.parametrize("options", [{"checksum": "crc32"}, {"if_none_match": True}, {"if_match": "x"}])
async def test_headers_that_need_more_have_no_template(offloading: OpenOffloading, options: Any) -> None:
    async with canned_server() as server, offloading(server.url) as o:
        assert o.pool.header_template(PutOptions(metadata={META_MTIME: ""}, **options), META_MTIME) is None


async def test_no_process_and_no_secret_is_left(
    offloading: OpenOffloading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_EXIT_GRACE", 100)  # on a busy machine they end later
    async with canned_server() as server, offloading(server.url, most=3) as o:
        for turn in range(3):
            o.pool._submitted += module._JOBS_PER_PROCESS
            await o.upload([o.job(f"f{turn}-{number}") for number in range(4)])
        processes = [each._process for each in o.pool._workers]
        assert len(processes) == 3
        for process in processes:
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                assert b"s3cr3t" not in file.read()
    assert [process.returncode for process in processes] == [0, 0, 0]


def test_the_number_of_processes_is_checked() -> None:
    with pytest.raises(UsageError, match="processes"):
        ConnectOptions(processes=-1)


async def test_a_process_follows_no_link_that_must_not_be_followed(
    offloading: OpenOffloading,
) -> None:
    """A file of the walk may be a link when a process reads it, with the expected stat."""
    async with canned_server() as server, offloading(server.url) as o:
        jobs = [o.job(name) for name in ("plain", "link", "inside")]
        for name in ("link", "inside"):
            os.replace(o.root / name, o.root / f"{name}.moved")
            (o.root / name).symlink_to(f"{name}.moved")
        confined = []
        for job in jobs:
            name = job.key.removeprefix("p/")
            place = (str(o.root), name, name == "inside")
            confined.append(job._replace(place=place, ctime_ns=(o.root / name).stat().st_ctime_ns))
        assert await o.upload(confined) == ["p/link"]
    assert sorted(o.stored) == ["p/inside", "p/plain"]
