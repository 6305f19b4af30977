"""Headers by pattern: which texts are rules, for which keys they speak, and what is refused."""

from __future__ import annotations

import pytest

from aios3sync.core.header_rules import read_header_rules
from aios3sync.errors import UsageError


@pytest.mark.parametrize(
    ("text", "pattern", "field", "name", "value"),
    [
        ("*.html:cache-control=no-cache", "*.html", "cache_control", "", "no-cache"),
        ("*.html:Cache-Control=no-cache, max-age=0", "*.html", "cache_control", "", "no-cache, max-age=0"),
        ("*:content-type=text/html; charset=utf-8", "*", "content_type", "", "text/html; charset=utf-8"),
        ("date=2024/*:x-amz-meta-Run=a=b:c", "date=2024/*", "metadata", "run", "a=b:c"),
        (
            "a:b/*:expires=Thu, 01 Dec 1994 16:00:00 GMT",
            "a:b/*",
            "expires",
            "",
            "Thu, 01 Dec 1994 16:00:00 GMT",
        ),
        ("a:x-amz-storage-class=GLACIER", "a", "storage_class", "", "GLACIER"),
        ("a:x-amz-acl=public-read", "a", "acl", "", "public-read"),
        ("a:content-disposition=", "a", "content_disposition", "", ""),
        ("a:content-language=de", "a", "content_language", "", "de"),
    ],
)
def test_a_rule_is_a_pattern_a_name_and_a_value(
    text: str, pattern: str, field: str, name: str, value: str
) -> None:
    (rule,) = read_header_rules([text])
    assert (rule.rule.pattern, rule.field, rule.name, rule.value) == (pattern, field, name, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*.html",
        "*.html:cache-control",
        ":cache-control=x",
        "cache-control=x",
        "*:content-encoding=gzip",
        "*:authorization=x",
        "*:x-amz-meta-=x",
        "*:cache-control=a\nb: c",
    ],
)
def test_what_is_no_rule_is_refused_with_the_name_of_the_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^header_for: "):
        read_header_rules([text])


@pytest.mark.parametrize("text", ["./*.html:cache-control=x", "/a/*:acl=private", "a/:x-amz-meta-n=v"])
def test_a_pattern_means_what_it_means_for_include(text: str) -> None:
    (rule,) = read_header_rules([text])
    assert rule.matches("a/b.html")
    assert str(rule) == text


def test_a_pattern_is_one_of_include() -> None:
    (rule,) = read_header_rules(["*.html:cache-control=x"])
    assert rule.matches("a/b.html")
    assert not rule.matches("a/b.htm")
