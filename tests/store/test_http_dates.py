"""HTTP dates are read as the standard library reads them, and the usual form without its e-mail package."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from hypothesis import example, given
from hypothesis import strategies as st

from aios3sync.store.s3.http_dates import http_date

EPOCH = datetime.fromtimestamp(0, UTC)
NEARLY = st.from_regex(
    r"(Mon|Tue|Xyz)?,? ?[0-9]{1,2}[ -](Jan|Feb|Nov|Foo)[ -][0-9]{1,4} [0-9]{2}:[0-9]{2}(:[0-9]{2})?"
    r"( GMT| \+0100| -0000| EST)?",
    fullmatch=True,
)


@given(st.integers(-62135596800, 253402300799))
def test_the_usual_form(seconds: int) -> None:
    written = format_datetime(EPOCH + timedelta(seconds=seconds), usegmt=True)
    assert http_date(written) == seconds


def as_the_standard_library_reads_it(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def read(text: str) -> float | None:
    try:
        return http_date(text)
    except ValueError:
        return None


@given(NEARLY | st.text(max_size=40))
@example("Sunday, 06-Nov-94 08:49:37 GMT")
@example("Sun Nov  6 08:49:37 1994")
@example("Sun, 31 Feb 2026 00:00:00 GMT")
@example("Sun, 01 Nov 2026 00:00:60 GMT")
@example("Sun, 01 Nov 2026 00:00:00 -0000")
@example("Mon, 99 Foo 99999 99:99:99")
@example("")
def test_any_other_form_as_the_standard_library_reads_it(text: str) -> None:
    assert read(text) == as_the_standard_library_reads_it(text)


def test_the_usual_form_loads_nothing() -> None:
    code = (
        "import sys; from aios3sync.store.s3.http_dates import http_date; "
        "http_date('Sun, 06 Nov 1994 08:49:37 GMT'); print('email.utils' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
