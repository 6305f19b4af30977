"""Opens the aioboto3 client, and prepares a caller's own; sends nothing itself."""

from __future__ import annotations

import asyncio
import os
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import md5
from io import BytesIO
from typing import Any, Final
from urllib.parse import urlsplit

import aioboto3
import aioboto3.s3.inject  # what a session would only import when it makes a client, on the event loop
import botocore
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from anyio import move_on_after, to_thread
from botocore.utils import get_environ_proxies, parse_timestamp

from aios3sync._version import __version__
from aios3sync.core.endpoints import checked_endpoint
from aios3sync.core.keys import is_directory_bucket
from aios3sync.errors import UsageError
from aios3sync.options import ConnectOptions
from aios3sync.store.answer_rate import AnswerRate
from aios3sync.store.body_progress import BodyWatch, body_watch
from aios3sync.store.boto.body import LEAST, SentBody, end_body
from aios3sync.store.boto.credentials import chain_of, make_renewable
from aios3sync.store.boto.errors import map_errors
from aios3sync.store.boto.loading import QuickLoader
from aios3sync.store.protocol import StoreCapabilities
from aios3sync.store.s3.credential_values import clean_credentials
from aios3sync.store.s3.endpoint import capabilities_at
from aios3sync.store.s3.redaction import register_credentials

__all__ = ("adopt_client", "capabilities_of", "open_client")

# aiohttp sends up to this many bytes as they are; a larger body goes out in slices of a file object.
_PLAIN_BODY: Final = 2**20
_CLOSING: Final = 5.0
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Replaces a time that cannot be read: 0 seconds, as everywhere in this package."""
_ISO_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")


def capabilities_of(client: Any, bucket: str = "") -> StoreCapabilities:
    """Return what the endpoint of ``client`` is known to do."""
    return capabilities_at(client.meta.endpoint_url, bucket)


@asynccontextmanager
async def open_client(
    options: ConnectOptions, session: aioboto3.Session | None = None, *, has_keys: bool = True
) -> AsyncIterator[Any]:
    """Open the one client of a session; ``session`` brings its own profile and credentials.

    Args:
        options: how to reach S3.
        session: the caller's own, or ``None``.
        has_keys: False if the chain of credentials was just searched and has none: it is not searched again,
            which takes a second where no service responds.

    Raises:
        CredentialsError: the profile does not exist or cannot be read, or has credentials that cannot be
            sent.
        UsageError: the CA bundle is missing, both a session and a profile are given, or the endpoint that the
            session chose is no URL.
    """
    if session is not None and options.profile is not None:
        raise UsageError("profile: a session of your own brings its profile; give one of the two")
    with map_errors("opening the S3 client", ""):
        source: Any = (
            session if session is not None else await to_thread.run_sync(_own_session, options, has_keys)
        )
        accepted = _accepted(options.endpoint_url)
        client_context = source.client(
            "s3",
            endpoint_url=accepted,
            region_name=options.region,
            verify=options.ca_bundle or (None if options.verify_tls else False),
            config=_config(options, renamed=accepted != options.endpoint_url),
        )
        client = await _entered(client_context)
        # Read where the client keeps them: a session that found none would look for them everywhere again.
        signer = getattr(client, "_request_signer", None)
        clean_credentials(getattr(signer, "_credentials", None))
    if options.endpoint_url and accepted != options.endpoint_url:
        _resolve_to(client, options.endpoint_url)
    try:
        make_renewable(client, chain_of(options, session))
        adopt_client(client)
        yield client
    finally:
        # A cancelled run closes its connections too; this only shuts sockets, so it cannot take long.
        with move_on_after(_CLOSING, shield=True):
            await client_context.__aexit__(None, None, None)


async def _entered(context: Any) -> Any:
    """Return the client; for an endpoint that is no URL, botocore's ValueError may contain credentials."""
    try:
        return await context.__aenter__()
    except ValueError as error:
        if not str(error).startswith("Invalid endpoint"):
            raise
        raise UsageError(
            "endpoint_url: the endpoint that the session was configured with is not a URL; look at "
            "AWS_ENDPOINT_URL and at endpoint_url in the AWS configuration"
        ) from None


