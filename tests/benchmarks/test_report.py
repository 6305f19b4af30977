"""From runs to figures, tables and RESULTS.md, all from a canned record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks import __main__ as program
from benchmarks.figures import fastest, figures_of, ratio
from benchmarks.record import load, save
from benchmarks.report import render, summary_rows
from benchmarks.table import HEADINGS, aligned, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.figures import Figure
    from benchmarks.record import Record


def figures(record: Record) -> dict[str, Figure]:
    return {each.contender.name: each for each in figures_of(record, record.cases[0])}


def test_medians_and_spread_are_those_of_good_runs(record: Record) -> None:
    """A run that lost files is counted and reported, but its time is not used."""
    ours, quick = figures(record)["aios3sync"], figures(record)["quick best"]
    assert (ours.wall, ours.least, ours.most, ours.cpu) == (0.5, 0.4, 0.6, 0.375)
    assert (ours.good, ours.runs, ours.problems) == (3, 3, ())
    assert (quick.wall, quick.least, quick.most, quick.peak_kib) == (1.05, 1.0, 1.1, 2048)
    assert (quick.good, quick.runs, quick.problems) == (2, 3, ("2 lost",))


def test_the_fastest_peer_had_a_good_run(record: Record) -> None:
    """Our own rows, and tools without a good run, are never the fastest peer."""
    known = figures(record)
    best, careful = fastest(known.values()), fastest(known.values(), verifying=True)
    assert best is known["quick best"]
    assert careful is known["careful"]
    assert ratio(known["aios3sync"], best) == pytest.approx(2.1)
    assert ratio(known["aios3sync"], careful) == pytest.approx(3.0)
    assert ratio(known["broken"], best) is None
    assert ratio(known["aios3sync"], None) is None
    assert fastest([known["aios3sync"], known["broken"]]) is None


def test_rows_begin_with_the_fastest(record: Record) -> None:
    """Those without a good run are last, and have no figures."""
    rows = rows_of(record, record.cases[0])
    names = [row[0] for row in rows]
    assert names == ["aios3sync", "quick best", "careful", "aios3sync lane boto", "broken"]
    assert rows[0] == (
        "aios3sync", "0.500", "0.400 to 0.600", "2,000/s", "0.38", "375 µs", "2", "2.10", "3 of 3"
    )  # fmt: skip
    assert rows[-1] == ("broken", *["-"] * 7, "0 of 1")
    assert {len(row) for row in rows} == {len(HEADINGS)}


def test_large_files_are_told_in_bytes(record: Record) -> None:
    """Files a second say nothing about four of a gigabyte."""
    case = type(record.cases[0])("large", "Large", "fresh", 4, 4 * 1024**3)
    record.runs = [type(record.runs[0])("large", "aios3sync", 0, 8.0, 3.0, 1.0, 2048, 0)]
    assert rows_of(record, case)[0][3:6] == ("512 MiB/s", "4.00", "1,000 ms/GiB")


def test_each_row_of_ours_is_in_the_summary(record: Record) -> None:
    """It is compared with the fastest peer, and with the fastest that verifies."""
    title = record.cases[0].title
    assert summary_rows(record) == [
        (title, "aios3sync", "0.500", "quick best", "1.050", "2.10", "careful", "1.500", "3.00"),
        (title, "aios3sync lane boto", "2.000", "quick best", "1.050", "0.53", "careful", "1.500", "0.75"),
    ]


def test_the_document_hides_nothing(record: Record) -> None:
    """Missing tools, skipped cases, lost files and the machine are in it; nothing breaks its tables."""
    text = render([record, record], ["chart.png", ""])
    assert "A CPU, 2 cores, 24,000 MiB" in text
    assert "absent: **missing**: no wheel for this machine" in text
    assert "Skipped: needs more memory." in text
    assert "**quick best**: 2 lost" in text
    assert "exit 1: &lt;no> such \\| thing" in text
    assert "| aios3sync | 0.500 | 0.400 to 0.600 |" in text
    assert "`quick TREE TARGET`" in text
    assert text.count("## On a|server") == 2
    assert text.count("chart.png") == 1
    assert "Scaled" not in text


def test_a_toy_says_that_it_is_one(record: Record) -> None:
    """The figures of --quick cannot be mistaken for results."""
    record.settings["scale"] = 0.002
    assert "**Scaled by 0.002" in render([record], [""])


def test_a_record_is_read_as_it_was_written(record: Record, tmp_path: Path) -> None:
    """A file of another version is refused."""
    path = tmp_path / "deep" / "results.json"
    save(record, path)
    assert load(path) == record
    assert [each.name for each in path.parent.iterdir()] == ["results.json"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 0}))
    with pytest.raises(ValueError, match="schema 0"):
        load(path)


def test_report_command(record: Record, tmp_path: Path) -> None:
    """Several endpoints make one document; a chart is linked if it exists."""
    first, second, document = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "RESULTS.md"
    save(record, first)
    save(record, second)
    second.with_suffix(".png").write_bytes(b"")
    assert program.main(["report", str(first), str(second), "--output", str(document)]) == 0
    assert document.read_text() == render([record, record], ["", "b.png"])


def test_columns_are_aligned() -> None:
    """Names are aligned to the left, figures to the right."""
    assert aligned(("", "s"), [("a", "1.25"), ("long", "10")]) == ["         s", "a     1.25", "long    10"]
