"""Check that this version may be released: a clean tree, an entry in the changelog, a version not taken.

``make release-check`` runs it after lint, types, tests and distributions.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import aios3sync

__all__ = ("entry_of", "main", "problems", "versions_of_index")

ROOT: Final = Path(__file__).parents[1]
_HEADING: Final = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?[ \t]*$", re.MULTILINE)


def entry_of(changelog: str, version: str) -> str | None:
    """Return the text below the dated heading ``## [VERSION] - YYYY-MM-DD``, or ``None`` without one."""
    headings = list(_HEADING.finditer(changelog))
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    for heading, end in zip(headings, ends, strict=True):
        if heading[1] == version and heading[2]:
            return changelog[heading.end() : end].strip()
    return None


def versions_of_index(code: int, printed: str, errors: str) -> set[str] | None:
    """Return the versions in the output of ``pip index versions``, or ``None`` where it does not say.

    A name that the index does not have is the same error as an index that cannot be reached; the warnings
    of repeated requests tell them apart.
    """
    if code == 0:
        line = re.search(r"^\s*Available versions: (.*)$", printed, re.MULTILINE)
        return set(line[1].split(", ")) if line else None
    reached = "Retrying" not in errors and "Could not fetch URL" not in errors
    return set() if reached and "No matching distribution found" in errors else None


def problems(
    version: str, changelog: str, *, changed: str, tags: Iterable[str], published: set[str] | None
) -> list[str]:
    """Return why the version may not be released; nothing where it may.

    Args:
        version: the version of the package.
        changelog: the text of CHANGELOG.md.
        changed: the output of ``git status --porcelain``.
        tags: the tags of the repository.
        published: the versions in the package index, ``None`` where it could not be asked.
    """
    found = []
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        found.append(
            f"{version!r} is no version of a release; write MAJOR.MINOR.PATCH into aios3sync/_version.py"
        )
    if not entry_of(changelog, version):
        found.append(f"CHANGELOG.md has no entry '## [{version}] - YYYY-MM-DD' with text below it")
    if changed.strip():
        found.append("there are changes that are not committed; commit them")
    if {version, f"v{version}"} & set(tags):
        found.append(f"version {version} is taken: there is a tag of it; raise aios3sync/_version.py")
    if published is None:
        found.append("the package index could not be asked whether the version is taken; try again")
    elif version in published:
        found.append(f"version {version} is taken: it is published; raise aios3sync/_version.py")
    return found


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours


def main() -> int:
    """Print what hinders a release, and return the exit code."""
    version = aios3sync.__version__
    asked = _run(sys.executable, "-m", "pip", "index", "versions", "aios3sync", "--pre")
    found = problems(
        version,
        (ROOT / "CHANGELOG.md").read_text("utf-8"),
        changed=_run("git", "status", "--porcelain").stdout,
        tags=_run("git", "tag", "--list").stdout.split(),
        published=versions_of_index(asked.returncode, asked.stdout, asked.stderr),
    )
    for line in found:
        print(f"release: {line}", file=sys.stderr)
    if not found:
        print(f"release: {version} may be released: git tag v{version}, then upload what is in dist/")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
