"""The plainest command lines mean the same, whichever of the two readers reads them."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.cli import everyday, plain_sync
from aios3sync.cli.commands.sync import sync_command
from aios3sync.cli.options import connect_options, output, sync_options
from aios3sync.cli.output.view import Output
from aios3sync.cli.plain_sync import PlainSync, UnknownError, read_plain_sync
from aios3sync.cli.program import program
from aios3sync.options import VARIABLES, ConnectOptions
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.profile_files import read_profile, write_profile
from aios3sync.store.wire.blocking_puts import BlockingPuts
from aios3sync.sync.small_run import run_small
from tests.cli.conftest import Bucket, CommandLine

_WORDS = st.text("ab*/.-=é ", min_size=1, max_size=5)
_VALUES = st.one_of(_WORDS, st.sampled_from(["http://h:1", "https://host/x", "m.sqlite", "list", "auto"]))
_NAMED = st.sampled_from(
    ["--endpoint-url", "--profile", "--region", "--manifest", "--include", "--exclude", "--check"]
).flatmap(
    lambda name: st.one_of(
        _VALUES.map(lambda value: [name, value]), _VALUES.map(lambda value: [f"{name}={value}"])
    )
)
_FLAG = st.sampled_from(
    ["-q", "--quiet", "--json", "--no-progress", "-v", "--verbose", *plain_sync._ACTIONS]
).map(lambda flag: [flag])
_PLACE = st.one_of(_WORDS, st.just("s3://bucket/p")).map(lambda place: [place])


def read_by_click(arguments: list[str]) -> PlainSync:
    above = click.Context(program, info_name="aios3sync", **program.context_settings)
    context = sync_command.make_context("sync", list(arguments), parent=above)
    values: dict[str, Any] = dict(context.params)
    shown: Output = output(values)
    return PlainSync(
        values["source"], values["target"], sync_options(context, values), connect_options(values), shown
    )


@given(st.lists(st.one_of(_NAMED, _FLAG, _PLACE), min_size=1, max_size=6))
def test_both_readers_agree(parts: list[list[str]]) -> None:
    """What the quick reader accepts, click reads in the same way; what it refuses may be anything."""
    arguments = [word for part in parts for word in part]
    try:
        plain = read_plain_sync(["sync", *arguments])
    except Exception:  # noqa: BLE001 - left to click
        return
    assert plain == read_by_click(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["d", "s3://b/p"],
        ["d", "s3://b/p", "--endpoint-url", "http://h:1", "-q"],
        ["d", "s3://b/p", "--check", "list", "--delete-tracked", "--dry-run", "--gitignore"],
        ["--exclude=*.log", "d", "--include", "a", "s3://b/p", "--manifest", "m", "-v", "--json"],
    ],
)
def test_plain_command_lines_are_accepted(arguments: list[str]) -> None:
    assert read_plain_sync(["sync", *arguments]) == read_by_click(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["d"],
        ["d", "s3://b", "x"],
        ["d", "s3://b", "--delete", "--delete-tracked"],
        ["d", "s3://b", "--check", "all"],
        ["d", "s3://b", "--workers", "3"],
        ["d", "s3://b", "-vv"],
        ["d", "s3://b", "-v", "-v"],
        ["d", "s3://b", "--endpoint-url"],
        ["d", "s3://b", "--endpoint-url", "-q"],
        ["d", "s3://b", "--region="],
        ["--", "d", "s3://b"],
        ["d", "s3://b", "--events"],
    ],
    ids=" ".join,
)
def test_all_others_are_left_to_the_program(arguments: list[str]) -> None:
    with pytest.raises(UnknownError):
        read_plain_sync(["sync", *arguments])


@pytest.mark.parametrize("name", ["AIOS3SYNC_ETAGS", "AIOS3SYNC_LANE"])
def test_options_of_the_environment_are_left_to_the_program(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "auto")
    with pytest.raises(UnknownError):
        read_plain_sync(["sync", "d", "s3://b"])


@pytest.mark.parametrize(
    "how",
    [
        [],
        ["-q"],
        ["-v"],
        ["--json"],
        ["--exclude", "*.none"],
        ["--check", "list"],
        ["--check", "list", "--json"],
        ["--check", "list", "-v"],
        ["--delete"],
    ],
    ids=str,
)
def test_an_unchanged_sync_prints_what_a_run_prints(
    cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:
    """Only the times differ."""
    assert cli("sync", tree, bucket.url(), *how).code == 0
    for path in tree.rglob("*"):
        monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
        path.touch()
    assert cli("sync", tree, bucket.url(), *how).code == 0
    quick = cli("sync", tree, bucket.url(), *how)
    monkeypatch.setattr(everyday, "run_small", lambda *_: None)
    whole = cli("sync", tree, bucket.url(), *how)
    assert (quick.code, quick.err) == (whole.code, whole.err)
    if "--json" in how:
        documents = [ended.json() for ended in (quick, whole)]
        for document in documents:
            assert document.pop("knowledge_age_s") >= 0
            document.pop("elapsed_s")
        assert documents[0] == documents[1]
    else:
        assert _without_times(quick.out) == _without_times(whole.out)


@pytest.mark.parametrize(
    "how",
    [[], ["-q"], ["-v"], ["--json"], ["--delete-tracked"], ["--delete"], ["--check", "list", "--json"]],
    ids=str,
)
def test_a_sync_of_one_file_prints_what_a_run_prints(
    cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:
    """Only the times differ; a run that shows the endpoint is a whole one."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
    asked = []

    def noted(*arguments: Any) -> Any:
        asked.append(run_small(*arguments))
        return asked[-1]

    ended = []
    for prefix, instead in (("one/", noted), ("two/", lambda *_: None)):
        monkeypatch.setattr(everyday, "run_small", lambda *_: None)
        (tree / "new.txt").unlink(missing_ok=True)
        assert cli("sync", tree, bucket.url(prefix)).code == 0
        (tree / "new.txt").write_text("new")
        monkeypatch.setattr(everyday, "run_small", instead)
        ended.append(cli("sync", tree, bucket.url(prefix), *how))
        assert bucket.get(f"{prefix}new.txt") == b"new"
    one, two = ended
    (report,) = asked
    assert (report is None) == ("-v" in how)
    assert (one.code, one.err) == (two.code, two.err)
    if "--json" in how:
        documents = [each.json() for each in ended]
        for document in documents:
            assert document.pop("target").endswith(("/one/", "/two/"))
            assert document.pop("knowledge_age_s") >= 0
            document.pop("elapsed_s")
        assert documents[0] == documents[1]
        assert documents[0]["requests"]["PutObject"] == 1
    else:
        assert _without_times(one.out) == _without_times(two.out)
    heads = [bucket.head(f"{prefix}new.txt") for prefix in ("one/", "two/")]
    for head in heads:
        del head["ResponseMetadata"], head["LastModified"]
        assert head["Metadata"].pop("mtime")
    assert heads[0] == heads[1]


