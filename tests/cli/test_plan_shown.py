"""A dry run shows first what would be lost; many lines have headings, and go through a pager."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.pager import page, pager_command
from aios3sync.cli.output.plan_lines import headed_lines, plan_lines, show_plan
from aios3sync.options import SyncOptions
from aios3sync.sync.plans.plan import Plan
from aios3sync.sync.plans.planned import PlannedAction

THERE = {"etag": "e"}
FILE = {"size": 1}


def plan_of(*actions: PlannedAction, direction: str = "up") -> Plan:
    plan = Plan.begin("/data", "s3://bucket/data/", direction, "aws", SyncOptions())
    plan.add(actions)
    return plan


def many(number: int = 10_000) -> Plan:
    """New files first, as they were decided; deletes and what is overwritten in between."""
    actions = []
    for index in range(number):
        key = f"k{index:05}"
        if index % 10 == 1:
            actions.append(PlannedAction("delete", key, 100, "not in the source", None, THERE))
        elif index % 10 == 2:
            actions.append(PlannedAction("upload", key, 1000, "size differs", FILE, THERE))
        else:
            actions.append(PlannedAction("upload", key, 10, "new", FILE, None))
    return plan_of(*actions)


def test_a_pipe_gets_all_lines_and_what_would_be_lost_comes_first() -> None:
    lines = list(plan_lines(many()))
    assert len(lines) == 10_000
    assert lines[0] == "(dry run) would delete: k00001 (not in the source)"
    assert lines[999:1001] == [
        "(dry run) would delete: k09991 (not in the source)",
        "(dry run) would upload: k00002 (size differs)",
    ]
    assert lines[2000] == "(dry run) would upload: k00000 (new)"
    assert len(set(lines)) == 10_000


def test_a_terminal_gets_an_overview_and_headings() -> None:
    lines = list(headed_lines(many(), 2))
    assert lines == [
        "(dry run) would",
        "  delete      1,000   100 kB",
        "  overwrite   1,000   1.0 MB",
        "  upload new  8,000  80.0 kB",
        "",
        "(dry run) would delete 1,000 objects (100 kB)",
        "  100 bytes  k00001 (not in the source)",
        "  100 bytes  k00011 (not in the source)",
        "  ... and 998 more (-v lists them all)",
        "",
        "(dry run) would overwrite 1,000 objects (1.0 MB)",
        "     1.0 kB  k00002 (size differs)",
        "     1.0 kB  k00012 (size differs)",
        "  ... and 998 more (-v lists them all)",
        "",
        "(dry run) would upload 8,000 new files (80.0 kB)",
        "   10 bytes  k00000 (new)",
        "   10 bytes  k00003 (new)",
        "  ... and 7,998 more (-v lists them all)",
        "",
    ]
    assert len(list(headed_lines(many()))) == 10_000 + 5 + 2 * 3


@pytest.mark.parametrize(
    ("direction", "action", "headings"),
    [
        ("up", "upload", ["delete 1 object", "overwrite 1 object", "upload 1 new file"]),
        ("down", "download", ["delete 1 file", "overwrite 1 file", "download 1 new file"]),
        ("copy", "copy", ["delete 1 object", "overwrite 1 object", "copy 1 new object"]),
    ],
)
def test_headings_name_files_and_objects(direction: str, action: str, headings: list[str]) -> None:
    actions = (
        PlannedAction(action, "new", 1, "new", THERE, None),
        PlannedAction(action, "old", 1, "size differs", THERE, THERE),
        PlannedAction("delete", "gone", 1, "not in the source", None, THERE),
    )
    lines = list(headed_lines(plan_of(*actions, direction=direction)))
    assert [line for line in lines if line.endswith("(1 byte)")] == [
        f"(dry run) would {heading} (1 byte)" for heading in headings
    ]


def test_a_change_of_headers_has_its_own_group() -> None:
    update = PlannedAction("update", "a", 5, "other headers are asked for", FILE, THERE)
    heading, *_ = headed_lines(plan_of(update))
    assert heading == "(dry run) would update the headers of 1 object (5 bytes)"


class Terminal:
    """A terminal of 24 lines, and what was printed on it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._content = BytesIO()
        self.lines = Lines(TextIOWrapper(self._content, "utf-8"))
        patch.setattr(sys.stdout, "isatty", lambda: True)
        patch.setenv("COLUMNS", "80")
        patch.setenv("LINES", "24")
        patch.setenv("TERM", "xterm")

    @property
    def printed(self) -> list[str]:
        return self._content.getvalue().decode().splitlines()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_what_fits_on_the_terminal_needs_no_headings(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", "false")
    show_plan(many(20), terminal.lines)
    assert terminal.printed == list(plan_lines(many(20)))


def test_many_lines_go_through_the_pager(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown, settings = tmp_path / "shown", tmp_path / "settings"
    monkeypatch.delenv("LESS", raising=False)
    monkeypatch.setenv("PAGER", f"echo $LESS > {settings}; cat > {shown}")
    show_plan(many(), terminal.lines)
    assert terminal.printed == []
    assert shown.read_text().splitlines() == list(headed_lines(many()))
    assert settings.read_text() == "FRX\n"


def test_a_pager_that_is_left_early_is_no_error(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "true")
    show_plan(many(), terminal.lines)
    assert terminal.printed == []


@pytest.mark.parametrize("pager", ["cat", "", "no-such-pager-here 2>/dev/null"])
def test_without_a_pager_each_group_is_shortened(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, pager: str
) -> None:
    monkeypatch.setenv("PAGER", pager)
    show_plan(many(), terminal.lines)
    assert terminal.printed == list(headed_lines(many(), 10))
    show_plan(many(), terminal.lines, verbose=True)
    assert terminal.printed[-10_000:] == list(headed_lines(many()))[-10_000:]


def test_names_are_escaped_on_their_way_to_the_pager(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAGER", f"cat > {tmp_path / 'shown'}")
    actions = [PlannedAction("upload", f"a\x1b[2J\n{number}", 1, "new", FILE, None) for number in range(30)]
    show_plan(plan_of(*actions), terminal.lines)
    text = (tmp_path / "shown").read_text()
    assert "\x1b" not in text
    assert r"  a\x1b[2J\n7 (new)" in text


def test_the_usual_pager_is_less_and_a_dumb_terminal_has_none(tmp_path: Path) -> None:
    for name in ("less", "more"):
        (tmp_path / name).touch(mode=0o755)
    here = {"PATH": str(tmp_path), "TERM": "xterm"}
    assert pager_command(here) == "less"
    assert pager_command({**here, "PAGER": "most -s"}) == "most -s"
    assert pager_command({**here, "TERM": "dumb"}) == ""
    (tmp_path / "less").unlink()
    assert pager_command(here) == "more"
    (tmp_path / "more").unlink()
    assert pager_command(here) == ""


def test_nothing_is_shown_without_a_pager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGER", "")
    assert page(["line\n"]) is False
