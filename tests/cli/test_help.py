"""Help: in sections, with examples and variables; the connection under an option of its own."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest

from aios3sync.cli.commands.sync import sync_command
from aios3sync.cli.connection_help import CONNECTION, section_of
from aios3sync.cli.main import run
from aios3sync.cli.options import connection_options
from aios3sync.cli.program import program
from aios3sync.cli.values import Located
from tests.cli.test_habits import commands

COMMANDS = dict(commands(program))


@pytest.fixture
def helped(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The help that a command line prints."""

    def call(*arguments: str) -> str:
        assert run(arguments) == 0
        out, err = capfd.readouterr()
        assert err == ""
        return out

    return call


def headings(text: str) -> list[str]:
    return [line.rstrip(":") for line in text.splitlines() if line.endswith(":") and line[0] != " "]


def test_the_help_of_sync_has_sections_examples_and_variables(helped: Callable[..., str]) -> None:
    text = helped("sync", "--help")
    assert headings(text)[0] == "What is done"
    assert {
        "Manifest",
        "Deletes",
        "Filters",
        "Comparison",
        "Uploads",
        "Downloads",
        "Between buckets",
        "Output",
    } <= {*headings(text)}
    assert "aios3sync sync data s3://my-bucket/data --delete-tracked" in text
    assert "AWS_PROFILE" in text
    assert "--endpoint-url" not in text
    assert "--help-connection" in text


def test_every_option_of_sync_is_in_a_section() -> None:
    """``option_group(…, title="…")`` says in which."""
    assert [param.name for param in sync_command.params if isinstance(param, click.Option)] == [
        param.name
        for param in sync_command.params
        if isinstance(param, click.Option) and section_of(param) != "Options"
    ]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_connection_has_help_of_its_own(helped: Callable[..., str], name: str) -> None:
    """Each command shows what only it has; what all have is one option away."""
    has_connection = any(section_of(param) == CONNECTION for param in COMMANDS[name].params)
    text = helped(*name.split(), "--help")
    assert ("--help-connection" in text) == has_connection
    assert "--profile NAME" not in text.replace("--source-profile NAME", "")
    if has_connection:
        shown = helped(*name.split(), "--help-connection")
        assert headings(shown) == ["Connection", "Environment"]
        for param in connection_parameters():
            assert max(param.opts, key=len) in shown
        for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AIOS3SYNC_CONFIG", "NO_COLOR"):
            assert variable in shown


def connection_parameters() -> list[click.Parameter]:
    @click.command()
    @connection_options
    def command() -> None: ...

    return command.params


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_options_that_name_files_complete_paths(name: str) -> None:
    """``type=FILE``: shells complete paths, and paths in a configuration file begin at the file."""
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option) and param.metavar in ("FILE", "DIR", "PATH"):
            assert isinstance(param.type, Located), f"{name} {param.opts[0]}: type=FILE"
