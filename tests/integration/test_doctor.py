"""The doctor on real servers: what it finds, what a later session knows, and an empty bucket after it."""

from __future__ import annotations

import pytest

import aios3sync
from tests.integration.conftest import Place

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

DIFFERENT = {
    "seaweedfs": {"list order", "start after", "keys"},
    "moto": {"integrity", "newline in keys", "checksum"},
}


@pytest.mark.parametrize("lane", ["auto", "boto"])
async def test_what_differs_on_servers(place: Place, request: pytest.FixtureRequest, lane: str) -> None:
    server = request.node.callspec.params["endpoint"]
    async with aios3sync.connect(lane=lane) as s3:  # type: ignore[arg-type]
        report = await s3.doctor(place.url("p"))
    assert {each.probe for each in report.findings if each.status != "ok"} == DIFFERENT[server]
    assert (report.exit_code, report.left) == (3, ())
    listed = place.client.list_objects_v2(Bucket=place.bucket).get("Contents", [])
    assert (listed, place.client.list_multipart_uploads(Bucket=place.bucket).get("Uploads", [])) == ([], [])
    async with aios3sync.connect() as later:
        known = (await later.doctor(place.url("p"), read_only=True)).known
    assert known == (("listings in no order of keys",) if server == "seaweedfs" else ())
