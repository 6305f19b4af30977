"""The command line of the benchmarks: ``run`` (the default) and ``report``; the only place that prints."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from aios3sync.testing import Endpoint
from benchmarks import machine, peers, record, report, table
from benchmarks.cases import CASES, select_cases
from benchmarks.contenders import OURS, Contender, filled_in, our_lanes, ours, select_contenders
from benchmarks.contenders import PEERS as PEER_ROWS
from benchmarks.endpoints import ExistingBucket, Server, open_server
from benchmarks.running import Bench

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".env"
_QUICK = 0.002
_SETTLE_S = 2.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["report"]:
        return _report(_report_arguments().parse_args(words[1:]))
    options = _run_arguments().parse_args(words[1:] if words[:1] == ["run"] else words)
    try:
        return _run(options)
    except ValueError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--server", choices=("rclone", "seaweedfs", "s3sim"), default="rclone", help="the endpoint to start")
    add("--s3sim", type=Path, metavar="PATH", help="the compiled simulator, for --server s3sim")
    add(
        "--server-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="for s3sim: --server-option='--latency-ms 30'",
    )
    add(
        "--endpoint-url", metavar="URL", help="an endpoint that runs already; credentials as for any AWS tool"
    )
    add("--runs", type=int, default=5, help="how often each contender runs (5)")
    add("--cases", type=_names, default=[], help=f"some of {','.join(case.name for case in CASES)}")
    add("--tools", type=_names, default=[], help="tools or rows, e.g. aios3sync,'s5cmd best'")
    add("--scale", type=float, default=1.0, help="share of the files, objects and large sizes (1)")
    add("--quick", action="store_true", help=f"a toy: --scale {_QUICK} and no pauses")
    add("--limit", type=float, default=1800.0, metavar="SECONDS", help="how long one run may take (1800)")
    add("--patient", action="store_true", help="also contenders that take minutes for a case")
    add("--work", type=Path, help="directory for trees and data; in memory if possible")
    add("--output", type=Path, help="the JSON (benchmarks/results/SERVER.json); the chart goes next to it")
    add("--no-install", action="store_true", help="use the peers that are installed")
    add("--no-chart", action="store_true", help="draw nothing")
    return parser


def _report_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=report.__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="RESULTS.json")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _report(options: argparse.Namespace) -> int:
    document: Path = options.output
    records = [record.load(path) for path in options.files]
    charts = [path.with_suffix(".png") for path in options.files]
    links = [os.path.relpath(chart, document.parent) if chart.exists() else "" for chart in charts]
    document.write_text(report.render(records, links))
    print(f"wrote {document}")
    return 0


def _run(options: argparse.Namespace) -> int:
    scale = _QUICK if options.quick else options.scale
    cases = select_cases(options.cases, scale)
    lanes = our_lanes()
    rows = select_contenders([*ours(lanes), *PEER_ROWS], options.tools)
    tools = _install(rows, may_install=not options.no_install)
    missing = peers.unavailable(tools)
    rows = [row for row in rows if row.tool not in missing]
    with _interruptible(), _work_directory(options.work) as place, closing(_server(options, place)) as server:
        result = _new_record(options, server, scale, tools, rows)
        result.settings["lanes"] = list(lanes)
        if "wire" not in lanes:
            result.notes.append(f"{OURS} has no --lane wire yet, so there is no row of it")
        path = options.output or HERE / "results" / f"{_file_name(server.label)}.json"
        bench = Bench(
            result,
            server,
            rows,
            _programs(),
            place,
            options.runs,
            0.0 if options.quick else _SETTLE_S,
            options.limit,
            options.patient,
            _print,
            lambda: record.save(result, path),
        )
        try:
            for case in cases:
                bench.run_case(case)
        except KeyboardInterrupt:
            result.notes.append("stopped before the end")
            _conclude(result, path)
            raise
        result.finished = _now()
    _conclude(result, path)
    if not options.no_chart:
        _draw(path, may_install=not options.no_install)
    return 0


def _install(rows: Sequence[Contender], *, may_install: bool) -> list[record.Tool]:
    wanted = {row.tool for row in rows}
    tools = []
    for peer in peers.PEERS:
        if peer.name in wanted:
            tools.append(peers.install(peer, ENVIRONMENTS, may_install=may_install))
            _print(f"{peer.name}: {tools[-1].problem or tools[-1].version}")
    return tools


def _programs() -> dict[str, str]:
    found = {name: str(path) for name, path in peers.programs(peers.PEERS, ENVIRONMENTS).items()}
    own = {"python": sys.executable, "library": str(HERE / "library.py")}
    return {**found, **own, "find": shutil.which("find") or "find"}


def _server(options: argparse.Namespace, place: Path) -> Server:
    if options.endpoint_url is None:
        words = [word for text in options.server_option for word in shlex.split(text)]
        return open_server(options.server, place, options.s3sim, words)
    keys = [os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    if not all(keys):
        raise ValueError("--endpoint-url needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    return ExistingBucket(Endpoint(options.endpoint_url, keys[0], keys[1], region))


def _new_record(
    options: argparse.Namespace,
    server: Server,
    scale: float,
    tools: list[record.Tool],
    rows: Sequence[Contender],
) -> record.Record:
    settings = {"runs": options.runs, "scale": scale, "limit_s": options.limit}
    return record.Record(
        server=server.label,
        environment=machine.describe(),
        settings=settings,
        started=_now(),
        tools=tools,
        contenders=[_shown(row) for row in rows],
    )


def _shown(row: Contender) -> record.ContenderRow:
    """Return a contender for the record, with placeholders instead of this machine's paths."""
    names = ("python", "find", "s5cmd", "rclone", "aws", "boto3-s3")
    upper = ("tree", "empty", "target", "bucket", "prefix", "endpoint")
    places = {name: name for name in names} | {name: name.upper() for name in upper}
    places["library"] = "benchmarks/library.py"
    return record.ContenderRow(
        row.name,
        row.tool,
        row.setting,
        row.is_peer,
        row.verifies,
        {verb: " ".join(filled_in(command, places)) for verb, command in row.commands.items()},
        row.configuration,
        {name: value.format(endpoint="ENDPOINT") for name, value in row.environment.items()},
    )


