"""The truth table of a sync: every row, generated and compared with the table as data, and its laws."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync.core.actions import (
    Action,
    Adopt,
    CompareDigest,
    Conflict,
    Delete,
    Forget,
    Keep,
    NeedListing,
    Reason,
    Touch,
    UpdateHeaders,
    Upload,
)
from aios3sync.core.decision import (
    UNKNOWN,
    Evidence,
    Knowledge,
    Stored,
    decide,
    has_part_digests,
    needs_head,
    part_sizes,
    same_stat,
    settle,
)
from aios3sync.core.entries import RecordedEntry, SourceEntry, TargetEntry
from aios3sync.core.parts import MAX_COPY_SIZE, MIB
from aios3sync.core.policy import STAT_FIELDS, DeleteMode, Policy, WantedHeaders
from aios3sync.core.safety import Protection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MD5 = "0cc175b9c0f1b6a831c399e269772661"
OTHER_MD5 = "92eb5ffee6ae2fec3ad71c777531578f"
PARTS = "4a8a08f09d37b73795649038408b5f33-3"
OTHER_PARTS = "b2f5ff47436671b6e533d8dc3614845d-3"
FIVES = "61ab8a3d4f4ae3c4ae0b6d6ad1a3cfe1-3"
KMS_LOOKALIKE = "8277e0910d750195b448797616e091ad"

laws = settings(
    deadline=None, derandomize=True, max_examples=120, suppress_health_check=[HealthCheck.too_slow]
)


# The table of decide(): every combination of facts


@dataclass(frozen=True)
class Facts:
    """What is known of one key, in the words of the table."""

    source: str  # "-", "same stat", "other stat", "other size" (than recorded)
    recorded: str  # "-", "settled", "unsettled"
    recorded_etag: str
    recorded_encoding: str
    target: str  # "-", "unknown", "same etag", "other etag", "no etag"
    target_size: str  # "same", "other" (than the source)
    gzip: bool
    policy: Policy
    recorded_headers: str = ""  # "", "before", "asked"

    @property
    def other_headers(self) -> bool:
        """Headers are compared, and those of the object are known, or to be taken, to be others."""
        asked = self.policy.headers
        if asked is None:
            return False
        return asked.unrecorded if self.recorded_headers == "" else self.recorded_headers == "before"

    @property
    def by_copy(self) -> bool:
        return self.policy.headers is not None and self.policy.headers.copy

    @property
    def agrees(self) -> bool:
        """The target shows the ETag that was recorded."""
        return self.target == "same etag" and self.recorded_etag != ""

    @property
    def listed(self) -> bool:
        return self.target.endswith("etag")

    @property
    def drifted(self) -> bool:
        return self.listed and not self.agrees

    @property
    def sizes_tell(self) -> bool:
        """A size proves a difference, unless the object is stored compressed."""
        return self.target_size == "other" and not self.gzip

    @property
    def encoding_changed(self) -> bool:
        return (self.recorded_encoding == "gzip") != self.gzip

    def entries(self) -> tuple[SourceEntry | None, RecordedEntry | None, Knowledge]:
        key = "dir/a.json"
        stat = {"other stat": (10, 999, 3, 4), "other size": (11, 2, 3, 4)}.get(self.source, (10, 2, 3, 4))
        source = None if self.source == "-" else SourceEntry(key, *stat)
        recorded = None
        if self.recorded != "-":
            settled = self.recorded == "settled"
            encoding = self.recorded_encoding
            recorded = RecordedEntry(key, 10, 2, 3, 4, MD5, self.recorded_etag, 0, encoding, settled)
            recorded = recorded._replace(headers=self.recorded_headers)
        if self.target == "-":
            return source, recorded, None
        if self.target == "unknown":
            return source, recorded, UNKNOWN
        size = stat[0] + (self.target_size == "other")
        etag = {"same etag": self.recorded_etag or MD5, "other etag": OTHER_MD5, "no etag": ""}[self.target]
        return source, recorded, TargetEntry(key, size, etag)


def every_fact(policy: Policy) -> Iterator[Facts]:
    recorded = [("-", "", ""), *itertools.product(("settled", "unsettled"), (MD5, ""), ("", "gzip"))]
    targets = [("-", "same"), ("unknown", "same")]
    targets += itertools.product(("same etag", "other etag", "no etag"), ("same", "other"))
    for source, row, target, gzip in itertools.product(
        ("-", "same stat", "other stat", "other size"), recorded, targets, (False, True)
    ):
        full = replace(policy, gzip=frozenset({"json"}) if gzip else frozenset())
        for headers in ("", "before", "asked") if policy.headers is not None else ("",):
            yield Facts(source, *row, *target, gzip, full, headers)


POLICIES = [
    Policy(delete=delete, content=content, accept_content=accept, incremental=incremental)
    for delete in ("off", "tracked", "mirror")
    for content, accept, incremental in itertools.product((False, True), repeat=3)
]
ASKED = {
    "-".join(
        [
            "by key" if uniform is None else "uniform",
            "all" if unrecorded else "recorded",
            "copy" if copy else "upload",
        ]
    ): WantedHeaders(lambda _: "asked", uniform, unrecorded, copy)
    for uniform in (None, "asked")
    for unrecorded, copy in itertools.product((False, True), repeat=2)
}
POLICIES += [Policy(content=content, headers=asked) for asked in ASKED.values() for content in (False, True)]


def policy_id(policy: Policy) -> str:
    flags = [name for name in ("content", "accept_content", "incremental") if getattr(policy, name)]
    headers = [name for name, asked in ASKED.items() if asked is policy.headers]
    return "-".join([policy.delete, *flags, *headers])


@dataclass(frozen=True)
class Row:
    """One row of the table: when it speaks, and what it says. Rows exclude one another: no order counts."""

    name: str
    when: Callable[[Facts], bool]
    then: Callable[[SourceEntry, RecordedEntry, TargetEntry], Action | None]


def _compares(f: Facts) -> bool:
    return f.source != "-" and f.policy.incremental


def _both(f: Facts) -> bool:
    return _compares(f) and f.recorded != "-" and not f.encoding_changed


def _trusts_target(f: Facts) -> bool:
    return f.target == "unknown" or f.agrees


def _suspect(f: Facts) -> bool:
    """With ``content`` a file with its recorded stat is hashed before it may replace anything."""
    asked = f.policy.content and not f.policy.accept_content
    return asked and (f.source, f.recorded) == ("same stat", "settled")


TABLE = (
    Row(
        "without incremental every source file is uploaded",
        lambda f: f.source != "-" and not f.policy.incremental,
        lambda s, r, t: Upload(s, Reason.FORCED),
    ),
    Row(
        "source only, or not recorded and not listed: new",
        lambda f: _compares(f) and f.recorded == "-" and not f.listed,
        lambda s, r, t: Upload(s, Reason.NEW),
    ),
    Row(
        "not recorded, in the target with another size",
        lambda f: _compares(f) and f.recorded == "-" and f.listed and f.sizes_tell,
        lambda s, r, t: Upload(s, Reason.SIZE),
    ),
    Row(
        "not recorded, in the target with a size that proves nothing",
        lambda f: _compares(f) and f.recorded == "-" and f.listed and not f.sizes_tell,
        lambda s, r, t: CompareDigest(s, None, t),
    ),
    Row(
        "gzip now on or off, recorded otherwise",
        lambda f: _compares(f) and f.recorded != "-" and f.encoding_changed and not _suspect(f),
        lambda s, r, t: Upload(s, Reason.ENCODING),
    ),
    Row(
        "gzip now on or off, recorded otherwise, but asked to look at the content",
        lambda f: _compares(f) and f.recorded != "-" and f.encoding_changed and _suspect(f),
        lambda s, r, t: CompareDigest(s, r, None, otherwise=Reason.ENCODING),
    ),
    Row(
        "recorded, gone from the target",
        lambda f: _both(f) and f.target == "-" and not _suspect(f),
        lambda s, r, t: Upload(s, Reason.MISSING),
    ),
    Row(
        "recorded, gone from the target, but asked to look at the content",
        lambda f: _both(f) and f.target == "-" and _suspect(f),
        lambda s, r, t: CompareDigest(s, r, None, otherwise=Reason.MISSING),
    ),
    Row(
        "replaced in the target, with another size",
        lambda f: _both(f) and f.drifted and f.sizes_tell and not _suspect(f),
        lambda s, r, t: Upload(s, Reason.DRIFTED),
    ),
    Row(
        "replaced in the target, with another size, but asked to look at the content",
        lambda f: _both(f) and f.drifted and f.sizes_tell and _suspect(f),
        lambda s, r, t: CompareDigest(s, r, None, otherwise=Reason.DRIFTED),
    ),
    Row(
        "replaced in the target, with a size that proves nothing",
        lambda f: _both(f) and f.drifted and not f.sizes_tell,
        lambda s, r, t: CompareDigest(s, r, t),
    ),
    Row(
        "the file's size changed",
        lambda f: _both(f) and _trusts_target(f) and f.source == "other size",
        lambda s, r, t: Upload(s, Reason.SIZE),
    ),
    Row(
        "same stat, settled: nothing to do",
        lambda f: (
            _both(f)
            and _trusts_target(f)
            and (f.source, f.recorded) == ("same stat", "settled")
            and not f.policy.content
            and not f.other_headers
        ),
        lambda s, r, t: Keep(Reason.SAME),
    ),
    Row(
        "same stat, settled, but with other headers than are asked for: copied onto itself",
        lambda f: (
            _both(f)
            and _trusts_target(f)
            and (f.source, f.recorded) == ("same stat", "settled")
            and not f.policy.content
            and f.other_headers
            and f.by_copy
        ),
        lambda s, r, t: UpdateHeaders(s, r),
    ),
    Row(
        "same stat, settled, but with other headers than are asked for, and no copy is wanted",
        lambda f: (
            _both(f)
            and _trusts_target(f)
            and (f.source, f.recorded) == ("same stat", "settled")
            and not f.policy.content
            and f.other_headers
            and not f.by_copy
        ),
        lambda s, r, t: Upload(s, Reason.HEADERS),
    ),
    Row(
        "same stat, but asked to look at the content, or too young to trust",
        lambda f: (
            _both(f)
            and _trusts_target(f)
            and f.source == "same stat"
            and (f.policy.content or f.recorded == "unsettled")
        ),
        lambda s, r, t: CompareDigest(s, r, None),
    ),
    Row(
        "only the stat differs",
        lambda f: _both(f) and _trusts_target(f) and f.source == "other stat",
        lambda s, r, t: CompareDigest(s, r, None),
    ),
    Row(
        "gone on both sides",
        lambda f: f.source == "-" and f.recorded != "-" and f.target == "-",
        lambda s, r, t: Forget(r.key),
    ),
    Row(
        "gone from the source, deleting is off",
        lambda f: f.source == "-" and f.recorded != "-" and f.target != "-" and f.policy.delete == "off",
        lambda s, r, t: Keep(Reason.OFF),
    ),
    Row(
        "gone from the source, deleting is on, not listed",
        lambda f: (
            f.source == "-" and f.recorded != "-" and f.target == "unknown" and f.policy.delete != "off"
        ),
        lambda s, r, t: NeedListing(r.key),
    ),
    Row(
        "gone from the source, the target holds what we uploaded",
        lambda f: f.source == "-" and f.recorded != "-" and f.agrees and f.policy.delete != "off",
        lambda s, r, t: Delete(t.key, t.etag, t.size, tracked=True, reason=Reason.TRACKED),
    ),
    Row(
        "gone from the source, replaced in the target, mirror",
        lambda f: f.source == "-" and f.recorded != "-" and f.drifted and f.policy.delete == "mirror",
        lambda s, r, t: Delete(t.key, t.etag, t.size, tracked=True, reason=Reason.TRACKED),
    ),
    Row(
        "gone from the source, replaced in the target, tracked",
        lambda f: f.source == "-" and f.recorded != "-" and f.drifted and f.policy.delete == "tracked",
        lambda s, r, t: Conflict(t.key, Reason.FOREIGN, forget=True),
    ),
    Row(
        "in the target only, mirror",
        lambda f: f.source == "-" and f.recorded == "-" and f.listed and f.policy.delete == "mirror",
        lambda s, r, t: Delete(t.key, t.etag, t.size, tracked=False, reason=Reason.MIRROR),
    ),
    Row(
        "in the target only, not mirror",
        lambda f: f.source == "-" and f.recorded == "-" and f.listed and f.policy.delete != "mirror",
        lambda s, r, t: Keep(Reason.NOT_OURS),
    ),
    Row(
        "nothing is known at all",
        lambda f: f.source == "-" and f.recorded == "-" and not f.listed,
        lambda s, r, t: None,
    ),
)


def replaced(recorded: RecordedEntry | None, target: Knowledge) -> str:
    """The ETag that an upload replaces: what a listing showed counts, else what is recorded."""
    if isinstance(target, TargetEntry):
        return target.etag
    return recorded.etag if recorded is not None and target is UNKNOWN else ""


def decided(facts: Facts) -> Action | None:
    try:
        return decide(*facts.entries(), facts.policy)
    except ValueError:
        return None


@pytest.mark.parametrize("policy", POLICIES, ids=policy_id)
def test_every_row_of_the_table(policy: Policy) -> None:
    """For each of the 576 combinations of facts exactly one row speaks, and decide() does what it says."""
    wrong = []
    for facts in every_fact(policy):
        rows = [row for row in TABLE if row.when(facts)]
        assert len(rows) == 1, (facts, [row.name for row in rows])
        source, recorded, target = facts.entries()
        wanted = rows[0].then(*(source, recorded, target))  # type: ignore[arg-type]
        if isinstance(wanted, Upload) or (isinstance(wanted, CompareDigest) and wanted.otherwise):
            wanted = replace(wanted, replaces=replaced(recorded, target))
        if (got := decided(facts)) != wanted:
            wrong.append(f"{rows[0].name}: {facts}: {got} instead of {wanted}")
    assert not wrong, "\n".join(wrong[:5])


def test_every_row_is_needed() -> None:
    """No row of the table is dead: each speaks for some combination."""
    silent = {row.name for row in TABLE}
    for policy in POLICIES:
        for facts in every_fact(policy):
            silent -= {row.name for row in TABLE if row.when(facts)}
    assert not silent


# Rows that a person can read


def source(key: str = "a", size: int = 10, mtime: int = 2, ctime: int = 3, inode: int = 4) -> SourceEntry:
    return SourceEntry(key, size, mtime, ctime, inode)


def recorded(key: str = "a", etag: str = MD5, **changes: Any) -> RecordedEntry:
    return RecordedEntry(key, 10, 2, 3, 4, MD5, etag)._replace(**changes)


def target(key: str = "a", size: int = 10, etag: str = MD5) -> TargetEntry:
    return TargetEntry(key, size, etag)


MIRROR = Policy(delete="mirror")
TRACKED = Policy(delete="tracked")
CONTENT = Policy(content=True)
ZIPPED = Policy(gzip=frozenset({"json"}))

NAMED: dict[str, tuple[SourceEntry | None, RecordedEntry | None, Knowledge, Policy, Action]] = {
    "a new file is uploaded": (source(), None, None, Policy(), Upload(source(), Reason.NEW)),
    "a new file is uploaded without a listing": (
        *(source(), None, UNKNOWN, Policy()),
        Upload(source(), Reason.NEW),
    ),
    "an unchanged file is kept without asking S3": (source(), recorded(), UNKNOWN, Policy(), Keep()),
    "an unchanged file is kept after a listing": (source(), recorded(), target(), Policy(), Keep()),
    "C2: an older mtime than recorded is a change, not old news": (
        *(source(mtime=1), recorded(), target(), Policy()),
        CompareDigest(source(mtime=1), recorded(), None),
    ),
    "C2: a newer mtime than recorded is a change": (
        *(source(mtime=9), recorded(), UNKNOWN, Policy()),
        CompareDigest(source(mtime=9), recorded(), None),
    ),
    "C8: a file replaced by mv of an older one of the same size and mtime has another inode": (
        *(source(inode=5), recorded(), UNKNOWN, Policy()),
        CompareDigest(source(inode=5), recorded(), None),
    ),
    "C2: a row too young at its hashing is hashed again": (
        *(source(), recorded(settled=False), UNKNOWN, Policy()),
        CompareDigest(source(), recorded(settled=False), None),
    ),
    "C7: a multipart ETag and the same size are not equality": (
        *(source(), None, target(etag=PARTS), Policy()),
        CompareDigest(source(), None, target(etag=PARTS)),
    ),
    "a recreated bucket gets its objects back": (
        *(source(), recorded(), None, Policy()),
        Upload(source(), Reason.MISSING),
    ),
    "a row imported without an ETag proves nothing of the target": (
        *(source(), recorded(etag=""), target(), Policy()),
        CompareDigest(source(), recorded(etag=""), target()),
    ),
    "neither side has an ETag: still nothing is proved": (
        *(source(), recorded(etag=""), target(etag=""), Policy()),
        CompareDigest(source(), recorded(etag=""), target(etag="")),
    ),
    "gzip was switched on": (
        *(source("a.json"), recorded("a.json"), target("a.json"), ZIPPED),
        Upload(source("a.json"), Reason.ENCODING, replaces=MD5),
    ),
    "gzip was switched off": (
        *(source("a.json"), recorded("a.json", encoding="gzip"), UNKNOWN, Policy()),
        Upload(source("a.json"), Reason.ENCODING, replaces=MD5),
    ),
    "a compressed object has another size by nature": (
        *(source("a.json"), recorded("a.json", encoding="gzip"), target("a.json", 7), ZIPPED),
        Keep(),
    ),
    "a tracked object goes with its file": (
        *(None, recorded(), target(), TRACKED),
        Delete("a", MD5, 10, tracked=True, reason=Reason.TRACKED),
    ),
    "D14: a tracked object that another tool replaced stays": (
        *(None, recorded(), target(etag=OTHER_MD5), TRACKED),
        Conflict("a", Reason.FOREIGN, forget=True),
    ),
    "D14: a tracked object whose ETag was never known stays": (
        *(None, recorded(etag=""), target(etag=""), TRACKED),
        Conflict("a", Reason.FOREIGN, forget=True),
    ),
    "D1: nothing is deleted without a listing": (
        *(None, recorded(), UNKNOWN, MIRROR),
        NeedListing("a"),
    ),
    "D7: reference.bin of DeltaGlider stays": (
        *(None, None, target("x/reference.bin"), MIRROR),
        Keep(Reason.PROTECTED),
    ),
    "D7: deltas of DeltaGlider stay": (
        *(None, None, target("x/a.zip.delta"), MIRROR),
        Keep(Reason.PROTECTED),
    ),
    "a .delta of our own goes with its file": (
        *(None, recorded("a.delta"), target("a.delta"), MIRROR),
        Delete("a.delta", MD5, 10, tracked=True, reason=Reason.TRACKED),
    ),
    "C13: the marker of an empty directory stays": (
        *(None, None, target("dir/", 0), MIRROR),
        Keep(Reason.PROTECTED),
    ),
    "objects of others stay unless it is a mirror": (
        *(None, None, target(), TRACKED),
        Keep(Reason.NOT_OURS),
    ),
}


@pytest.mark.parametrize(("facts", "wanted"), [(v[:4], v[4]) for v in NAMED.values()], ids=list(NAMED))
def test_named_rows(
    facts: tuple[SourceEntry | None, RecordedEntry | None, Knowledge, Policy], wanted: Action
) -> None:
    """The rows that a person asks about."""
    assert decide(*facts) == wanted


def test_what_is_too_large_for_one_copy_is_uploaded() -> None:
    """CopyObject ends at 5 GiB; one byte more is sent again, for the same reason."""
    policy = Policy(headers=WantedHeaders(lambda _: "asked"))
    for size, wanted in ((MAX_COPY_SIZE, UpdateHeaders), (MAX_COPY_SIZE + 1, Upload)):
        row = recorded(size=size, headers="before")
        got = decide(source(size=size), row, UNKNOWN, policy)
        assert (type(got), got.reason) == (wanted, Reason.HEADERS)  # type: ignore[union-attr]


def test_nothing_known_is_an_error() -> None:
    """A key that is in none of the three is a mistake of the caller, not a decision."""
    for unknown in (None, UNKNOWN):
        with pytest.raises(ValueError, match="nothing is known"):
            decide(None, None, unknown, Policy())


# same_stat() and the encoding of a policy


@pytest.mark.parametrize("name", STAT_FIELDS)
def test_every_stat_field_counts_unless_left_out_c2(name: str) -> None:
    """A difference in one field is a difference; without that field among stat_fields it is none."""
    attribute = name if name in ("size", "inode") else f"{name}_ns"
    changed = SourceEntry(**{**source()._asdict(), attribute: 99})
    rest = tuple(field for field in STAT_FIELDS if field != name)
    assert not same_stat(changed, recorded(), Policy())
    assert same_stat(changed, recorded(), Policy(stat_fields=rest))
    assert not same_stat(changed, recorded(), Policy(stat_fields=(name,)))


def test_the_order_of_stat_fields_does_not_count() -> None:
    """The fields are a set; how they were listed changes nothing."""
    shuffled = Policy(stat_fields=("inode", "size", "ctime", "mtime"))
    assert same_stat(source(), recorded(), shuffled)
    assert not same_stat(source(inode=5), recorded(), shuffled)


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("a.json", "gzip"),
        ("dir.json/a", ""),
        ("dir/a.JSON", "gzip"),
        ("a.json.bak", ""),
        ("json", ""),
        (".json", "gzip"),
        ("a.", ""),
        ("a.svg.json", "gzip"),
    ],
)
def test_gzip_goes_by_the_extension_of_the_name(key: str, wanted: str) -> None:
    """The last extension of the last part decides, whatever its case."""
    assert ZIPPED.encoding(key) == wanted
    assert Policy().encoding(key) == ""


def test_an_upload_that_was_due_otherwise_happens_unless_the_content_changed_silently() -> None:
    """An object that is missing is sent again, but not from a file that changed without its stat."""
    question = CompareDigest(source(), recorded(), None, otherwise=Reason.MISSING)
    assert settle(question, Evidence(MD5), CONTENT) == Upload(source(), Reason.MISSING, MD5)
    assert settle(question, Evidence(OTHER_MD5), CONTENT) == Conflict("a", Reason.SILENT)
    accepting = Policy(content=True, accept_content=True)
    assert settle(question, Evidence(OTHER_MD5), accepting) == Upload(source(), Reason.MISSING, OTHER_MD5)


# Rows without an MD5


IN_PARTS = recorded(md5="", etag=PARTS, part_size=4, headers="before")
"""Of ten bytes in parts of four."""
EQUAL = Evidence(MD5, {4: PARTS})
OTHER = Evidence(OTHER_MD5, {4: OTHER_PARTS})


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (IN_PARTS, True),
        (IN_PARTS._replace(md5=MD5), False),
        (IN_PARTS._replace(part_size=0), False),
        (IN_PARTS._replace(part_size=2), False),
        (IN_PARTS._replace(encoding="gzip"), False),
        (IN_PARTS._replace(etag=MD5), False),
        (IN_PARTS._replace(etag=""), False),
    ],
)
def test_the_etag_of_a_row_has_the_digests_of_its_parts_where_it_has_no_other(
    row: RecordedEntry, expected: bool
) -> None:
    assert has_part_digests(row) == expected


def test_a_silent_change_is_found_by_the_digests_of_the_parts() -> None:
    question = decide(source(), IN_PARTS, None, CONTENT)
    assert question == CompareDigest(source(), IN_PARTS, None, Reason.MISSING)
    assert settle(question, OTHER, CONTENT) == Conflict("a", Reason.SILENT)
    assert settle(question, EQUAL, CONTENT) == Upload(source(), Reason.MISSING, MD5)
    again = CompareDigest(source(), IN_PARTS, None)
    assert settle(again, OTHER, CONTENT) == Conflict("a", Reason.SILENT)
    assert settle(again, EQUAL, CONTENT) == Keep()
    unknown = Evidence(OTHER_MD5, {5: OTHER_PARTS})
    assert settle(again, unknown, CONTENT) == Upload(source(), Reason.CONTENT, OTHER_MD5, PARTS)
    assert settle(again, OTHER, Policy(content=True, accept_content=True)) == Upload(
        source(), Reason.CONTENT, OTHER_MD5, PARTS
    )


@pytest.mark.parametrize("copy", [True, False])
def test_before_a_copy_the_digest_of_the_whole_is_computed(copy: bool) -> None:
    """The copy may have an ETag that proves nothing of the file."""
    policy = Policy(headers=WantedHeaders(lambda _: "asked", copy=copy))
    action = decide(source(), IN_PARTS, UNKNOWN, policy)
    if not copy:
        assert action == Upload(source(), Reason.HEADERS, "", PARTS)
        return
    assert action == CompareDigest(source(), IN_PARTS, None)
    assert settle(action, EQUAL, policy) == UpdateHeaders(source(), IN_PARTS._replace(md5=MD5))


def test_the_part_sizes_of_a_comparison_are_those_of_the_row_and_of_the_object() -> None:
    row = RecordedEntry("a", 11 * MIB, 2, 3, 4, "", f"{MD5}-3", 5 * MIB)
    seen, there = SourceEntry("a", 11 * MIB, 2, 3, 4), TargetEntry("a", 11 * MIB, f"{MD5}-2")
    assert part_sizes(CompareDigest(seen, row, None)) == (5 * MIB,)
    assert part_sizes(CompareDigest(seen, row, there))[:2] == (5 * MIB, 6 * MIB)
    assert part_sizes(CompareDigest(seen, row, there), 7 * MIB)[:2] == (5 * MIB, 7 * MIB)
    assert part_sizes(CompareDigest(seen, row._replace(md5=MD5), None)) == ()
    assert part_sizes(CompareDigest(seen, row._replace(md5=MD5), there))[0] == 6 * MIB
    assert part_sizes(CompareDigest(seen, row._replace(part_size=0), None)) == (5 * MIB,)
    assert part_sizes(CompareDigest(seen._replace(size=5), row, None)) == ()
    assert part_sizes(CompareDigest(seen, None, there))[0] == 6 * MIB


# The table of settle(): every combination of evidence


@dataclass(frozen=True)
class Found:
    """A question and the evidence for it, in words."""

    asks: str  # "recorded", "target"
    recorded: str  # "-", "settled", "unsettled"
    same_stat: bool
    recorded_md5: str  # "equal", "other", "none"
    etag: str
    known_parts: bool
    stored: Stored | None
    gzip: bool
    opaque_bucket: bool
    content: bool
    accept: bool
    headers: str = ""  # "", "asked", "by copy", "by upload": those recorded, or how others are written

    @property
    def asked(self) -> WantedHeaders | None:
        return WantedHeaders(lambda _: "asked", copy=self.headers != "by upload") if self.headers else None

    @property
    def opaque(self) -> bool:
        return self.opaque_bucket or (self.stored is not None and self.stored.opaque)

    @property
    def etag_speaks(self) -> bool:
        """The ETag can prove something of the file: it is of the original bytes and not encrypted."""
        return not (self.gzip or self.opaque)

    @property
    def equal_parts(self) -> bool:
        return not self.gzip and self.etag == PARTS and self.known_parts

    @property
    def equal_body(self) -> bool:
        return not self.gzip and self.etag == MD5

    @property
    def equal_metadata(self) -> bool:
        wanted = "gzip" if self.gzip else ""
        contradicted = self.etag_speaks and self.etag == OTHER_MD5
        return (
            not contradicted
            and self.stored is not None
            and (self.stored.md5, self.stored.encoding) == (MD5, wanted)
        )

    @property
    def differs(self) -> bool:
        """Whether a digest is known, though equality was not found."""
        in_metadata = self.stored is not None and self.stored.md5 != ""
        return in_metadata or (self.etag_speaks and self.etag == OTHER_MD5)

    @property
    def silent(self) -> bool:
        return (
            self.content
            and not self.accept
            and self.recorded == "settled"
            and self.same_stat
            and self.recorded_md5 == "other"
        )

    def question(self) -> CompareDigest:
        key = "a.json"
        seen = source(key) if self.same_stat else source(key, mtime=9)
        digest = {"equal": MD5, "other": OTHER_MD5, "none": ""}[self.recorded_md5]
        row = None
        if self.recorded != "-":
            headers = "asked" if self.headers == "asked" else "before"
            row = recorded(key, md5=digest, settled=self.recorded == "settled", headers=headers)
        size = 7 if self.gzip else 10
        return CompareDigest(seen, row, target(key, size, self.etag) if self.asks == "target" else None)

    def evidence(self) -> Evidence:
        parts = {5: FIVES, 8: PARTS} if self.known_parts else {5: FIVES}
        return Evidence(MD5, parts, self.stored)

    def policy(self) -> Policy:
        return Policy(
            content=self.content,
            accept_content=self.accept,
            gzip=frozenset({"json"} if self.gzip else ()),
            opaque_etags=self.opaque_bucket,
            headers=self.asked,
        )

    def expected(self) -> Action:
        ask = self.question()
        if self.silent:
            return Conflict("a.json", Reason.SILENT)
        if ask.target is not None:
            return self._expected_of_target(ask.source, ask.target)
        if self.recorded_md5 == "other" or ask.recorded is None:
            return Upload(ask.source, Reason.CONTENT, MD5, replaced(ask.recorded, UNKNOWN))
        row = ask.recorded._replace(md5=MD5)  # without an MD5, its ETag is that of the file
        if self.headers == "by copy":
            return UpdateHeaders(ask.source, row)
        if self.headers == "by upload":
            return Upload(ask.source, Reason.HEADERS, MD5, row.etag)
        if self.same_stat and self.recorded == "settled":
            return Keep(Reason.SAME)
        return Touch(ask.source, row, Reason.UNSETTLED if self.same_stat else Reason.STAT)

    def _expected_of_target(self, file: SourceEntry, there: TargetEntry) -> Action:
        if self.equal_body:
            return Adopt(file, there, MD5)
        if self.equal_parts:
            return Adopt(file, there, MD5, part_size=8)
        if self.equal_metadata:
            return Adopt(file, there, MD5, encoding="gzip" if self.gzip else "")
        if not self.differs:
            return Upload(file, Reason.INDETERMINATE, MD5, there.etag)
        reason = Reason.CONTENT if self.recorded == "-" else Reason.DRIFTED
        return Upload(file, reason, MD5, there.etag)


def every_finding() -> Iterator[Found]:
    rows = [("-", True, "none")]
    rows += itertools.product(("settled", "unsettled"), (True, False), ("equal", "other", "none"))
    etags = (MD5, OTHER_MD5, PARTS, OTHER_PARTS, KMS_LOOKALIKE + "x", "")
    answers = [
        None,
        *(Stored(*a) for a in itertools.product(("", MD5, OTHER_MD5), ("", "gzip"), (False, True))),
    ]
    switches = tuple(itertools.product((False, True), repeat=4))
    for row, (gzip, opaque, content, accept) in itertools.product(rows, switches):
        for etag, parts, stored in itertools.product(etags, (False, True), answers):
            yield Found("target", *row, etag, parts, stored, gzip, opaque, content, accept)
        for headers in ("", "asked", "by copy", "by upload"):
            yield Found("recorded", *row, MD5, False, None, gzip, opaque, content, accept, headers)


def test_every_row_of_settle_p13() -> None:
    """With any evidence the answer is the one of the table, and what proves nothing uploads."""
    for found in every_finding():
        got = settle(found.question(), found.evidence(), found.policy())
        assert got == found.expected(), found


def test_a_head_is_sent_exactly_where_only_it_can_settle() -> None:
    """needs_head() is true iff the target is the question, was not asked yet, and nothing else answered."""
    for found in every_finding():
        asked = needs_head(found.question(), found.evidence(), found.policy())
        answered = found.silent or found.equal_body or found.equal_parts
        assert asked == (found.asks == "target" and found.stored is None and not answered), found


# Laws

KEYS = (
    "a",
    "dir/a.json",
    "x/reference.bin",
    "b.delta",
    ".deltaglider/x",
    "public_models.json",
    "m/",
    "thumbs/a",
)
small = st.integers(0, 2)
etags = st.sampled_from(["", MD5, OTHER_MD5, PARTS, OTHER_PARTS, KMS_LOOKALIKE])
md5s = st.sampled_from([MD5, OTHER_MD5])
encodings = st.sampled_from(["", "gzip"])


@st.composite
def situations(draw: st.DrawFn) -> tuple[SourceEntry | None, RecordedEntry | None, Knowledge]:
    key = draw(st.sampled_from(KEYS))
    seen = draw(st.none() | st.builds(SourceEntry, st.just(key), small, small, small, small))
    settled = st.booleans()
    row = draw(
        st.none()
        | st.builds(
            *(
                RecordedEntry,
                st.just(key),
                small,
                small,
                small,
                small,
                md5s,
                etags,
                small,
                encodings,
                settled,
            ),
            headers=st.sampled_from(["", "before", "asked"]),
        )
    )
    there = draw(st.none() | st.just(UNKNOWN) | st.builds(TargetEntry, st.just(key), small, etags))
    return seen, row, there


policies = st.builds(
    Policy,
    delete=st.sampled_from(["off", "tracked", "mirror"]),
    content=st.booleans(),
    accept_content=st.booleans(),
    incremental=st.booleans(),
    stat_fields=st.sets(st.sampled_from(STAT_FIELDS[1:])).map(lambda some: ("size", *sorted(some))),
    gzip=st.sampled_from([frozenset(), frozenset({"json"})]),
    opaque_etags=st.booleans(),
    protection=st.builds(Protection, st.booleans(), st.sampled_from([(), ("thumbs/",)])),
    headers=st.sampled_from([None, *ASKED.values()]),
)
evidences = st.builds(
    Evidence,
    md5s,
    st.dictionaries(small, st.sampled_from([PARTS, OTHER_PARTS]), max_size=2),
    st.none() | st.builds(Stored, st.sampled_from(["", MD5, OTHER_MD5]), encodings, st.booleans()),
)
questions = st.builds(
    CompareDigest,
    st.builds(SourceEntry, st.sampled_from(KEYS), small, small, small, small),
    st.none()
    | st.builds(
        *(RecordedEntry, st.just("a"), small, small, small, small, md5s, etags, small, encodings),
        st.booleans(),
    ),
    st.none() | st.builds(TargetEntry, st.just("a"), small, etags),
)


def outcome(situation: tuple[Any, Any, Any], policy: Policy) -> Action | None:
    try:
        return decide(*situation, policy)
    except ValueError:
        return None


@laws
@given(situations(), policies)
def test_law_total_except_where_nothing_is_known(situation: tuple[Any, Any, Any], policy: Policy) -> None:
    """decide() has an answer for everything that can be known of a key."""
    seen, row, there = situation
    nothing = seen is None and row is None and there in (None, UNKNOWN)
    assert (outcome(situation, policy) is None) == nothing


@laws
@given(situations(), policies)
def test_law_absent_sources_send_nothing(situation: tuple[Any, Any, Any], policy: Policy) -> None:
    """What is not in the source is never uploaded, adopted, touched or hashed."""
    if situation[0] is None:
        got = outcome(situation, policy)
        assert not isinstance(got, Upload | Adopt | Touch | CompareDigest)


@laws
@given(situations(), policies)
def test_law_present_sources_lose_nothing(situation: tuple[Any, Any, Any], policy: Policy) -> None:
    """What is in the source is never deleted from the target, nor forgotten."""
    if situation[0] is not None:
        assert not isinstance(outcome(situation, policy), Delete | Forget | NeedListing)


@laws
@given(situations(), policies)
def test_law_deletes_are_asked_for(situation: tuple[Any, Any, Any], policy: Policy) -> None:
    """delete="off" never deletes, tracked deletes only what is recorded."""
    got = outcome(situation, policy)
    if isinstance(got, Delete):
        assert policy.delete != "off"
        assert policy.delete == "mirror" or situation[1] is not None


@laws
@given(situations(), policies)
def test_law_tracked_deletes_only_the_recorded_etag_d14(
    situation: tuple[Any, Any, Any], policy: Policy
) -> None:
    """tracked never deletes an object whose ETag is not, provably, the one that we recorded."""
    got = outcome(situation, replace(policy, delete="tracked"))
    if isinstance(got, Delete):
        assert got.tracked
        assert got.etag == situation[1].etag != ""


@laws
@given(situations(), policies)
def test_law_protected_objects_stay_d7_p15(situation: tuple[Any, Any, Any], policy: Policy) -> None:
    """No policy deletes what its protection covers."""
    got = outcome(situation, policy)
    if isinstance(got, Delete):
        assert not policy.protection.covers(got.key, got.size, tracked=got.tracked)


@laws
@given(situations(), policies)
def test_law_unlisted_targets_are_never_deleted_d1_p1(
    situation: tuple[Any, Any, Any], policy: Policy
) -> None:
    """A delete names an object that a listing showed, as the listing showed it."""
    got = outcome(situation, policy)
    if isinstance(got, Delete):
        there = situation[2]
        assert isinstance(there, TargetEntry)
        assert (got.key, got.etag, got.size) == (there.key, there.etag, there.size)


@laws
@given(situations(), policies)
def test_law_everything_is_uploaded_without_incremental(
    situation: tuple[Any, Any, Any], policy: Policy
) -> None:
    """incremental=False uploads every source file, and changes nothing for absent ones."""
    forced = outcome(situation, replace(policy, incremental=False))
    if situation[0] is not None:
        assert forced == Upload(situation[0], Reason.FORCED, replaces=replaced(*situation[1:]))
    else:
        assert forced == outcome(situation, replace(policy, incremental=True))


@laws
@given(situations(), policies)
def test_law_time_is_compared_by_equality_c2(situation: tuple[Any, Any, Any], policy: Policy) -> None:
    """Exchanging the file's times and the recorded times changes no decision: older is as new as newer."""
    seen, row, there = situation
    if seen is None or row is None:
        return
    swapped = seen._replace(mtime_ns=row.mtime_ns, ctime_ns=row.ctime_ns)
    other = row._replace(mtime_ns=seen.mtime_ns, ctime_ns=seen.ctime_ns)
    mirrored = outcome((swapped, other, there), policy)
    got = outcome(situation, policy)
    assert type(got) is type(mirrored)
    assert getattr(got, "reason", None) == getattr(mirrored, "reason", None)


