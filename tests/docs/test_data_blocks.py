"""The blocks of data are read by what reads them: configurations, AWS profiles, policies, plans, jobs."""

from __future__ import annotations

import json
from configparser import ConfigParser
from pathlib import Path
from typing import Final

import botocore.session
import pytest

from aios3sync.cli.config_file import read_config_file
from aios3sync.cli.main import run
from aios3sync.options import ConnectOptions
from aios3sync.store.wire.settings import read_settings
from aios3sync.sync.plans.planned import ACTIONS, PlannedAction
from tests.docs.pages import PAGES, ROOT, blocks, command_lines, names

TOML: Final = [(page, text) for page in PAGES for text in blocks(page, "toml")]
JSON: Final = [(page, text) for page in PAGES for text in blocks(page, "json")]
INI: Final = [(page, text) for page in PAGES for text in blocks(page, "ini")]
YAML: Final = [page for page in PAGES if blocks(page, "yaml")]


@pytest.fixture(autouse=True)
def no_blocking() -> None:
    """In place of the library's: files are read without a loop here."""


def shown(value: object) -> str:
    return names(value) if isinstance(value, Path) else ""


@pytest.mark.parametrize(("page", "text"), TOML, ids=shown)
def test_configurations_are_read(page: Path, text: str, tmp_path: Path) -> None:
    """The program takes each setting, of every profile."""
    file = tmp_path / "aios3sync.toml"
    file.write_text(text)
    found = read_config_file(str(file))
    assert found.defaults or found.profiles
    for name in ("", *(f"@{name}" for name in found.profiles)):
        assert run(["config", "show", *name.split(), "--config-file", str(file)]) == 0, (
            f"{names(page)} {name}"
        )


@pytest.mark.parametrize(("page", "text"), JSON, ids=shown)
def test_documents_are_what_they_say(page: Path, text: str) -> None:
    """Policies have statements of S3 and SQS, a line of a plan or of the log has its fields."""
    document = json.loads(text)
    if "Statement" in document:
        assert document["Version"] == "2012-10-17"
        for statement in document["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert action.partition(":")[0] in {"s3", "sqs"}, names(page)
            assert statement["Effect"] == "Allow"
            assert statement["Resource"]
    elif "action" in document:
        assert PlannedAction(**document).action in ACTIONS
    else:
        assert document.keys() == {"time", "level", "logger", "message", "fields"}


@pytest.mark.parametrize(("page", "text"), INI, ids=shown)
def test_settings_are_read(page: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles have what their kind needs, as we and as botocore read them; units have sections."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    profiles = [name.removeprefix("profile ") for name in parser.sections() if name.startswith("profile ")]
    if not profiles:
        assert {"Service", "Timer"} & set(parser.sections()), names(page)
        return
    file = tmp_path / "config"
    file.write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    known = botocore.session.Session().full_config
    for name in profiles:
        settings = read_settings(ConnectOptions(profile=name), {"AWS_CONFIG_FILE": str(file)})
        profile = known["profiles"][name]
        assert settings.endpoint.region == profile["region"]
        if "sso_session" in profile:
            assert known["sso_sessions"][profile["sso_session"]].keys() >= {"sso_start_url", "sso_region"}
            assert profile.keys() >= {"sso_account_id", "sso_role_name"}
        else:
            assert profile["role_arn"].startswith("arn:aws:iam::")
            assert profile["source_profile"] in known["profiles"]


def test_jobs_and_units_run_the_program() -> None:
    """Their commands are among those that the command line accepts (``test_command_lines_are_accepted``)."""
    assert YAML
    for page in YAML:
        wanted = [text for text in blocks(page, "yaml", "sh") if "aios3sync sync" in text]
        assert len(list(command_lines(page))) >= len(wanted) == 3
    (unit,) = (text for _, text in INI if "ExecStart=" in text)
    last = list(command_lines(ROOT / "docs" / "backups.md"))[-1]
    assert f"aios3sync {' '.join(last)}\n" in unit
