"""URLs and names that are read without a pattern are read as the pattern reads them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aios3sync.core import endpoints
from aios3sync.core.endpoints import host_of, plain_parts
from aios3sync.core.keys import Location
from aios3sync.errors import UsageError

URLS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "http:/", ""]),
        st.text("ab1.-_@[:]é ", max_size=8),
        st.sampled_from(["", ":", ":80", ":65535", ":70000", ":123456", ":a", ":٣"]),
        st.sampled_from(["", "/", "/a", "/a/b/", "//", "/a b", "/%20", "/é", "?x", "#x", "/a?x"]),
    ),
)


@given(URLS)
@example("http://127.0.0.1:8333")
@example("https://s3.example.com")
@example("http://a:")
def test_a_plain_url_is_read_as_any_other(url: str) -> None:
    plain = plain_parts(url)
    if plain is None:
        return
    scheme, host, port, path = plain
    found = endpoints._URL.fullmatch(url)
    assert found is not None
    assert (host, port) == (found["host"], found["port"] or "")
    parts = urlsplit(url)
    assert (scheme, host.lower(), path) == (parts.scheme, parts.hostname, parts.path)
    if int(port or 0) < 65_536:
        assert parts.port == (int(port) if port else None)


@given(URLS)
def test_the_host_is_that_of_the_pattern(url: str) -> None:
    found = endpoints._URL.fullmatch(url)
    assert host_of(url) == ("" if found is None else found["host"].lower())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://s3.example.com", "http://minio:9000/s3/"])
def test_usual_endpoints_are_plain(url: str) -> None:
    assert plain_parts(url) is not None


@given(st.text("aZ0._-é/ \n", max_size=6) | st.integers(1, 260).map("a".__mul__))
@example("abc\n")
def test_names_of_buckets(name: str) -> None:
    """Letters, digits and three signs; the first and the last are letters or digits."""
    if "/" in name:
        return
    fits = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", name) is not None
    if fits:
        assert Location.parse(f"s3://{name}").bucket == name
    else:
        with pytest.raises(UsageError):
            Location.parse(f"s3://{name}")
