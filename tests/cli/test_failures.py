"""Every way in which a run can fail as a whole: one line, the right exit code, and no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aios3sync.manifest.files import default_path
from aios3sync.manifest.lock import hold_lock, lock_path
from aios3sync.manifest.protocol import Binding
from aios3sync.testing.servers import Endpoint

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine


def test_no_such_directory(offline: CommandLine) -> None:
    ended = offline.process("sync", "/no/such/place", "s3://bucket/p")
    assert (ended.code, ended.out) == (1, "")
    assert ended.error == "no such directory: '/no/such/place'"


def test_a_file_as_source(offline: CommandLine, tree: Path) -> None:
    ended = offline.process("sync", tree / "a.txt", "s3://bucket/p")
    assert ended.code == 1
    assert "is not a directory; name the directory to sync" in ended.error


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("s3:/bad", "'s3:/bad' is not an S3 location; write s3://bucket/prefix"),
        ("bucket/prefix", "is not an S3 location"),
        ("s3://", "cannot be a bucket name"),
        ("s3://a b/c", "cannot be a bucket name: 3 to 255 letters"),
    ],
)
def test_impossible_targets(offline: CommandLine, tree: Path, target: str, expected: str) -> None:
    ended = offline.process("sync", tree, target)
    assert ended.code == 2
    assert expected in ended.error


def test_no_such_bucket(cli: CommandLine, tree: Path) -> None:
    ended = cli.process("sync", tree, "s3://nobody-made-this/p")
    assert ended.code == 1
    assert "nobody-made-this: no such bucket; create it first" in ended.error


def test_wrong_credentials(
    cli: CommandLine, seaweedfs: Endpoint, make_bucket: Callable[[Endpoint], Bucket], tree: Path
) -> None:
    bucket = make_bucket(seaweedfs)
    wrong = {**seaweedfs.environment(), "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    ended = cli.process("sync", tree, bucket.url("p"), set_=wrong)
    assert ended.code == 1
    assert "credentials" in ended.error
    assert "not-the-secret" not in ended.error
    assert bucket.keys() == set()


def test_no_credentials(offline: CommandLine, tree: Path) -> None:
    ended = offline.process("sync", tree, "s3://bucket/p")
    assert ended.code == 1
    assert "credentials" in ended.error.lower()


def test_an_endpoint_without_a_server_is_named(offline: CommandLine, tree: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "a-secret"}
    ended = offline.process("sync", tree, "s3://bucket/p", set_=keys)
    assert ended.code == 1
    assert "cannot reach the endpoint" in ended.error
    assert "a-secret" not in ended.err


def test_no_place_for_a_manifest_is_a_warning_and_the_sync_works(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    ended = cli.process("sync", tree, bucket.url(), set_={"XDG_STATE_HOME": "/dev/null/x"})
    assert ended.code == 0
    assert "working without a manifest" in ended.err
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html"}


@pytest.mark.parametrize("name", ["m.json", "m.sqlite"])
def test_a_manifest_that_is_none_is_left_as_it_is(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text("my diary")
    ended = cli.process("sync", tree, bucket.url(), "--manifest", path)
    assert ended.code == 1
    assert "is not a manifest, and is left as it is; name another file" in ended.error
    assert path.read_text() == "my diary"


def test_a_second_run_of_the_same_pair_stops(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    binding = Binding(str(tree), bucket.endpoint.url, bucket.name, "")
    with hold_lock(lock_path(default_path(binding))):
        ended = cli.process("sync", tree, bucket.url())
    assert ended.code == 5
    assert "another run of the same source and target is at work" in ended.error


def test_a_guard_refuses_with_exit_code_4_and_says_how_to_go_on(
    cli: CommandLine, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("kept", b"x")
    (tmp_path / "empty").mkdir()
    ended = cli.process("sync", tmp_path / "empty", bucket.url(), "--delete")
    assert ended.code == 4
    assert ended.err.count("--allow-empty-source") == 1
    assert bucket.keys() == {"kept"}
    assert cli.process("sync", tmp_path / "empty", bucket.url(), "--delete", "--allow-empty-source").code == 0
    assert bucket.keys() == set()


def test_json_says_in_a_document_why_there_is_no_report(offline: CommandLine) -> None:
    ended = offline.process("sync", "/no/such/place", "s3://bucket/p", "--json")
    document = ended.json()
    assert document == {
        "command": "sync",
        "error": "no such directory: '/no/such/place'",
        "kind": "SourceError",
        "exit_code": 1,
    }


def test_vv_shows_the_traceback_below_which_the_line_stands(offline: CommandLine) -> None:
    ended = offline.process("sync", "/no/such/place", "s3://bucket/p", "-vv")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert ended.err.splitlines()[-1] == "aios3sync: error: no such directory: '/no/such/place'"


def test_one_bad_file_makes_exit_code_3_and_does_not_stop_the_rest(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    (tree / "mem").symlink_to("/proc/self/mem")  # opens, and cannot be read, not even by root
    ended = cli.process("sync", tree, bucket.url())
    assert ended.code == 3
    assert ended.err == "failed: mem: read: Input/output error\n"
    assert "failed: " not in ended.out
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html"}


@pytest.mark.parametrize("verbose", [(), ("-vv",)])
def test_an_unexpected_error_of_one_file_is_its_failure_and_vv_shows_where(
    cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch, verbose: tuple[str, ...]
) -> None:
    from aios3sync.local import tree as local_tree

    real = local_tree.small_file  # type: ignore[attr-defined]

    def broken(path: str, key: str, *more: Any, **facts: Any) -> Any:
        if key == "b.txt":
            raise LookupError("with a secret in it")
        return real(path, key, *more, **facts)

    monkeypatch.setattr(local_tree, "small_file", broken)
    monkeypatch.setattr("aios3sync.cli.everyday.run_small", lambda *_: None)  # it reads files by itself
    ended = cli("sync", tree, bucket.url(), *verbose)
    assert ended.code == 3
    said = ended.out + ended.err
    assert "b.txt: read: unexpected LookupError: -vv shows where" in said
    assert ("Traceback" in said) == bool(verbose)
    assert ("with a secret in it" in said) == bool(verbose)
    assert bucket.keys() == {"a.txt", "sub/c.html"}


def test_the_log_is_shown_at_vv_alone(cli: CommandLine, tree: Path, bucket: Bucket) -> None:
    """Why requests go another way than usual is worth a line, but not for everybody."""
    proxied = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "elsewhere"}
    quiet = cli.process("sync", tree, bucket.url(), "--dry-run", "--check", "list", set_=proxied)
    loud = cli.process("sync", tree, bucket.url(), "--dry-run", "--check", "list", "-vv", set_=proxied)
    assert quiet.code == loud.code == 1
    assert "aios3sync.store.connections" not in quiet.err
    assert "aios3sync.store.connections: requests go through botocore" in loud.err
