"""What hinders a release."""

from __future__ import annotations

from typing import Any

import pytest

from tools.release import entry_of, problems, versions_of_index

CHANGELOG = """# Changelog

## [Unreleased]

- Something new.

## [1.2.0] - 2026-11-30

### Added

- A thing.

## [1.1.0] - 2026-10-01

## [1.0.0]

- No date.
"""

READY: dict[str, Any] = {
    "version": "1.2.0",
    "changelog": CHANGELOG,
    "changed": "",
    "tags": ["v1.1.0", "v1.0.0"],
    "published": {"1.1.0"},
}


def test_nothing_hinders() -> None:
    assert problems(**READY) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "1.3.0"}, "no entry"),
        ({"version": "1.1.0", "tags": [], "published": set()}, "no entry"),  # nothing is below its heading
        ({"version": "1.0.0", "tags": [], "published": set()}, "no entry"),  # without a date
        (
            {"version": "1.2.0.dev1", "changelog": CHANGELOG.replace("1.2.0", "1.2.0.dev1")},
            "no version of a release",
        ),
        ({"changed": " M README.md\n"}, "not committed"),
        ({"tags": ["v1.2.0"]}, "a tag of it"),
        ({"tags": ["1.2.0"]}, "a tag of it"),
        ({"published": {"1.2.0"}}, "it is published"),
        ({"published": None}, "could not be asked"),
    ],
)
def test_what_hinders_is_named(change: dict[str, Any], reason: str) -> None:
    (found,) = problems(**{**READY, **change})
    assert reason in found


def test_entries_end_at_the_next_heading() -> None:
    assert entry_of(CHANGELOG, "1.2.0") == "### Added\n\n- A thing."
    assert entry_of(CHANGELOG, "1.1.0") == ""
    assert entry_of(CHANGELOG, "Unreleased") is None


def test_what_the_index_answers() -> None:
    printed = "aios3sync (1.1.0)\nAvailable versions: 1.1.0, 1.0.0\n"
    unknown = "ERROR: No matching distribution found for aios3sync\n"
    broken = f"WARNING: Retrying (Retry(total=4, …)) after connection broken\n{unknown}"
    assert versions_of_index(0, printed, "") == {"1.1.0", "1.0.0"}
    assert versions_of_index(1, "", unknown) == set()
    assert versions_of_index(1, "", broken) is None
    assert versions_of_index(2, "", "no such option: --pre") is None