def assert_object_is_known_to_be_the_file(seen: Any, row: Any, there: Any, policy: Policy) -> None:
    assert row.settled
    assert same_stat(seen, row, policy)
    assert there is UNKNOWN or there.etag == row.etag != ""


@laws
@given(situations(), policies)
def test_law_only_a_settled_equal_stat_is_kept_unseen(
    situation: tuple[Any, Any, Any], policy: Policy
) -> None:
    """Without hashing a file is kept only on a settled row with an equal stat, and not with check=content."""
    seen, row, there = situation
    if seen is not None and isinstance(outcome(situation, policy), Keep):
        assert not policy.content
        assert_object_is_known_to_be_the_file(seen, row, there, policy)


@laws
@given(situations(), policies)
def test_law_headers_are_written_only_to_what_has_the_content_of_the_file(
    situation: tuple[Any, Any, Any], policy: Policy
) -> None:
    """A copy keeps the content of the object, so it is made only where that is surely the file's."""
    seen, row, there = situation
    if isinstance(outcome(situation, policy), UpdateHeaders):
        assert policy.headers is not None
        assert_object_is_known_to_be_the_file(seen, row, there, policy)


@laws
@given(questions, evidences, policies)
def test_law_settle_settles(question: CompareDigest, evidence: Evidence, policy: Policy) -> None:
    """The evidence always ends the question: no second CompareDigest, nothing deleted, nothing forgotten."""
    got = settle(question, evidence, policy)
    assert isinstance(got, Upload | UpdateHeaders | Adopt | Touch | Keep | Conflict)


