"""``aios3sync catalog``: tables, JSON, settings of the environment, and errors in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.request import urlopen

import orjson
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Bucket, CommandLine

INDEX = "private_datasets_index.json"


def test_add_list_show_remove(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("org_a/en/default_revision/dataset_card.md", b"# a")
    added = cli("catalog", "add", bucket.url(), "org/a", "--config", "en")
    assert (added.code, added.out) == (0, f"added org/a: 1 entry in s3://{bucket.name}/{INDEX}\n")
    listed = cli("catalog", "list", bucket.url())
    assert listed.lines[0] == "ID     CONFIG  REVISION  HAS   PREFIX"
    assert listed.lines[1] == "org/a  en      -         card  org_a/en/default_revision"
    assert listed.lines[2].startswith("1 entry from the index, ")
    shown = cli("catalog", "show", bucket.url(), "org/a").lines
    assert "config_name    en" in shown
    assert "has_card       yes" in shown
    removed = cli("catalog", "remove", bucket.url(), "org/a", "--config", "en", "--json").json()
    assert (removed["changed"], removed["entries"], removed["conditional"]) == (True, 0, True)
    assert cli("catalog", "remove", bucket.url(), "org/a").out.startswith("org/a is not in the catalog: ")
    assert orjson.loads(bucket.get(INDEX)) == {}


def test_columns_are_aligned_whatever_the_names(cli: CommandLine, bucket: Bucket) -> None:
    for name in ("日本語", "e\u0301", "plain"):
        bucket.put(f"models/{name}/v1/config.json", b"{}")
        cli("catalog", "add", bucket.url(), name, "--kind", "models", "--revision", "v1")
    lines = cli("catalog", "list", bucket.url(), "--kind", "models").lines
    assert lines[:4] == [
        "ID      REVISION  HAS     PREFIX",
        "日本語  v1        config  models/日本語/v1",
        "e\u0301       v1        config  models/e\u0301/v1",
        "plain   v1        config  models/plain/v1",
    ]


def test_an_entry_without_files_is_a_warning(cli: CommandLine, bucket: Bucket) -> None:
    ended = cli("catalog", "add", bucket.url(), "org/typo")
    assert ended.code == 0
    place = bucket.url("org_typo/default_config/default_revision/")
    assert ended.err == f"warning: org/typo has no files: nothing is at {place}\n"


def test_urls_are_printed_only_on_request(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("some/where/a b#.md", b"# card")
    bucket.put("some/where/below/c", b"c")
    cli("catalog", "add", bucket.url(), "org/d", "--at", "some/where")
    assert "X-Amz-Signature" not in cli("catalog", "show", bucket.url(), "org/d").out
    (urls,) = cli("catalog", "show", bucket.url(), "org/d", "--urls", "--expires", "5m", "--json").json()[
        "urls"
    ]
    assert list(urls) == ["a b#.md"]
    assert "X-Amz-Expires=300" in urls["a b#.md"]
    with urlopen(urls["a b#.md"]) as answer:  # noqa: S310 - our own server
        assert answer.read() == b"# card"
    assert urls["a b#.md"].partition("?")[0] in cli("catalog", "show", bucket.url(), "org/d", "--urls").out
    assert cli("catalog", "show", bucket.url(), "org/d", "--urls", "--expires", "8d").code == 2


def test_json_of_a_listing(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("d/default_config/default_revision/x", b"x")
    document = cli("catalog", "list", bucket.url(), "--json").json()
    assert (document["command"], document["tier"]) == ("catalog list", "scan")
    assert [one["reason"] for one in document["passed_over"]] == ["missing"]
    assert document["entries"][0]["dataset_id"] == "d"
    assert document["metrics"]["requests"]["GetObject"] == 1
    assert document["metrics"]["fallbacks"] == {"index:missing": 1}


def test_guesses_are_marked_and_an_unread_public_manifest_is_named(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("org_d/default_config/default_revision/dataset_info.json", b"{}")
    bucket.put("plain/default_config/default_revision/dataset_info.json", b"{}")
    public = {"x": {"dataset_id": "open", "s3_zip_key": "z", "s3_bucket": bucket.name}}
    bucket.put("public_datasets.json", orjson.dumps(public))
    ended = cli("catalog", "list", bucket.url())
    assert [line.split()[0] for line in ended.lines[1:3]] == ["org/d*", "plain"]
    assert "* guessed:" in ended.out
    assert (
        ended.lines[-1]
        == f"{bucket.url('public_datasets.json')} was not read; --tier all shows its entries too"
    )
    document = cli("catalog", "list", bucket.url(), "--json").json()
    assert document["unread"] == bucket.url("public_datasets.json")
    everything = cli("catalog", "list", bucket.url(), "--tier", "all", "--json").json()
    assert [one["dataset_id"] for one in everything["entries"]] == ["org/d", "plain", "open"]
    assert (everything["tier"], everything["unread"]) == ("all", "")


def test_a_warning_says_why_the_index_was_not_available(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put(INDEX, b"{")
    ended = cli("catalog", "list", bucket.url())
    assert "the index was not available (corrupt): it is not JSON" in ended.err
    assert "'aios3sync catalog rebuild' creates the index" in ended.err
    rebuilt = cli("catalog", "rebuild", bucket.url())
    assert rebuilt.code == 0
    assert ".corrupt-" in rebuilt.err
    assert cli("catalog", "list", bucket.url()).err == ""


def test_models_replicas_and_the_public_manifest(cli: CommandLine, bucket: Bucket) -> None:
    bucket.put("models/org_m/v1/config.json", b"{}")
    ended = cli(
        *("catalog", "add", bucket.url(), "org/m", "--kind", "models", "--revision", "v1", "--public"),
        *("--replica", bucket.url("copy"), "--replica", "s3://no-such-bucket-here", "--json"),
    )
    assert ended.code == 3
    copies = {copy["location"]: bool(copy["error"]) for copy in ended.json()["copies"]}
    assert list(copies.values()) == [False, False, True]
    assert bucket.get("copy/private_models_index.json") == bucket.get("private_models_index.json")
    assert b"model_config_url" in bucket.get("public_models.json")


def test_the_environment_of_the_original(cli: CommandLine, offline: CommandLine, bucket: Bucket) -> None:
    bucket.put(f"lake/{INDEX}", b"{}")
    theirs = {
        "HGLOC_S3_BUCKET_NAME": bucket.name,
        "HGLOC_S3_DATA_PREFIX": "lake",
        "HGLOC_S3_ENDPOINT_URL": bucket.endpoint.url,
        "HGLOC_AWS_ACCESS_KEY_ID": "test",
        "HGLOC_AWS_SECRET_ACCESS_KEY": "testsecret",
    }
    offline.environment = {**offline.environment, "AWS_ENDPOINT_URL": ""}
    ended = offline.process("catalog", "list", set_=theirs)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("0 entries from the index, ")
    ours = {name.replace("HGLOC_", "AIOS3SYNC_"): value for name, value in theirs.items()}
    wrong = {"HGLOC_S3_ENDPOINT_URL": "http://127.0.0.1:9", "HGLOC_AWS_SECRET_ACCESS_KEY": "wrong"}
    ended = offline.process("catalog", "list", set_=wrong | ours)
    assert (ended.code, ended.err) == (0, "")
    assert cli("catalog", "list").code == 2


def test_hostile_names(cli: CommandLine, bucket: Bucket) -> None:
    name = "a---b/\x1b[31m\"'ü"
    assert cli("catalog", "add", bucket.url(), name, "--at", "some/where").code == 0
    listed = cli("catalog", "list", bucket.url())
    assert "\x1b" not in listed.out
    assert "some/where" in listed.out
    assert cli("catalog", "show", bucket.url(), name, "--json").json()["entries"][0]["dataset_id"] == name


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("show", "URL", "nothing"), 1, "has no 'nothing'"),
        (("add", "URL", ""), 2, "ID: an entry of the catalog needs one"),
        (("add", "URL", "d", "--acl", "public-read"), 2, "--acl: applies to the public manifest"),
        (("add", "URL", "m", "--kind", "models", "--config", "x"), 2, "--config"),
        (("list", "bucket"), 2, "is not an S3 location"),
        (("list", "s3://no-such-bucket-here"), 1, "no such bucket"),
        (("add", "URL", "d", "--replica", "URL"), 2, "the catalog itself"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors(cli: CommandLine, bucket: Bucket, arguments: tuple[str, ...], code: int, text: str) -> None:
    ended = cli("catalog", *(bucket.url() if one == "URL" else one for one in arguments))
    assert (ended.code, ended.out) == (code, "")
    assert text in ended.err
    assert "Traceback" not in ended.err
