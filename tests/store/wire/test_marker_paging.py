"""An endpoint that answers ListObjectsV2 as ListObjects is listed by marker: all keys, or an error."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, urlsplit
from xml.sax.saxutils import escape

import anyio
import pytest

from aios3sync.concurrency import raise_first_error
from aios3sync.errors import ListingError
from aios3sync.listing.parallel import ListPlan, list_in_parallel
from aios3sync.store.protocol import ListPage, ObjectStore
from aios3sync.testing.http_server import error_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from anyio.abc import SocketStream

    from aios3sync.core.entries import TargetEntry

KEYS = sorted(
    {
        *(f"a/{n:02}/{name}" for n in range(12) for name in range(5)),
        *(f"a/{n:02}.json" for n in range(12)),
        *("a b+c", "a%2Fb", "a&b", "b/", "b/x", "é/1", "é/2", "z"),
    }
)


@dataclass
class FirstVersion:
    """An endpoint that knows ListObjects alone, and takes what it does not know for nothing.

    Attributes:
        tells: NextMarker comes ``always``, with a delimiter (as AWS documents it), or ``never``; or it is the
            ``first`` key of the next page, which a marker would leave out.
        encodes: it honours ``encoding-type=url``.
        repeats: a CommonPrefix that is the marker is shown again, as long as it has keys after the marker.
        order: how it lists.
        refuses: it knows V2 only by a page that does not lead on, and refuses ListObjects with this status.
        ignores_marker: every page is the first one.
    """

    keys: Iterable[str]
    tells: str = "delimiter"
    encodes: bool = True
    repeats: bool = False
    order: Callable[[str], Any] = str.encode
    refuses: int = 0
    ignores_marker: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    async def serve(self, stream: SocketStream) -> None:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                received += await stream.receive()
            head, _, received = received.partition(b"\r\n\r\n")
            query = dict(parse_qsl(urlsplit(head.split()[1].decode()).query, keep_blank_values=True))
            self.asked.append(query)
            refused = self.refuses and "list-type" not in query
            status, body = (self.refuses, error_body("Refused")) if refused else (200, self.page(query))
            start = f"HTTP/1.1 {status} S\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
            await stream.send(f"{start}\r\n".encode() + body)

    def page(self, query: dict[str, str]) -> bytes:
        encodes = self.encodes and query.get("encoding-type") == "url"
        written = quote_plus if encodes else escape
        names, more = self.shown(query)
        last = names[-1] if names else ""
        reported = {"always": last, "delimiter": last if "delimiter" in query else "", "first": more}
        following = reported.get(self.tells, "")
        rows = "".join(
            f"<CommonPrefixes><Prefix>{written(name)}</Prefix></CommonPrefixes>"
            if "delimiter" in query and "/" in name[len(query.get("prefix", "")) :]
            else f"<Contents><Key>{written(name)}</Key><Size>1</Size></Contents>"
            for name in names
        )
        return (
            f"<ListBucketResult><IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
            f"{'<EncodingType>url</EncodingType>' if encodes else ''}<Marker></Marker>"
            f"{f'<NextMarker>{written(following)}</NextMarker>' if more and following else ''}"
            f"{rows}</ListBucketResult>"
        ).encode()

    def shown(self, query: dict[str, str]) -> tuple[list[str], str]:
        """The names of a page, and the first one of the next page."""
        prefix, most = query.get("prefix", ""), int(query["max-keys"])
        marker = "" if self.ignores_marker else query.get("marker", "")
        names: list[str] = []
        for key in sorted(self.keys, key=self.order):
            if not key.startswith(prefix) or (marker and self.order(key) <= self.order(marker)):
                continue
            cut = key.find("/", len(prefix)) + 1 if "delimiter" in query else 0
            name = key[:cut] if cut > 0 else key
            if name in names[-1:] or (cut > 0 and name == marker and not self.repeats):
                continue
            if len(names) == most:
                return names, name
            names.append(name)
        return names, ""


class Small:
    """A store with small pages."""

    def __init__(self, inner: ObjectStore, size: int) -> None:
        self.bucket, self.capabilities = inner.bucket, inner.capabilities
        self._inner, self._size = inner, size

    async def list_page(self, prefix: str, **arguments: Any) -> ListPage:
        return await self._inner.list_page(prefix, **{**arguments, "max_keys": self._size})


@pytest.fixture
def stores(raw_server: Any, opened: Any) -> Callable[..., Any]:
    """Opens the store of one lane on such an endpoint."""

    @asynccontextmanager
    async def stores(server: FirstVersion, lane: str) -> AsyncIterator[ObjectStore]:
        async with raw_server(server.serve) as port, opened(f"http://127.0.0.1:{port}") as wire:
            yield wire.store if lane == "wire" else wire.boto

    return stores


async def keys_of(store: ObjectStore, size: int, prefix: str = "", **plan: Any) -> list[str]:
    keys: list[str] = []
    send, receive = anyio.create_memory_object_stream[list["TargetEntry"]](1)

    async def produce() -> None:
        async with send:
            small: Any = Small(store, size)
            await list_in_parallel(small, prefix, send, ListPlan(**plan))

    with raise_first_error():
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(produce)
            async for page in receive:
                keys += [entry.key for entry in page]
    return keys


LANES = pytest.mark.parametrize("lane", ["wire", "boto"])


@LANES
@pytest.mark.parametrize("tells", ["always", "delimiter", "never", "first"])
@pytest.mark.parametrize("size", [2, 7, 1000])
async def test_every_key_is_listed_once_one_page_after_the_other_and_in_parts(
    stores: Any, lane: str, tells: str, size: int
) -> None:
    async with stores(FirstVersion(KEYS, tells), lane) as store:
        assert await keys_of(store, size, workers=1) == KEYS
        assert sorted(await keys_of(store, size, workers=4)) == KEYS
        assert await keys_of(store, size, workers=4, ordered=True) == KEYS
        assert await keys_of(store, size, "a/", workers=4, ordered=True, byte_order=True) == [
            key for key in KEYS if key.startswith("a/")
        ]


@LANES
@pytest.mark.parametrize("encodes", [False, True])
@pytest.mark.parametrize("repeats", [False, True])
async def test_names_that_are_not_encoded_and_prefixes_that_come_again_are_listed_once(
    stores: Any, lane: str, *, encodes: bool, repeats: bool
) -> None:
    async with stores(FirstVersion(KEYS, encodes=encodes, repeats=repeats), lane) as store:
        assert await keys_of(store, 3, workers=1) == KEYS
        assert sorted(await keys_of(store, 3, workers=4)) == KEYS


@LANES
async def test_an_observed_fact_costs_no_further_request(stores: Any, lane: str) -> None:
    server = FirstVersion(KEYS)
    async with stores(server, lane) as store:
        for _ in range(2):
            await keys_of(store, 10, workers=1)
    assert ["list-type" in query for query in server.asked].count(True) == 1
    assert len(server.asked) == 1 + 2 * -(-len(KEYS) // 10)


@LANES
async def test_pages_out_of_order_are_followed_only_where_the_endpoint_says_how(
    stores: Any, lane: str
) -> None:
    """Nothing says where such a page ends: what comes after its last key need not be all that is left."""
    backwards = FirstVersion(KEYS, "always", order=lambda key: key[::-1])
    async with stores(backwards, lane) as store:
        assert sorted(await keys_of(store, 7, workers=1)) == KEYS
    backwards.tells = "never"
    async with stores(backwards, lane) as store:
        with pytest.raises(ListingError, match="where the next one starts"):
            await keys_of(store, 7, workers=1)


@LANES
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("tells", ["always", "never"])
async def test_an_endpoint_that_ignores_markers_is_an_error(
    stores: Any, lane: str, workers: int, tells: str
) -> None:
    async with stores(FirstVersion(KEYS, tells, ignores_marker=True), lane) as store:
        with pytest.raises(ListingError):
            await keys_of(store, 7, workers=workers)


@LANES
@pytest.mark.parametrize("status", [400, 403, 501])
async def test_an_endpoint_that_refuses_markers_is_an_error_that_says_what_was_wrong(
    stores: Any, lane: str, status: int
) -> None:
    async with stores(FirstVersion(KEYS, refuses=status), lane) as store:
        with pytest.raises(ListingError, match="where the next one starts"):
            await keys_of(store, 7, workers=1)
