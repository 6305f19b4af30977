"""A sync request is a value that another process can take."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from aios3sync._dataclass import replace
from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.policy import make_filters
from aios3sync.sync.request import SyncRequest, locate_sides, with_shared_manifest


def request(**changes: Any) -> SyncRequest:
    """A request for a directory, with changes."""
    values: dict[str, Any] = {
        "root": "/data",
        "location": Location.parse("s3://bucket/p"),
        "endpoint": "aws",
        "options": SyncOptions(),
    }
    return SyncRequest(**values | changes)


def test_a_request_can_be_pickled() -> None:
    """It holds values alone, so that another process or machine can carry it out."""
    asked = request(
        options=SyncOptions(delete="mirror", exclude=("*.tmp",), gzip=("css",), metadata={"a": "b"}),
        overrides={"a": PutOptions(content_type="text/plain", metadata={"x": "y"})},
        files={"a": "/elsewhere/a"},
    )
    assert pickle.loads(pickle.dumps(asked)) == asked  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("source", "options"), [({"": "/a"}, SyncOptions()), ({"a": "/a"}, SyncOptions(files=("a",)))]
)
def test_a_list_of_files_is_refused(source: dict[str, str], options: SyncOptions) -> None:
    with pytest.raises(UsageError):
        locate_sides(source, "s3://bucket", options)


# A manifest that is an object.


def shared(place: str, **changes: Any) -> tuple[SyncRequest, str, str]:
    return with_shared_manifest(request(options=SyncOptions(manifest=place), **changes))


def test_an_object_is_named_or_is_that_of_its_target_in_a_folder() -> None:
    assert shared("s3://other/state/m.sqlite")[1:] == ("other", "state/m.sqlite")
    _, bucket, key = shared("s3://other/state/")
    assert (bucket, key[:34], key[-7:]) == ("other", "state/.aios3sync/manifests/" + key[27:34], ".sqlite")
    assert len(key) == len("state/.aios3sync/manifests/") + 32 + len(".sqlite")
    assert shared("s3://other/")[2] == shared("s3://other")[2] == key.removeprefix("state/")
    assert shared("s3://other/state/", root="/elsewhere")[2] == key, "machines have it at other places"
    assert shared("s3://other/state/", location=Location.parse("s3://bucket/q"))[2] != key


@pytest.mark.parametrize(
    ("place", "hidden", "others"),
    [
        (
            "s3://bucket/p/state/m.sqlite",
            ["state/m.sqlite", "state/m.sqlite.shards/0.1.sqlite"],
            [
                "state/m.sqlite.shards",
                "state/m.sqlite.shards/",
                "state/m.sqlitex",
                "state/m.sqlite/x",
                "m.sqlite",
            ],
        ),
        (
            "s3://bucket/p/",
            [".aios3sync/manifests/0.sqlite", ".aios3sync/manifests/0.sqlite.shards/0.1.sqlite"],
            [".aios3sync/manifests", ".aios3sync/stats.json", "x/.aios3sync/manifests/0.sqlite"],
        ),
    ],
)
def test_the_objects_of_a_manifest_are_no_part_of_any_side(
    place: str, hidden: list[str], others: list[str]
) -> None:
    asked, _, key = shared(place)
    assert asked.shared_manifest == f"s3://bucket/{key}"
    asked = replace(asked, options=SyncOptions(manifest="/state/m.sqlite"))
    filters = make_filters(asked, asked.tree())
    assert [*filter(filters.visible, [*hidden, *others])] == others
    elsewhere = replace(asked, location=Location.parse("s3://bucket/q"))
    assert make_filters(elsewhere, elsewhere.tree()).visible(hidden[0])
    copied = replace(elsewhere, direction="copy", source_location=asked.location)
    assert not make_filters(copied, copied.tree()).visible(hidden[0])
