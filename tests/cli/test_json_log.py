"""``--log-json``: all that standard error has is one JSON object a line, and none quotes a credential."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from anyio.from_thread import start_blocking_portal

from aios3sync.cli.output.choose import choose_view
from aios3sync.cli.output.json_log import JsonLog, LoggedView, json_log
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.live import LiveView
from aios3sync.cli.output.summary import conclude_sync
from aios3sync.cli.output.view import Output
from aios3sync.testing.http_server import CannedRequest, CannedServer, canned_server, error_body
from tests.cli.conftest import Bucket, CommandLine, Ended

EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
SECRET = "s3cr3t/of+the/log/that-is-long"
LEVELS = {"debug", "info", "warning", "error"}


def judge(request: CannedRequest) -> tuple[int, bytes] | None:
    return (200, EMPTY) if request.method == "GET" else None


@pytest.fixture
def server() -> Iterator[CannedServer]:
    """A server of faults, which runs in a thread."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(canned_server()) as found:
        found.judge = judge
        yield found


@pytest.fixture
def run(server: CannedServer, offline: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a sync of a directory to that server."""
    monkeypatch.setattr("aios3sync.store.wrappers.retry_policy.Backoff.delay", lambda *_: 0.0)
    own = {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": SECRET}
    offline.environment.update(own)

    def sync(*arguments: str | Path) -> Ended:
        return offline("sync", tmp_path / "data", "s3://bkt/p", "--processes", "0", *arguments)

    return sync


def records(ended: Ended) -> list[dict[str, Any]]:
    """The records on standard error; each line is one."""
    found = [orjson.loads(line) for line in ended.err.splitlines()]
    for record in found:
        assert list(record)[:4] == ["time", "level", "logger", "message"]
        assert datetime.fromisoformat(record["time"]).tzinfo is not None
        assert record["time"].endswith("Z")
        assert record["level"] in LEVELS
        assert record["logger"]
        assert set(record) <= {"time", "level", "logger", "message", "fields"}
    return found


def test_events_and_retries_are_records(run: Any, server: CannedServer, tree: Path) -> None:
    server.will(503, error_body("SlowDown"))
    server.will(200, EMPTY)
    server.will(500, error_body("InternalError"))
    ended = run("--log-json")
    assert ended.code == 0
    assert ended.out.startswith("uploaded 3"), "the summary, and no line for each action"
    found = records(ended)
    uploaded = [each for each in found if each.get("fields", {}).get("event") == "uploaded"]
    assert {each["fields"]["key"] for each in uploaded} == {"a.txt", "b.txt", "sub/c.html"}
    assert {each["message"] for each in uploaded} >= {"upload: a.txt (new)"}
    retries = [each for each in found if each.get("fields", {}).get("event") == "retry"]
    assert [each["message"].split(" after ")[1] for each in retries] == [
        "SlowDown, in 0 s",
        "InternalError, in 0 s",
    ]
    assert retries[0]["fields"] == {
        "event": "retry",
        "operation": "ListObjectsV2",
        "key": "",
        "code": "SlowDown",
        "status": 503,
        "attempt": 1,
        "delay_s": 0.0,
    }
    (finished,) = [each for each in found if each["message"] == "finished"]
    assert finished["fields"]["report"]["retry_codes"] == {"SlowDown": 1, "InternalError": 1}


def test_the_log_of_the_package_is_there_as_well(run: Any, server: CannedServer, tree: Path) -> None:
    """With -vv: once, as records, and not as text."""
    server.will(503, error_body("SlowDown"))
    ended = run("--log-json", "-vv")
    assert ended.code == 0
    debug = [each for each in records(ended) if each["logger"] == "aios3sync.store.wrappers.retry"]
    assert [(each["level"], "SlowDown" in each["message"]) for each in debug] == [("debug", True)]
    assert logging.getLogger("aios3sync").level == logging.NOTSET
    assert not logging.getLogger("aios3sync").handlers


def test_no_line_holds_a_secret_p16(run: Any, server: CannedServer, tree: Path) -> None:
    """P16: not even where a file is named like one, and is refused with its name."""
    (tree / SECRET).parent.mkdir(parents=True)
    (tree / SECRET).write_text("1")
    server.will(200, EMPTY)
    for _ in range(4):
        server.will(403, error_body("AccessDenied", f"not with {SECRET}"))
    ended = run("--log-json", "-vv")
    assert ended.code == 3
    assert [each for each in records(ended) if each["level"] == "error"]
    assert "***" in ended.err
    assert SECRET[:16] not in ended.err
    assert SECRET.replace("/", "%2F") not in ended.err


def test_a_failure_and_a_warning_are_told_once(run: Any, server: CannedServer, tree: Path) -> None:
    server.will(200, EMPTY)
    server.will(403, error_body("AccessDenied"))
    ended = run("--log-json", "--workers", "1")
    assert ended.code == 3
    (failed,) = [each for each in records(ended) if each["level"] == "error"]
    assert failed["fields"]["event"] == "failed"
    assert failed["fields"]["stage"] == "upload"
    assert failed["logger"] == "aios3sync.events"


def test_an_error_of_the_run_is_a_record(run: Any, server: CannedServer, tree: Path) -> None:
    server.will(404, error_body("NoSuchBucket"))
    ended = run("--log-json", "--json")
    assert ended.code == ended.json()["exit_code"] == 1
    last = records(ended)[-1]
    assert (last["level"], last["logger"]) == ("error", "aios3sync.cli")
    assert "no such bucket" in last["message"]


def test_wrong_usage_is_a_record_too(run: Any, tree: Path) -> None:
    ended = run("--log-json", "--delete", "--delete-tracked")
    assert ended.code == 2
    (record,) = records(ended)
    assert "exclude each other" in record["message"]


def test_a_quiet_run_that_ends_well_logs_nothing(run: Any, tree: Path) -> None:
    ended = run("--log-json", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


@pytest.mark.parametrize("where", ["variable", "file"])
def test_it_may_be_a_setting(
    run: Any, offline: CommandLine, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if where == "file":
        (tmp_path / "aios3sync.toml").write_text("log-json = true\n")
    else:
        offline.environment["AIOS3SYNC_LOG_JSON"] = "1"
    ended = run()
    assert ended.code == 0
    assert "finished" in [record["message"] for record in records(ended)]


def test_commands_without_events_have_records(cli: CommandLine, bucket: Bucket) -> None:
    ended = cli("stats", f"s3://{bucket.name}-none/", "--log-json")
    assert ended.code == 1
    assert records(ended)[-1]["level"] == "error"


def test_there_is_no_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios3sync.cli.output.choose._is_terminal", lambda: True)

    def view(output: Output) -> Any:
        return choose_view("sync", output, conclude_sync, lambda: None)

    assert isinstance(view(Output()), LiveView)
    logged = view(Output(log_json=True))
    assert isinstance(logged, LoggedView)
    assert not isinstance(vars(logged)["_inner"], LiveView)


def test_standard_error_is_given_back(run: Any, tree: Path) -> None:
    before = sys.stderr
    run("--log-json")
    assert sys.stderr is before


def test_what_is_no_utf8_and_what_ends_without_a_line_feed_are_records(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = logging.makeLogRecord({"msg": "a name: %s", "args": ("caf\udce9",)})
    JsonLog(Lines(sys.stderr)).emit(record)  # not by a logger: the reports of the tests hold what those say
    with json_log(logging.INFO):
        sys.stderr.buffer.write(b"caf\xe9\n")
        sys.stderr.write("the last words")
    messages = [orjson.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert messages == [r"a name: caf\xe9", r"caf\xe9", "the last words"]


@pytest.mark.parametrize(("level", "wanted"), [(logging.INFO, True), (logging.WARNING, False)])
def test_single_events_of_a_cluster_are_wanted_where_they_are_logged(level: int, *, wanted: bool) -> None:
    with json_log(level):
        logged = choose_view("sync", Output(log_json=True), conclude_sync, lambda: None)
    assert hasattr(logged, "single_events") is not wanted


@contextmanager
def without(*modules: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in modules:
            patch.setitem(sys.modules, name, None)
        yield


def test_otel_without_its_sdk_says_what_to_install(run: Any, tree: Path) -> None:
    with without("opentelemetry.sdk.metrics"):
        ended = run("--otel")
    assert ended.code == 2
    assert "pip install opentelemetry-sdk" in ended.error


def test_otel_with_a_wrong_exporter_names_the_variable(run: Any, offline: CommandLine, tree: Path) -> None:
    offline.environment["OTEL_TRACES_EXPORTER"] = "nonesuch"
    ended = run("--otel")
    assert ended.code == 2
    assert "OTEL_TRACES_EXPORTER" in ended.error
    assert "nonesuch" in ended.error


def test_otel_exports_spans_and_metrics(run: Any, offline: CommandLine, tree: Path) -> None:
    """By the exporters that the variables of OpenTelemetry name; ``console`` writes on standard error."""
    offline.environment |= {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"}
    ended = run("--otel", "--json")
    assert ended.code == 0
    assert ended.json()["uploaded"] == 3
    for name in ("aios3sync.sync", "aios3sync.list", "S3.PutObject", "aios3sync.requests"):
        assert f'"name": "{name}"' in ended.err
    assert '"service.name": "aios3sync"' in ended.err
    assert SECRET not in ended.err