def _conclude(result: record.Record, path: Path) -> None:
    record.save(result, path)
    for case in result.cases:
        _print(f"\n{case.title}" + (f": skipped, {case.skipped}" if case.skipped else ""))
        if rows := table.rows_of(result, case):
            _print("\n".join(table.aligned(table.HEADINGS, rows)))
    _print("")
    for tool in result.tools:
        if tool.problem:
            _print(f"missing: {tool.name}: {tool.problem}")
    _print(f"wrote {path}")


def _draw(path: Path, *, may_install: bool) -> None:
    chart = path.with_suffix(".png")
    tool = peers.install(peers.CHART, ENVIRONMENTS, may_install=may_install)
    program = peers.programs([peers.CHART], ENVIRONMENTS).get("chart")
    if tool.problem or program is None:
        _print(f"no chart: {tool.problem}")
        return
    subprocess.run([str(program), str(HERE / "chart.py"), str(path), str(chart)], check=True)
    _print(f"wrote {chart}")


@contextmanager
def _work_directory(chosen: Path | None) -> Iterator[Path]:
    """Yield a directory, in memory if possible, that is removed at the end in any case."""
    memory = Path("/dev/shm")  # noqa: S108 - a private directory is made in it
    parent = chosen or (memory if os.access(memory, os.W_OK) else None)
    place = Path(tempfile.mkdtemp(prefix="aios3sync-bench-", dir=parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP like Ctrl-C: servers stop, and temporary files are removed."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _file_name(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
