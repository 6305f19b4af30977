"""WireStore: the frequent requests straight on asyncio; all others go through BotoStore. It never retries.

It sends a request again only if the refusal says what was wrong with it: the region of the bucket, or the
clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256 as sha256_of
from typing import Final

from anyio import to_thread
from anyio.lowlevel import checkpoint

from aios3sync.core.digests import fed
from aios3sync.core.text import printable
from aios3sync.errors import (
    ListingError,
    ObjectNotFoundError,
    StoreError,
    UnavailableError,
)
from aios3sync.store.boto import BotoStore
from aios3sync.store.protocol import (
    Body,
    DeleteError,
    DeleteItem,
    GetResult,
    HeadResult,
    ListPage,
    PutOptions,
    PutResult,
)
from aios3sync.store.s3.deletes import checked_delete_errors, delete_keys
from aios3sync.store.s3.errors import ErrorAnswer, error_from, mismatch, other_bytes, subject
from aios3sync.store.s3.marker_paging import NO_TOKEN, MarkerPaging, NoTokenError
from aios3sync.store.s3.objects import get_range
from aios3sync.store.s3.parameters import lifetime
from aios3sync.store.wire import responses
from aios3sync.store.wire.http1 import ExchangeError, HttpResponse
from aios3sync.store.wire.list_xml import list_page, marker_page
from aios3sync.store.wire.requests import HttpRequest, InvalidRequestError, RequestBuilder
from aios3sync.store.wire.responses import InvalidAnswerError, clock_skew, region_from_refusal
from aios3sync.store.wire.signing import UrlSigner
from aios3sync.store.wire.sigv4 import moment
from aios3sync.store.wire.transport import BucketRoute, WireTransport
from aios3sync.store.wrappers.base import ForwardingStore

__all__ = (
    "WireStore",
    "open_wire",
)

# Hashing more than this takes longer than going to a thread for it.
_HASHED_AT_ONCE: Final = 512 * 1024
_SIGNED_AT_ONCE: Final = 256


class WireStore(ForwardingStore):
    """One bucket, spoken to directly.

    Args:
        transport: connections, credentials and clock.
        route: how the bucket is reached; see :meth:`WireTransport.route_to`.
        boto: serves all other requests.
        sse_customer_key: the 32 raw bytes of the SSE-C key for reading (put has its own in its options).
        request_payer: ``requester`` where the requester pays, for all requests without put options.
    """

    def __init__(
        self,
        transport: WireTransport,
        route: BucketRoute,
        boto: BotoStore,
        *,
        sse_customer_key: bytes = b"",
        request_payer: str = "",
    ) -> None:
        super().__init__(boto)
        self._transport = transport
        self._route = route
        self._bucket = boto.bucket
        self._profile = boto.profile
        self._opaque_etags = boto.capabilities.opaque_etags
        self._requests = RequestBuilder(sse_customer_key, request_payer)
        self._paging = MarkerPaging(boto.profile)

    def __repr__(self) -> str:
        return f"WireStore({self._bucket})"

    async def put(
        self, key: str, body: bytes, options: PutOptions, *, md5: bytes, sha256: str = ""
    ) -> PutResult:
        """Store one object with one PutObject."""
        if not sha256 and len(body) <= _HASHED_AT_ONCE:
            sha256 = fed(sha256_of(), body).hexdigest()
        elif not sha256:
            sha256 = (await to_thread.run_sync(sha256_of, body)).hexdigest()
        try:
            request = self._requests.put(key, body, options, md5=md5, sha256=sha256)
        except InvalidRequestError as error:
            raise self._invalid("PutObject", key, error) from None
        return self._verified(request, await self._ask(request), md5)

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """Store one part with one UploadPart."""
        digest = (await to_thread.run_sync(sha256_of, body)).hexdigest()
        with self._valid("UploadPart", key):
            request = self._requests.put_part(key, (upload_id, number), body, options, md5=md5, sha256=digest)
        result = self._verified(request, await self._ask(request), md5)
        sent = request.template.constant.get(f"x-amz-checksum-{options.checksum}", "")
        return result._replace(checksum=sent)

    async def get(
        self,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str = "",
        if_none_match: str = "",
    ) -> GetResult:
        """Read an object or a range of it with one GetObject."""

        async def get() -> GetResult:
            with self._valid("GetObject", key):
                request = self._requests.get(key, start, length, if_match, if_none_match)
            answer = await self._ask(request)
            with self._whole(request):
                return responses.get_result(answer, start, length)

        return await get_range(self, key, start, length, get)

    async def head(self, key: str) -> HeadResult:
        """Ask for the facts of an object with one HeadObject."""
        with self._valid("HeadObject", key):
            request = self._requests.head(key)
        answer = await self._ask(request)
        with self._whole(request):
            return responses.head_result(answer)

    async def list_page(
        self,
        prefix: str,
        *,
        token: str | None = None,
        start_after: str = "",
        delimiter: str = "",
        max_keys: int = 1000,
    ) -> ListPage:
        """Get one page with one ListObjectsV2, or with one ListObjects where the endpoint knows no other."""

        async def by_token() -> ListPage:
            with self._valid("ListObjectsV2"):
                request = self._requests.list_page(prefix, token, start_after, delimiter, max_keys)
            answer = await self._ask(request)
            self._refuse_hidden_error(request, answer)
            with self._whole(request):
                return list_page(answer.body, token)

        async def by_marker(marker: str) -> ListPage:
            with self._valid("ListObjects"):
                request = self._requests.marker_page(prefix, marker, delimiter, max_keys)
            answer = await self._ask(request)
            self._refuse_hidden_error(request, answer)
            with self._whole(request):
                return marker_page(answer.body, marker)

        return await self._paging.page(token, start_after, by_token, by_marker)

    async def delete_many(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        """Delete with one DeleteObjects, and with DeleteObject what XML cannot name."""
        return await delete_keys(self, items, self._delete_batch)

    async def delete_one(self, item: DeleteItem) -> None:
        """Delete one key with one DeleteObject."""
        with self._valid("DeleteObject", item.key):
            request = self._requests.delete_one(item)
        with suppress(ObjectNotFoundError):
            self._refuse_hidden_error(request, await self._ask(request))

    async def presign(self, key: str, *, expires: float = 3600, method: str = "GET") -> str:
        """Sign a URL locally."""
        return (await self.presign_many([key], expires=expires, method=method))[0]

    async def presign_many(
        self, keys: Sequence[str], *, expires: float = 3600, method: str = "GET"
    ) -> list[str]:
        """Sign URLs locally, some hundred at once, so that the loop goes on meanwhile."""
        seconds_valid = lifetime(expires, method)
        route = await self.route("Presign")
        at = moment(int(time.time() + self._transport.skew))
        signer = UrlSigner(
            route.heads.signer, route.address, method, seconds_valid, at, payer=self._requests.payer
        )
        urls: list[str] = []
        for start in range(0, len(keys), _SIGNED_AT_ONCE):
            await checkpoint()
            for key in keys[start : start + _SIGNED_AT_ONCE]:
                try:
                    urls.append(signer.url(key))
                except InvalidRequestError as error:
                    raise self._invalid("Presign", key, error) from None
        return urls

    async def _delete_batch(self, items: Sequence[DeleteItem]) -> list[DeleteError]:
        with self._valid("DeleteObjects"):
            request = self._requests.delete_batch(items)
        answer = await self._ask(request)
        self._refuse_hidden_error(request, answer)
        with self._whole(request):
            errors = responses.delete_errors(answer)
        return checked_delete_errors(errors, items, self._bucket)

    # Asking

    @property
    def transport(self) -> WireTransport:
        """The transport, which other stores of the session share."""
        return self._transport

    async def route(self, operation: str, key: str | None = None) -> BucketRoute:
        """Return the route to the bucket, with credentials that are valid for a while.

        Raises:
            CredentialsError: they expired, and there are no others.
        """
        if time.monotonic() >= self._transport.renew_at:
            await self._transport.renew(operation, self._bucket, key)
        return self._current_route()

    async def _ask(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return its answer, if that is a success."""
        transport = self._transport
        route = await self.route(request.operation, request.key)
        skew = transport.skew
        answer = await self._exchange(route, request, skew)
        if answer.status < 300:
            return answer
        refusal = responses.error_answer(answer)
        if self._follow_region(answer, refusal, route) or self._follow_clock(answer, refusal, skew):
            answer = await self._exchange(self._current_route(), request, transport.skew)
            if answer.status < 300:
                return answer
            refusal = responses.error_answer(answer)
        raise error_from(request.operation, self._bucket, request.key, refusal)

    def _current_route(self) -> BucketRoute:
        route = self._route
        if route.heads.signer.credentials is not self._transport.credentials:
            route = self._route = self._transport.route(route.address)
        return route

    async def _exchange(self, route: BucketRoute, request: HttpRequest, skew: float) -> HttpResponse:
        head = route.heads.head(request, moment(int(time.time() + skew)))
        try:
            return await route.pool.exchange(
                head,
                request.body,
                idempotent=request.idempotent,
                is_head=request.method == "HEAD",
                max_body=request.max_answer,
            )
        except ExchangeError as error:
            raise self._unanswered(request, error) from error

    def _follow_region(self, answer: HttpResponse, refusal: ErrorAnswer, route: BucketRoute) -> bool:
        """Return whether this refusal, or that of another request meanwhile, names another region."""
        region = region_from_refusal(answer.status, refusal)
        if not region:
            return False
        if region != route.address.region:
            self._route = self._transport.moved(self._bucket, route.address.in_region(region))
        return self._route.address != route.address

    def _follow_clock(self, answer: HttpResponse, refusal: ErrorAnswer, skew: float) -> bool:
        """Return whether the refusal, or that of another request meanwhile, shows that our clock is wrong."""
        self._transport.skew = clock_skew(answer, refusal, time.time(), self._transport.skew)
        return self._transport.skew != skew

    # Judging

    def _verified(self, request: HttpRequest, answer: HttpResponse, md5: bytes) -> PutResult:
        if answer.body:
            self._refuse_hidden_error(request, answer)
        try:
            result = responses.put_result(answer)
        except InvalidAnswerError as error:
            raise self._not_whole(request, error) from error
        opaque = self._profile.etags == "opaque" or self._opaque_etags
        if text := other_bytes(result, md5, opaque=opaque):
            raise mismatch(request.operation, self._bucket, request.key, text, result.etag)
        return result

    def _refuse_hidden_error(self, request: HttpRequest, answer: HttpResponse) -> None:
        if b"<Error" in answer.body[:2048] and (error := responses.hidden_error(answer)):
            raise error_from(request.operation, self._bucket, request.key, error)

    @contextmanager
    def _whole(self, request: HttpRequest) -> Iterator[None]:
        try:
            yield
        except (InvalidAnswerError, NoTokenError) as error:
            raise self._not_whole(request, error) from error

    def _not_whole(self, request: HttpRequest, error: InvalidAnswerError | NoTokenError) -> StoreError:
        kind = ListingError if request.operation.startswith("List") else UnavailableError
        text = f"the answer is not a whole answer of S3 ({printable(str(error))})"
        code = NO_TOKEN if isinstance(error, NoTokenError) else "InvalidAnswer"
        return self._error(kind, request, code, text, 200)

    @contextmanager
    def _valid(self, operation: str, key: str | None = None) -> Iterator[None]:
        try:
            yield
        except InvalidRequestError as error:
            raise self._invalid(operation, key, error) from None

    def _invalid(self, operation: str, key: str | None, error: InvalidRequestError) -> StoreError:
        message = f"{subject(operation, self._bucket, key)}: {printable(str(error))}"
        return StoreError(message, operation=operation, bucket=self._bucket, key=key, code="InvalidRequest")

    def _unanswered(self, request: HttpRequest, error: ExchangeError) -> StoreError:
        kind: type[StoreError] = UnavailableError
        if error.code == "Certificate":
            kind = StoreError
        elif error.code == "InvalidAnswer" and request.operation.startswith("List"):
            kind = ListingError
        return self._error(kind, request, error.code, error.text, 0)

    def _error(
        self, kind: type[StoreError], request: HttpRequest, code: str, text: str, status: int
    ) -> StoreError:
        operation, bucket, key = request.operation, self._bucket, request.key
        message = f"{subject(operation, bucket, key)}: {text}"
        return kind(message, operation=operation, bucket=bucket, key=key, code=code, status=status)


async def open_wire(
    transport: WireTransport, boto: BotoStore, *, sse_customer_key: bytes = b"", request_payer: str = ""
) -> WireStore:
    """Open a store for the bucket of ``boto``, which serves the less frequent requests.

    Raises:
        WireUnavailableError: the bucket cannot be served; use ``boto`` itself.
        CredentialsError: there is nothing to sign with.
    """
    route = await transport.route_to(boto.bucket)
    return WireStore(transport, route, boto, sse_customer_key=sse_customer_key, request_payer=request_payer)
