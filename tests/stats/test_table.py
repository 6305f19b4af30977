"""The tables at any width: no line wider than the terminal, and no control characters."""

from __future__ import annotations

import re
from collections.abc import Callable

import anyio
import pytest
from rich.cells import cell_len

from aios3sync.cli.output.cells import without_beginning, without_middle
from aios3sync.cli.output.lines import standard_lines
from aios3sync.cli.output.stats_tables import stats_lines
from aios3sync.cli.output.stats_watch import StatsWatch, counted_repeatedly
from aios3sync.errors import UnavailableError, UsageError
from aios3sync.stats.model import BucketStats
from tests.stats.samples import hostile, sample


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
@pytest.mark.parametrize("make", [sample, hostile], ids=lambda make: make.__name__)
def test_no_line_is_wider_than_the_terminal(make: Callable[[], BucketStats], width: int) -> None:
    lines = stats_lines(make(), width, plain=True)
    assert max(map(cell_len, lines)) <= width
    assert all(line.isprintable() for line in lines)


def test_each_number_says_how_it_is_known() -> None:
    text = "\n".join(stats_lines(sample(), 100))
    assert "~2.5 TB  sampled 12.5 %, 2.4 TB to 2.7 TB" in text
    assert "96,945  exact" in text
    assert "-  unknown" in text
    assert text.count("access denied to list versions") == 1
    assert "INCOMPLETE" not in text


def test_incomplete_is_loud_and_on_top() -> None:
    lines = stats_lines(hostile(), 100)
    assert lines[2].startswith("INCOMPLETE: not everything was seen")
    assert "\x1b[1;37;41m" in stats_lines(hostile(), 100, color=True)[2]


def test_both_ends_of_a_long_key_are_shown() -> None:
    text = "\n".join(stats_lines(sample(), 80))
    assert "checkpoints/run-0/mod...0-of-00012.safetensors" in text


@pytest.mark.parametrize("room", [1, 3, 10, 11, 40])
def test_wide_letters_are_cut_by_their_columns(room: int) -> None:
    assert cell_len(without_middle("日本語/" * 9, room, "...")) <= max(room, 3)
    assert cell_len(without_beginning("日本語/" * 9, room)) <= room
    assert without_middle("日本語.jpg", 10) == "日本語.jpg"
    assert without_middle("日本語のなまえ.jpg", 10) == "日本….jpg"


@pytest.mark.parametrize("make", [sample, hostile], ids=lambda make: make.__name__)
def test_no_colour_vanishes_on_a_light_background(make: Callable[[], BucketStats]) -> None:
    text = "\n".join(stats_lines(make(), 100, color=True)).replace("\x1b[1;37;41m", "")  # it has its own
    foreground = {code for codes in re.findall(r"\x1b\[([\d;]*)m", text) for code in codes.split(";")}
    assert foreground.isdisjoint({"33", "36", "37", "93", "96", "97"})
    assert "32" in foreground


async def test_a_failing_refresh_keeps_the_last_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    answers: list[BucketStats | UnavailableError] = [
        sample(),
        UnavailableError("the endpoint is away"),
        sample(),
    ]

    async def ask(_: object) -> BucketStats:
        if not answers:
            scope.cancel()
            await anyio.sleep_forever()
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    view = StatsWatch(standard_lines()[0])
    with anyio.CancelScope() as scope:
        await counted_repeatedly(ask, view, 0.01)(None)  # type: ignore[arg-type]
    view.close()
    printed = capfd.readouterr().out
    assert not answers
    assert printed.count("96,945") == 2
    assert re.search(r"refresh failed, the numbers are \d+\.\d s old: the endpoint is away", printed)


@pytest.mark.parametrize("error", [UnavailableError("away"), UsageError("no bucket")], ids=repr)
async def test_a_failure_of_the_first_count_ends_the_watch(error: Exception) -> None:
    async def ask(_: object) -> BucketStats:
        raise error

    with pytest.raises(type(error)):
        await counted_repeatedly(ask, StatsWatch(standard_lines()[0]), 1)(None)  # type: ignore[arg-type]
