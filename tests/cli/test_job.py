"""A sync for another program: one JSON document in, JSON lines out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from aios3sync.cli.commands.job_document import read_job
from aios3sync.cli.commands.job_values import JobError

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine, Ended

_NODE = Path(__file__).parents[2] / "examples" / "node" / "sync.mjs"


def job(cli: CommandLine, **document: Any) -> Ended:
    return cli("job", stdin=orjson.dumps(document))


def test_a_directory_with_options_in_any_spelling(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    bucket.put("old", b"x")
    ended = job(cli, source=str(tree), target=bucket.url(), maxWorkers=8, syncDeletes=True, part_size="8M")
    events = ended.events()
    assert (ended.code, ended.err) == (0, "")
    done = [event for event in events if event["event"] in ("uploaded", "deleted")]
    assert [(event["done"], event["total"]) for event in done] == [(1, 3), (2, 3), (3, 3), (4, 4)]
    assert all(event["failed"] == 0 for event in done)
    assert events[-1]["event"] == "finished"
    report = events[-1]["report"]
    assert (report["uploaded"], report["deleted"], report["exit_code"]) == (3, 1, 0)
    assert bucket.keys() == {"a.txt", "b.txt", "sub/c.html"}


def test_files_from_anywhere_get_the_keys_and_headers_that_are_named(
    cli: CommandLine, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("x")
    files = [
        {"path": str(tree / "sub/c.html"), "key": "z//odd/../key", "contentType": "text/plain"},
        {"path": os.path.relpath(elsewhere), "key": "a", "metadata": {"owner": "lab"}},
    ]
    ended = job(cli, files=files, target=bucket.url("p"))
    assert ended.code == 0
    assert bucket.keys() == {"p/z//odd/../key", "p/a"}
    assert bucket.head("p/z//odd/../key")["ContentType"] == "text/plain"
    assert bucket.head("p/a")["Metadata"]["owner"] == "lab"
    again = job(cli, files=files, target=bucket.url("p")).events()[-1]["report"]
    assert (again["kept"], again["uploaded"], again["requests"]) == (2, 0, {})


def test_other_headers_reach_files_that_did_not_change(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    files = [{"path": str(tree / name), "key": name} for name in ("a.txt", "b.txt")]
    target = bucket.url("p")
    job(cli, files=files, target=target)
    files[0]["metadata"] = {"owner": "lab"}  # type: ignore[assignment]
    ended = job(cli, files=files, target=target)
    report = ended.events()[-1]["report"]
    assert (report["updated"], report["kept"], report["uploaded"]) == (1, 1, 0)
    assert [event["key"] for event in ended.events() if event["event"] == "updated"] == ["a.txt"]
    assert bucket.head("p/a.txt")["Metadata"]["owner"] == "lab"
    rules = {"headerFor": ["b*:cache-control=no-cache"], "files": files, "target": target}
    dry = job(cli, **rules, dryRun=True).events()[-1]["report"]
    assert (dry["updated"], dry["requests"]) == (1, {})
    off = job(cli, **rules, metadataUpdate="off").events()[-1]["report"]
    assert (off["updated"], off["kept"]) == (0, 2)
    sent = job(cli, **rules, metadataUpdate="upload").events()[-1]["report"]
    assert (sent["updated"], sent["uploaded"]) == (0, 1)
    assert bucket.head("p/b.txt")["CacheControl"] == "no-cache"


def test_a_list_of_files_is_the_whole_source(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    one = {"path": str(tree / "a.txt"), "key": "a"}
    two = {"path": str(tree / "b.txt"), "key": "b"}
    assert job(cli, files=[one, two], target=bucket.url("p")).code == 0
    assert job(cli, files=[one], target=bucket.url("p")).events()[-1]["report"]["deleted"] == 0
    assert (
        job(cli, files=[one], target=bucket.url("p"), delete="mirror").events()[-1]["report"]["deleted"] == 1
    )
    assert bucket.keys() == {"p/a"}
    refused = job(cli, files=[], target=bucket.url("p"), delete=True)
    assert refused.code == 4
    assert refused.events()[-1]["report"]["refused"]["guard"] == "empty-source"
    assert bucket.keys() == {"p/a"}


def test_a_named_file_that_is_missing_fails_and_its_object_stays(
    cli: CommandLine, bucket: Bucket, tree: Path
) -> None:
    bucket.put("p/lost", b"x")
    files = [{"path": "/no/such/file", "key": "lost"}, {"path": str(tree / "a.txt"), "key": "a"}]
    ended = job(cli, files=files, target=bucket.url("p"), delete=True)
    assert ended.code == 3
    failed = next(event for event in ended.events() if event["event"] == "failed")
    assert (failed["key"], failed["error"]) == ("lost", "No such file or directory")
    assert bucket.keys() == {"p/lost", "p/a"}


GOOD = {"source": "data", "target": "s3://bucket/prefix"}


@pytest.mark.parametrize(
    ("document", "field", "error"),
    [
        (None, "", "is not a JSON object"),
        ({}, "target", "is missing"),
        ({"target": GOOD["target"]}, "source", "is missing"),
        ({**GOOD, "source": 7}, "source", "must be a text"),
        ({**GOOD, "target": "s3:/bad"}, "target", "is not an S3 location"),
        ({**GOOD, "colour": "red"}, "colour", "unknown field; known are:"),
        ({**GOOD, "maxWorkers": "many"}, "maxWorkers", "must be a whole number"),
        ({**GOOD, "maxWorkers": True}, "maxWorkers", "must be a whole number"),
        ({**GOOD, "maxWorkers": 0}, "maxWorkers", "is not between"),
        ({**GOOD, "workers": 1, "max_workers": 2}, "max_workers", "given twice"),
        ({**GOOD, "partSize": "16X"}, "partSize", "is not a size"),
        ({**GOOD, "part_size": 1}, "part_size", "is not between 5 MiB and 5 GiB"),
        ({**GOOD, "delete": "all"}, "delete", "is not one of off, tracked, mirror"),
        ({**GOOD, "delete": True, "syncDeletes": True}, "syncDeletes", "the same as delete"),
        ({**GOOD, "exclude": "*.tmp"}, "exclude", "must be a list of texts"),
        ({**GOOD, "rules": [["hide", "*"]]}, "rules", "is not one of include, exclude"),
        ({**GOOD, "dryRun": "no"}, "dryRun", "must be true or false"),
        ({**GOOD, "metadata": {"a": 1}}, "metadata", "must be an object whose values are texts"),
        ({**GOOD, "sseCustomerKey": "c2hvcnQ="}, "sseCustomerKey", "must be 32 bytes as base64"),
        ({**GOOD, "files": [{"path": "a", "key": "b"}]}, "files", "exclude each other"),
        ({"target": GOOD["target"], "files": "a"}, "files", "must be a list"),
        ({"target": GOOD["target"], "files": ["a"]}, "files[0]", "must be an object"),
        ({"target": GOOD["target"], "files": [{"path": "a"}]}, "files[0].key", "is missing"),
        ({"target": GOOD["target"], "files": [{"path": "", "key": "k"}]}, "files[0].path", "not empty"),
        ({"target": GOOD["target"], "files": [{"path": "a", "key": "k", "x": 1}]}, "files[0].x", "unknown"),
        (
            {"target": GOOD["target"], "files": [{"path": "a", "key": "k" * 2000}]},
            "files[0].key",
            "S3 allows",
        ),
        ({"target": GOOD["target"], "files": [{"path": "a", "key": "k"}] * 2}, "files[1].key", "twice"),
    ],
)
def test_a_wrong_document_names_the_field_as_it_is_spelled(document: Any, field: str, error: str) -> None:
    with pytest.raises(JobError, match=re.escape(error)) as caught:
        read_job(orjson.dumps(document))
    assert caught.value.field == field


def test_every_option_can_be_a_field() -> None:
    document = {
        **GOOD,
        "include": ["*.a"],
        "rules": [["exclude", "*"]],
        "files": ["x", "y"],
        "maxManifestAge": "2h",
        "metadata": {"a": "b"},
        "manifest": False,
        "maxDeleteRatio": 0.1,
        "bwlimit": "1M",
        "endpointUrl": "http://127.0.0.1:1",
        "noSignRequest": True,
        "gzip": ["css"],
    }
    read = read_job(orjson.dumps(document))
    assert read.source == "data"
    assert read.options.rules == (("exclude", "*"),)
    assert read.options.files == ("x", "y")
    assert read.options.max_manifest_age == 7200
    assert read.options.manifest is False
    assert (read.connection.bandwidth, read.connection.anonymous) == (1 << 20, True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"target": "s3://bucket/p"}'])
def test_a_wrong_document_is_one_json_line_and_exit_code_2(offline: CommandLine, text: str) -> None:
    ended = offline("job", stdin=text.encode())
    (event,) = ended.events()
    assert (ended.code, ended.err, event["event"]) == (2, "", "error")
    assert "field" in event
    assert event["error"]


def test_a_run_that_fails_is_one_json_line_and_the_exit_code_of_sync(offline: CommandLine) -> None:
    ended = job(offline, source="/no/such/place", target="s3://bucket/p")
    (event,) = ended.events()
    assert (ended.code, event["event"], event["error"]) == (1, "error", "no such directory: '/no/such/place'")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_example_for_nodejs_runs(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    environment = {**cli.environment, "AIOS3SYNC": f"{sys.executable} -m aios3sync"}

    def node(*arguments: str) -> tuple[int, str, str]:
        command = ["node", os.fspath(_NODE), *arguments]
        ended = subprocess.run(command, capture_output=True, env=environment, timeout=240, check=False)
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    bucket.put("old", b"x")
    code, out, _ = node(os.fspath(tree), bucket.url(), "--delete")
    assert code == 0
    assert 'uploaded "a.txt" (' in out
    assert 'deleted "old" (4/4 files, 21/21 bytes)' in out
    assert out.endswith("uploaded 3, kept 0, deleted 1, failed 0\n")
    assert node("/no/such/place", bucket.url()) == (1, "", "no such directory: '/no/such/place'\n")
