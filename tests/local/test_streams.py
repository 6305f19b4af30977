"""Standard streams: read and written whole, and given up when they are not wanted any more."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from aios3sync.local.streams import read_stream, write_stream


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


def test_a_pipe_is_read_to_its_end(stop: threading.Event) -> None:
    source, sink = os.pipe()
    body = os.urandom(300_000)

    def write() -> None:
        with open(sink, "wb", buffering=0) as file:
            write_stream(file, body, stop)

    writer = threading.Thread(target=write)
    writer.start()
    with open(source, "rb") as file:
        pieces = list(iter(lambda: read_stream(file, 100_000, stop), b""))
    writer.join()
    assert b"".join(pieces) == body
    assert len(pieces[0]) == 100_000


def test_a_pipe_that_gives_nothing_is_given_up(stop: threading.Event) -> None:
    source, sink = os.pipe()
    stop.set()
    with open(source, "rb") as file, open(sink, "wb"):
        assert read_stream(file, 10, stop) == b""


def test_a_pipe_that_takes_nothing_is_given_up(stop: threading.Event) -> None:
    source, sink = os.pipe()
    with open(source, "rb"), open(sink, "wb", buffering=0) as file:
        writer = threading.Thread(target=write_stream, args=(file, bytes(10_000_000), stop))
        writer.start()
        stop.set()
        writer.join(60)
        assert not writer.is_alive()


def test_a_reader_that_has_left_is_an_error(stop: threading.Event) -> None:
    source, sink = os.pipe()
    os.close(source)
    with open(sink, "wb", buffering=0) as file, pytest.raises(BrokenPipeError):
        write_stream(file, b"x", stop)


def test_files_and_memory_are_streams_too(stop: threading.Event, tmp_path: Path) -> None:
    with open(tmp_path / "x", "wb") as file:
        write_stream(file, b"alpha", stop)
    with open(tmp_path / "x", "rb") as file:
        assert read_stream(file, 10, stop) == b"alpha"
    memory = io.BytesIO()
    write_stream(memory, b"beta", stop)
    memory.seek(0)
    assert read_stream(memory, 10, stop) == b"beta"
