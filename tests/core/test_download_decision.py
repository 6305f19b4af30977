"""The truth table of a download: every combination of facts, and its laws."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.actions import (
    Action,
    Adopt,
    CompareDigest,
    Conflict,
    Delete,
    Download,
    Forget,
    Keep,
    Reason,
    Touch,
)
from aios3sync.core.decision import Evidence, Stored
from aios3sync.core.download_decision import decide_download, needs_head_for_download, settle_download
from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
from aios3sync.core.policy import DeleteMode, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

MD5 = "0cc175b9c0f1b6a831c399e269772661"
OTHER_MD5 = "92eb5ffee6ae2fec3ad71c777531578f"
PARTS = "4a8a08f09d37b73795649038408b5f33-3"
OPAQUE = "8277e091-0d75-0195-b448-797616e091ad"

FILE = SourceEntry("k", 10, 1_000, 2_000, 3)
ROW = RecordedEntry(*FILE, MD5, MD5)
OBJECT = TargetEntry("k", 10, MD5)

laws = settings(deadline=None, derandomize=True, max_examples=300)


@dataclass(frozen=True)
class Facts:
    """What is known of one key, in the words of the table."""

    object: str  # "-", "recorded etag", "other etag", "other size"
    recorded: str  # "-", "settled", "unsettled"
    file: str  # "-", "recorded stat", "other stat", "other size"
    delete: DeleteMode
    content: bool
    incremental: bool
    overwrite: bool

    def entries(self) -> tuple[TargetEntry | None, RecordedEntry | None, SourceEntry | None]:
        objects: dict[str, TargetEntry | None] = {
            "-": None,
            "recorded etag": OBJECT,
            "other etag": OBJECT._replace(etag=OTHER_MD5),
            "other size": OBJECT._replace(etag=OTHER_MD5, size=11),
        }
        rows = {"-": None, "settled": ROW, "unsettled": ROW._replace(settled=False)}
        files = {
            "-": None,
            "recorded stat": FILE,
            "other stat": FILE._replace(mtime_ns=1_001),
            "other size": FILE._replace(size=12),
        }
        return objects[self.object], rows[self.recorded], files[self.file]

    def policy(self) -> Policy:
        return Policy(
            delete=self.delete,
            content=self.content,
            incremental=self.incremental,
            overwrite=self.overwrite,
        )


def all_facts() -> Iterator[Facts]:
    deletes: tuple[DeleteMode, ...] = ("off", "tracked", "mirror")
    flags = (False, True)
    for known, delete, content, incremental, overwrite in itertools.product(
        itertools.product(
            ("-", "recorded etag", "other etag", "other size"),
            ("-", "settled", "unsettled"),
            ("-", "recorded stat", "other stat", "other size"),
        ),
        deletes,
        *(flags, flags, flags),
    ):
        facts = Facts(*known, delete, content=content, incremental=incremental, overwrite=overwrite)
        if any(part is not None for part in facts.entries()):
            yield facts


def expected(facts: Facts) -> tuple[type[Any], Reason | None]:
    """The table, in the words of the documentation."""
    forced = None if facts.incremental else Reason.FORCED
    trusted = facts.recorded == "settled" and facts.file == "recorded stat"
    if facts.object == "-":
        return expected_absent(facts)
    if facts.file == "-":
        if facts.recorded == "-":
            return Download, forced or Reason.NEW
        return Download, forced or (Reason.MISSING if facts.object == "recorded etag" else Reason.CONTENT)
    if facts.recorded == "-":
        sizes_differ = (facts.object == "other size") or (facts.file == "other size")
        return (Download, Reason.SIZE) if sizes_differ and facts.overwrite else (CompareDigest, None)
    if not trusted:
        return CompareDigest, None
    if facts.object != "recorded etag":
        return Download, forced or Reason.CONTENT
    if forced:
        return Download, forced
    return (CompareDigest, None) if facts.content else (Keep, Reason.SAME)


def expected_absent(facts: Facts) -> tuple[type[Any], Reason | None]:
    if facts.file == "-":
        return Forget, None
    if facts.recorded == "-":
        return (Delete, Reason.MIRROR) if facts.delete == "mirror" else (Keep, Reason.NOT_OURS)
    if facts.delete == "off":
        return Keep, Reason.OFF
    if facts.delete == "mirror":
        return Delete, Reason.TRACKED
    # An unsettled row has the stat of the file as well: what is deleted is compared once more by its stat.
    same = facts.file == "recorded stat"
    return (Delete, Reason.TRACKED) if same else (Conflict, Reason.CHANGED_HERE)


@pytest.mark.parametrize("delete", ["off", "tracked", "mirror"])
def test_every_row_of_the_table(delete: str) -> None:
    for facts in all_facts():
        if facts.delete != delete:
            continue
        action = decide_download(*facts.entries(), facts.policy())
        kind, reason = expected(facts)
        assert type(action) is kind, facts
        if reason is not None:
            assert getattr(action, "reason", None) is reason, facts


def test_no_file_of_another_stat_is_overwritten_or_deleted_without_being_asked_for() -> None:
    for facts in all_facts():
        action = decide_download(*facts.entries(), facts.policy())
        trusted = facts.recorded == "settled" and facts.file == "recorded stat"
        if facts.file == "-" or trusted or facts.overwrite:
            continue
        assert not isinstance(action, Download), facts
        if isinstance(action, Delete):
            assert facts.delete == "mirror" or facts.file == "recorded stat", facts


def test_what_is_replaced_is_what_was_compared() -> None:
    for facts in all_facts():
        action = decide_download(*facts.entries(), facts.policy())
        if isinstance(action, Download):
            assert action.replaces == facts.entries()[2]


def test_nothing_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing is known"):
        decide_download(None, None, None, Policy())


def test_an_empty_recorded_etag_is_no_recorded_etag() -> None:
    action = decide_download(OBJECT._replace(etag=""), ROW._replace(etag=""), FILE, Policy())
    assert isinstance(action, Download)


# settle_download

COMPARE = CompareDigest(FILE._replace(mtime_ns=5), ROW, OBJECT)
CHANGED_OBJECT = replace(COMPARE, target=OBJECT._replace(etag=OTHER_MD5))
UNRECORDED = replace(COMPARE, recorded=None)

SETTLED: list[tuple[str, CompareDigest, Evidence, Policy, Action]] = [
    ("same content, other stat", COMPARE, Evidence(MD5), Policy(), Touch(COMPARE.source, ROW)),
    (
        "unsettled, same stat",
        replace(COMPARE, source=FILE, recorded=ROW._replace(settled=False)),
        Evidence(MD5),
        Policy(),
        Touch(FILE, ROW._replace(settled=False), Reason.UNSETTLED),
    ),
    ("content was asked for", replace(COMPARE, source=FILE), Evidence(MD5), Policy(content=True), Keep()),
    ("changed here", COMPARE, Evidence(OTHER_MD5), Policy(), Conflict("k", Reason.CHANGED_HERE)),
    (
        "changed here, overwrite",
        COMPARE,
        Evidence(OTHER_MD5),
        Policy(overwrite=True),
        Download(OBJECT, Reason.CONTENT, COMPARE.source, overwrite=True),
    ),
    (
        "object changed, file only touched",
        CHANGED_OBJECT,
        Evidence(MD5, stored=Stored("")),
        Policy(),
        Download(OBJECT._replace(etag=OTHER_MD5), Reason.CONTENT, COMPARE.source),
    ),
    (
        "both changed to the same",
        CHANGED_OBJECT,
        Evidence(OTHER_MD5),
        Policy(),
        Adopt(COMPARE.source, OBJECT._replace(etag=OTHER_MD5), OTHER_MD5),
    ),
    (
        "both changed",
        CHANGED_OBJECT,
        Evidence("f" * 32, stored=Stored("")),
        Policy(),
        Conflict("k", Reason.BOTH_CHANGED),
    ),
    ("adopted", UNRECORDED, Evidence(MD5), Policy(), Adopt(COMPARE.source, OBJECT, MD5)),
    (
        "adopted by parts",
        replace(UNRECORDED, target=OBJECT._replace(etag=PARTS)),
        Evidence(MD5, {5: PARTS}),
        Policy(),
        Adopt(COMPARE.source, OBJECT._replace(etag=PARTS), MD5, 5),
    ),
    (
        "adopted by metadata",
        replace(UNRECORDED, target=OBJECT._replace(etag=OPAQUE)),
        Evidence(MD5, stored=Stored(MD5)),
        Policy(),
        Adopt(COMPARE.source, OBJECT._replace(etag=OPAQUE), MD5),
    ),
    (
        "adopted, stored compressed",
        replace(UNRECORDED, target=OBJECT._replace(etag=OTHER_MD5, size=4)),
        Evidence(MD5, stored=Stored(MD5, "gzip")),
        Policy(),
        Adopt(COMPARE.source, OBJECT._replace(etag=OTHER_MD5, size=4), MD5, encoding="gzip"),
    ),
    (
        "metadata that the ETag contradicts",
        replace(UNRECORDED, target=OBJECT._replace(etag=OTHER_MD5)),
        Evidence(MD5, stored=Stored(MD5)),
        Policy(),
        Conflict("k", Reason.UNRECORDED),
    ),
    (
        "other content",
        UNRECORDED,
        Evidence(OTHER_MD5, stored=Stored("")),
        Policy(),
        Conflict("k", Reason.UNRECORDED),
    ),
    (
        "nothing proves it",
        replace(UNRECORDED, target=OBJECT._replace(etag=OPAQUE)),
        Evidence(MD5, stored=Stored("")),
        Policy(),
        Download(OBJECT._replace(etag=OPAQUE), Reason.INDETERMINATE, COMPARE.source, MD5),
    ),
    (
        "encrypted, so the ETag proves nothing",
        UNRECORDED,
        Evidence(OTHER_MD5, stored=Stored("", opaque=True)),
        Policy(overwrite=True),
        Download(OBJECT, Reason.INDETERMINATE, COMPARE.source, OTHER_MD5, overwrite=True),
    ),
    (
        "a row without MD5 is proved by the parts",
        replace(COMPARE, recorded=ROW._replace(md5="", etag=PARTS), target=OBJECT._replace(etag=PARTS)),
        Evidence(MD5, {5: PARTS}),
        Policy(),
        Touch(COMPARE.source, ROW._replace(md5=MD5, etag=PARTS)),
    ),
]


@pytest.mark.parametrize(
    ("compare", "evidence", "policy", "action"),
    [case[1:] for case in SETTLED],
    ids=[case[0] for case in SETTLED],
)
def test_every_row_of_the_second_table(
    compare: CompareDigest, evidence: Evidence, policy: Policy, action: Action
) -> None:
    assert settle_download(compare, evidence, policy) == action


def test_a_head_is_asked_for_only_where_it_can_decide() -> None:
    assert not needs_head_for_download(COMPARE, Evidence(OTHER_MD5)), "the row knows the content"
    assert not needs_head_for_download(UNRECORDED, Evidence(MD5)), "the ETag proves it"
    assert not needs_head_for_download(CHANGED_OBJECT, Evidence(MD5)), "the file is the recorded one"
    assert needs_head_for_download(UNRECORDED, Evidence(OTHER_MD5))
    assert needs_head_for_download(CHANGED_OBJECT, Evidence("f" * 32))
    assert not needs_head_for_download(UNRECORDED, Evidence(OTHER_MD5, stored=Stored("")))


@laws
@given(
    st.sampled_from([MD5, OTHER_MD5, PARTS, OPAQUE, ""]),
    st.sampled_from([MD5, OTHER_MD5, PARTS, OPAQUE, ""]),
    st.sampled_from([MD5, OTHER_MD5]),
    st.sampled_from(
        [None, Stored(""), Stored(MD5), Stored(MD5, "gzip"), Stored("", "gzip"), Stored("", opaque=True)]
    ),
    st.booleans(),
    st.booleans(),
)
def test_changes_of_a_file_are_never_lost_without_being_asked_for(
    etag: str, recorded_etag: str, md5: str, stored: Stored | None, has_row: bool, same_size: bool
) -> None:
    row = ROW._replace(etag=recorded_etag) if has_row else None
    target = OBJECT._replace(etag=etag, size=10 if same_size else 11)
    compare = CompareDigest(FILE._replace(mtime_ns=5), row, target)
    action = settle_download(compare, Evidence(md5, stored=stored), Policy())
    if isinstance(action, Download):
        known = row is not None and md5 == row.md5
        assert known or (action.md5 == md5 and not action.overwrite)
