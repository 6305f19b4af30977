"""What a reader of a page has: a server with buckets, a directory of files, and profiles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import certifi

from tests.clients import boto3_client
from tests.docs.pages import blocks
from tests.docs.sessions import BUCKETS, make_buckets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aios3sync.testing import Endpoint

__all__ = ("buckets_of", "here", "make_files", "make_profiles")

_FILES: Final = ("a.txt", "a.csv", "a/file.txt", "cats/1.jpg", "style.css", "cache/keep/k", "m/weights.bin")
_DIRECTORIES: Final = ("data", "site", "public", "photos")
_PROFILES: Final = ("work", "backup", "theirs", "mine", "old")
_MORE_BUCKETS: Final = ("their-bucket", "old", "new")
_ELSEWHERE: Final = (
    "https://s3.example.com",
    "https://old.example.com",
    "https://ACCOUNT.r2.cloudflarestorage.com",
    "https://s3.us-west-004.backblazeb2.com",
    "https://s3.eu-central-1.wasabisys.com",
    "https://storage.googleapis.com",
    "http://localhost:9000",
)
"""Endpoints that pages name; the server of the test takes their place."""


def here(text: str, endpoint: Endpoint, directory: Path) -> str:
    """Return a text of a page with the places of this machine instead of those that it names."""
    for url in _ELSEWHERE:
        text = text.replace(url, endpoint.url)
    text = text.replace("/etc/ssl/certs/company.pem", certifi.where())
    before = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    text = text.replace("2026-11-30T12:00:00Z", before)  # the past, whatever the clock of this machine says
    for path in ("/backup/", "/var/lib/node_exporter/"):
        text = text.replace(f'"{path}', f'"{directory}/')
    return text.replace("start_http_server(9100)", "start_http_server(0)")


def make_files(directory: Path) -> None:
    """Make the directories that pages sync, and the objects' worth of small files in them. Blocks."""
    for name in _DIRECTORIES:
        for file in _FILES:
            path = directory / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {file}\n")
        (directory / name / "index.html").write_text("<p>\n")
    (directory / "a.txt").write_text("a\n")


def make_profiles(file: Path, endpoint: Endpoint) -> None:
    """Write the AWS profiles that pages name: here all are of the one user of the server. Blocks."""
    keys = f"aws_access_key_id = {endpoint.access_key}\naws_secret_access_key = {endpoint.secret_key}\n"
    file.write_text("".join(f"[profile {name}]\n{keys}region = us-east-1\n" for name in _PROFILES))


def make_configuration(page: Path, directory: Path, endpoint: Endpoint) -> None:
    """Write the configuration file of a page, if it shows one. Blocks."""
    for text in blocks(page, "toml")[:1]:
        (directory / "aios3sync.toml").write_text(here(text, endpoint, directory))


def keep_versions(endpoint: Endpoint) -> None:
    """Let the bucket of most pages keep versions. Blocks."""
    boto3_client(endpoint).put_bucket_versioning(
        Bucket=BUCKETS[0], VersioningConfiguration={"Status": "Enabled"}
    )


def buckets_of(endpoint: Endpoint) -> Iterator[Endpoint]:
    """Yield the server with the buckets of a page, which are gone afterwards. Blocks."""
    make_buckets(endpoint)
    client = boto3_client(endpoint)
    for bucket in _MORE_BUCKETS:
        client.create_bucket(Bucket=bucket)
    yield endpoint
    for bucket in (*BUCKETS, *_MORE_BUCKETS):
        for pages in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            versions = (*pages.get("Versions", ()), *pages.get("DeleteMarkers", ()))
            gone = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
            if gone:
                client.delete_objects(Bucket=bucket, Delete={"Objects": gone, "Quiet": True})
        client.delete_bucket(Bucket=bucket)
