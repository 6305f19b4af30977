"""Every repeated request is an event, and counted by its code: over both transports, listings too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

import aios3sync
import aios3sync.store.boto
from aios3sync.events import Event, RequestRetried, RequestsRepeated
from aios3sync.testing.http_server import CannedRequest, canned_server, error_body

EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


def judge(request: CannedRequest) -> tuple[int, bytes] | None:
    """Answer a listing with an empty one; what is sent is stored."""
    return (200, EMPTY) if request.method == "GET" else None


@pytest.mark.parametrize("lane", ["wire", "boto"])
async def test_each_is_an_event_with_its_reason(
    tmp_path: Path, lane: Literal["wire", "boto"], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr("aios3sync.store.wrappers.retry_policy.Backoff.delay", lambda *_: 0.0)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("1")
    events: list[Event] = []
    progress = aios3sync.Progress()

    def sink(event: Event) -> None:
        events.append(event)
        progress.take(event)

    async with canned_server() as server:
        server.judge = judge
        server.will(503, error_body("SlowDown"))
        server.will(200, EMPTY)
        server.will(500, error_body("InternalError"))
        server.will(200, b"half", {"Content-Length": "100"}, close=True)
        async with aios3sync.connect(
            endpoint_url=server.url, lane=lane, region="us-east-1", processes=0
        ) as session:
            report = await session.sync(
                tmp_path / "tree", "s3://bkt/p", manifest=str(tmp_path / "m"), on_event=sink
            )
    assert (report.uploaded, report.exit_code) == (1, 0)
    assert [event for event in events if isinstance(event, RequestRetried)] == [
        RequestRetried("ListObjectsV2", "", "SlowDown", 503, 1, 0.0),
        RequestRetried("PutObject", "p/a.txt", "InternalError", 500, 1, 0.0),
        RequestRetried("PutObject", "p/a.txt", "ConnectionLost", 0, 2, 0.0),
    ]
    assert report.retry_codes == {"SlowDown": 1, "InternalError": 1, "ConnectionLost": 1}
    assert report.as_dict()["retry_codes"] == report.retry_codes
    assert (report.retries, report.throttled) == (3, 1)
    summed = Counter[str]()
    for event in events:
        if isinstance(event, RequestsRepeated):
            summed.update(event.codes)
    assert summed == progress.retry_codes == report.retry_codes
    assert (progress.retries, progress.throttled) == (3, 1)
