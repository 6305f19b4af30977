"""The truth table of a sync from bucket to bucket."""

from __future__ import annotations

import pytest

from aios3sync.core.actions import Action, AdoptCopy, Conflict, CopyObject, Delete, Forget, Keep, Reason
from aios3sync.core.copy_decision import decide_copy
from aios3sync.core.entries import RecordedEntry, TargetEntry
from aios3sync.core.policy import Policy

MD5 = "0cc175b9c0f1b6a831c399e269772661"
OTHER_MD5 = "92eb5ffee6ae2fec3ad71c777531578f"
PARTS = "4a8a08f09d37b73795649038408b5f33-3"
OTHER_PARTS = "b2f5ff47436671b6e533d8dc3614845d-2"
UUID = "8277e091-0d75-0195-b448-797616e091ad"

SOURCE = TargetEntry("k", 10, MD5, 5.0)
TARGET = TargetEntry("k", 10, OTHER_MD5, 6.0)
ROW = RecordedEntry("k", 10, 5, 0, 0, MD5, OTHER_MD5)

CASES: list[tuple[str, TargetEntry | None, RecordedEntry | None, TargetEntry | None, Policy, Action]] = [
    ("new", SOURCE, None, None, Policy(), CopyObject(SOURCE, Reason.NEW)),
    ("missing", SOURCE, ROW, None, Policy(), CopyObject(SOURCE, Reason.MISSING)),
    ("recorded", SOURCE, ROW, TARGET, Policy(), Keep()),
    ("recorded, upper case", SOURCE._replace(etag=MD5.upper()), ROW, TARGET, Policy(), Keep()),
    (
        "the source changed",
        SOURCE._replace(etag="f" * 32),
        ROW,
        TARGET,
        Policy(),
        CopyObject(SOURCE._replace(etag="f" * 32), Reason.CONTENT, OTHER_MD5),
    ),
    (
        "the target changed",
        SOURCE,
        ROW,
        TARGET._replace(etag="f" * 32),
        Policy(),
        CopyObject(SOURCE, Reason.DRIFTED, "f" * 32),
    ),
    (
        "equal",
        SOURCE,
        None,
        TARGET._replace(etag=MD5),
        Policy(),
        AdoptCopy(SOURCE, TARGET._replace(etag=MD5)),
    ),
    (
        "other size",
        SOURCE,
        None,
        TARGET._replace(size=9),
        Policy(),
        CopyObject(SOURCE, Reason.SIZE, OTHER_MD5),
    ),
    ("other content", SOURCE, None, TARGET, Policy(), CopyObject(SOURCE, Reason.CONTENT, OTHER_MD5)),
    (
        "equal ETags that prove nothing",
        SOURCE._replace(etag=UUID),
        None,
        TARGET._replace(etag=UUID),
        Policy(),
        CopyObject(SOURCE._replace(etag=UUID), Reason.INDETERMINATE, UUID),
    ),
    (
        "equal ETags at an endpoint whose ETags prove nothing",
        SOURCE,
        None,
        TARGET._replace(etag=MD5),
        Policy(opaque_etags=True),
        CopyObject(SOURCE, Reason.INDETERMINATE, MD5),
    ),
    (
        "the same parts",
        SOURCE._replace(etag=PARTS),
        None,
        TARGET._replace(etag=PARTS),
        Policy(),
        AdoptCopy(SOURCE._replace(etag=PARTS), TARGET._replace(etag=PARTS)),
    ),
    (
        "other parts",
        SOURCE._replace(etag=PARTS),
        None,
        TARGET._replace(etag=OTHER_PARTS),
        Policy(),
        CopyObject(SOURCE._replace(etag=PARTS), Reason.INDETERMINATE, OTHER_PARTS),
    ),
    ("forced", SOURCE, ROW, TARGET, Policy(incremental=False), CopyObject(SOURCE, Reason.FORCED, OTHER_MD5)),
    ("forced, new", SOURCE, None, None, Policy(incremental=False), CopyObject(SOURCE, Reason.FORCED)),
    ("gone", None, ROW, TARGET, Policy(), Keep(Reason.OFF)),
    (
        "gone, tracked",
        None,
        ROW,
        TARGET,
        Policy(delete="tracked"),
        Delete("k", OTHER_MD5, 10, tracked=True, reason=Reason.TRACKED),
    ),
    (
        "gone, replaced",
        None,
        ROW,
        TARGET._replace(etag="f" * 32),
        Policy(delete="tracked"),
        Conflict("k", Reason.FOREIGN, forget=True),
    ),
    ("gone on both sides", None, ROW, None, Policy(), Forget("k")),
    ("not ours", None, None, TARGET, Policy(), Keep(Reason.NOT_OURS)),
    (
        "not ours, mirror",
        None,
        None,
        TARGET,
        Policy(delete="mirror"),
        Delete("k", OTHER_MD5, 10, tracked=False, reason=Reason.MIRROR),
    ),
    (
        "a row without an ETag proves nothing",
        SOURCE,
        ROW._replace(md5=""),
        TARGET,
        Policy(),
        CopyObject(SOURCE, Reason.CONTENT, OTHER_MD5),
    ),
]


@pytest.mark.parametrize(
    ("source", "recorded", "target", "policy", "action"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_every_row_of_the_table(
    source: TargetEntry | None,
    recorded: RecordedEntry | None,
    target: TargetEntry | None,
    policy: Policy,
    action: Action,
) -> None:
    assert decide_copy(source, recorded, target, policy) == action


def test_nothing_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing is known"):
        decide_copy(None, None, None, Policy())
