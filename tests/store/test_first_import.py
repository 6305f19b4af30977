"""Where botocore is imported: late, and never on the event loop, which would be blocked for a second."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROBE = """
import asyncio, json, sys, threading

HEAVY = {"aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore"}
on_the_loop = []

class Spy:
    def find_spec(self, name, path=None, target=None):
        here = threading.current_thread() is threading.main_thread()
        if here and name.partition(".")[0] in HEAVY:
            on_the_loop.append(name)
        return None

async def answer(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\\r\\n\\r\\n")
            writer.write(b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main(lane, first):
    import aios3sync

    sys.meta_path.insert(0, Spy())
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    async with aios3sync.connect(endpoint_url=url, region="us-east-1", lane=lane) as s3:
        if first == "queue":
            async with s3.queue(url + "/0/queue"):
                pass
        try:
            await (await s3.store("bucket")).head("key")
        except aios3sync.ObjectNotFoundError:
            pass
    print(json.dumps([on_the_loop, "botocore" in sys.modules]))

asyncio.run(main(*sys.argv[1:]))
"""


CHAIN = {"AWS_CREDENTIAL_EXPIRATION": "2999-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("lane", "first", "variables", "static"),
    [
        ("wire", "store", {}, True),  # keys of the environment need no botocore
        ("wire", "store", CHAIN, False),
        ("wire", "queue", {}, False),
        ("boto", "store", {}, False),
        ("boto", "queue", {}, False),
    ],
)
def test_botocore_is_never_imported_on_the_event_loop(
    lane: str, first: str, variables: dict[str, str], *, static: bool
) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "PATH": "", **variables}
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, lane, first], env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    on_the_loop, loaded = json.loads(ran.stdout)
    assert loaded is not static
    assert on_the_loop == []
