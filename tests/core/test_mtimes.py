"""The mtime in the metadata of an object, in the forms of the usual tools, and what is no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.core.metadata import rclone_mtime
from aios3sync.core.mtimes import object_mtime

S = 1_000_000_000


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"mtime": "1700000000.123456789"}, 1700000000 * S + 123456789),
        ({"mtime": "1700000000"}, 1700000000 * S),
        ({"mtime": " 1700000000.5 "}, 1700000000 * S + 500_000_000),
        ({"mtime": "1700000000.1234567899"}, 1700000000 * S + 123456789),
        ({"mtime": "0"}, 0),
        ({"mtime": "-1.250000000"}, -1_250_000_000),
        ({"mtime": "1700000000123456789"}, 1700000000123456789),
        ({"mtime": "1700000000123456789ns"}, 1700000000123456789),
        ({"mtime": "2023-11-14T22:13:20Z"}, 1700000000 * S),
        ({"mtime": "2023-11-14T23:13:20.25+01:00"}, 1700000000 * S + 250_000_000),
        ({"mtime": "2023-11-14T17:13:20-05:00"}, 1700000000 * S),
        ({"mtime": "1969-12-31T23:59:59.5Z"}, -500_000_000),
        ({"file-mtime": "1539718134000000000ns"}, 1539718134 * S),
        ({"file-mtime": "1ns"}, 1),
        ({"mm-source-mtime": "2023-11-14T22:13:20Z"}, 1700000000 * S),
        ({"s3cmd-attrs": "atime:1/ctime:2/gid:0/md5:x/mode:33188/mtime:1700000000/uid:0"}, 1700000000 * S),
        ({"s3cmd-attrs": "mtime:1700000000"}, 1700000000 * S),
        ({"mc-attrs": "atime:1#2/gid:0/mtime:1700000000#7/uid:0"}, 1700000000 * S + 7),
        ({"mtime": "?", "s3cmd-attrs": "mtime:5/uid:0"}, 5 * S),
        ({"mtime": "3", "s3cmd-attrs": "mtime:5/uid:0"}, 3 * S),
    ],
)
def test_times_that_tools_write(metadata: dict[str, str], expected: int) -> None:
    assert object_mtime(metadata) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "nan", "inf", "-", ".", ".5", "1e9", "0x10", "1_000", "1,000,000", "12345678901234"),
        *("2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "2023-11-14T22:13:20+99:00", "2023-11-14"),
        *("2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2023-11-14T24:00:00Z", "0000-01-01T00:00:00Z"),
        *("99999999999999999999ns", "9999999999999999999", "99999999999.0", "1700000000s", "\u0661\u0667"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert object_mtime({"mtime": text}) is None


@pytest.mark.parametrize("attributes", ["", "mtime:", "xmtime:5/", "atime:5/uid:0", "mtime:999999999999/"])
def test_attributes_without_a_time(attributes: str) -> None:
    assert object_mtime({"s3cmd-attrs": attributes}) is None


@given(st.integers(-(10**18), 10**19 // 2))
def test_what_an_upload_writes_is_read_back(mtime_ns: int) -> None:
    assert object_mtime({"mtime": rclone_mtime(mtime_ns)}) == mtime_ns


@given(st.datetimes(datetime(1700, 1, 1), datetime(2260, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_moments_are_those_of_the_standard_library(moment: datetime) -> None:
    text = moment.isoformat()
    if len(text.rpartition("+")[2]) > 5 and text.count(":") > 3:
        return  # an offset with seconds, which RFC 3339 does not have
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert object_mtime({"mtime": text}) == since // timedelta(microseconds=1) * 1000
