"""Configuration files: where they are found, what counts before what, what is refused, what is shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import orjson
import pytest

from aios3sync.cli.commands.sync import sync_command
from aios3sync.cli.config_file import find_config_file
from aios3sync.cli.main import run
from aios3sync.cli.options import connect_options, sync_options
from aios3sync.cli.plain_sync import UnknownError, read_plain_sync
from aios3sync.cli.schema import config_schema
from aios3sync.cli.settings import known_options, option_keys, variable_of
from aios3sync.options import ConnectOptions, SyncOptions
from tests.cli.conftest import Bucket, CommandLine, Ended

SCHEMA = Path(__file__).parents[2] / "aios3sync" / "cli" / "aios3sync.schema.json"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own directory, in a repository of its own, so that no file above it counts."""
    for name in os.environ:
        if name.startswith(("AIOS3SYNC_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    root = tmp_path / "here"
    (root / ".git").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def ran(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command line in this process."""

    def call(*arguments: str) -> Ended:
        code = run(arguments)
        return Ended(code, *capfd.readouterr())

    return call


def read(*arguments: str) -> tuple[str, str, SyncOptions, ConnectOptions]:
    """What a command line of sync asks for."""
    context = sync_command.make_context("sync", list(arguments))
    values: dict[str, Any] = dict(context.params)
    return values["source"], values["target"], sync_options(context, values), connect_options(values)


def settings(ran: Callable[..., Ended], *arguments: str) -> dict[str, tuple[Any, str]]:
    """What ``config show`` says: values and origins."""
    document = orjson.loads(ran("config", "show", "--json", *arguments).out)
    return {name: (one["value"], one["origin"]) for name, one in document["settings"].items()}


# Where


def test_the_nearest_file_counts_up_to_the_repository(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.parent / "aios3sync.toml").write_text("workers = 1\n")
    assert find_config_file({}) is None  # above the repository
    (here / "pyproject.toml").write_text("[tool.other]\n")
    assert find_config_file({}) is None
    (here / "pyproject.toml").write_text("[tool.aios3sync]\nworkers = 7\n")
    assert find_config_file({}) == str(here / "pyproject.toml")
    assert read("a", "s3://bucket")[3].workers == 7
    below = here / "below" / "it"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_config_file({}) == str(here / "pyproject.toml")
    (here / "aios3sync.toml").write_text("workers = 8\n")
    assert find_config_file({}) == str(here / "aios3sync.toml")
    assert find_config_file({"AIOS3SYNC_CONFIG": "other"}) == "other"


def test_the_search_ends_at_home(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".git").rmdir()
    (here.parent / "aios3sync.toml").write_text("workers = 1\n")
    assert find_config_file({}) == str(here.parent / "aios3sync.toml")
    monkeypatch.setenv("HOME", str(here))
    assert find_config_file({}) is None


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_refused(here: Path, ran: Callable[..., Ended]) -> None:
    (here / "aios3sync.toml").write_text("delete = true\n")
    os.chown(here / "aios3sync.toml", 12345, 12345)
    ended = ran("sync", "a", "s3://bucket")
    assert ended.code == 2
    assert "belongs to another user (uid 12345); name it with --config-file" in ended.error
    assert read("a", "s3://bucket", "--config-file", "aios3sync.toml")[2].delete == "mirror"
    assert read("a", "s3://bucket", "--no-config")[2].delete == "off"


def test_the_option_the_variable_and_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3):
        (here / f"{number}.toml").write_text(f"workers = {number}\n")
    (here / "3.toml").rename(here / "aios3sync.toml")
    assert read("a", "s3://bucket")[3].workers == 3
    monkeypatch.setenv("AIOS3SYNC_CONFIG", "2.toml")
    assert read("a", "s3://bucket")[3].workers == 2
    assert read("a", "s3://bucket", "--config-file", "1.toml")[3].workers == 1
    assert read("a", "s3://bucket", "--no-config")[3].workers == 256


# What counts before what


def test_the_order_of_places(here: Path, monkeypatch: pytest.MonkeyPatch, ran: Callable[..., Ended]) -> None:
    """Command line, environment, profile, file, built in: each alone, and each above all below it."""
    assert settings(ran, "--all")["workers"] == (256, "built in")
    (here / "aios3sync.toml").write_text("workers = 10\n[profiles.p]\nsource='a'\ntarget='s3://bucket'\n")
    assert settings(ran, "@p")["workers"] == (10, str(here / "aios3sync.toml"))
    with (here / "aios3sync.toml").open("a") as file:
        file.write("workers = 20\n")
    assert settings(ran, "@p")["workers"] == (20, f"profile p of {here}/aios3sync.toml")
    monkeypatch.setenv("AIOS3SYNC_WORKERS", "30")
    assert settings(ran, "@p")["workers"] == (30, "variable AIOS3SYNC_WORKERS")
    assert read("@p")[3].workers == 30
    assert read("@p", "--workers", "40")[3].workers == 40


def test_one_of_two_that_exclude_each_other_replaces_the_lower_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "aios3sync.toml").write_text(
        "delete = true\nsymlinks = 'skip'\n[profiles.p]\nsource='a'\ntarget='s3://bucket'\ndelete-tracked=true\n"
    )
    assert read("a", "s3://bucket")[2].delete == "mirror"
    assert read("a", "s3://bucket", "--delete-tracked", "--no-follow-symlinks")[2].delete == "tracked"
    assert read("@p")[2].delete == "tracked"
    assert read("@p", "--delete")[2].delete == "mirror"
    monkeypatch.setenv("AIOS3SYNC_DELETE", "1")
    assert read("@p")[2].delete == "mirror"


def test_options_that_may_be_repeated_add_up_and_the_last_rule_wins(here: Path) -> None:
    """An exclude of a profile is not lost by one more on the command line."""
    (here / "aios3sync.toml").write_text(
        "exclude = ['*.tmp']\n[profiles.p]\nsource='a'\ntarget='s3://bucket'\n"
        "include = 'b'\nexclude = ['c', 'd']\nmetadata = {owner = 'lab', run = 7}\ntag = 'k=v'\n"
    )
    _, _, options, _ = read("@p", "--exclude", "e", "--include", "f", "--metadata", "owner=me")
    assert options.rules == (
        ("exclude", "*.tmp"),
        ("include", "b"),
        ("exclude", "c"),
        ("exclude", "d"),
        ("exclude", "e"),
        ("include", "f"),
    )
    assert options.metadata == {"owner": "me", "run": "7"}
    assert options.tags == {"k": "v"}


def test_flags_are_named_as_on_the_command_line(here: Path) -> None:
    (here / "aios3sync.toml").write_text(
        "no-fsync = true\nno_verify_ssl = true\nincremental = false\nno-guess-mime-type = true\nsse = true\n"
        "dry-run = false\nverbose = 1\n"
    )
    _, _, options, connection = read("s3://bucket/p", "d", "--incremental")
    assert (options.fsync, options.incremental, options.guess_content_type) == (False, True, False)
    assert (options.sse, options.dry_run, connection.verify_tls) == ("AES256", False, False)


def test_paths_begin_at_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "rules").write_text("*.bak\n")
    (here / "aios3sync.toml").write_text(
        "[profiles.down]\nsource = 's3://bucket/p'\ntarget = 'copy'\ntrash = 'old'\nmanifest = 'm.json'\n"
        "exclude-from = 'rules'\nca-bundle = '~/ca.pem'\nindex = 'sqlite:///objects.db'\n"
    )
    monkeypatch.setenv("HOME", "/home/somebody")
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    source, target, options, connection = read("@down")
    assert (source, target) == ("s3://bucket/p", str(here / "copy"))
    assert (options.trash, options.manifest) == (str(here / "old"), str(here / "m.json"))
    assert options.rules[0][:2] == ("exclude", "*.bak")
    assert connection.ca_bundle == "/home/somebody/ca.pem"


@pytest.mark.parametrize("name", sorted(known_options(sync_command)))
def test_every_option_has_a_key_and_a_variable(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch, ran: Callable[..., Ended]
) -> None:
    """Whatever is an option of sync can be set in a file and in the environment, without further code."""
    option = known_options(sync_command)[name]
    key = max(option.opts, key=len)[2:]
    value = _value_of(option)
    shown = settings(ran, "--all").keys()
    assert key in shown
    written = orjson.dumps(value).decode()
    (here / "aios3sync.toml").write_text(f"{key} = {written}\n")
    assert settings(ran)[key][1] == str(here / "aios3sync.toml")
    if not option.multiple:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        monkeypatch.setenv(variable_of(option), text)
        assert settings(ran)[key][1] == f"variable {variable_of(option)}"


def _value_of(option: click.Option) -> Any:
    """A value that an option takes."""
    if option.is_flag:
        return True
    if isinstance(option.type, click.Choice):
        return option.type.choices[0]
    known = {
        "size": "16M",
        "seconds": "2h",
        "integer": 5,
        "float": 0.5,
        "pair": "a=b",
        "http_date": "2027-01-31",
        "moment": "2h ago",
    }
    return known.get(option.type.name, 1 if option.count else "text")


def test_commands_take_what_they_have(here: Path, ran: Callable[..., Ended]) -> None:
    """A file is one for all commands: what another has is left out."""
    (here / "aios3sync.toml").write_text("endpoint-url = 'nonsense'\ndelete = true\n")
    assert "'nonsense' is not a URL" in ran("ls", "s3://bucket").error
    (here / "aios3sync.toml").write_text("index = 'sqlite:///none.db'\n")
    assert f"there is no index '{here}/none.db'" in ran("index", "totals", "s3://bucket").error


# Profiles


def test_a_profile_is_a_pair(here: Path, ran: Callable[..., Ended]) -> None:
    (here / "aios3sync.toml").write_text(
        "[profiles.site]\nsource = 'public'\ntarget = 's3://bucket/site'\n[profiles.half]\nsource = 'a'\n"
    )
    assert read("@site", "--delete")[:2] == (str(here / "public"), "s3://bucket/site")
    assert ran("manifest", "show", "@site").code == 0
    assert "names no bucket" in ran("ls", "@half").error
    assert "profile half of" in ran("sync", "@half").error
    assert 'has no target; write target = "…"' in ran("sync", "@half").error
    unknown = ran("sync", "@sit").error
    assert "has no profile 'sit'; did you mean 'site'?" in unknown
    assert "a directory of that name is ./@sit" in unknown


@pytest.mark.parametrize(
    "words",
    [
        ["--exclude", "@site", "@site"],
        ["@site", "--exclude", "@site"],
        ["--exclude", "@site", "--", "@site"],
        ["--delete", "--exclude", "@site", "--check", "list", "@site"],
    ],
)
def test_a_profile_is_the_first_argument_and_no_value_of_an_option(here: Path, words: list[str]) -> None:
    """The value of an option may be the same word: what it hides, and which side is which, stays as asked."""
    (here / "aios3sync.toml").write_text(
        "[profiles.site]\nsource = 's3://bucket/site'\ntarget = 'copy'\ndelete = true\n"
    )
    source, target, options = read(*words)[:3]
    assert (source, target) == ("s3://bucket/site", str(here / "copy"))
    assert [rule[:2] for rule in options.rules] == [("exclude", "@site")]


def test_a_profile_without_a_file(here: Path, ran: Callable[..., Ended]) -> None:
    assert "there is no configuration file (aios3sync.toml, or [tool.aios3sync]" in ran("sync", "@site").error


def test_a_profile_syncs(
    here: Path, cli: CommandLine, bucket: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "aios3sync.toml").write_text(
        f"[profiles.site]\nsource = '{tree}'\ntarget = '{bucket.url('site')}'\n"
        "exclude = '*'\ninclude = '*.txt'\n"
    )
    report = cli("sync", "@site", "--json").json()
    assert report["uploaded"] == len([path for path in tree.rglob("*.txt") if path.is_file()]) > 0
    assert bucket.keys() == {f"site/{path.relative_to(tree)}" for path in tree.rglob("*.txt")}
    assert cli("stats", "@site", "--no-cache", "--json").json()["objects"]["value"] == report["uploaded"]


# What is refused


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("worker = 3", "'worker' is no setting; did you mean 'workers'"),
        ("aws_secret_access_key = 'hunter2'", "credentials belong into the AWS configuration"),
        ("source = 'a'", "'source' belongs into a profile: write it below [profiles.NAME]"),
        ("workers = 'many'", "workers: 'many' is not a valid integer"),
        ("workers = true", "workers: true or false is no value of this option; give one text or number"),
        ("workers = [1]", "workers: a list is no value of this option"),
        ("check = 'never'", "check: 'never' is not one of 'auto', 'list', 'content'"),
        ("delete = 'yes'", "delete: 'yes' is not true or false"),
        ("part-size = '16X'", "part-size: '16X' is not a size"),
        ("metadata = 'owner'", "metadata: 'owner' is not NAME=VALUE"),
        ("verbose = 'very'", "verbose: 'very' is not a whole number"),
        ("profiles = 3", "profiles are tables; write [profiles.NAME]"),
        ("workers", "is not TOML: "),
        ("[profiles.p]\nsorce = 'a'", "'sorce' is no setting; did you mean 'source'"),
        ("[defaults]\nworkers = 1", "'defaults' is no setting"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(
    here: Path, ran: Callable[..., Ended], content: str, expected: str
) -> None:
    (here / "aios3sync.toml").write_text(content)
    commands = [["ls", "s3://bucket"], ["sync", "a", "s3://bucket"], ["config", "show"]]
    if "profiles.p" in content:
        commands = [["sync", "@p"], ["config", "show", "@p"]]
    for command in commands:
        ended = ran(*command)
        assert ended.code == 2
        assert expected in ended.error
        assert "aios3sync.toml" in ended.error
        assert "hunter2" not in ended.err
    assert ran("sync", "--help").code == 0


def test_a_file_that_is_missing_is_named(here: Path, ran: Callable[..., Ended]) -> None:
    ended = ran("ls", "s3://bucket", "--config-file", "none.toml")
    assert "'none.toml' cannot be read: No such file" in ended.error


# What is shown


def test_no_secret_is_shown(here: Path, ran: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AIOS3SYNC_INDEX", "postgresql://me:hunter2@host/db?password=hunter2&x=1")
    for more in ((), ("--all",), ("--json",)):
        shown = ran("config", "show", *more)
        assert "hunter2" not in shown.out + shown.err
        assert "postgresql://***@host/db?password=***&x=1" in shown.out


def test_settings_of_aws_are_shown(
    here: Path, ran: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_PROFILE", "default")
    shown = settings(ran)
    assert shown["endpoint-url"] == ("http://127.0.0.1:1", "AWS environment or configuration")
    assert shown["region"] == ("eu-central-1", "variable AWS_REGION")
    assert shown["profile"] == ("default", "variable AWS_PROFILE")


def test_lines_for_people(here: Path, ran: Callable[..., Ended]) -> None:
    last = "all else is built in (--all shows it)"
    assert ran("config", "show").lines == ["configuration file: none", last]
    (here / "aios3sync.toml").write_text("workers = 3\nexclude = ['a', 'b']\ngitignore = true\n")
    path = here / "aios3sync.toml"
    assert ran("config", "show").lines == [
        f"configuration file: {path}",
        f"exclude    a, b  ({path})",
        f"gitignore  true  ({path})",
        f"workers    3  ({path})",
        last,
    ]
    assert "'site' is no profile; write @site" in ran("config", "show", "site").error


# The schema


def test_the_shipped_schema_is_that_of_the_options(ran: Callable[..., Ended]) -> None:
    shipped = SCHEMA.read_text("utf-8")
    wanted = "write it again: aios3sync config schema > aios3sync/cli/aios3sync.schema.json"
    assert orjson.loads(shipped) == config_schema(sync_command), wanted
    assert ran("config", "schema").out == shipped, wanted


def test_the_schema_has_every_key() -> None:
    keys = option_keys(known_options(sync_command).values()).keys()
    schema = config_schema(sync_command)
    assert schema["properties"].keys() == {*keys, "profiles"}
    profile = schema["properties"]["profiles"]["additionalProperties"]
    assert profile["properties"].keys() == {*keys, "source", "target"}
    assert not schema["additionalProperties"]
    assert not profile["additionalProperties"]


# The quick reader


def test_the_quick_reader_leaves_files_profiles_and_variables_to_the_program(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_plain_sync(["sync", "a", "s3://bucket"]).source == "a"
    with pytest.raises(UnknownError):
        read_plain_sync(["sync", "@a", "s3://bucket"])
    with monkeypatch.context() as patch:
        patch.setenv("AIOS3SYNC_WORKERS", "3")
        with pytest.raises(UnknownError):
            read_plain_sync(["sync", "a", "s3://bucket"])
    (here / "aios3sync.toml").write_text("")
    with pytest.raises(UnknownError):
        read_plain_sync(["sync", "a", "s3://bucket"])
