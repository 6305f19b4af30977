"""BucketClient: sends the requests of one bucket and checks the responses. It never retries.

It sends a request again only if the refusal says what was wrong: the region of the bucket, or the clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from aios3sync.core.text import printable
from aios3sync.errors import ListingError, StoreError, UnavailableError
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.observer import RESENDS, ObservedRequest
from aios3sync.store.protocol import PutResult, StoreCapabilities
from aios3sync.store.s3.endpoint import observed_capabilities
from aios3sync.store.s3.errors import (
    ErrorAnswer,
    InvalidAnswerError,
    error_from,
    mismatch,
    other_bytes,
    subject,
)
from aios3sync.store.s3.marker_paging import NO_TOKEN
from aios3sync.store.s3.markers import NoTokenError
from aios3sync.store.wire import responses
from aios3sync.store.wire.http1 import ExchangeError
from aios3sync.store.wire.http_response import HttpResponse
from aios3sync.store.wire.payloads import PayloadSigning
from aios3sync.store.wire.request_builder import RequestBuilder
from aios3sync.store.wire.requests import HttpRequest, InvalidRequestError
from aios3sync.store.wire.responses import clock_skew, region_from_refusal
from aios3sync.store.wire.sigv4 import moment
from aios3sync.store.wire.transport import BucketRoute, WireTransport

__all__ = ("BucketClient",)


class BucketClient:
    """One bucket, reached directly; the base class of the operations.

    Args:
        transport: connections, credentials and clock.
        route: how the bucket is reached; see :meth:`WireTransport.route_to`.
        bucket: a name, an access-point alias or an ARN.
        capabilities: what the endpoint is known to do, from its name.
        profile: further facts about the endpoint, which may change during the session.
        requests: builds the requests; it has the SSE-C key for reading and the payer.
    """

    def __init__(
        self,
        transport: WireTransport,
        route: BucketRoute,
        bucket: str,
        capabilities: StoreCapabilities,
        profile: EndpointProfile | None = None,
        requests: RequestBuilder | None = None,
    ) -> None:
        self._transport = transport
        self._route = route
        self._bucket = bucket
        self._capabilities = capabilities
        self.profile = profile or EndpointProfile()
        self._requests = requests or RequestBuilder()
        self._payloads = PayloadSigning()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._bucket})"

    @property
    def bucket(self) -> str:
        """The bucket of this store."""
        return self._bucket

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the endpoint is known to do, from its name and its responses."""
        return observed_capabilities(self._capabilities, self.profile)

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

    async def _ask(self, request: HttpRequest, into: memoryview | None = None) -> HttpResponse:
        """Send a request and return its successful response, whose body may be placed in ``into``."""
        transport = self._transport
        route = await self.route(request.operation, request.key)
        skew = transport.skew
        exchange = self._exchange if transport.observer is None else self._observed_exchange
        answer = await exchange(route, request, skew, into)
        if answer.status < 300:
            return answer
        refusal = responses.error_answer(answer)
        if self._follow_region(answer, refusal, route) or self._follow_clock(answer, refusal, skew):
            answer = await exchange(self._current_route(), request, transport.skew, into)
            if answer.status < 300:
                return answer
            refusal = responses.error_answer(answer)
        raise error_from(request.operation, self._bucket, request.key, refusal)

    async def _document(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return its response; an error in the body of a success is raised too."""
        answer = await self._ask(request)
        self._refuse_hidden_error(request, answer)
        return answer

    def _current_route(self) -> BucketRoute:
        route = self._route
        if route.heads.signer.credentials is not self._transport.credentials:
            route = self._route = self._transport.route(route.address)
        return route

    async def _exchange(
        self, route: BucketRoute, request: HttpRequest, skew: float, into: memoryview | None
    ) -> HttpResponse:
        head = route.heads.head(request, moment(int(time.time() + skew)))
        try:
            return await route.pool.exchange(
                head,
                request.body,
                idempotent=request.idempotent,
                is_head=request.method == "HEAD",
                max_body=request.max_answer,
                into=into,
            )
        except ExchangeError as error:
            raise self._unanswered(request, error) from error

    async def _observed_exchange(
        self, route: BucketRoute, request: HttpRequest, skew: float, into: memoryview | None
    ) -> HttpResponse:
        """Do the same, and notify the observer of the result."""
        began, status, cause = time.monotonic(), 0, "Cancelled"
        try:
            answer = await self._exchange(route, request, skew, into)
            status, cause = answer.status, ""
        except StoreError as error:
            cause = error.code
            raise
        finally:
            assert self._transport.observer is not None  # noqa: S101 - it is not taken away
            self._transport.observer.request(
                ObservedRequest(
                    request.operation,
                    self._bucket,
                    request.key or "",
                    status,
                    cause,
                    time.monotonic() - began,
                    RESENDS.get(),
                )
            )
        return answer

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
        opaque = self.profile.etags == "opaque" or self._capabilities.opaque_etags
        if text := other_bytes(result, md5, opaque=opaque):
            raise mismatch(request.operation, self._bucket, request.key, text, result.etag)
        return result

    def _refuse_hidden_error(self, request: HttpRequest, answer: HttpResponse) -> None:
        if error := responses.hidden_error(answer):
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
