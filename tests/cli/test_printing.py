"""Output for machines is JSON, whatever numbers it contains."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aios3sync.cli.output.lines import json_bytes


@pytest.mark.parametrize(
    ("document", "read"),
    [
        ({"inode": 2**64 - 1}, {"inode": 2**64 - 1}),
        ({"stat": [{"mtime_ns": -(2**70), "size": 1}]}, {"stat": [{"mtime_ns": str(-(2**70)), "size": 1}]}),
        ({"flag": True, "size": (2**64, 1.5, None)}, {"flag": True, "size": [str(2**64), 1.5, None]}),
    ],
)
def test_any_number_can_be_printed_as_json(document: dict[str, Any], read: dict[str, Any]) -> None:
    for indent in (False, True):
        assert json.loads(json_bytes(document, indent=indent)) == read
