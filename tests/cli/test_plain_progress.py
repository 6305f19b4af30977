"""Where there is no terminal, a long run prints a line with its progress now and then."""

from __future__ import annotations

import io

import pytest

from aios3sync.cli.output import plain
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.summary import Conclusion
from aios3sync.cli.output.view import Output
from aios3sync.events import Event, Planned, Scanned


def progress_of(*events: Event) -> str:
    """The line that is printed after these events."""
    written = io.BytesIO()
    out, err = Lines(io.TextIOWrapper(io.BytesIO())), Lines(io.TextIOWrapper(written))
    view = plain.PlainView(out, err, lambda _: Conclusion(""), Output())
    for event in events:
        view(event)
    view.tick()
    view.close()
    return written.getvalue().decode()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_PROGRESS_S", 0.0)


def test_a_run_names_its_transfers_and_deletes() -> None:
    line = progress_of(Scanned(3000, 9000), Planned(uploads=2, size=600, deletes=1))
    assert line.startswith("scanned 3,000, uploaded 0/2 (0 bytes of 600 bytes), deleted 0/1, failed 0; ")


def test_a_verification_names_none() -> None:
    line = progress_of(Scanned(3000, 9000))
    assert line.startswith("scanned 3,000, failed 0; ")
    assert line.endswith(" files/s scanned\n")
