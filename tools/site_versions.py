"""Builds the documentation of this version next to those of former ones; pushes nothing.

Each version is a directory in a local branch, which mike writes; the directory ``site`` gets what the branch
has. ``python -m tools.site_versions 1.0`` names the version; by default it is that of the package, as 0.1.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from aios3sync import __version__
from tools.site import VERSIONED

__all__ = ("BRANCH", "LATEST", "build", "main")

BRANCH: Final = "docs-site"
LATEST: Final = "latest"

_MIKE: Final = "from mike.driver import main; main()"


def build(version: str, directory: Path) -> None:
    """Build the pages of the working directory as ``version``, and write all versions into a directory.

    Raises:
        subprocess.CalledProcessError: the pages cannot be built, or there is no repository.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, VERSIONED: "1", "NO_MKDOCS_2_WARNING": "1"}
    deploy = ("deploy", "--update-aliases", "--alias-type", "copy", version, LATEST)
    shutil.rmtree(directory, ignore_errors=True)
    for arguments in (deploy, ("set-default", LATEST)):
        command = [sys.executable, "-c", _MIKE, *arguments, "--branch", BRANCH]
        subprocess.run(command, env=environment, check=True)  # noqa: S603 - our own arguments
    archive = ["git", "archive", BRANCH]
    packed = subprocess.run(archive, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own arguments
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
        files.extractall(directory, filter="data")


def main() -> None:
    """Build the version that the command line names, into ``site``."""
    version = sys.argv[1] if len(sys.argv) > 1 else ".".join(__version__.split(".")[:2])
    build(version, Path("site"))
    print(f"site/ has version {version} as {LATEST}; the branch {BRANCH} has it too, and nothing was pushed")


if __name__ == "__main__":
    main()
