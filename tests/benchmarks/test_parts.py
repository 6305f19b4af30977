"""The parts of a run: trees, the stopwatch, the check of the bucket, the installation of peers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine, peers
from benchmarks.checking import Finding, compare, count_listed
from benchmarks.measuring import last_line, measure
from benchmarks.record import Tool
from benchmarks.trees import Content, TreePlan, build_tree, change

PLANS = [TreePlan("small", 12, 40), TreePlan("mixed", 5), TreePlan("large", 2, 10_000)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.kind)
def test_a_tree_is_known_and_the_same_each_time(plan: TreePlan, tmp_path: Path) -> None:
    """The contents of a tree are those on disk."""
    first, second = build_tree(plan, tmp_path / "a"), build_tree(plan, tmp_path / "b")
    assert first.contents == second.contents
    assert len(first.contents) == plan.count
    for key, content in first.contents.items():
        body = (first.root / key).read_bytes()
        assert len(body) == content.size
        assert content.md5 in ("", md5(body, usedforsecurity=False).hexdigest())
        assert (first.root / key).stat().st_mtime < time.time() - 3600
    assert len({(first.root / key).read_bytes() for key in first.contents}) == plan.count


def test_a_change_is_of_other_files_each_time(tmp_path: Path) -> None:
    """Files keep their size, and get other bytes and a newer time."""
    tree = build_tree(TreePlan("small", 20, 30), tmp_path / "tree")
    before = dict(tree.contents)
    assert change(tree, 2, 0) == 2
    first = {key for key in before if tree.contents[key] != before[key]}
    between = dict(tree.contents)
    assert change(tree, 2, 1) == 2
    second = {key for key in before if tree.contents[key] != between[key]}
    assert (len(first), len(second), first & second) == (2, 2, set())
    assert tree.total == 600


def test_the_stopwatch_measures_the_cost_of_a_command(tmp_path: Path) -> None:
    """It has exit code, CPU and memory of the child alone, and its last line."""
    script = "import sys; x = b'x' * 30_000_000; sum(range(10**6)); print('said'); sys.exit('why\\n')"
    done = measure([sys.executable, "-I", "-S", "-c", script], {}, tmp_path / "at", 30)
    assert done.exit_code == 1
    assert done.wall_s >= done.user_s > 0
    assert 30_000 < done.peak_kib < 100_000
    assert last_line(done) == "why"
    assert done.output.read_text() == "said\n"


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    """No process is left."""
    script = "echo $$ > pid; sleep 60 & wait"
    done = measure(["/bin/sh", "-c", script], {"PATH": os.environ["PATH"]}, tmp_path, 0.5)
    assert done.exit_code == 124
    assert last_line(done) == ""
    deadline = time.monotonic() + 240
    while is_running((tmp_path / "pid").read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.01)  # a killed process takes a moment to be gone
    assert not is_running((tmp_path / "pid").read_text().strip())


@pytest.mark.parametrize(
    ("found", "finding", "words"),
    [
        ({"a": Content(1, "m"), "b": Content(2, "n")}, Finding(), ""),
        ({"a": Content(1, "m")}, Finding(lost=1), "1 lost"),
        ({"a": Content(1, "m"), "b": Content(3, "n")}, Finding(differing=1), "1 differing"),
        ({"a": Content(1, "x"), "b": Content(2, "n")}, Finding(differing=1), "1 differing"),
        ({"a": Content(1, "m-2"), "b": Content(2, "n")}, Finding(), ""),
        ({"c": Content(0, "")}, Finding(2, 1), "2 lost, 1 surplus"),
    ],
)
def test_the_bucket_against_the_tree(found: dict[str, Content], finding: Finding, words: str) -> None:
    """Sizes are compared, and MD5s where the ETag is one."""
    expected = {"a": Content(1, "m"), "b": Content(2, "n")}
    assert compare(expected, found, etags=True) == finding
    assert str(finding) == words
    assert finding.is_good is (words == "")


def test_etags_that_are_no_md5_prove_nothing() -> None:
    """A server may make them up."""
    assert compare({"a": Content(1, "m")}, {"a": Content(1, "x")}, etags=False).is_good


def test_listings_are_counted(tmp_path: Path) -> None:
    """Output has a line for each object, or our count of pages."""
    output = tmp_path / "output"
    output.write_text("a\nb\nc\n")
    assert count_listed(output, is_ours=False) == 3
    output.write_text('{"requests": {"ListObjectsV2": 2}}')
    assert count_listed(output, is_ours=True) == 2000


ODD = peers.Peer("odd", ("odd-tool",), "bin/odd", ("--version",))


def fake_pip(monkeypatch: pytest.MonkeyPatch, code: int, errors: str) -> None:
    def ran(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, code, "odd 1.0\nmore\n", errors)

    monkeypatch.setattr(subprocess, "run", ran)


def test_a_peer_that_cannot_be_installed_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The problem is the error of pip."""
    fake_pip(monkeypatch, 1, "WARNING: x\nERROR: No matching distribution found for odd-tool\n")
    tool = peers.install(ODD, tmp_path)
    assert tool.problem == "ERROR: No matching distribution found for odd-tool"
    assert peers.unavailable([tool]) == {"odd": tool.problem}
    assert peers.programs([ODD], tmp_path) == {}
    assert peers.install(ODD, tmp_path, may_install=False).problem == "not installed"


def test_an_installed_peer_is_not_installed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its version is the first line of its output."""
    program = tmp_path / "odd" / "bin" / "odd"
    program.parent.mkdir(parents=True)
    program.write_text("")
    (tmp_path / "odd" / "installed").write_text("odd-tool")
    monkeypatch.setattr(peers, "_install", lambda *_: pytest.fail("installed again"))
    fake_pip(monkeypatch, 0, "")
    assert peers.install(ODD, tmp_path) == Tool("odd", "odd-tool", "odd 1.0")
    assert peers.programs([ODD], tmp_path) == {"odd": program}
    fake_pip(monkeypatch, 3, "")
    assert peers.install(ODD, tmp_path).problem == "it does not start: exit code 3"


def test_the_machine_is_described() -> None:
    """No field of the description is empty."""
    described = machine.describe()
    assert all(str(value) for value in described.values())
    assert described["cores"] >= 1
    assert 0 < machine.free_memory() <= (described["memory_mib"] + 1) * 1024**2
