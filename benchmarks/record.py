"""The record of a benchmark: plain values and their JSON file; computes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ("SCHEMA", "CaseRow", "ContenderRow", "Record", "Run", "Tool", "load", "save", "server_name")

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that was to take part; ``problem`` says why it could not."""

    name: str
    requirement: str
    version: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ContenderRow:
    """A tool at one setting, with its commands."""

    name: str
    tool: str
    setting: str
    is_peer: bool
    verifies: bool
    commands: dict[str, str]
    configuration: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    compares_contents: bool = False


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case of the record under one condition; ``skipped`` says why it was not run."""

    name: str
    title: str
    verb: str
    items: int
    total_bytes: int = 0
    changed: int = 0
    skipped: str = ""
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one contender; ``problem`` is empty for a good run."""

    case: str
    contender: str
    round: int
    wall_s: float
    user_s: float
    system_s: float
    peak_kib: int
    exit_code: int
    problem: str = ""
    condition: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it exited with 0 and the bucket was right."""
        return not self.problem


@dataclass(slots=True)
class Record:
    """All results of one run of this program on one endpoint."""

    server: str
    environment: dict[str, Any]
    settings: dict[str, Any]
    started: str
    tools: list[Tool] = field(default_factory=list)
    contenders: list[ContenderRow] = field(default_factory=list)
    cases: list[CaseRow] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    finished: str = ""
    schema: int = SCHEMA


def save(record: Record, path: Path) -> None:
    """Write the record atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(asdict(record), indent=1) + "\n")
    new.replace(path)


def load(path: Path) -> Record:
    """Read a record.

    Raises:
        ValueError: another version of this program wrote it.
    """
    values = json.loads(path.read_text())
    if values.get("schema") != SCHEMA:
        raise ValueError(f"{path} has schema {values.get('schema')}, this program reads {SCHEMA}")
    rows = {"tools": Tool, "contenders": ContenderRow, "cases": CaseRow, "runs": Run}
    for name, kind in rows.items():
        values[name] = [kind(**row) for row in values[name]]
    return Record(**values)


def server_name(label: str) -> str:
    """Return what to call the endpoint of a record: the simulator has a name that only its users know."""
    kind, *options = label.split()
    if kind != "s3sim":
        return label
    without = " without bodies" if "--meta-only" in options else ""
    rest = [option for option in options if option != "--meta-only"]
    return " ".join((f"the simulator{without}", *rest))
