"""The package as type checkers see it: a user's program is checked, and a misspelt name is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def checked(program: Path, cache: Path) -> str:
    """What strict mypy says of a program, without the configuration of this repository."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}"]
    ran = subprocess.run(
        [*command, str(program)], capture_output=True, text=True, cwd=cache, env={"MYPYPATH": str(ROOT)}
    )
    return ran.stdout + ran.stderr


def test_a_program_with_annotations_passes(cache: Path) -> None:
    """Every public call has the types that a user relies on."""
    answer = checked(Path(__file__).with_name("api.py"), cache)
    assert answer.startswith("Success"), answer


@pytest.mark.parametrize(
    "wrong",
    [
        "from aios3sync import Sesion",
        "from aios3sync.index import Paeg",
        "import aios3sync; aios3sync.conect()",
    ],
)
def test_misspelt_names_are_errors(wrong: str, cache: Path, tmp_path: Path) -> None:
    """Faces load their names lazily, and yet are no modules in which a type checker believes anything."""
    program = tmp_path / "program.py"
    program.write_text(f"{wrong}\n")
    assert "[attr-defined]" in checked(program, cache)
