"""A canned record: two cases, our rows and two peers, with one run that lost a file."""

from __future__ import annotations

import pytest

from benchmarks.record import CaseRow, ContenderRow, Record, Run, Tool


def row(name: str, tool: str, *, verifies: bool) -> ContenderRow:
    is_peer = tool != "aios3sync"
    commands = {"fresh": f"{tool} TREE TARGET"}
    setting = f"how {name} is set"
    return ContenderRow(
        name, tool, setting, is_peer, verifies, commands, compares_contents=is_peer and verifies
    )


def runs(case: str, contender: str, walls: list[float], problem: str = "") -> list[Run]:
    made = [
        Run(case, contender, place, wall, wall / 2, wall / 4, 2048, 0) for place, wall in enumerate(walls)
    ]
    if problem:
        made.append(Run(case, contender, len(walls), 0.001, 0.0, 0.0, 9999, 0, problem))
    return made


@pytest.fixture
def record() -> Record:
    return Record(
        server="a|server",
        environment={
            "cpu": "A CPU",
            "cores": 2,
            "memory_mib": 24000,
            "kernel": "Linux 6",
            "python": "CPython 3.11",
            "aios3sync": "0.1.0",
            "load_before": 0.1,
        },
        settings={"runs": 3, "scale": 1.0},
        started="then",
        tools=[Tool("quick", "quick", "v1"), Tool("absent", "absent", problem="no wheel for this machine")],
        contenders=[
            row("aios3sync", "aios3sync", verifies=True),
            row("aios3sync lane boto", "aios3sync", verifies=True),
            row("quick best", "quick", verifies=False),
            row("careful", "careful", verifies=True),
            row("broken", "broken", verifies=True),
        ],
        cases=[
            CaseRow("fresh-10k", "Fresh sync of 1,000 x 4 KiB", "fresh", 1000, 4096_000),
            CaseRow("large", "Fresh sync of 4 x 1 GiB", "fresh", 4, skipped="needs more memory"),
        ],
        runs=[
            *runs("fresh-10k", "aios3sync", [0.5, 0.4, 0.6]),
            *runs("fresh-10k", "aios3sync lane boto", [2.0, 2.0, 2.5]),
            *runs("fresh-10k", "quick best", [1.0, 1.1], problem="2 lost"),
            *runs("fresh-10k", "careful", [1.5, 1.5, 1.5]),
            *runs("fresh-10k", "broken", [], problem="exit 1: <no> such | thing"),
        ],
        finished="later",
    )
