"""What a sync request is: a value that another process can take, and the places that it names."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from aios3sync.core.keys import Location
from aios3sync.errors import UsageError
from aios3sync.options import SyncOptions
from aios3sync.store.protocol import PutOptions
from aios3sync.sync.request import NAMED_FILES, SyncRequest, locate_source


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


def test_the_path_of_a_key_is_below_the_root() -> None:
    assert request().path("a/b") == "/data/a/b"
    assert request(options=SyncOptions(on_bad_name="escape")).path("a\u201bFF") == "/data/a\udcff"


def test_a_list_of_files_names_their_paths() -> None:
    asked = request(root=NAMED_FILES, files={"a": "/x/1"}, options=SyncOptions(symlinks="skip"))
    assert (asked.path("a"), asked.path("b"), asked.place("a")) == ("/x/1", "", "/x/1")


def test_links_that_are_not_followed_are_part_of_a_place() -> None:
    assert request().place("a") == "/data/a"
    assert request(options=SyncOptions(symlinks="skip")).place("a") == ("/data", "a", False)
    assert request(options=SyncOptions(symlinks="inside")).place("a") == ("/data", "a", True)


@pytest.mark.parametrize(
    ("source", "options"), [({"": "/a"}, SyncOptions()), ({"a": "/a"}, SyncOptions(files=("a",)))]
)
def test_a_list_of_files_is_refused(source: dict[str, str], options: SyncOptions) -> None:
    with pytest.raises(UsageError):
        locate_source(source, options)
