"""Parts go unsigned over TLS alone, and signed where the endpoint or a policy wants it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import pytest

from aios3sync.errors import StoreError
from aios3sync.store.protocol import PutOptions
from aios3sync.testing.http_server import CannedServer, canned_server, error_body

PART = b"the bytes of a part" * 1000
MD5 = hashlib.md5(PART, usedforsecurity=False).digest()
SIGNED = hashlib.sha256(PART).hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


def payloads(server: CannedServer) -> list[str]:
    """What the requests say about their bodies; each has a Content-MD5, which the signature covers."""
    for request in server.requests:
        assert request.headers["content-md5"] == b64encode(MD5).decode()
        names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        assert {"content-md5", "x-amz-content-sha256"} <= set(names.split(";"))
    return [request.headers["x-amz-content-sha256"] for request in server.requests]


async def put_part(wire: Any) -> None:
    await wire.store.put_part("key", "upload", 1, memoryview(PART), PutOptions(), md5=MD5)


async def test_over_plain_http_a_part_is_signed(opened: Any) -> None:
    async with canned_server() as server, opened(server.url) as wire:
        await put_part(wire)
        assert payloads(server) == [SIGNED]


async def test_over_tls_a_part_goes_unsigned(opened: Any, authority: Any) -> None:
    async with canned_server(authority.server) as server:
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            await put_part(wire)
        assert payloads(server) == [UNSIGNED]


async def test_over_tls_without_a_checked_certificate_a_part_is_signed(opened: Any, authority: Any) -> None:
    async with canned_server(authority.server) as server:
        async with opened(server.url, verify_tls=False) as wire:
            await put_part(wire)
        assert payloads(server) == [SIGNED]


async def test_a_part_without_an_md5_is_signed(opened: Any, authority: Any) -> None:
    async with canned_server(authority.server) as server:
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            await wire.store.put_part("key", "upload", 1, PART, PutOptions(), md5=b"")
        assert [request.headers["x-amz-content-sha256"] for request in server.requests] == [SIGNED]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (403, "SignatureDoesNotMatch"),
        (400, "XAmzContentSHA256Mismatch"),
        (400, "InvalidRequest"),
        (501, "NotImplemented"),
    ],
)
async def test_a_refused_part_is_signed_and_so_are_all_later_ones(
    opened: Any, authority: Any, status: int, code: str
) -> None:
    async with canned_server(authority.server) as server:
        server.will(status, error_body(code))
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            await put_part(wire)
            await put_part(wire)
        assert payloads(server) == [UNSIGNED, SIGNED, SIGNED]


async def test_a_refusal_for_another_reason_is_reported_and_changes_nothing(
    opened: Any, authority: Any
) -> None:
    async with canned_server(authority.server) as server:
        server.will(403, error_body("AccessDenied"))
        server.will(403, error_body("AccessDenied", "not for you"))
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            with pytest.raises(StoreError, match="not for you"):
                await put_part(wire)
            await put_part(wire)
        assert payloads(server) == [UNSIGNED, SIGNED, UNSIGNED]


async def test_a_busy_endpoint_is_not_asked_again(opened: Any, authority: Any) -> None:
    async with canned_server(authority.server) as server:
        server.will(503, error_body("SlowDown"))
        async with opened(server.url, ca_bundle=str(authority.bundle)) as wire:
            with pytest.raises(StoreError, match="SlowDown"):
                await put_part(wire)
        assert payloads(server) == [UNSIGNED]
