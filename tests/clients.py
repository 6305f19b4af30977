"""A boto3 client of a server of the tests: what other programs see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from aios3sync.testing.servers import Endpoint


def boto3_client(endpoint: Endpoint, service: str = "s3", **options: Any) -> Any:
    """Return a client with the credentials of the server. Blocks."""
    return boto3.client(
        service,
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
        **options,
    )
