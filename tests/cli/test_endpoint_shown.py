"""The known facts of the endpoint are printed with ``-v`` and with ``--events``."""

from __future__ import annotations

import io
from typing import Any

import pytest

from aios3sync.cli.output.json_lines import event_document
from aios3sync.cli.output.lines import Lines
from aios3sync.cli.output.live import LiveView
from aios3sync.cli.output.plain import PlainView
from aios3sync.cli.output.view import Output
from aios3sync.events import EndpointKnown

KNOWN = EndpointKnown("http://127.0.0.1:9000", ("no DeleteObjects", "its ETags prove nothing"))
LINE = "endpoint http://127.0.0.1:9000: no DeleteObjects; its ETags prove nothing\n"


def lines() -> tuple[Lines, io.BytesIO]:
    written = io.BytesIO()
    return Lines(io.TextIOWrapper(written)), written


def never(_: Any) -> Any:
    raise AssertionError("no report is made here")


@pytest.mark.parametrize(("verbose", "quiet", "shown"), [(0, False, ""), (1, False, LINE), (1, True, "")])
def test_plain_lines_show_it_with_v(verbose: int, quiet: bool, shown: str) -> None:
    out, written = lines()
    view = PlainView(out, lines()[0], never, Output(verbose=verbose, quiet=quiet))
    view(KNOWN)
    view.close()
    assert written.getvalue().decode() == shown


@pytest.mark.parametrize(("verbose", "shown"), [(0, ""), (1, LINE)])
def test_the_live_view_shows_it_with_v(verbose: int, shown: str) -> None:
    out, written = lines()
    view = LiveView(out, lines()[0], never, "heading", Output(verbose=verbose))
    view(KNOWN)
    view.close()
    assert written.getvalue().decode() == shown


def test_it_is_an_event() -> None:
    assert event_document(KNOWN) == {
        "event": "endpoint",
        "endpoint": "http://127.0.0.1:9000",
        "facts": ["no DeleteObjects", "its ETags prove nothing"],
    }
