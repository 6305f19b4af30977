"""connect(): clients of the caller, when a client is opened, and runs that send no request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import aioboto3
import pytest

import aios3sync
from aios3sync import AccessDeniedError, BucketNotFoundError, UnavailableError, UsageError
from aios3sync.testing.servers import Endpoint
from aios3sync.testing.trees import make_tree
from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]


async def test_a_callers_client_is_used_and_not_closed(place: Place, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "t", {"a": "1"})
    async with aioboto3.Session().client("s3") as client:
        async with aios3sync.connect(client=client) as s3:
            assert (await s3.sync(root, place.url("p"))).uploaded == 1
        answer = await client.list_objects_v2(Bucket=place.bucket)
        assert [item["Key"] for item in answer["Contents"]] == ["p/a"]
    async with aios3sync.connect(session=aioboto3.Session()) as s3:
        assert (await s3.sync(root, place.url("p"))).kept == 1


async def test_an_unreachable_endpoint_is_one_clear_error(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(tmp_path / "t", {"a": "1"})
    with pytest.raises(BucketNotFoundError, match="no-such-bucket"):
        await place.session.sync(root, "s3://no-such-bucket/p")
    async with aios3sync.connect(endpoint_url="http://127.0.0.1:9", max_attempts=2) as s3:
        with pytest.raises(UnavailableError, match="cannot reach the endpoint"):
            await s3.sync(root, place.url("p"))


async def test_wrong_credentials_are_reported_without_their_values(
    seaweedfs: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P16."""
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-value")
    root = make_tree(tmp_path / "t", {"a": "1"})
    async with aios3sync.connect() as s3:
        with pytest.raises(AccessDeniedError) as caught:
            await s3.sync(root, "s3://any-bucket/p")
    assert "wrong-secret-value" not in str(caught.value)
    assert "Signature=" not in str(caught.value)


async def test_an_unknown_option_is_a_usage_error(tmp_path: Path) -> None:
    async with aios3sync.connect() as s3:
        with pytest.raises(UsageError, match="'colour' is not a sync option"):
            await s3.sync(tmp_path, "s3://bucket/p", colour="red")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="colour"):
        async with aios3sync.connect(colour="red"):  # type: ignore[call-arg]
            pass


def test_a_run_without_requests_never_loads_botocore(tmp_path: Path, seaweedfs: Endpoint) -> None:
    code = """
import anyio, sys, aios3sync
async def main():
    async with aios3sync.connect() as s3:
        report = await s3.sync(sys.argv[1], "s3://bucket/p", manifest=sys.argv[2])
        assert report.requests == {} and report.kept == 1, report
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"botocore", "aioboto3", "aiobotocore", "boto3", "aiohttp"}, loaded
anyio.run(main)
"""
    root = make_tree(tmp_path / "t", {"a": "1"})
    manifest = make_manifest(tmp_path, root)
    subprocess.run([sys.executable, "-c", code, str(root), manifest], check=True, timeout=240)


def make_manifest(tmp_path: Path, root: Path) -> str:
    """Write a complete manifest, as a run a moment ago would have done, and return its path."""
    import time

    import anyio

    from aios3sync.core.entries import RecordedEntry
    from aios3sync.local.digest import small_file
    from aios3sync.local.read import read_files
    from aios3sync.manifest.files import open_manifest
    from aios3sync.manifest.protocol import Binding, ManifestState

    path = str(tmp_path / "state.sqlite")
    manifest = open_manifest(path, Binding(str(root), "aws", "bucket", "p/"), print)
    (answer,), _ = read_files([str(root / "a")], [2**20])
    assert not isinstance(answer, int)
    file = small_file(str(root / "a"), "a", answer)

    async def write() -> None:
        await manifest.record([RecordedEntry(*file.entry, file.md5.hex(), file.md5.hex())], [])
        await manifest.save_state(ManifestState(complete=True, listed_at=time.time(), last_sync=time.time()))
        await manifest.close()

    anyio.run(write)
    return path
