"""The command line: ``python -m benchmarks.scale`` simulates and writes; ``--render`` writes alone."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.chart import draw
from benchmarks.scale.figures import constants, figures
from benchmarks.scale.results import load, run_all, table

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("RESULTS.json")
PAGE = ROOT / "docs" / "scale.md"
CHART = ROOT / "docs" / "images" / "scale.svg"


def filled_in(page: str, parts: dict[str, str]) -> str:
    """Return a page with the text between the marks of each part replaced."""
    for name, text in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"the page needs one place for {name}")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--render", action="store_true", help="write the page and the chart, simulate nothing"
    )
    parser.add_argument("--keys", type=float, default=1e9)
    parser.add_argument("--directories", type=int, default=1_000_000)
    parser.add_argument("--nodes", type=int, default=128)
    options = parser.parse_args(arguments)
    if not options.render:
        documents, began = [], time.monotonic()
        for document in run_all(round(options.keys), options.directories, options.nodes):
            documents.append(document)
            elapsed = time.monotonic() - began
            print(f"{document['name']}: {document['seconds']:,.0f} s, after {elapsed:.0f} s", file=sys.stderr)
        RESULTS.write_text(json.dumps(documents, separators=(",", ":")) + "\n", "utf-8")
    results = load(RESULTS)
    CHART.write_text(draw(results), "utf-8")
    parts = {"constants": constants(), "tables": figures(), "simulation": table(results)}
    PAGE.write_text(filled_in(PAGE.read_text("utf-8"), parts), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
