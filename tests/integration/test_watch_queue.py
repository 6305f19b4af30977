"""A bucket that is watched by the queue of its notifications: S3 and SQS of a moto server."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from anyio import to_thread

import aios3sync
from aios3sync.concurrency import Stop
from aios3sync.errors import StoreError
from aios3sync.testing.servers import Endpoint
from tests.clients import boto3_client

pytestmark = pytest.mark.slow

_NUMBERS = itertools.count()


@dataclass
class Notified:
    """A bucket, and the queue that receives its notifications."""

    bucket: str
    queue: str
    s3: Any
    sqs: Any

    def put(self, *keys: str) -> None:
        """Store objects, each with its key as its content."""
        for key in keys:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=key.encode())

    def delete(self, *keys: str) -> None:
        """Delete objects."""
        for key in keys:
            self.s3.delete_object(Bucket=self.bucket, Key=key)

    def left(self) -> tuple[int, int]:
        """How many messages the queue shows, and how many it hides."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def wait_until(self, left: tuple[int, int]) -> None:
        """Wait until so many messages are there; the time-out of the test bounds it."""
        while self.left() != left:
            time.sleep(0.05)


@pytest.fixture
def notified(moto: Endpoint) -> Iterator[Notified]:
    name = f"watched-{next(_NUMBERS)}"
    s3, sqs = boto3_client(moto), boto3_client(moto, "sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.create_bucket(Bucket=name)
    s3.put_bucket_notification_configuration(
        Bucket=name,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]
        },
    )
    yield Notified(name, queue, s3, sqs)
    s3.close()
    sqs.close()


def files(tree: Path) -> dict[str, str]:
    return {path.relative_to(tree).as_posix(): path.read_text() for path in tree.rglob("*") if path.is_file()}


def test_the_command_follows_the_queue_and_ends_by_ctrl_c(
    moto: Endpoint, notified: Notified, tmp_path: Path
) -> None:
    """Nothing is compared by the clock: each run but the first is due to messages."""
    copy = tmp_path / "copy"
    notified.put(*(f"p/{number}" for number in range(8)), "q/other")
    command = [sys.executable, "-m", "aios3sync", "sync", f"s3://{notified.bucket}/p", str(copy)]
    command += ["--watch", "--watch-queue", notified.queue, "--watch-stable", "0.05", "--watch-every", "1h"]
    command += ["--delete", "--max-delete-ratio", "0.12", "--events"]  # 1 of 9, and not 1 of 8
    environment = {**os.environ, **moto.environment()}
    with ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
        stack.callback(process.kill)
        assert process.stdout is not None
        runs = (event for event in map(json.loads, process.stdout) if event["event"] in ("run", "finished"))
        assert next(runs)["report"]["downloaded"] == 8
        notified.wait_until((0, 0))

        notified.put("p/new", "q/unrelated")
        notified.sqs.send_message(QueueUrl=notified.queue, MessageBody="no notification")
        assert next(runs)["report"]["downloaded"] == 1
        notified.wait_until((0, 0))
        assert files(copy)["new"] == "p/new"

        notified.delete("p/new")
        assert next(runs)["report"]["deleted"] == 1
        notified.wait_until((0, 0))
        assert sorted(files(copy)) == [str(number) for number in range(8)]

        notified.delete(*(f"p/{number}" for number in range(8)))
        while (report := next(runs)["report"])["withheld"] != 8:
            assert report["deleted"] == 0
        assert report["deleted"] == 0
        assert report["exit_code"] != 0
        assert sum(notified.left()) == 8, "what they announce is not done"
        assert len(files(copy)) == 8, "a bucket that is empty all at once deletes nothing"
        process.send_signal(signal.SIGINT)
        *_, last = runs
        assert process.wait() == 128 + signal.SIGINT
    assert (last["report"]["command"], last["report"]["interrupted"]) == ("watch", signal.SIGINT)


async def test_a_watch_that_is_cancelled_leaves_what_it_has_not_done(
    moto: Endpoint, notified: Notified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    source, copy = f"s3://{notified.bucket}/p", tmp_path / "copy"
    await to_thread.run_sync(notified.put, "p/a")
    options: dict[str, Any] = {"queue": notified.queue, "every": 7200.0}

    async def until_received() -> None:
        await to_thread.run_sync(notified.put, "p/b")
        await to_thread.run_sync(notified.wait_until, (0, 1))

    async with aios3sync.connect() as session:
        async with aclosing(session.watch(source, copy, stable=3600.0, **options)) as reports:
            assert (await anext(reports)).downloaded == 1
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anext, reports)
                await until_received()
                tasks.cancel_scope.cancel()
        assert files(copy) == {"a": "p/a"}
        assert await to_thread.run_sync(notified.left) == (0, 1), "hidden, and still there"
        async with aclosing(session.watch(source, copy, **options)) as reports:
            assert (await anext(reports)).downloaded == 1
    assert files(copy) == {"a": "p/a", "b": "p/b"}


class Network:
    """A TCP relay to a server that can be cut and mended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def mend(self) -> None:
        """Accept connections, always at the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Refuse connections, and break those that there are."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection(*self._to)
            self._writers |= {writer, back}
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
            self._writers -= {writer, back}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def test_a_network_that_is_gone_for_a_while_is_survived(
    moto: Endpoint, notified: Notified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed meanwhile arrives when the queue can be read again, and no message is left."""
    network = Network(moto.url)
    await network.mend()
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value.replace(moto.url, f"http://127.0.0.1:{network.port}"))
    await to_thread.run_sync(notified.put, "p/a")
    queue = notified.queue.replace(moto.url, f"http://127.0.0.1:{network.port}")
    copy, stop = tmp_path / "copy", Stop()
    cut_seen = anyio.Event()

    class Warned(logging.Handler):
        """Sees that the queue cannot be read."""

        def emit(self, record: logging.LogRecord) -> None:
            """Note it."""
            if "cannot be read" in record.getMessage():
                cut_seen.set()

    seen = Warned()
    logging.getLogger("aios3sync.watch.queue_changes").addHandler(seen)
    try:
        async with aios3sync.connect() as session:
            reports = session.watch(
                f"s3://{notified.bucket}/p", copy, queue=queue, stable=0.05, every=3600.0, stop=stop
            )
            async with aclosing(reports):
                assert (await anext(reports)).downloaded == 1
                network.cut()

                async def change() -> None:
                    await cut_seen.wait()
                    await to_thread.run_sync(notified.put, "p/b")
                    await network.mend()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(change)
                    while (await to_thread.run_sync(files, copy)) != {"a": "p/a", "b": "p/b"}:
                        await anext(reports)
                stop.request()
                with suppress(StopAsyncIteration):
                    await anext(reports)
    finally:
        logging.getLogger("aios3sync.watch.queue_changes").removeHandler(seen)
        network.cut()
    assert await to_thread.run_sync(notified.left) == (0, 0)


async def test_a_queue_that_is_not_there_is_said_at_once(
    moto: Endpoint, notified: Notified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    async with aios3sync.connect() as session:
        missing = notified.queue + "-misspelt"
        reports = session.watch(f"s3://{notified.bucket}/p", tmp_path, queue=missing)
        with pytest.raises(StoreError, match="no such queue"):
            await anext(reports)