# botocore takes no host with "_", which is no name of the DNS but one of docker compose and of /etc/hosts.
# Its client is therefore opened with another name, which is put right where a request gets its address.


def _accepted(url: str | None) -> str | None:
    """Return the URL with ``-`` for each ``_`` of its host."""
    host = urlsplit(url).hostname if url else None
    if not (url and host and "_" in host):
        return url
    before, separator, rest = url.partition("//")
    authority, slash, path = rest.partition("/")
    return f"{before}{separator}{_no_underscores(authority)}{slash}{path}"


def _no_underscores(authority: str) -> str:
    """Return a host name that botocore accepts: each label begins and ends with a letter or a digit."""
    return re.sub(r"_", "-", re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", "x", authority))


def _resolve_to(client: Any, url: str) -> None:
    def resolve(builtins: dict[str, Any], **_: Any) -> None:
        builtins["SDK::Endpoint"] = url

    client.meta.events.register("before-endpoint-resolution.s3", resolve, unique_id="aios3sync-endpoint")


def adopt_client(client: Any) -> Any:
    """Prepare a client for BotoStore and return it: one of ours, or a caller's own, which stays open.

    A caller's client keeps its own retries; open it with ``retries={"total_max_attempts": 1}`` to have
    one layer of them. Preparing it twice does no harm.

    Raises:
        UsageError: the URL of its endpoint holds credentials, which would end up in logs.
    """
    checked_endpoint(client.meta.endpoint_url, "endpoint_url")
    events = client.meta.events
    rate = AnswerRate(lambda: asyncio.get_running_loop().time())
    send: Any = partial(_send_body, quiet=client.meta.config.read_timeout, rate=rate)
    if not _sends_with_aiohttp(client):
        send = _watch_body
    for operation in ("PutObject", "UploadPart"):
        events.register(f"before-call.s3.{operation}", _plain_body, unique_id=f"aios3sync-{operation}")
        events.register(f"before-send.s3.{operation}", send, unique_id=f"aios3sync-send-{operation}")
        events.register(f"response-received.s3.{operation}", end_body, unique_id=f"aios3sync-end-{operation}")
    events.register("before-sign.s3", _register_credentials, unique_id="aios3sync-before-sign")
    events.register_last(
        "before-call.s3.DeleteObjects", _delete_with_md5, unique_id="aios3sync-DeleteObjects"
    )
    return client


async def _register_credentials(request_signer: Any, **_: Any) -> None:
    """Register the credentials at their first use, if the client is the caller's own."""
    credentials = getattr(request_signer, "_credentials", None)
    if credentials is not None:
        frozen = await credentials.get_frozen_credentials()
        register_credentials(frozen.access_key, frozen.secret_key, frozen.token)


def _config(options: ConnectOptions, *, renamed: bool) -> AioConfig:
    # "auto" is what the AWS configuration says, if it says something.
    style = {} if options.addressing == "auto" else {"addressing_style": options.addressing}
    # Which hosts a proxy is not for (NO_PROXY) is asked with the true name.
    proxies = get_environ_proxies(options.endpoint_url) if renamed else None
    return AioConfig(
        proxies=proxies,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=options.workers,
        connect_timeout=options.connect_timeout,
        read_timeout=options.read_timeout,
        signature_version=botocore.UNSIGNED if options.anonymous else "s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra=f"aios3sync/{__version__}",
        s3={"payload_signing_enabled": True, **style},
    )


class _NoKeys:
    """Replaces a chain of credentials that has none."""

    async def load_credentials(self) -> None:
        """Return no credentials."""


def _own_session(options: ConnectOptions, has_keys: bool) -> aioboto3.Session:
    """Runs in a thread: botocore reads some megabytes of JSON, which would block the event loop."""
    if options.ca_bundle and not os.path.exists(options.ca_bundle):
        raise UsageError(f"ca_bundle: {options.ca_bundle!r} does not exist")
    core = get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    loader = QuickLoader(core.get_config_variable("data_path"))
    core.register_component("data_loader", loader)
    if not has_keys:
        core.register_component("credential_provider", _NoKeys())
    for model in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", model)
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(name)
    session = aioboto3.Session(botocore_session=core, profile_name=options.profile)
    region = core.get_config_variable("region")
    if region:  # files of variables keep quotes and line ends; a region has neither
        core.set_config_variable("region", region.strip().strip("\"'"))
    return session


def _timestamp(value: Any) -> datetime:
    """Parse a time; nearly all are ISO 8601, and botocore's parser takes most of the time of a page."""
    try:
        if isinstance(value, str) and _ISO_TIMESTAMP.fullmatch(value):
            return datetime.fromisoformat(value)
        parsed: datetime = parse_timestamp(value)
    except (ValueError, OverflowError, RuntimeError, TypeError):
        return _NO_TIME  # of an answer that is read for other facts
    return parsed


def _plain_body(params: dict[str, Any], **_: Any) -> None:
    """Send small bodies as bytes, which also saves the round trip of ``Expect: 100-continue``.

    With Content-MD5 there is nothing left for a checksum of botocore's, which over https would turn the
    body into aws-chunked with a trailer.
    """
    body = params["body"]
    if isinstance(body, BytesIO) and body.getbuffer().nbytes <= _PLAIN_BODY:
        params["body"] = body.getvalue()
    if "Content-MD5" in params["headers"]:
        params["context"].pop("checksum", None)


def _sends_with_aiohttp(client: Any) -> bool:
    """Whether the client sends with aiohttp; one of the caller's own may send with something else."""
    endpoint = getattr(client, "_endpoint", None)
    return isinstance(getattr(endpoint, "http_session", None), AIOHTTPSession)


def _send_body(request: Any, *, quiet: float, rate: AnswerRate, **_: Any) -> None:
    """Send a body with :class:`SentBody`, once it is signed."""
    body = request.body.getvalue() if isinstance(request.body, BytesIO) else request.body
    watch = body_watch()
    if watch is not None:
        watch.begin()
    if isinstance(body, bytes) and len(body) >= LEAST:
        request.body = SentBody(body, quiet, watch, rate)


class _WatchedBody(BytesIO):
    """A body that reports to its watch what is read from it; aiohttp reads when the socket accepts more."""

    def __init__(self, content: bytes, watch: BodyWatch) -> None:
        super().__init__(content)  # shares the bytes
        self._watch = watch

    def read(self, size: int | None = -1, /) -> bytes:
        """Take up to ``size`` bytes."""
        chunk = super().read(size)
        if chunk:
            self._watch.sent(len(chunk))
        return chunk


def _watch_body(request: Any, **_: Any) -> None:
    """Report the progress of the body, if it is watched; it is signed, and read once more to be sent."""
    watch = body_watch()
    if watch is None:
        return
    watch.begin()
    if isinstance(request.body, BytesIO):
        request.body = _WatchedBody(request.body.getvalue(), watch)


def _delete_with_md5(params: dict[str, Any], **_: Any) -> None:
    """Swift and older MinIO refuse the CRC32 that botocore sends, every server takes Content-MD5.

    Directory buckets are the exception: they know no MD5. A tab of a key becomes a character reference,
    as botocore itself does with line ends, so that no parser can normalise it away.
    """
    params["body"] = params["body"].replace(b"\t", b"&#x9;")
    if is_directory_bucket(params["url"]):
        return
    digest = md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode("ascii")
    params["context"].pop("checksum", None)
