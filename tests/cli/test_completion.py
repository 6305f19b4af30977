"""Shell completion: commands that are loaded late, options, choices, profiles; sourced in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")

PROGRAM = """#!/bin/sh
exec {python} -m aios3sync "$@"
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with a program of this name, and a configuration file."""
    program = tmp_path / "bin" / "aios3sync"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "work" / ".git").mkdir(parents=True)
    (tmp_path / "work" / "aios3sync.toml").write_text("[profiles.site]\n[profiles.silo]\n[profiles.other]\n")
    return tmp_path


def shell(here: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    ran = subprocess.run(
        command, cwd=here / "work", env=environment, capture_output=True, text=True, timeout=240
    )
    assert ran.stderr == ""
    return ran.stdout


def completed(here: Path, *words: str) -> list[str]:
    """What bash proposes after it has sourced the script; the last word is incomplete."""
    listed = " ".join(f"'{word}'" for word in words)
    script = f"""
        source <(aios3sync completion bash)
        COMP_WORDS=(aios3sync {listed}); COMP_CWORD={len(words)}
        $(complete -p aios3sync | sed 's/.*-F \\([^ ]*\\).*/\\1/') aios3sync
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return [line for line in shell(here, "bash", "-c", script).splitlines() if line]


def test_bash_completes_commands_options_choices_and_profiles(here: Path) -> None:
    assert completed(here, "sy") == ["sync"]
    assert completed(here, "manifest", "sh") == ["show"]
    assert {"--delete", "--delete-tracked"} <= set(completed(here, "sync", "--del"))
    assert completed(here, "sync", "--check", "c") == ["content"]
    assert sorted(completed(here, "sync", "@si")) == ["@silo", "@site"]
    assert completed(here, "verify", "@o") == ["@other"]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_script_is_one_of_its_shell(here: Path, name: str) -> None:
    script = shell(here, "aios3sync", "completion", name)
    assert f"_AIOS3SYNC_COMPLETE={name}_complete" in script
    if name == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_a_broken_file_completes_nothing(here: Path) -> None:
    (here / "work" / "aios3sync.toml").write_text("nonsense")
    assert completed(here, "sync", "@s") == []
    assert completed(here, "sy") == ["sync"]
