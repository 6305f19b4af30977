"""A sync request is a value that another process can take."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.request import SyncRequest, locate_sides


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
