"""Renders RESULTS.md from records; measures nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from benchmarks.figures import figures_of
from benchmarks.overview import Line, cells, summary
from benchmarks.record import CaseRow, ContenderRow, Record, server_name
from benchmarks.table import HEADINGS, rows_of

__all__ = ("render",)

_LEGEND = """\
Each cell: how many times as fast as the fastest peer in any of its rows (▲ faster, ▼ slower, = within 3 %),
our median, that peer and its median. Where our manifest is lost, the peers are those that compare contents as
well. In the chart a mark on the right of the line is a win."""

_INTRODUCTION = """\
## How it is measured

Written by `python -m benchmarks report` from the JSON of the runs; not by hand.

Each contender is a process of its own, measured from its start to its end: wall time, CPU (user and system,
with its children), peak memory. Runs are interleaved, each round begins with another contender; the server
and the clients share the cores. Fresh runs and deletes begin on a newly started endpoint. After each run
the bucket is listed: a run is good if it ended with exit code 0 and every object is there with its size
and, where the ETag is an MD5, its MD5. Times are those of the good runs. The sources and what the endpoint
keeps are in memory. "The simulator" is a small S3 endpoint that was made for measuring; without bodies it
keeps sizes and ETags alone. "30 ms" means that each response waits 30 ms; over TLS all contenders check the
certificate, and a front ends the TLS of the endpoint, on the same cores. With a time budget the first round
has everyone, the next ones the contenders that can still be the fastest: the tables have the number of runs
of each.

"x fastest peer" is the median of the fastest peer of the same table divided by the median of the row: above 1
is faster than it. Tools that verify make sure by themselves that what arrived is what they sent."""


def render(records: Sequence[Record], lines: Sequence[Line], chart: str, values: str) -> str:
    """Return the whole document; ``chart`` and ``values`` are links to the picture and to the JSON."""
    headings, rows = cells(lines)
    document = ["# Results", "", f"{summary(lines)} [The same for programs]({values})."]
    document += [
        "",
        *_markdown(headings, rows),
        "",
        _LEGEND,
        "",
        f"![Every case]({chart})",
        "",
        _INTRODUCTION,
    ]
    for record in records:
        document += ["", *_section(record)]
    return "\n".join(document) + "\n"


def _section(record: Record) -> Iterator[str]:
    yield f"## On {server_name(record.server)}"
    yield ""
    yield from _about(record)
    for case in record.cases:
        yield ""
        yield from _case(record, case)
    yield ""
    yield from _commands(record)


def _about(record: Record) -> Iterator[str]:
    known = record.environment
    settings = record.settings
    yield f"- {known['cpu']}, {known['cores']} cores, {known['memory_mib']:,} MiB"
    yield f"- {known['kernel']}; {known['python']}"
    version = re.sub(r"\((\w+)-dirty\)", r"(after commit \1)", known["aios3sync"])
    yield f"- aios3sync {version}; {record.started} to {record.finished or 'an early end'}"
    budget = settings.get("budget_minutes")
    runs = (
        f"at most {settings['runs']} runs, {budget:g} minutes in all"
        if budget
        else f"{settings['runs']} runs"
    )
    yield f"- load before the first run {known['load_before']}; {runs}"
    if settings.get("scale", 1) != 1:
        yield f"- **Scaled by {settings['scale']}: good for tests of this program only.**"
    for tool in record.tools:
        yield f"- {tool.name}: " + (f"**missing**: {tool.problem}" if tool.problem else tool.version)
    for note in record.notes:
        yield f"- {note}"


def _case(record: Record, case: CaseRow) -> Iterator[str]:
    yield f"### {case.title}" + (f" ({case.condition})" if case.condition else "")
    yield ""
    if case.skipped:
        yield f"Skipped: {case.skipped}."
        return
    if case.changed:
        yield f"{case.changed:,} of the files are rewritten before each round, with as many other bytes."
        yield ""
    yield from _markdown(HEADINGS, rows_of(record, case))
    troubled = [figure for figure in figures_of(record, case) if figure.problems]
    if troubled:
        yield ""
    for figure in troubled:
        yield f"- **{figure.contender.name}**: {'; '.join(map(_plain, figure.problems))}"


def _commands(record: Record) -> Iterator[str]:
    yield f"### Commands on {server_name(record.server)}"
    yield ""
    yield (
        "TREE is the source, EMPTY a directory without files, TARGET `s3://BUCKET/PREFIX`; a download goes "
        "from `s3://BUCKET/ORIGIN` to DOWN, a copy from there to TARGET."
    )
    yield ""
    taken = {run.contender for run in record.runs}
    verbs = {case.verb for case in record.cases}
    for row in record.contenders:
        if row.name in taken:
            yield from _contender(row, verbs)


def _contender(row: ContenderRow, verbs: set[str]) -> Iterator[str]:
    careful = "verifies what it sent" if row.verifies else "does not verify what it sent"
    yield f"- **{row.name}**: {row.setting}; {careful}"
    for verb, command in row.commands.items():
        if verb in verbs or verb == "setup":
            yield f"  - {verb}: `{command}`"
    if row.configuration:
        settings = "; ".join(line.strip() for line in row.configuration.splitlines() if line.strip())
        yield f"  - configuration: `{settings}`"
    if row.environment:
        yield (
            "  - environment: `"
            + " ".join(f"{name}={value}" for name, value in row.environment.items())
            + "`"
        )


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(headings) + " |"
    yield "|---" + "|---:" * (len(headings) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(map(_plain, row)) + " |"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
