"""Answers in plain forms are read as the parser of a run reads them; all else is left to it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from httptools import HttpParserError, HttpResponseParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aios3sync.store.wire.blocking_endpoint import NotPlainError
from aios3sync.store.wire.plain_answer import PlainAnswer

BODY = st.binary(max_size=40)


def chunked(parts: list[bytes], extension: bytes = b"") -> bytes:
    """A body in chunks."""
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts if part)
    return framed + b"0\r\n\r\n"


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"ETag", b"x-amz-id-2", b"Connection", b"Date"]),
        st.sampled_from([b"close", b" keep-alive", b" Close", b'"abc"', b"a b", b"", b"  padded \t"]),
    ),
    max_size=3,
    unique_by=lambda header: header[0],
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A response in one of the plain forms."""
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]))
    head = b"".join(b"%s:%s\r\n" % header for header in draw(HEADERS))
    if draw(st.booleans()):
        body = draw(BODY)
        return b"%s 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (version, head, len(body), body)
    body = chunked(draw(st.lists(BODY, max_size=3)), draw(st.sampled_from([b"", b";a=b"])))
    return b"HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n%s" % (head, body)


class Reference:
    """What the parser of a run says of an answer."""

    def __init__(self, data: bytes) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.ended = self.keeps_alive = False
        self._parser: Any = HttpResponseParser(self)
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended = True
        self.keeps_alive = self._parser.should_keep_alive()


def fed(data: bytes, cuts: list[int]) -> PlainAnswer:
    """The answer after all of the data, in pieces that end where ``cuts`` say."""
    answer = PlainAnswer()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        answer.feed(data[start:end])
    return answer


@given(answers(), st.lists(st.integers(0, 400), max_size=6))
@settings(max_examples=400)
def test_a_plain_answer(data: bytes, cuts: list[int]) -> None:
    """Wherever it is cut."""
    answer, reference = fed(data, cuts), Reference(data)
    assert answer.ended
    assert reference.ended
    response = answer.response()
    assert (response.status, response.body) == (200, reference.body)
    assert response.headers == {name: value.strip(b" \t") for name, value in reference.headers.items()}
    if answer.keeps_alive:  # HTTP/1.0 may say that it does: that is not plain
        assert reference.keeps_alive


@given(answers(), st.integers(0, 400))
def test_a_part_of_an_answer_is_no_answer(data: bytes, length: int) -> None:
    part = data[: length % len(data)]
    if part:
        answer = fed(part, [])
        assert not answer.ended
        with pytest.raises(NotPlainError):
            answer.feed(b"")


@given(answers(), st.integers(0, 400), st.binary(min_size=1, max_size=3))
@settings(max_examples=400)
def test_a_damaged_answer_is_never_another_one(data: bytes, place: int, other: bytes) -> None:
    """It is refused, or incomplete, or what the parser of a run reads as well."""
    place %= len(data)
    damaged = data[:place] + other + data[place + len(other) :]
    try:
        answer = fed(damaged, [])
    except NotPlainError:
        return
    if not answer.ended or answer.status != 200:
        return
    try:
        reference = Reference(damaged)
    except HttpParserError:
        return  # stricter about what bears on neither end nor body
    assert reference.ended
    assert answer.response().body == reference.body


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000, id="line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, id="head"),
        b"HTTP/2 200\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"<html>\r\n\r\n",
        b"",
    ],
    ids=repr,
)
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(NotPlainError):
        PlainAnswer().feed(data)


@pytest.mark.parametrize("status", [100, 204, 301, 403, 503])
def test_a_refusal_ends_with_its_head(status: int) -> None:
    answer = PlainAnswer()
    answer.feed(b"HTTP/1.1 %d x\r\nContent-Length: 100\r\n\r\npart" % status)
    assert (answer.status, answer.ended, answer.keeps_alive) == (status, True, False)


@example(b"\r\n")
@given(st.binary(max_size=60))
def test_bytes_of_any_kind(data: bytes) -> None:
    """Nothing else is raised."""
    answer = PlainAnswer()
    try:
        answer.feed(b"HTTP/1.1 200 OK\r\n" + data)
    except NotPlainError:
        return
    assert answer.status in (0, 200)
