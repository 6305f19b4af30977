"""What the tests of the wire transport share: stores on canned endpoints, a local authority, raw servers."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import aioboto3
import pytest
import uvloop
from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
    create_task_group,
    create_tcp_listener,
)
from anyio.abc import SocketAttribute
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aios3sync.options import ConnectOptions
from aios3sync.store.boto import BotoStore, capabilities_of, open_client
from aios3sync.store.wire.store import WireStore, open_wire
from aios3sync.store.wire.transport import WireTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from anyio.abc import SocketStream

    Serve = Callable[[SocketStream], Awaitable[None]]


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Connections are tested on both loops: they differ in when they call whom."""
    loops: dict[str, Callable[[], Any]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ("test_early_answers.py", "test_http1.py", "test_placed_bodies.py"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@cache
def session() -> aioboto3.Session:
    """One for all tests: each reads some megabytes of JSON."""
    return aioboto3.Session(
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="s3cr3t-that-must-not-leak",
        region_name="eu-central-1",
    )


@dataclass
class Opened:
    """A store of the transport with everything below it."""

    store: WireStore
    boto: BotoStore
    transport: WireTransport
    client: Any


@pytest.fixture
def opened() -> Callable[..., Any]:
    """Opens a wire store: ``async with opened(url, bucket, **options) as wire``."""

    @asynccontextmanager
    async def opened(
        url: str,
        bucket: str = "bkt",
        *,
        source: aioboto3.Session | None = None,
        reading: dict[str, Any] | None = None,
        **options: Any,
    ) -> AsyncIterator[Opened]:
        connect = ConnectOptions(endpoint_url=url, **options)
        async with AsyncExitStack() as closing:
            client = await closing.enter_async_context(open_client(connect, source or session()))
            transport = await WireTransport.open(client, connect)
            closing.push_async_callback(transport.aclose)
            boto = BotoStore(client, bucket, **(reading or {}))
            store = await open_wire(
                transport, bucket, capabilities_of(client, bucket), boto.profile, **(reading or {})
            )
            yield Opened(store, boto, transport, client)

    return opened


@pytest.fixture
def raw_server() -> Callable[..., Any]:
    """A server that does with each connection what the test says; yields its port."""

    @asynccontextmanager
    async def raw_server(serve: Serve) -> AsyncIterator[int]:
        async def guarded(stream: SocketStream) -> None:
            async with stream:
                with suppress(BrokenResourceError, ClosedResourceError, EndOfStream):
                    await serve(stream)

        async with (
            await create_tcp_listener(local_host="127.0.0.1") as listener,
            create_task_group() as group,
        ):
            group.start_soon(listener.serve, guarded)
            yield listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
            group.cancel_scope.cancel()

    return raw_server


@dataclass
class Authority:
    """A certificate authority of this test run.

    Attributes:
        bundle: its certificate, as a file to trust.
        server: what a server on 127.0.0.1 and localhost proves itself with.
        stranger: the same for a server of another name.
    """

    bundle: Path
    server: ssl.SSLContext
    stranger: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A local CA with certificates for servers."""
    place = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    ca = _certificate(name, key, name, key, [])
    bundle = place / "authority.pem"
    bundle.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    here: list[x509.GeneralName] = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
    elsewhere: list[x509.GeneralName] = [x509.DNSName("elsewhere.example")]
    contexts = []
    for number, names in enumerate((here, elsewhere)):
        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"server {number}")])
        path = place / f"server{number}.pem"
        pem = serialization.Encoding.PEM
        clear = serialization.NoEncryption()
        path.write_bytes(
            own.private_bytes(pem, serialization.PrivateFormat.PKCS8, clear)
            + _certificate(subject, own, name, key, names).public_bytes(pem)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        contexts.append(context)
    return Authority(bundle, *contexts)


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
