"""Build the wheel and the sdist, look into them, and install the wheel into an empty environment.

``make dist`` runs it. It needs pip alone: the backend of the build comes into an environment of its own, as
for everyone who builds from the sdist.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from email.parser import BytesParser
from pathlib import Path
from typing import Final

__all__ = ("DistError", "check_members", "main")

ROOT: Final = Path(__file__).parents[1]
DIST: Final = ROOT / "dist"
PACKAGE: Final = "aios3sync"
SCHEMA: Final = f"{PACKAGE}/cli/aios3sync.schema.json"
REQUIRED: Final = (f"{PACKAGE}/py.typed", SCHEMA, "LICENSE", "METADATA", "entry_points.txt")
"""What has to be in a wheel, by the ends of the paths."""

_UNWANTED: Final = re.compile(
    r"(^|/)(tests?|__pycache__|\.[^/]+)/|(^|/)(test_[^/]*|conftest)\.py$|\.(pyc|pyo|orig|rej|swp|log)$|(^|/)\.(?!gitignore$)"
)
_MACHINE: Final = re.compile(rb"/(?:work|root|home/(?!me/)\w+|Users/\w+)/")  # /home/me is in examples
"""Directories of the machine that something was written on."""


class DistError(Exception):
    """What was built is not what should be published."""


def check_members(name: str, members: Mapping[str, bytes], required: Iterable[str] = ()) -> None:
    """Check what a distribution holds.

    Args:
        name: of the distribution, for messages.
        members: its files, by their paths in it.
        required: the ends of paths that have to be there.

    Raises:
        DistError: something is missing, is a test or a cache, or names a directory of the machine.
    """
    missing = [end for end in required if not any(f"/{path}".endswith(f"/{end}") for path in members)]
    if missing:
        raise DistError(f"{name} lacks {', '.join(missing)}")
    unwanted = sorted(path for path in members if _UNWANTED.search(path))
    if unwanted:
        raise DistError(f"{name} holds what only developers need: {', '.join(unwanted[:5])}")
    for path, content in members.items():
        if found := _MACHINE.search(content):
            raise DistError(f"{name} names a directory of this machine, {found[0].decode()}, in {path}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all steps, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tools.dist")
    parser.add_argument(
        "--python",
        action="append",
        metavar="PROGRAM",
        help="an interpreter to install the wheel for; may be repeated (the one that runs this)",
    )
    pythons = parser.parse_args(arguments).python or [sys.executable]
    try:
        with tempfile.TemporaryDirectory(prefix="aios3sync-dist-") as scratch:
            wheel, sdist = _build(Path(scratch))
            _look_into(wheel, sdist)
            _rebuild(Path(scratch), wheel, sdist)
            for number, python in enumerate(pythons):
                _try_out(Path(scratch) / f"installed-{number}", python, wheel)
            _keep(wheel, sdist)
    except DistError as error:
        print(f"dist: {error}", file=sys.stderr)
        return 1
    print(f"dist: {wheel.name} and {sdist.name} are in {DIST.name}/, and can be installed")
    return 0


def _run(*command: str | Path, cwd: Path) -> str:
    """Run a program away from this repository, and return what it prints."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    ended = subprocess.run(  # noqa: S603 - our own command lines
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        line = " ".join(str(part) for part in command)
        raise DistError(f"{line} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def _python_of(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin") / "python"


def _pip_install(python: Path, *what: str | Path, cwd: Path) -> None:
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what, cwd=cwd)


def _build(scratch: Path) -> tuple[Path, Path]:
    """Return the wheel and the sdist of this tree."""
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    venv.create(scratch / "builder", with_pip=True)
    _pip_install(_python_of(scratch / "builder"), *requires, cwd=scratch)
    built = scratch / "built"
    _run(_python_of(scratch / "builder"), "-m", "hatchling", "build", "-d", built, cwd=ROOT)
    (wheel,) = built.glob("*.whl")
    (sdist,) = built.glob("*.tar.gz")
    return wheel, sdist


def _look_into(wheel: Path, sdist: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    check_members(wheel.name, members, REQUIRED)
    strangers = [name for name in members if name.split("/")[0].split("-")[0] != PACKAGE]
    if strangers:
        raise DistError(f"{wheel.name} would install {strangers[0]} outside of the package")
    json.loads(members[SCHEMA])
    (metadata,) = [content for name, content in members.items() if name.endswith(".dist-info/METADATA")]
    _look_at_metadata(metadata)
    with tarfile.open(sdist) as tar:
        files = {item.name: tar.extractfile(item) for item in tar if item.isfile()}
        contents = {name: file.read() for name, file in files.items() if file is not None}
    check_members(
        sdist.name, contents, (f"{PACKAGE}/py.typed", SCHEMA, "LICENSE", "pyproject.toml", "README.md")
    )


def _look_at_metadata(content: bytes) -> None:
    metadata = BytesParser().parsebytes(content)
    for field in ("Name", "Version", "Summary", "Requires-Python", "License-Expression", "Classifier"):
        if not metadata[field]:
            raise DistError(f"the metadata of the wheel has no {field}")
    minors = {text.rpartition(" ")[2] for text in metadata.get_all("Classifier", []) if " :: 3." in text}
    if not minors:
        raise DistError("the classifiers name no version of Python")


def _rebuild(scratch: Path, wheel: Path, sdist: Path) -> None:
    """Check that the sdist is enough to build the same wheel, to the byte."""
    with tarfile.open(sdist) as tar:
        tar.extractall(scratch / "unpacked", filter="data")
    (source,) = (scratch / "unpacked").iterdir()
    again = scratch / "again"
    python = _python_of(scratch / "builder")
    _run(python, "-m", "hatchling", "build", "-t", "wheel", "-d", again, cwd=source)
    if (again / wheel.name).read_bytes() != wheel.read_bytes():
        raise DistError(f"{sdist.name} builds another wheel than the repository does")


def _try_out(environment: Path, python: str, wheel: Path) -> None:
    """Install the wheel with its dependencies into an empty environment, and run what it installs."""
    elsewhere = environment.with_name(f"{environment.name}-cwd")
    elsewhere.mkdir()
    _run(python, "-m", "venv", environment, cwd=elsewhere)
    installed = _python_of(environment)
    _pip_install(installed, wheel, cwd=elsewhere)
    _run(installed, "-m", "pip", "check", "--disable-pip-version-check", cwd=elsewhere)
    version = wheel.name.split("-")[1]
    script = installed.with_name(PACKAGE)
    for program in ([script], [installed, "-m", PACKAGE]):
        if version not in (printed := _run(*program, "--version", cwd=elsewhere)).split():
            raise DistError(f"{program[0]} --version prints {printed.strip()!r}, not {version}")
    if "Usage: " not in _run(script, "--help", cwd=elsewhere):
        raise DistError(f"{script} --help has no usage line")
    json.loads(_run(script, "config", "schema", cwd=elsewhere))
    where = _run(installed, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)", cwd=elsewhere)
    if not Path(where.strip()).is_relative_to(environment):
        raise DistError(f"import {PACKAGE} loads {where.strip()}, not what was installed")
    # Every public name needs the dependencies of the wheel alone.
    _run(installed, "-c", f"from {PACKAGE} import *", cwd=elsewhere)


def _keep(*built: Path) -> None:
    """Put what was built and tried into ``dist``, and nothing else."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for path in built:
        shutil.copy2(path, DIST / path.name)


if __name__ == "__main__":
    sys.exit(main())
