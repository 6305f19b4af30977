"""Copies are many: their requests share headers, and their answers are read without a parser of XML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3sync.store.protocol import CopySource, PutOptions, PutResult
from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.s3.parameters import copy_parameters
from aios3sync.store.wire import xml_results
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.requests import HttpRequest, InvalidRequestError, headers_of
from aios3sync.store.wire.sigv4 import EMPTY_SHA256

ETAG = "0cc175b9c0f1b6a831c399e269772661"
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
DOCUMENTS = {
    "AWS": f'<?xml version="1.0" encoding="UTF-8"?>\n<CopyObjectResult {XMLNS}>'
    f"<LastModified>2026-11-02T03:04:05.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag>"
    "<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"
    "</CopyObjectResult>",
    "without a namespace": f'<CopyObjectResult><ETag>"{ETAG}"</ETag></CopyObjectResult>',
    "in lines": f"<CopyObjectResult>\n  <ETag>&#34;{ETAG}-2&#34;</ETag>\n</CopyObjectResult>\n",
}


def answer(document: str) -> HttpResponse:
    return HttpResponse(200, {b"x-amz-version-id": b"v"}, document.encode())


def parsed(document: str, monkeypatch: pytest.MonkeyPatch) -> PutResult | str:
    """The result by the parser of XML."""
    with monkeypatch.context() as patch:
        patch.setattr(xml_results, "_plain_copy", lambda _: None)
        return quick(document)


def quick(document: str) -> PutResult | str:
    try:
        return xml_results.copied(answer(document))
    except InvalidAnswerError as error:
        return str(error)


@pytest.mark.parametrize("server", DOCUMENTS)
def test_a_plain_answer_needs_no_parser(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = parsed(DOCUMENTS[server], monkeypatch)
    monkeypatch.setattr(xml_results, "result", lambda *_: pytest.fail("parsed"))
    assert quick(DOCUMENTS[server]) == expected
    assert isinstance(expected, PutResult)
    assert expected.etag.startswith(ETAG)


_PIECES = st.sampled_from(
    [
        "<CopyObjectResult>",
        f"<CopyObjectResult {XMLNS}>",
        "</CopyObjectResult>",
        f"<ETag>&quot;{ETAG}&quot;</ETag>",
        f'<ETag>"{ETAG}-3"</ETag>',
        f"<ETag>{ETAG}</ETag>",
        "<ETag/>",
        "<ETag></ETag>",
        "<a>b</a>",
        "<a>&amp;</a>",
        "<a>&no;</a>",
        "<a><ETag>x</ETag></a>",
        "<a>",
        "é",
        " \n",
        "<!-- -->",
        '<?xml version="1.0"?>',
        '<?xml version="1.0" encoding="latin-1"?>',
        "<!DOCTYPE a>",
        "<Error><Code>InternalError</Code></Error>",
    ]
)


@given(st.lists(_PIECES, max_size=6).map("".join), st.booleans())
def test_any_answer_means_what_the_parser_says(text: str, wrapped: bool) -> None:
    document = f"<CopyObjectResult>{text}</CopyObjectResult>" if wrapped else text
    with pytest.MonkeyPatch.context() as patch:
        assert quick(document) == parsed(document, patch)


def headers(request: HttpRequest) -> dict[str, str]:
    return {**request.template.constant, **dict(zip(request.template.varying, request.values, strict=True))}


OPTIONS: list[PutOptions | None] = [
    None,
    PutOptions(),
    PutOptions("text/plain", metadata={"a": "b"}, storage_class="GLACIER"),
    PutOptions(metadata={"a": "c"}, tags={"t": "1"}),
    PutOptions(metadata={"A": "c"}, tags={"t": "2"}, acl="private"),
]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("payer", ["", "requester"])
def test_shared_headers_are_those_of_each_copy(keep: bool, payer: str) -> None:
    """Whatever the builder keeps of one copy, the headers of the next are made of its own parameters."""
    shared = RequestBuilder(request_payer=payer)
    for options in [*OPTIONS, *OPTIONS]:
        for source in (
            CopySource("a b/é", "other", ETAG, version_id="v+1"),
            CopySource("plain", "", "0" * 32),
            CopySource("plain", "", 'odd"etag'),
            CopySource("plain"),
            CopySource("plain", "", ETAG, customer_key=b"k" * 32),
        ):
            found = shared.copy("bucket", source, "target é", options, keep_metadata=keep)
            stored = copy_parameters(options, keep_metadata=keep)
            expected = headers_of(shared.paid | shared.source("bucket", source) | stored)
            assert headers(found) == {**expected, "x-amz-content-sha256": EMPTY_SHA256}
            assert (found.path, found.body, found.idempotent) == ("target%20%C3%A9", b"", True)


def test_copies_of_one_kind_share_their_headers() -> None:
    builder, options = RequestBuilder(), PutOptions(metadata={"a": "b"})
    one, two = (
        builder.copy("b", CopySource(name, etag=ETAG), name, options, keep_metadata=True) for name in "xy"
    )
    assert one.template is two.template
    other = builder.copy("b", CopySource("x", etag=ETAG), "x", options, keep_metadata=False)
    assert other.template is not one.template


@pytest.mark.parametrize("key", ["", "\ud800"])
def test_a_key_that_cannot_be_asked_for_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequestError):
        RequestBuilder().copy("b", CopySource("x", etag=ETAG), key, None, keep_metadata=False)
    with pytest.raises(InvalidRequestError):
        RequestBuilder().copy("b", CopySource(key, etag=ETAG), "x", None, keep_metadata=False)
