"""The package as type checkers see it: a user's program is checked; what is misspelt or unfit is an error."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = Path(__file__).with_name("api.py")

pytestmark = pytest.mark.slow

# Calls that must be refused; each is a line in a coroutine with an open session ``s3``.
WRONG_CALLS = [
    's3.sync("data", "s3://bucket", delete="all")',
    's3.sync("data", "s3://bucket", delte="mirror")',
    's3.sync("data", "s3://bucket", exclude="*.tmp")',
    's3.sync("data", "s3://bucket", part_size=1.5)',
    's3.sync("data", "s3://bucket", checksum="md4")',
    's3.verify("data", "s3://bucket", check="auto", gzip=5)',
    's3.explain("data", "s3://bucket", "key", symlinks="yes")',
    's3.sync_events("data", "s3://bucket", delete="all")',
    's3.stats("s3://bucket", mode="slow")',
    's3.catalog("s3://bucket", kind="pictures")',
    's3.store("bucket", payer=True)',
    's3.open_reader("s3://bucket/key", decode="yes")',
    'aios3sync.connect(lane="fast")',
    "aios3sync.connect(worker=4)",
]


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


def pyright(program: Path) -> list[str]:
    """The errors that strict pyright finds in a program; the test is skipped where it cannot run."""
    if find_spec("pyright") is None or shutil.which("node") is None:
        pytest.skip("pyright is not installed, or there is no node to run it")
    project = program.parent / "pyrightconfig.json"
    project.write_text(json.dumps({"extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    ran = subprocess.run(
        [*command, "--project", str(project)], capture_output=True, text=True, cwd=program.parent
    )
    if not ran.stdout.startswith("{"):
        pytest.skip(f"pyright did not run: {(ran.stdout + ran.stderr).strip()[-200:]}")
    found = json.loads(ran.stdout)
    assert found["summary"]["filesAnalyzed"] == 1
    return [
        f"{one['range']['start']['line'] + 1}: {one['message']}"
        for one in found["generalDiagnostics"]
        if one["severity"] == "error"
    ]


def program_of_wrong_calls(folder: Path) -> Path:
    """A program whose line N + 4 is the wrong call number N."""
    lines = ["import aios3sync", "", "async def main(s3: aios3sync.Session) -> None:"]
    program = folder / "wrong.py"
    program.write_text("\n".join([*lines, *(f"    x{n} = {call}" for n, call in enumerate(WRONG_CALLS))]))
    return program


def test_a_program_with_annotations_passes(cache: Path) -> None:
    """Every public call has the types that a user relies on."""
    answer = checked(API, cache)
    assert answer.startswith("Success"), answer


def test_wrong_arguments_are_errors(cache: Path, tmp_path: Path) -> None:
    """Each wrong call is refused, in its line."""
    answer = checked(program_of_wrong_calls(tmp_path), cache)
    lines = {int(number) - 4 for number in re.findall(r"wrong\.py:(\d+): error", answer)}
    assert [call for n, call in enumerate(WRONG_CALLS) if n not in lines] == [], answer


def test_pyright_agrees_with_the_program(tmp_path: Path) -> None:
    """Editors complete by pyright: it accepts the program, in its strict mode."""
    program = tmp_path / "api.py"
    program.write_text(API.read_text("utf-8"))
    assert pyright(program) == []


def test_pyright_refuses_wrong_arguments(tmp_path: Path) -> None:
    found = pyright(program_of_wrong_calls(tmp_path))
    lines = {int(line.partition(":")[0]) - 4 for line in found}
    assert [call for n, call in enumerate(WRONG_CALLS) if n not in lines] == []


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
