"""Makes the certificate of an endpoint on loopback, valid for a day, and its authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

__all__ = ("Certificate", "make_certificate")


class Certificate(NamedTuple):
    """Files in PEM: the authority that contenders trust, the certificate of the server, and its key."""

    authority: Path
    chain: Path
    key: Path


def make_certificate(place: Path) -> Certificate:
    """Write a new authority and a certificate for 127.0.0.1 and localhost below ``place``.

    The keys are on the curve P-256. The key of the authority is not kept.

    Raises:
        ValueError: the package ``cryptography`` is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise ValueError("TLS needs a certificate; pip install cryptography, or leave TLS out") from None
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)

    def signed(subject: str, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(
            issuer_name=named("benchmark authority"),
            subject_name=named(subject),
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(minutes=5),
            not_valid_after=now + timedelta(days=1),
        )
        for each in extensions:
            builder = builder.add_extension(each, critical=isinstance(each, x509.BasicConstraints))
        made = builder.sign(authority_key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    public = authority_key.public_key()
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")])
    authority = signed(
        "benchmark authority",
        public,
        x509.BasicConstraints(ca=True, path_length=0),
        x509.SubjectKeyIdentifier.from_public_key(public),
        x509.KeyUsage(False, False, False, False, False, True, True, False, False),
    )
    leaf = signed(
        "127.0.0.1",
        server_key.public_key(),
        x509.BasicConstraints(ca=False, path_length=None),
        here,
        identifier,
    )
    secret = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = Certificate(*(place / name for name in ("authority.pem", "server.pem", "server.key")))
    for path, content in zip(files, (authority, leaf, secret), strict=True):
        path.write_bytes(content)
    files.key.chmod(0o600)
    return files
