"""From runs to figures, tables and RESULTS.md, all from a canned record."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as program
from benchmarks.chart import draw
from benchmarks.figures import fastest, figures_of, ratio
from benchmarks.overview import as_json, cells, lines_of, mark, summary
from benchmarks.record import load, save
from benchmarks.report import render
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
    best, careful = fastest(known.values()), fastest(known.values(), comparing=True)
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


def add_case(record: Record, condition: str, ours: float, theirs: float, **others: float) -> None:
    """Add a case under a condition, with a run of ours and one of the peer that is not careful."""
    run = record.runs[0]
    record.cases.append(
        replace(record.cases[0], name="same", title="No change", verb="unchanged", condition=condition)
    )
    for name, wall_s in {"aios3sync": ours, "quick best": theirs, **others}.items():
        record.runs.append(
            replace(run, case="same", contender=name, round=0, wall_s=wall_s, condition=condition)
        )


def test_every_case_is_one_row_with_wins_and_losses(record: Record) -> None:
    """Each condition is a column; the runs of one condition are not those of another."""
    record.cases[0] = replace(record.cases[0], condition="HTTP")
    record.runs = [replace(run, condition="HTTP") for run in record.runs]
    add_case(record, "HTTP", 1.0, 2.0)
    add_case(record, "TLS", 2.0, 1.0)
    add_case(record, "TLS, 30 ms", 1.0, 1.02)
    lines = lines_of([record])
    headings, rows = cells(lines)
    assert headings == ("", "HTTP", "TLS", "TLS, 30 ms")
    assert rows == [
        ("Fresh sync of 1,000 x 4 KiB", "▲ 2.10x: 0.50 s, quick best 1.05 s", "", ""),
        (
            "No change",
            "▲ 2.00x: 1.00 s, quick best 2.00 s",
            "▼ 0.50x: 2.00 s, quick best 1.00 s",
            "= 1.02x: 1.00 s, quick best 1.02 s",
        ),
    ]
    assert summary(lines) == (
        "Of 4 comparisons, aios3sync is faster in 2, level in 1, slower in 1. The median ratio is 1.51."
    )
    assert [mark(times) for times in (None, 0.96, 0.98, 1.02, 1.04)] == ["?", "▼", "=", "=", "▲"]


def test_a_lost_manifest_is_held_against_peers_that_compare_contents(record: Record) -> None:
    """A peer that looks at sizes alone does less."""
    name = "aios3sync manifest lost"
    record.contenders.append(replace(record.contenders[0], name=name))
    add_case(record, "HTTP", 0.5, 0.1, **{name: 1.0, "careful": 3.0})
    found = {line.title: line for line in lines_of([record])}
    assert found["No change"].times == pytest.approx(0.2)
    assert found["No change, manifest lost"].times == pytest.approx(3.0)


def test_a_failure_of_ours_is_a_row_too(record: Record) -> None:
    """A case that was not possible for it is not left out."""
    add_case(record, "HTTP", 1.0, 2.0)
    record.runs = [run for run in record.runs if (run.case, run.contender) != ("same", "aios3sync")]
    _, rows = cells(lines_of([record]))
    assert rows[1] == ("No change", "? ours failed")
    assert "1 could not be made" in summary(lines_of([record]))


def test_another_row_of_ours_is_better_than_none(record: Record) -> None:
    """Its name is then in the title."""
    record.runs = [run for run in record.runs if run.contender != "aios3sync"]
    _, rows = cells(lines_of([record]))
    assert rows[0][0] == "Fresh sync of 1,000 x 4 KiB (aios3sync lane boto)"


def test_of_two_records_the_later_one_counts(record: Record) -> None:
    """So that a case can be measured again; another endpoint has columns of its own."""
    again = deepcopy(record)
    again.runs = [
        replace(run, wall_s=run.wall_s * 2) if run.contender == "aios3sync" else run for run in record.runs
    ]
    assert [line.times for line in lines_of([record, again])] == [pytest.approx(1.05)]
    again.server = "elsewhere"
    assert cells(lines_of([record, again]))[0] == ("", "HTTP on a|server", "HTTP on elsewhere")


def test_the_overview_can_be_read_by_programs(record: Record) -> None:
    """Figures, not texts; with the machine and the tools."""
    values = json.loads(as_json([record], lines_of([record])))
    assert values["endpoints"][0]["environment"]["cpu"] == "A CPU"
    assert values["endpoints"][0]["tools"] == {"quick": "v1", "absent": "no wheel for this machine"}
    (line,) = values["comparisons"]
    assert (line["case"], line["condition"], line["ratio"]) == ("fresh-10k", "HTTP", 2.1)
    assert line["ours"] == {
        "name": "aios3sync", "median_s": 0.5, "min_s": 0.4, "max_s": 0.6, "cpu_s": 0.375, "peak_mib": 2.0,
        "good_runs": 3, "runs": 3, "problems": [],
    }  # fmt: skip
    assert line["fastest_peer"]["problems"] == ["2 lost"]


def test_the_chart_shows_wins_on_the_right_and_losses_on_the_left(record: Record) -> None:
    """It is XML without a background, with colours for both schemes."""
    add_case(record, "HTTP", 1.0, 100.0)
    add_case(record, "TLS", 2.0, 1.0)
    record.cases[0] = replace(record.cases[0], title="a < b")
    picture = ElementTree.fromstring(draw(lines_of([record])))  # noqa: S314 - our own
    marks = {
        each.findtext("{*}title"): (each.get("class"), float(each.get("cx") or each.get("x") or 0))
        for each in picture.iter()
        if each.findtext("{*}title")
    }
    line = next(float(each.get("x1") or 0) for each in picture.iter() if each.get("class") == "one")
    assert [kind for kind, _ in marks.values()] == ["win", "win", "loss hollow"]
    (_, small_win), (_, large_win), (_, loss) = marks.values()
    assert list(marks) == ["a < b, HTTP: 2.10x", "No change, HTTP: 100.00x", "No change, TLS: 0.50x"]
    assert loss < line < small_win < large_win <= float(picture.get("width") or 0)
    assert "prefers-color-scheme: dark" in draw([])


def test_the_document_hides_nothing(record: Record) -> None:
    """Missing tools, skipped cases, lost files and the machine are in it; nothing breaks its tables."""
    text = render([record, record], lines_of([record]), "chart.svg", "values.json")
    assert "A CPU, 2 cores, 24,000 MiB" in text
    assert "absent: **missing**: no wheel for this machine" in text
    assert "Skipped: needs more memory." in text
    assert "**quick best**: 2 lost" in text
    assert "exit 1: &lt;no> such \\| thing" in text
    assert "| aios3sync | 0.500 | 0.400 to 0.600 |" in text
    assert "`quick TREE TARGET`" in text
    assert text.count("## On a|server") == 2
    assert (text.count("chart.svg"), text.count("values.json")) == (1, 1)
    assert text.index("▲ 2.10x") < text.index("chart.svg") < text.index("## ")
    assert "Scaled" not in text


def test_a_toy_says_that_it_is_one(record: Record) -> None:
    """The figures of --quick cannot be mistaken for results."""
    record.settings["scale"] = 0.002
    assert "**Scaled by 0.002" in render([record], [], "", "")


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
    """Several endpoints make one document, with the chart and the values next to it."""
    first, second, document = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "RESULTS.md"
    save(record, first)
    save(record, second)
    assert program.main(["report", str(first), str(second), "--output", str(document)]) == 0
    lines = lines_of([record, record])
    assert document.read_text() == render([record, record], lines, "RESULTS.svg", "RESULTS.json")
    assert (tmp_path / "RESULTS.svg").read_text() == draw(lines)
    assert (tmp_path / "RESULTS.json").read_text() == as_json([record, record], lines)


def test_columns_are_aligned() -> None:
    """Names are aligned to the left, figures to the right."""
    assert aligned(("", "s"), [("a", "1.25"), ("long", "10")]) == ["         s", "a     1.25", "long    10"]
