"""``sync`` and ``job`` add what they sent to a catalog: after all uploads, and a failure fails no sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bucket, CommandLine

DATASETS = "private_datasets_index.json"
MODELS = "private_models_index.json"


def index(bucket: Bucket, key: str = DATASETS) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(bucket.get(key))
    return document


def test_a_dataset_is_added_when_all_is_there(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    (tree / "README.md").write_text("# card")
    ended = cli.process(
        *("sync", tree, bucket.url("odd place/d"), "--catalog-dataset", "org/d"),
        *("--catalog-config", "en", "--catalog-revision", "v1"),
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[-1] == f"added org/d to {bucket.url(DATASETS)}"
    entry = index(bucket)["org/d---en---v1"]
    assert (entry["s3_prefix"], entry["s3_bucket"], entry["has_card"]) == ("odd place/d", bucket.name, True)


def test_json_reports_the_entry_of_the_catalog(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    (tree / "config.json").write_text("{}")
    options = ("--catalog-model", "org/m", "--catalog-public", "--catalog-acl", "public-read")
    report = cli(
        "sync", tree, bucket.url("m"), *options, "--catalog-replica", bucket.url("copy"), "--json"
    ).json()
    assert report["catalog"] == {
        "id": "org/m",
        "location": bucket.url(MODELS),
        "state": "added",
        "error": "",
        "copies": {bucket.url("public_models.json"): "", bucket.url(f"copy/{MODELS}"): ""},
    }
    assert report["requests"]["GetObject"] > 0
    assert index(bucket, f"copy/{MODELS}") == index(bucket, MODELS)
    assert index(bucket, MODELS)["org/m---default_revision"]["has_config"] is True


def test_a_catalog_below_a_prefix(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    cli("sync", tree, bucket.url("lake/d"), "--catalog-dataset", "d", "--catalog-url", bucket.url("lake"))
    assert list(index(bucket, f"lake/{DATASETS}")) == ["d---default_config---default_revision"]


def test_a_dry_run_says_what_it_would_do(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    ended = cli("sync", tree, bucket.url("d"), "--catalog-dataset", "d", "--dry-run")
    assert f"(dry run) would add d to {bucket.url(DATASETS)}" in ended.lines
    assert bucket.keys() == set()
    report = cli("sync", tree, bucket.url("d"), "--catalog-dataset", "d", "--dry-run", "--json").json()
    assert report["catalog"]["state"] == "planned"


def test_what_was_not_sent_whole_is_not_added(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    (tree / "a.txt").unlink()
    bucket.put("d/old.txt", b"old")
    ended = cli("sync", tree, bucket.url("d"), "--catalog-dataset", "d", "--delete", "--max-delete", "0")
    assert ended.code == 4
    assert "warning: d was not added to the catalog: not all of its files are there" in ended.err
    assert bucket.keys() == {"d/b.txt", "d/old.txt", "d/sub/c.html"}


def test_a_failing_catalog_fails_no_sync(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    # An archived object cannot be read, which is neither missing nor corrupt.
    bucket.client.put_object(Bucket=bucket.name, Key=DATASETS, Body=b"{}", StorageClass="GLACIER")
    ended = cli("sync", tree, bucket.url("d"), "--catalog-dataset", "d")
    assert ended.code == 0
    assert ended.lines[-1].startswith("uploaded 3 files")
    assert ended.err.startswith("warning: d was not added to the catalog: ")
    assert ended.err.endswith("; add it when the reason is gone\n")
    report = cli("sync", tree, bucket.url("d"), "--catalog-dataset", "d", "--json").json()
    assert (report["exit_code"], report["catalog"]["state"]) == (0, "failed")
    assert report["catalog"]["error"]
    quiet = cli("sync", tree, bucket.url("d"), "--catalog-dataset", "d", "--quiet")
    assert (quiet.code, quiet.out) == (0, "")
    assert quiet.err.startswith("not added to the catalog: ")


def test_events_end_with_the_entry_of_the_catalog(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    events = cli("sync", tree, bucket.url("d"), "--catalog-dataset", "d", "--events").events()
    kinds = [event["event"] for event in events]
    assert kinds[-1] == "finished"
    assert kinds.index("phase", kinds.index("uploaded")) < len(kinds) - 1
    assert [event["phase"] for event in events if event["event"] == "phase"][-1] == "finish"
    assert events[-1]["report"]["catalog"]["state"] == "added"


def test_a_job_has_the_same_as_a_field(cli: CommandLine, bucket: Bucket, tree: Path) -> None:
    catalog = {"model": "org/m", "revision": "v2", "replicas": [bucket.url("copy")], "public": False}
    document = {"source": str(tree), "target": bucket.url("m"), "catalog": catalog}
    last = cli("job", stdin=orjson.dumps(document)).events()[-1]
    assert (last["event"], last["report"]["catalog"]["state"]) == ("finished", "added")
    assert list(index(bucket, f"copy/{MODELS}")) == ["org/m---v2"]


@pytest.mark.parametrize(
    ("catalog", "field", "text"),
    [
        ("org/d", "catalog", "must be an object"),
        ({}, "catalog.dataset", "give dataset or model"),
        ({"dataset": "d", "model": "m"}, "catalog.dataset", "excludes model"),
        ({"dataset": 7}, "catalog.dataset", "must be a text"),
        ({"dataset": "d", "replicas": "s3://b"}, "catalog.replicas", "must be a list of texts"),
        ({"dataset": "d", "public": 1}, "catalog.public", "must be true or false"),
        ({"dataset": "d", "kind": "x"}, "catalog.kind", "unknown field"),
        ({"model": "m", "config": "c"}, "catalog.config", "models have no config"),
        ({"dataset": "d", "revision": ""}, "catalog.revision", "is no name"),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict) else "",
)
def test_invalid_catalog_fields_of_a_job(cli: CommandLine, catalog: Any, field: str, text: str) -> None:
    document = {"source": ".", "target": "s3://bucket/p", "catalog": catalog}
    ended = cli("job", stdin=orjson.dumps(document))
    (error,) = ended.events()
    assert (ended.code, error["field"]) == (2, field)
    assert text in error["error"]


@pytest.mark.parametrize(
    ("target", "options", "text"),
    [
        ("p", ("--catalog-dataset", "d", "--catalog-model", "m"), "--catalog-dataset: excludes"),
        (
            "p",
            ("--catalog-revision", "v1"),
            "--catalog-revision: belongs to an entry; give --catalog-dataset",
        ),
        ("p", ("--catalog-replica", "s3://b"), "--catalog-replica: belongs to an entry"),
        ("p", ("--catalog-model", "m", "--catalog-config", "c"), "--catalog-config: models have no config"),
        ("p", ("--catalog-dataset", ""), "--catalog-dataset: an entry of the catalog needs one"),
        (
            "p",
            ("--catalog-dataset", "d", "--catalog-acl", "public-read"),
            "--catalog-acl: applies to the public",
        ),
        ("", ("--catalog-dataset", "d"), "cannot be a whole bucket; sync below a prefix"),
        ("p", ("--catalog-dataset", "d", "--catalog-url", "s3://elsewhere"), "not in the bucket"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(
    cli: CommandLine, bucket: Bucket, tree: Path, target: str, options: tuple[str, ...], text: str
) -> None:
    ended = cli("sync", tree, bucket.url(target), *options)
    assert (ended.code, ended.out) == (2, "")
    assert text in ended.error
    assert bucket.keys() == set()
