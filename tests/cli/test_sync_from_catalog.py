"""``sync catalog:org/name``: the catalog says where the files are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from aios3sync.testing.trees import make_tree
from tests.sync.conftest import body_tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bucket, CommandLine

FILES = {"a.txt": b"hello", "d/b": b"22"}


@pytest.fixture
def filled(cli: CommandLine, bucket: Bucket, tmp_path: Path) -> Bucket:
    """A bucket with a dataset and a model."""
    tree = make_tree(tmp_path / "made", FILES)
    assert cli("sync", tree, bucket.url("odd place/d"), "--catalog-dataset", "org/cats").code == 0
    model = ("--catalog-model", "org/m", "--catalog-revision", "v1")
    assert cli("sync", tree, bucket.url("m"), *model).code == 0
    return bucket


def test_files_of_a_dataset_come_down(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    place = tmp_path / "place"
    ended = cli("sync", "catalog:org/cats", place, "--source-catalog", filled.url(), "--json")
    report = ended.json()
    assert (ended.code, report["downloaded"], report["source"]) == (0, 2, filled.url("odd place/d/"))
    assert body_tree(place) == FILES
    again = cli("sync", filled.url("odd place/d"), place, "--json").json()
    assert (again["downloaded"], again["kept"]) == (0, 2), "the pair is that of the bucket"


def test_a_model_goes_to_another_bucket_and_is_compared(cli: CommandLine, filled: Bucket) -> None:
    source, copy = "catalog:org/m", filled.url("copy")
    options = ("--source-catalog", filled.url(), "--source-kind", "models", "--source-revision", "v1")
    assert cli("sync", source, copy, *options).code == 0
    assert filled.get("copy/d/b") == b"22"
    assert cli("verify", source, copy, *options).code == 0
    ended = cli("explain", source, copy, "a.txt", *options)
    assert (ended.code, "keep" in ended.out) == (0, True)


def test_the_environment_names_the_catalog(
    cli: CommandLine, filled: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = cli("sync", "catalog:org/cats", tmp_path / "place")
    assert ended.code == 2
    assert "give --source-catalog s3://BUCKET, or set AIOS3SYNC_S3_BUCKET_NAME" in ended.error
    monkeypatch.setenv("HGLOC_S3_BUCKET_NAME", filled.name)
    assert cli("sync", "catalog:org/cats", tmp_path / "place").code == 0
    assert body_tree(tmp_path / "place") == FILES
    job = {"source": "catalog:org/cats", "target": str(tmp_path / "of a job")}
    assert cli("job", stdin=json.dumps(job).encode()).code == 0
    assert body_tree(tmp_path / "of a job") == FILES


def test_an_unknown_entry_names_near_ones(cli: CommandLine, filled: Bucket, tmp_path: Path) -> None:
    ended = cli("sync", "catalog:org/cat", tmp_path / "place", "--source-catalog", filled.url())
    assert ended.code == 1
    assert "has no 'org/cat'; near to it: 'org/cats'" in ended.error
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize(
    ("source", "options", "text"),
    [
        ("s3://bucket/p", ("--source-kind", "models"), "--source-kind: the source is no entry of a catalog"),
        ("s3://bucket/p", ("--source-catalog", "s3://b"), "--source-catalog: the source is no entry"),
        ("catalog:m", ("--source-kind", "models", "--source-config", "c"), "models have no config"),
        ("catalog:m", ("--source-catalog", "bucket"), "s3://"),
        ("catalog:m", ("--source-catalog", "s3://b", "--acl", "private"), "--acl: a download writes no"),
    ],
)
def test_wrong_usage(
    cli: CommandLine, tmp_path: Path, source: str, options: tuple[str, ...], text: str
) -> None:
    ended = cli("sync", source, tmp_path / "place", *options)
    assert (ended.code, text in ended.error) == (2, True), ended.error