@laws
@given(questions, evidences, policies)
def test_law_conflicts_of_content_need_content(
    question: CompareDigest, evidence: Evidence, policy: Policy
) -> None:
    """Only a run that compares contents, and does not accept them, calls one a conflict."""
    got = settle(question, evidence, policy)
    if isinstance(got, Conflict):
        assert policy.content
        assert not policy.accept_content
        assert question.recorded is not None
        assert evidence.md5 != question.recorded.md5


@laws
@given(questions, evidences, policies)
def test_law_no_proof_no_adoption_p13_c7(question: CompareDigest, evidence: Evidence, policy: Policy) -> None:
    """An object is adopted only if its ETag or its metadata names the digest of this very file."""
    got = settle(question, evidence, policy)
    if isinstance(got, Adopt):
        named = {evidence.md5, *evidence.part_etags.values()}
        by_metadata = evidence.stored is not None and evidence.stored.md5 == evidence.md5
        assert got.target.etag in named or by_metadata
        assert got.md5 == evidence.md5


@laws
@given(questions, evidences, policies)
def test_law_no_proof_means_upload_p13(question: CompareDigest, evidence: Evidence, policy: Policy) -> None:
    """Without an equal digest anywhere the file is sent, or kept on both sides as a conflict."""
    row = question.recorded
    mute = Evidence(evidence.md5)
    if question.target is not None and question.target.etag != evidence.md5:
        assert isinstance(settle(question, mute, policy), Upload | Conflict)
    if question.target is None and (row is None or row.md5 != evidence.md5):
        assert isinstance(settle(question, mute, policy), Upload | Conflict)


