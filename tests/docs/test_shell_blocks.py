"""The shell blocks of the pages are run: each command ends as it should, on the server of the tests."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from aios3sync.cli.main import run
from tests.docs.pages import PAGES, ROOT, blocks, names
from tests.docs.sessions import environment
from tests.docs.worlds import here, keep_versions, make_configuration, make_files, make_profiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aios3sync.testing import Endpoint

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

WITH_SHELL: Final = tuple(page for page in PAGES if blocks(page, "sh"))

NOT_RUN: Final = {
    "python3 -m venv .venv": "makes an environment, which 'make venv' of the tests has done",
    ". .venv/bin/activate": "enters the environment that the tests run in already",
    "pip install .": "installs from a package index; tests have no internet",
    "pip install '.[server,watch]'": "the same",
    "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http": "the same",
    "python examples/endpoint.py my-bucket": "serves until Ctrl-C; sessions use its server",
    "aws sso login --profile work": "asks the identity centre of a company, in a browser",
    "dask scheduler": "serves on a machine of its own; tests/distributed has schedulers",
    "dask worker tcp://head:8786 --nthreads 1": "the same, for workers",
}
"""Commands that are not run here, and why; those of the program are accepted by its command line anyhow."""

ON_OTHER_MACHINES: Final = {
    "--cluster tcp://head:8786": "needs a Dask cluster; tests/distributed syncs on one",
    "--cluster local:4": "starts four processes of Dask; the same",
    "--otel": "needs the exporter of OTLP, which is an install, and a collector",
    "inventory:": "needs reports that S3 writes daily; tests/inventory has some",
}
"""Options of commands that are not run here, and why."""

PREPARED: Final = "aios3sync sync data s3://my-bucket/data -q"
"""What was done before the first command of a page."""
MORE_PREPARED: Final = {
    "docs/sync.md": (
        "aios3sync sync data s3://my-bucket/cats -q --catalog-dataset org/cats",
        "aios3sync sync data s3://my-bucket/m -q --catalog-model org/m --catalog-revision v1",
    ),
}
"""The same, for some pages."""

ENDS: Final = {
    "aios3sync doctor s3://my-bucket/data": 3,  # SeaweedFS differs from S3, which a sync works around
    "aios3sync doctor s3://my-bucket/data --json": 3,
    "aios3sync doctor s3://my-bucket/data --read-only": 3,
    "aios3sync stats s3://my-bucket --watch 60": 130,  # Ctrl-C
    "aios3sync sync site s3://my-bucket/site --watch": 130,
    "aios3sync sync site s3://my-bucket/site --watch --delete": 130,
    "aios3sync sync s3://my-bucket/site copy --watch --watch-every 30s": 130,
}
"""Exit codes other than 0."""


def commands(page: Path) -> Iterator[str]:
    """The commands of a page, without their comments."""
    for block in blocks(page, "sh"):
        for line in re.sub(r"(\\|(?<=\|))\n\s*", " ", block).splitlines():
            yield re.sub(r"\s+# .*$", "", line)


def is_left_out(command: str) -> bool:
    """Whether there is a reason not to run a command here."""
    return command in NOT_RUN or any(option in command for option in ON_OTHER_MACHINES)


class Shell:
    """Runs commands one by one: those of the program in this process, all else in bash."""

    def __init__(self, directory: Path, settings: dict[str, str], patch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._settings = settings
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.chdir(directory)
        self._patch = patch

    def __call__(self, command: str) -> int:
        """Run a command; return its exit code."""
        if command.startswith("make "):
            return self._bash(f"make --dry-run -C {shlex.quote(str(ROOT))} {command.removeprefix('make')}")
        words = shlex.split(command)
        if words[0] == "export":
            for assignment in words[1:]:
                name, _, value = assignment.partition("=")
                self._settings[name] = value
                self._patch.setenv(name, value)
            return 0
        if words[0] == "aios3sync" and ("--watch" in words):
            return self._until_interrupted(words)
        if words[0] == "aios3sync" and not re.search(r"[|&;<>$]", command):
            return self._here(words[1:])
        return self._bash(command)

    def _here(self, arguments: list[str]) -> int:
        try:
            return run(arguments)
        except SystemExit as ended:
            return int(ended.code or 0)

    def _bash(self, command: str) -> int:
        return subprocess.run(["bash", "-ec", command], env=self._settings, cwd=self._directory).returncode

    def _until_interrupted(self, words: list[str]) -> int:
        """Run a command that goes on for ever until it has printed what it did first."""
        with (self._directory / "site" / "a.txt").open("a") as changed:
            changed.write("changed\n")
        process = subprocess.Popen(words, env=self._settings, cwd=self._directory, stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout as lines:
            first = lines.readline()
            process.send_signal(signal.SIGINT)
            lines.read()
        code = process.wait()
        assert first
        return code


@pytest.fixture(autouse=True)
def no_blocking() -> None:
    """In place of the library's: a command line writes to its pipe, and waits while that is full."""


@pytest.mark.parametrize("page", WITH_SHELL, ids=names)
def test_commands_end_well(
    page: Path, buckets: Endpoint, tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    for directory in (work, home / ".zfunc", home / ".local/share/bash-completion/completions"):
        directory.mkdir(parents=True)
    (home / ".config/fish/completions").mkdir(parents=True)
    make_files(work)
    make_configuration(page, work, buckets)
    make_profiles(isolated / "aws-config", buckets)
    settings = {**environment(buckets, isolated), "HOME": str(home)}
    shell = Shell(work, settings, monkeypatch)
    if names(page) == "docs/sync.md":
        keep_versions(buckets)
    for command in (PREPARED, *MORE_PREPARED.get(names(page), ())):
        assert shell(command) == 0, command
    ended = {
        command: shell(here(command, buckets, work)) for command in commands(page) if not is_left_out(command)
    }
    wrong = {command: code for command, code in ended.items() if code != ENDS.get(command, 0)}
    assert not wrong
