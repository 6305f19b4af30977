"""The whole program at toy size, on an endpoint inside the tests, with our own rows alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks import __main__ as program
from benchmarks import contenders, machine, trial
from benchmarks.endpoints import BUCKET, client_of
from benchmarks.measuring import TIMED_OUT, Measurement
from benchmarks.record import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aios3sync.testing.servers import Endpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def endpoint(moto: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    return moto


def run(endpoint: Endpoint, place: Path, *words: str) -> int:
    return program.main(
        [
            *("--conditions", "http"),
            *("--endpoint-url", endpoint.url, "--quick", "--runs", "1", "--no-install"),
            *("--work", str(place), "--output", str(place / "out.json"), *words),
        ]
    )


def test_a_toy_run(endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of case runs, is checked and recorded, and nothing is left."""
    cases = ["changed-10k", "fresh-10k", "unchanged-30k", "delete", "list"]
    rows = ",".join(f"aios3sync {name}" for name in ("library", "lane boto", "listing", "manifest lost"))
    assert run(endpoint, tmp_path, "--tools", rows, "--only", *cases) == 0
    record = load(tmp_path / "out.json")
    assert [case.name for case in record.cases] == cases
    assert [run.problem for run in record.runs if run.problem] == []
    assert {(run.case, run.contender.removeprefix("aios3sync ")) for run in record.runs} == {
        ("fresh-10k", "library"),
        ("fresh-10k", "lane boto"),
        ("unchanged-30k", "listing"),
        ("unchanged-30k", "manifest lost"),
        ("changed-10k", "listing"),
        ("delete", "lane boto"),
        ("list", "lane boto"),
    }
    assert all(run.wall_s > 0 and run.peak_kib > 10_000 for run in record.runs)
    assert record.finished
    assert str(tmp_path) not in (tmp_path / "out.json").read_text()
    assert "Fresh sync of 20 x 4 KiB" in capsys.readouterr().out
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]
    assert BUCKET not in {each["Name"] for each in client_of(endpoint).list_buckets()["Buckets"]}


def test_contenders_that_take_minutes_need_the_option_patient(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record says that they are left out."""
    monkeypatch.setattr(contenders, "_FEW", 5)
    asked = ("--tools", "aios3sync lane boto", "--only", "fresh-10k")
    assert run(endpoint, tmp_path, *asked) == 0
    record = load(tmp_path / "out.json")
    assert record.runs == []
    assert "fresh-10k without aios3sync lane boto: --patient measures them as well" in record.notes
    assert run(endpoint, tmp_path, *asked, "--patient") == 0
    assert len(load(tmp_path / "out.json").runs) == 1


def test_a_missing_peer_is_in_the_record(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no rows, and the record says why."""
    monkeypatch.setattr(program, "ENVIRONMENTS", tmp_path / "nothing")
    assert run(endpoint, tmp_path, "--tools", "s5cmd", "--only", "list") == 0
    record = load(tmp_path / "out.json")
    assert [(tool.name, tool.problem) for tool in record.tools] == [("s5cmd", "not installed")]
    assert record.cases[0].skipped == "no chosen contender can do it"


def test_a_case_that_does_not_fit_is_skipped(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory of the machine."""
    monkeypatch.setattr(machine, "free_memory", lambda: 2**20)
    assert run(endpoint, tmp_path, "--tools", "aios3sync", "--only", "fresh-4g") == 0
    assert "MiB of memory, 1 were free" in load(tmp_path / "out.json").cases[0].skipped


def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record says that it is incomplete."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "measure", interrupted)
    assert run(endpoint, tmp_path, "--tools", "aios3sync", "--only", "fresh-10k") == 130
    record = load(tmp_path / "out.json")
    assert (record.finished, record.runs, record.notes[-1]) == ("", [], "stopped before the end")
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


def test_contenders_see_their_endpoint_and_nothing_of_the_caller(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS they trust the authority of the endpoint; the region has both of its names."""
    seen: list[Mapping[str, str]] = []

    def measured(_: object, environment: Mapping[str, str], place: Path, limit_s: float) -> Measurement:
        seen.append(environment)
        return Measurement(limit_s, 0.0, 0.0, 0, TIMED_OUT, place / "output", place / "errors")

    monkeypatch.setattr(trial, "measure", measured)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    asked = ("--tools", "aios3sync", "--only", "fresh-271", "--limit", "7", "--conditions", "http,tls-30ms")
    assert run(endpoint, tmp_path, *asked) == 0
    plain, secure = seen
    assert (plain["AWS_REGION"], plain["AWS_DEFAULT_REGION"]) == (endpoint.region, endpoint.region)
    assert plain["AWS_ENDPOINT_URL"] == endpoint.url
    assert secure["AWS_ENDPOINT_URL"].startswith("https://127.0.0.1:")
    assert secure["AWS_CA_BUNDLE"] == secure["SSL_CERT_FILE"]
    assert secure.keys() - plain.keys() == {"AWS_CA_BUNDLE", "SSL_CERT_FILE"}
    assert "PYTHONDONTWRITEBYTECODE" not in plain
    runs = load(tmp_path / "out.json").runs
    assert [(each.condition, each.problem) for each in runs] == [
        ("HTTP", "not done after 7 s; 4 lost"),
        ("TLS, 30 ms", "not done after 7 s; 4 lost"),
    ]


def test_a_used_up_budget_is_told(endpoint: Endpoint, tmp_path: Path) -> None:
    """The cases that it leaves out are in the record."""
    asked = ("--tools", "aios3sync", "--only", "fresh-271", "fresh-1k", "--budget", "0.000001")
    assert run(endpoint, tmp_path, *asked) == 0
    skipped = [case.skipped for case in load(tmp_path / "out.json").cases]
    assert skipped == ["the time budget was used up"] * 2


def test_microbenchmarks_work_at_toy_size() -> None:
    """A change that breaks them fails this test."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "benchmarks/micro",
        "--benchmark-disable",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