def _small(
    cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> int | None:
    """Run the sync of a tree without a run; ``None`` if a run has to end it."""
    url = bucket.endpoint.url
    plain = read_plain_sync(["sync", str(tree), bucket.url(), "--endpoint-url", url, "--quiet", *options])
    for name, value in cli.environment.items():
        monkeypatch.setenv(name, value)
    return everyday._run_small(plain, [])


def test_what_the_etags_of_an_endpoint_are_is_kept(
    cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _small(cli, bucket, tree, monkeypatch) == 0
    assert bucket.keys() == {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    profile = EndpointProfile(bucket.endpoint.url)
    read_profile(profile)
    assert profile.etags == "md5"


def test_an_endpoint_whose_etags_prove_nothing_is_left_to_a_run(
    cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cli.environment.items():
        monkeypatch.setenv(name, value)
    profile = EndpointProfile(bucket.endpoint.url)
    profile.record("etags", "opaque")
    write_profile(profile)
    assert _small(cli, bucket, tree, monkeypatch) is None
    assert not bucket.keys()


@pytest.mark.parametrize("etags", ["opaque", "md5", "auto"])
def test_an_endpoint_of_which_the_user_says_something_is_left_to_a_run(
    cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch, etags: str
) -> None:
    options = ConnectOptions(endpoint_url=bucket.endpoint.url, etags=etags)  # type: ignore[arg-type]
    plain = read_plain_sync(["sync", str(tree), bucket.url()])._replace(connection=options)
    for name, value in cli.environment.items():
        monkeypatch.setenv(name, value)
    assert everyday._run_small(plain, []) is None
    assert not bucket.keys()


@pytest.mark.parametrize("how", [["-v"], [], ["--json"]], ids=str)
@pytest.mark.parametrize("sent", [0, 1, 3])
def test_a_sync_that_a_run_ends_prints_what_a_run_prints(
    cli: CommandLine,
    bucket: Bucket,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: list[str],
    sent: int,
) -> None:
    """What was sent before counts as sent, once."""
    monkeypatch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
    begun = BlockingPuts._begun
    monkeypatch.setattr(BlockingPuts, "_begun", lambda self, puts: islice(begun(self, puts), sent))
    ended = [cli("sync", tree, bucket.url("one/"), *how)]
    monkeypatch.setattr(everyday, "run_small", lambda *_: None)
    ended.append(cli("sync", tree, bucket.url("two/"), *how))
    one, two = ended
    assert (one.code, one.err) == (two.code, two.err)
    if "--json" in how:
        documents = [each.json() for each in ended]
        for document in documents:
            assert document.pop("target").endswith(("/one/", "/two/"))
            document.pop("elapsed_s")
            document["requests"].pop("ListObjectsV2")
        assert documents[0] == documents[1]
    else:
        assert sorted(_without_times(one.out).splitlines()) == sorted(_without_times(two.out).splitlines())
    names: dict[str, set[str]] = {"one/": set(), "two/": set()}
    for key in sorted(bucket.keys()):
        names[key[:4]].add(key[4:])
    assert names["one/"] == names["two/"]


def _without_times(text: str) -> str:
    return re.sub(r"\d+(\.\d)? s", "", text)


def test_the_quick_reader_knows_only_options_that_click_has() -> None:
    known = {name for item in sync_command.params if isinstance(item, click.Option) for name in item.opts}
    ours = {
        *plain_sync._CONNECTION,
        *plain_sync._RULES,
        *plain_sync._FLAGS,
        *plain_sync._ACTIONS,
        plain_sync._CHECK,
        plain_sync._MANIFEST,
    }
    assert ours <= known
    variables = {item.envvar for item in sync_command.params if isinstance(item, click.Option)} - {None}
    assert all(str(name).startswith(VARIABLES) for name in variables)
