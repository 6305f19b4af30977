"""What the coordinator and the nodes say to each other: tokens, events, reports, estimates."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import threading
from pathlib import Path

import pytest
from distributed.core import error_message

from aios3sync._dataclass import replace
from aios3sync._version import __version__
from aios3sync.core.filters import Filters
from aios3sync.core.keys import Location
from aios3sync.core.safety import PlanFacts, Refusal, Unfinished
from aios3sync.distributed.addresses import checked_cluster, local_processes
from aios3sync.distributed.estimates import directory_weights, listing_weights
from aios3sync.distributed.event_buffer import EventBuffer, decoded
from aios3sync.distributed.node import sendable
from aios3sync.distributed.reports import joined_report, known_since, unmatched_rules
from aios3sync.distributed.results import ShardFacts
from aios3sync.distributed.shards import cut
from aios3sync.distributed.tokens import Sight, look, tokens, verify
from aios3sync.errors import ClusterError, CredentialsError, UsageError
from aios3sync.events import (
    BytesSent,
    Failed,
    ObjectUploaded,
    PhaseBegan,
    Planned,
    Scanned,
    Warned,
)
from aios3sync.local.walk import Walk
from aios3sync.manifest.protocol import ManifestState
from aios3sync.options import SyncOptions
from aios3sync.progress import Progress
from aios3sync.report import Failure, SyncReport
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.request import SyncRequest
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.trees import make_tree

# Tokens.


def test_a_token_is_seen_where_it_was_put_and_nowhere_else(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with tokens([str(here)]) as wanted:
        (token,) = wanted
        assert look(wanted).problems == ("",)
        verify(wanted, {"n1": look(wanted)}, {"n1": "host"})
        other = (replace(token, directory=str(there)),)
        assert look(other).problems == ("is another directory there, or none",)
        gone = (replace(token, directory=str(tmp_path / "gone")),)
        assert look(gone).problems == ("does not exist there",)
        (there / token.name).write_text("another run")
        assert look(other).problems == ("is another directory there",)
        with pytest.raises(ClusterError, match=r"worker n2 on .+ sees other files: .+ is another"):
            verify(wanted, {"n1": look(wanted), "n2": look(other)}, {"n1": "a", "n2": "b"})
    assert os.listdir(here) == []


def test_a_token_is_no_file_of_a_walk(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": b"1"})
    with tokens([str(tmp_path)]):
        walk = Walk(str(tmp_path), Filters(), "follow", "")
        assert len(os.listdir(tmp_path)) == 2
        assert [entry.key for batch in walk.batches() for entry in batch.entries] == ["a"]


def test_a_directory_that_cannot_be_written_is_known_by_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path / "one", {"a": b"1"})
    make_tree(tmp_path / "two", {"a": b"1"})
    opened = os.open

    def refuse(path: str, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system")
        return opened(path, flags, *rest)

    monkeypatch.setattr("aios3sync.distributed.tokens.os.open", refuse)
    with tokens([str(tmp_path / "one")]) as wanted:
        assert look(wanted).problems == ("",)
        assert look((replace(wanted[0], directory=str(tmp_path / "two")),)).problems != ("",)


def test_a_node_with_another_version_or_without_an_answer_is_named() -> None:
    with pytest.raises(ClusterError, match=r"n1 on host has version 0\.0\.1 of aios3sync"):
        verify((), {"n1": Sight("host", "0.0.1", ())}, {"n1": "host"})
    with pytest.raises(ClusterError, match="n1 on host does not answer"):
        verify((), {}, {"n1": "host"})
    verify((), {"n1": Sight("host", __version__, ())}, {"n1": "host"})


# Events.


def test_an_event_is_sent_or_counted_and_never_both() -> None:
    buffer = EventBuffer()
    first, second = buffer.of_shard(), buffer.of_shard()
    whole, received = Progress(), Progress()

    def happen(sink: object, event: object) -> None:
        sink(event)  # type: ignore[operator]
        if not isinstance(event, PhaseBegan):
            whole(event)  # type: ignore[arg-type]

    for room in (3, 0, 1000):
        buffer_room = room
        for number in range(20):
            sink = (first, second)[number % 2]
            for event in (
                PhaseBegan("compare") if not number else Scanned(2, 10),
                Planned(uploads=1, size=5),
                BytesSent(f"k{number}", 5),
                ObjectUploaded(f"k{number}", 5, "e", "new"),
                Failed(Failure(f"f{number}", "upload", "no")),
                Warned("w"),
            ):
                happen(sink, event)
        counts, events = pickle.loads(pickle.dumps(buffer.take(buffer_room)))  # noqa: S301 - of this test
        for kind, fields in events:
            received(decoded(kind, fields))
        received.add(counts)
    whole.scanned = received.scanned  # a comparison that begins again counts anew, for its shard alone
    names = ("uploads", "upload_size", "uploaded", "sent", "failed", "warned")
    assert {name: getattr(received, name) for name in names} == {name: getattr(whole, name) for name in names}
    assert [failure.key for failure in received.failures] == [failure.key for failure in whole.failures]


def test_a_comparison_that_begins_again_counts_again_for_its_shard_alone() -> None:
    buffer, received = EventBuffer(), Progress()
    first, second = buffer.of_shard(), buffer.of_shard()
    for sink in (first, second):
        sink(PhaseBegan("compare"))
        sink(Scanned(10, 100))
    received.add(buffer.take(0)[0])
    assert received.scanned == 20
    first(PhaseBegan("compare"))
    first(Scanned(3, 30))
    received.add(buffer.take(0)[0])
    assert (received.scanned, received.scanned_size) == (13, 130)


# Reports.

REQUEST = SyncRequest(root="/data", location=Location("bucket", "p/"), endpoint="aws", options=SyncOptions())


def report(**values: object) -> SyncReport:
    return SyncReport(source="", target="", checked="manifest", **values)  # type: ignore[arg-type]


def test_reports_add_up() -> None:
    one = report(uploaded=2, planned=2, scanned=2, requests={"PutObject": 2}, warnings=("w",), retries=1)
    one = replace(one, retry_codes={"SlowDown": 1})
    two = replace(
        report(kept=3, failed=1, planned=4, scanned=4, requests={"PutObject": 1, "ListObjectsV2": 1}),
        checked="list",
        errors=(Failure("k", "upload", "no"),),
        warnings=("w", "v"),
        knowledge_age_s=5.0,
    )
    refused = Refusal("max-delete", 2, "too many")
    joined = joined_report(
        REQUEST, [one, two], refused=refused, warnings=("u",), interrupted=2, elapsed_s=1.5
    )
    assert joined.balanced
    assert (joined.uploaded, joined.kept, joined.failed, joined.planned, joined.scanned) == (2, 3, 1, 6, 6)
    assert (joined.requests, joined.retries) == ({"PutObject": 3, "ListObjectsV2": 1}, 1)
    assert joined.retry_codes == {"SlowDown": 1}
    assert (joined.warnings, joined.checked, joined.knowledge_age_s) == (("w", "v", "u"), "list", 5.0)
    assert joined.refused == {"guard": "max-delete", "count": 2, "message": "too many"}
    assert (joined.source, joined.target, joined.exit_code) == ("/data", "s3://bucket/p/", 130)


FACTS = ShardFacts(plan=PlanFacts(0, 1, 1, True, True), unfinished=Unfinished())


def test_a_rule_that_one_shard_needs_is_not_warned_of() -> None:
    one = replace(FACTS, unmatched_filters=("exclude a", "exclude b"), unmatched_headers=("h",))
    two = replace(FACTS, unmatched_filters=("exclude b",))
    (warning,) = unmatched_rules([one, two])
    assert "exclude b" in warning
    assert "exclude a" not in warning
    assert unmatched_rules([replace(one, unmatched_filters=())]) == ["--header-for 'h' matched no file"]


def test_the_whole_is_known_since_its_oldest_part() -> None:
    before = ManifestState(complete=True, listed_at=5.0)
    assert known_since([replace(FACTS, listed_at=9.0), replace(FACTS, listed_at=7.0)], [before] * 2) == (
        "",
        7.0,
    )
    assert known_since([replace(FACTS, listed_at=9.0), FACTS], [before, before]) == ("", 5.0)
    assert known_since([replace(FACTS, listed_at=9.0), FACTS], [before, before.begun()]) is None
    assert known_since([], []) is None


# Estimates.


def test_the_weights_of_a_tree_lead_to_shards_of_similar_work(tmp_path: Path) -> None:
    tree: dict[str, bytes | str | None] = {f"flat/{number:04}": b"" for number in range(600)}
    tree |= {f"deep/{number % 30:02}/x/{number:04}": b"" for number in range(600)}
    make_tree(tmp_path, tree)
    weights = directory_weights(str(tmp_path), 256)
    ranges = cut(weights, 4)
    found = [sum(one.holds(key) for key in tree) for one in ranges]
    assert sum(found) == len(tree)
    assert len(ranges) == 4
    assert max(found) <= 2 * min(found)


def test_a_large_tree_is_read_in_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path, {f"d{number:02}/e{number % 3}/f": b"" for number in range(40)})
    monkeypatch.setattr("aios3sync.distributed.estimates._MOST_ENTRIES", 10)
    weights = directory_weights(str(tmp_path), 1000)
    assert [key for key, _ in weights] == [f"d{number:02}/" for number in range(40)]


async def test_the_weights_of_a_bucket_come_from_few_pages() -> None:
    store = MemoryStore(page_size=lambda _: 100)
    keys = [f"p/d{number % 20:02}/{number:03}" for number in range(400)]
    for key in keys:
        await store.put(key, b"", PutOptions(), md5=hashlib.md5(usedforsecurity=False).digest())
    weights = await listing_weights(store, "p/", 16)
    ranges = cut(weights, 4, whole_prefixes=True)
    found = [sum(one.holds(key.removeprefix("p/")) for key in keys) for one in ranges]
    assert sum(found) == 400
    assert max(found) <= 2 * min(found)


# Names of clusters.


@pytest.mark.parametrize("name", ["local:1", "local:256", "tcp://host:8786", "tls://[::1]:8786"])
def test_what_names_a_cluster(name: str) -> None:
    assert checked_cluster(name) == name
    if name.startswith("local"):
        assert local_processes(name) == int(re.sub(r"\D", "", name))


@pytest.mark.parametrize(
    "name", ["local:x", "local:257", "http://host", "tcp://user:secret@host", 5, object()]
)
def test_what_names_none(name: object) -> None:
    with pytest.raises(UsageError, match="cluster: "):
        checked_cluster(name)


def test_a_failure_is_sent_as_itself_whatever_it_came_from() -> None:
    """Dask sends an error together with what it came from, and one without a type where it cannot."""

    def failure() -> Exception:
        try:
            try:
                raise _UnsendableError(threading.Lock())  # noqa: TRY301 - a cause is made
            except _UnsendableError as error:
                raise CredentialsError("no credentials", operation="ListObjectsV2") from error
        except CredentialsError as error:
            return ExceptionGroup("of a task group", [error])

    assert b"CredentialsError" not in _sent(failure().exceptions[0])  # type: ignore[attr-defined]
    assert b"CredentialsError" in _sent(sendable(failure()))


class _UnsendableError(Exception):
    """It holds what no process can send to another."""


def _sent(error: Exception) -> bytes:
    """Return an error as Dask sends it; an exception without its type names that in its text alone."""
    sent = error_message(error)["exception"].data
    kind = type(pickle.loads(sent)).__name__  # noqa: S301 - of this very process
    return kind.encode()
