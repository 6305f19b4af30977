"""What hides a part of the source, and the scope that it gives to what is known of the target."""

from __future__ import annotations

from typing import Any

import pytest

from aios3sync.core.key_range import KeyRange
from aios3sync.options import SyncOptions
from aios3sync.sync.policy import hides_a_part, scope_of

HIDES: dict[str, Any] = {
    "exclude": ("*.tmp",),
    "include": ("*.txt",),
    "rules": (("exclude", "a"),),
    "gitignore": True,
    "symlinks": "skip",
    "files": ("a",),
}


@pytest.mark.parametrize("name", HIDES)
def test_what_hides_a_part_has_a_scope_of_its_own(name: str) -> None:
    options = SyncOptions(**{name: HIDES[name]})
    assert hides_a_part(options)
    assert scope_of(options)


def test_an_empty_list_of_files_hides_all() -> None:
    assert hides_a_part(SyncOptions(files=()))
    assert scope_of(SyncOptions(files=()))


def test_nothing_hides_a_part_of_a_plain_sync() -> None:
    assert not hides_a_part(SyncOptions(delete_excluded=True))
    assert not scope_of(SyncOptions(delete_excluded=True))
    assert scope_of(SyncOptions(), KeyRange("a", "b"))


def test_scopes_differ() -> None:
    options = [SyncOptions(**{name: value}) for name, value in HIDES.items()]
    assert len({scope_of(each) for each in options}) == len(options)
