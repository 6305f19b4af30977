"""The command line of the benchmarks: ``run`` (the default) and ``report``; the only place that prints."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from aios3sync.testing import Endpoint
from benchmarks import chart, conditions, machine, overview, peers, record, report, table
from benchmarks.cases import CASES, select_cases
from benchmarks.certificates import make_certificate
from benchmarks.conditions import Condition
from benchmarks.contenders import PEERS as PEER_ROWS
from benchmarks.contenders import Contender, filled_in, our_lanes, ours, select_contenders
from benchmarks.endpoints import ExistingBucket, Server, behind_front, open_server
from benchmarks.running import Bench, count_trials
from benchmarks.schedule import Budget
from benchmarks.trial import Context

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".env"
_QUICK = 0.002
_QUICK_MINUTES = 1.5
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
        help="for s3sim: --server-option='--put-limit 3500'",
    )
    add(
        "--endpoint-url", metavar="URL", help="an endpoint that runs already; credentials as for any AWS tool"
    )
    add(
        "--conditions",
        type=_names,
        help="latency of each response, and TLS (http,http-30ms,tls,tls-30ms; http,tls-30ms with --quick)",
    )
    add("--runs", type=int, help="how often each contender runs at most (5; 1 with --quick)")
    add("--budget", type=float, metavar="MINUTES", help="fewer runs where they would take longer in all")
    add(
        "--only",
        type=_names,
        nargs="+",
        default=[],
        metavar="CASE",
        help=f"some of {', '.join(case.name for case in CASES)}",
    )
    add("--tools", type=_names, default=[], help="tools or rows, e.g. aios3sync,'s5cmd best'; all: every row")
    add("--scale", type=float, default=1.0, help="share of the files, objects and large sizes (1)")
    add("--quick", action="store_true", help=f"a toy of two minutes: --scale {_QUICK}, no pauses")
    add("--limit", type=float, default=1800.0, metavar="SECONDS", help="how long one run may take (1800)")
    add("--patient", action="store_true", help="also contenders that take minutes for a case")
    add("--work", type=Path, help="directory for trees and data; in memory if possible")
    add("--output", type=Path, help="the JSON (benchmarks/results/SERVER.json)")
    add("--no-install", action="store_true", help="use the peers that are installed")
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
    lines = overview.lines_of(records)
    picture, values = document.with_suffix(".svg"), document.with_suffix(".json")
    picture.write_text(chart.draw(lines))
    values.write_text(overview.as_json(records, lines))
    document.write_text(report.render(records, lines, picture.name, values.name))
    _print(f"wrote {document}, {picture.name} and {values.name}")
    return 0


def _run(options: argparse.Namespace) -> int:
    scale = _QUICK if options.quick else options.scale
    cases = select_cases([name for names in options.only for name in names], scale)
    usual = [conditions.ALL[0], conditions.ALL[-1]] if options.quick else conditions.ALL
    asked = [conditions.parse(name) for name in options.conditions or ()] or usual
    lanes = our_lanes()
    rows = select_contenders([*ours(lanes), *PEER_ROWS], options.tools)
    if options.quick and not options.tools:
        rows = [row for row in rows if not row.once]  # each takes seconds to start
    tools = _install(rows, may_install=not options.no_install)
    missing = peers.unavailable(tools)
    rows = [row for row in rows if row.tool not in missing]
    with _interruptible(), _work_directory(options.work) as place, ExitStack() as stack:
        servers = _servers(options, place, asked, stack)
        label = next(iter(servers.values())).label
        result = _new_record(options, label, scale, tools, rows)
        result.settings["lanes"] = list(lanes)
        path = options.output or HERE / "results" / f"{_file_name(label)}.json"
        context = _context(options, result, place)
        minutes = options.budget or (_QUICK_MINUTES if options.quick else float("inf"))
        budget = Budget(60 * minutes, count_trials(cases, asked), time.monotonic)
        bench = Bench(context, servers, rows, budget, options.patient, lambda: record.save(result, path))
        try:
            for case in cases:
                bench.run_case(case)
        except KeyboardInterrupt:
            result.notes.append("stopped before the end")
            _conclude(result, path)
            raise
        result.finished = _now()
    _conclude(result, path)
    return 0


def _context(options: argparse.Namespace, result: record.Record, place: Path) -> Context:
    settle_s = 0.0 if options.quick else _SETTLE_S
    return Context(result, _programs(), place, settle_s, options.limit, _runs(options), _print)


def _runs(options: argparse.Namespace) -> int:
    return int(options.runs or (1 if options.quick else 5))


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


def _servers(
    options: argparse.Namespace, place: Path, asked: Sequence[Condition], stack: ExitStack
) -> Mapping[Condition, Server]:
    """Return a server for each condition; the stack closes them."""
    certificate = make_certificate(place) if any(each.tls for each in asked) else None
    servers: dict[Condition, Server] = {}
    if options.endpoint_url is None:
        words = [word for text in options.server_option for word in shlex.split(text)]
        for each in asked:
            servers[each] = open_server(options.server, place, options.s3sim, words, each, certificate)
            stack.callback(servers[each].close)
        return servers
    bucket = ExistingBucket(_endpoint(options.endpoint_url))
    stack.callback(bucket.close)
    for each in asked:
        servers[each] = behind_front(bucket, certificate if each.tls else None, each.latency_ms)
        if servers[each] is not bucket:
            stack.callback(servers[each].rest)
    return servers


def _endpoint(url: str) -> Endpoint:
    keys = [os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    if not all(keys):
        raise ValueError("--endpoint-url needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return Endpoint(url, keys[0], keys[1], os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))


def _new_record(
    options: argparse.Namespace,
    label: str,
    scale: float,
    tools: list[record.Tool],
    rows: Sequence[Contender],
) -> record.Record:
    settings = {
        "runs": _runs(options),
        "scale": scale,
        "limit_s": options.limit,
        "budget_minutes": options.budget,
    }
    return record.Record(
        server=label,
        environment=machine.describe(),
        settings=settings,
        started=_now(),
        tools=tools,
        contenders=[_shown(row) for row in rows],
    )


def _shown(row: Contender) -> record.ContenderRow:
    """Return a contender for the record, with placeholders instead of this machine's paths."""
    names = ("python", "find", "s5cmd", "rclone", "aws", "boto3-s3")
    upper = ("tree", "empty", "down", "target", "bucket", "prefix", "origin", "endpoint")
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
        row.compares_contents,
    )


def _conclude(result: record.Record, path: Path) -> None:
    record.save(result, path)
    for case in result.cases:
        _print(f"\n{case.title} ({case.condition})" + (f": skipped, {case.skipped}" if case.skipped else ""))
        if rows := table.rows_of(result, case):
            _print("\n".join(table.aligned(table.HEADINGS, rows)))
    lines = overview.lines_of([result])
    _print("\n" + "\n".join(table.aligned(*overview.cells(lines))))
    for tool in result.tools:
        if tool.problem:
            _print(f"missing: {tool.name}: {tool.problem}")
    _print(f"wrote {path}")


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