@laws
@given(questions, evidences, policies)
def test_law_a_head_is_worth_it_only_before_an_upload(
    question: CompareDigest, evidence: Evidence, policy: Policy
) -> None:
    """A HEAD is sent at most once a question, and only where the answer would else be an upload."""
    unasked = replace(evidence, stored=None)
    ends = settle(question, unasked, policy)
    assert needs_head(question, unasked, policy) == (question.target is not None and isinstance(ends, Upload))
    if evidence.stored is not None:
        assert not needs_head(question, evidence, policy)


@laws
@given(situations(), policies)
def test_law_a_decision_compares_only_what_it_was_given(
    situation: tuple[Any, Any, Any], policy: Policy
) -> None:
    """A CompareDigest carries the entries it was decided on; a target that agrees is no question."""
    seen, row, there = situation
    got = outcome(situation, policy)
    if isinstance(got, CompareDigest):
        assert got.source == seen
        assert got.recorded == row
        assert got.target in (there, None)
        assert got.target is not None or row is not None


def test_delete_modes_are_the_documented_ones() -> None:
    """The three modes of deleting have the names of the command line."""
    modes: tuple[DeleteMode, ...] = ("off", "tracked", "mirror")
    assert [Policy(delete=mode).delete for mode in modes] == ["off", "tracked", "mirror"]
