"""SqsQueue: an SQS queue, through a client of the aioboto3 session; it never retries."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aioboto3
import botocore
from aiobotocore.config import AioConfig
from anyio import move_on_after, to_thread
from botocore.exceptions import NoRegionError

from aios3sync._version import __version__
from aios3sync.core.endpoints import checked_endpoint
from aios3sync.errors import (
    AccessDeniedError,
    CredentialsError,
    StoreError,
    ThrottledError,
    UsageError,
)
from aios3sync.index.follow.queue import QueuedMessage
from aios3sync.options import ConnectOptions
from aios3sync.store.boto.errors import map_errors

__all__ = ("SqsQueue", "open_queue")

_LONGEST_WAIT: Final = 20
_CLOSING: Final = 5.0
_HOST: Final = re.compile(
    r"(?:sqs(?:-fips)?\.([a-z0-9-]+)|([a-z0-9-]+)\.queue|sqs|queue)(?:\.dualstack)?\.(?:amazonaws|api\.aws)\b.*"
)
_MISSING: Final = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_DENIED: Final = ("AccessDenied", "AccessDeniedException")  # perhaps after "KMS."
_THROTTLED: Final = ("OverLimit", "ThrottlingException", "RequestThrottled", "Throttled", "KmsThrottled")


@asynccontextmanager
async def open_queue(
    url: str, options: ConnectOptions, session: aioboto3.Session | None = None
) -> AsyncIterator[SqsQueue]:
    """Open a queue at the host of its URL, whatever the endpoint of S3 is.

    Raises:
        UsageError: the URL is not the URL of a queue.
        CredentialsError: no credentials were found.
    """
    endpoint, region = _endpoint(url)
    with _named("opening the queue", url):
        source: Any = session if session is not None else await to_thread.run_sync(_session, options)
        try:
            context = _client(source, options, endpoint, region)
            client = await context.__aenter__()
        except NoRegionError:  # a compatible service, where the region has no meaning
            context = _client(source, options, endpoint, "us-east-1")
            client = await context.__aenter__()
    try:
        yield SqsQueue(client, url)
    finally:
        with move_on_after(_CLOSING, shield=True):
            await context.__aexit__(None, None, None)


def _session(options: ConnectOptions) -> aioboto3.Session:
    """Create a session. Runs in a thread: it reads the AWS configuration, and botocore its data files."""
    session = aioboto3.Session(profile_name=options.profile)
    loader = session._session.get_component("data_loader")  # noqa: SLF001 - the only way to it
    loader.load_service_model("sqs", "service-2")
    loader.load_service_model("sqs", "endpoint-rule-set-1")
    return session


def _client(source: Any, options: ConnectOptions, endpoint: str, region: str | None) -> Any:
    return source.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=region or options.region,
        verify=options.ca_bundle or (None if options.verify_tls else False),
        config=AioConfig(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=options.connect_timeout,
            # A long poll receives no bytes while it waits.
            read_timeout=max(options.read_timeout, _LONGEST_WAIT + 10.0),
            signature_version=botocore.UNSIGNED if options.anonymous else None,
            user_agent_extra=f"aios3sync/{__version__}",
        ),
    )


def _endpoint(url: str) -> tuple[str, str | None]:
    """Return the endpoint of a queue, and the region in the name of its host."""
    if "@" in url:
        checked_endpoint(url, "queue_url")  # refuses credentials, and does not repeat them
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.strip("/"):
        raise UsageError(
            f"queue_url: {url!r} is not the URL of a queue; "
            "write for example https://sqs.eu-central-1.amazonaws.com/111122223333/name"
        )
    found = _HOST.fullmatch(parts.hostname)
    region = (found[1] or found[2] or "us-east-1") if found else None
    return f"{parts.scheme}://{parts.netloc}", region


class SqsQueue:
    """One SQS queue; implements :class:`~aios3sync.index.follow.queue.Queue`."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return _name(self._url)

    async def receive(self, wait: float) -> list[QueuedMessage]:
        """Receive with one ReceiveMessage, a long poll."""
        with _named("ReceiveMessage", self._url):
            response = await self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=min(max(int(wait), 0), _LONGEST_WAIT),
                AttributeNames=["ApproximateReceiveCount"],
            )
        return [
            QueuedMessage(item["MessageId"], item["ReceiptHandle"], item.get("Body", ""), _received(item))
            for item in response.get("Messages", ())
        ]

    async def delete(self, receipts: Sequence[str]) -> int:
        """Delete with one DeleteMessageBatch."""
        entries = [{"Id": str(number), "ReceiptHandle": each} for number, each in enumerate(receipts)]
        with _named("DeleteMessage", self._url):
            response = await self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return len(response.get("Failed", ()))

    async def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """Hide with one ChangeMessageVisibilityBatch."""
        entries = [
            {"Id": str(number), "ReceiptHandle": each, "VisibilityTimeout": seconds}
            for number, each in enumerate(receipts)
        ]
        with _named("ChangeMessageVisibility", self._url):
            await self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def _received(item: dict[str, Any]) -> int:
    count = item.get("Attributes", {}).get("ApproximateReceiveCount", "0")
    return int(count) if str(count).isdecimal() else 0


def _name(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


@contextmanager
def _named(operation: str, url: str) -> Iterator[None]:
    """Add the name of the queue to errors, and a remedy where an operator can apply one."""
    try:
        with map_errors(operation, ""):
            yield
    except StoreError as error:
        text = str(error).removeprefix(f"{operation}: ")
        kind = type(error)
        if error.code in _MISSING:
            text = "there is no such queue; check its URL and region"
        elif error.code.endswith(_THROTTLED):
            kind = ThrottledError
        elif error.code.endswith(_DENIED):
            kind = AccessDeniedError
            text = f"not allowed; the credentials need sqs:{operation} on the queue ({error.code})"
        elif error.code in ("InvalidClientTokenId", "UnrecognizedClientException"):
            kind = CredentialsError
        message = f"{operation} {_name(url)}: {text}"
        raise kind(message, operation=operation, code=error.code, status=error.status) from error
