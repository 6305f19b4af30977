"""Run the embedded S3 endpoint with one bucket until Ctrl-C, to try things out."""

from __future__ import annotations

import signal
import sys

import aioboto3
import anyio

from aios3sync.testing import Endpoint, start_seaweedfs


async def make_bucket(endpoint: Endpoint, bucket: str) -> None:
    """Create the bucket."""
    client = aioboto3.Session().client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
    )
    async with client as s3:
        await s3.create_bucket(Bucket=bucket)


def main() -> None:
    """Start the endpoint, print how to reach it, and wait."""
    bucket = sys.argv[1] if len(sys.argv) > 1 else "my-bucket"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with start_seaweedfs() as endpoint:
        anyio.run(make_bucket, endpoint, bucket)
        print(f"# s3://{bucket} is at {endpoint.url} until Ctrl-C; paste this into another terminal:")
        for name, value in endpoint.environment().items():
            print(f"export {name}={value}")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("# stopped")


if __name__ == "__main__":
    main()
