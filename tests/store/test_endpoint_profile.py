"""What is known of an endpoint: it survives the run, it heals, and its file can be anything."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.store.endpoint_profile import LASTS, VERSION, EndpointProfile
from aios3sync.store.profile_files import profile_path, read_profile, write_profile

URL = "http://127.0.0.1:9000"
NOW = 1_795_000_000.0
FACTS: dict[str, Any] = {
    "etags": "opaque",
    "batch_delete": False,
    "max_parts": 1000,
    "max_part_size": 8_000_000,
    "list_v1": True,
    "list_order": "unordered",
}


def observed(at: float = NOW, *, given: bool = False) -> EndpointProfile:
    profile = EndpointProfile(URL, clock=lambda: at)
    for fact, value in FACTS.items():
        profile.record(fact, value, given=given)
    return profile


def known(profile: EndpointProfile) -> dict[str, Any]:
    return {fact: getattr(profile, fact) for fact in FACTS}


UNKNOWN = known(EndpointProfile())


def test_every_observed_fact_is_read_again() -> None:
    write_profile(observed())
    profile = EndpointProfile(URL, clock=lambda: NOW + 1)
    read_profile(profile)
    assert known(profile) == FACTS
    assert not profile.changed
    assert profile.described() == [
        "no DeleteObjects: keys are deleted one by one",
        "its ETags prove nothing",
        "listings in no order of keys",
        "listings in pages of ListObjects (V1)",
        "at most 8,000,000 bytes of a part",
        "at most 1,000 parts of an object",
    ]


def test_an_observed_fact_expires_and_what_the_user_gave_does_not() -> None:
    for given_, later, wanted in (
        (False, LASTS - 1, FACTS),
        (False, LASTS, UNKNOWN),
        (False, -2 * 24 * 3600.0, UNKNOWN),
        (True, 10 * LASTS, FACTS),
    ):
        profile = EndpointProfile(URL, clock=lambda: NOW + later)  # noqa: B023 - used at once
        profile.take(observed(given=given_).as_document())
        assert known(profile) == wanted


def test_only_the_user_changes_a_fact_that_the_user_gave() -> None:
    profile, seen = EndpointProfile(URL), []

    def record(value: str, *, given: bool) -> None:
        profile.record("etags", value, given=given)
        seen.append((profile.etags, profile.certain_md5))

    record("md5", given=True)
    record("opaque", given=False)
    record("opaque", given=True)
    profile.forget("etags")
    seen.append((profile.etags, profile.certain_md5))
    record("md5", given=False)
    assert seen == [("md5", True), ("md5", True), ("opaque", False), ("unknown", False), ("md5", False)]


def test_two_runs_at_once_keep_the_facts_of_both() -> None:
    one, other = EndpointProfile(URL), EndpointProfile(URL)
    one.record("batch_delete", False)
    other.record("max_parts", 1000)
    write_profile(one)
    write_profile(other)
    read_profile(profile := EndpointProfile(URL))
    assert (profile.batch_delete, profile.max_parts) == (False, 1000)


def test_a_forgotten_fact_is_not_read_from_the_file_again() -> None:
    write_profile(observed(given=True))
    profile = EndpointProfile(URL)
    profile.forget("etags")
    read_profile(profile)
    assert (profile.etags, profile.batch_delete) == ("unknown", False)
    write_profile(profile)
    read_profile(again := EndpointProfile(URL))
    assert (again.etags, again.batch_delete) == ("unknown", False)


def test_each_endpoint_has_a_file_of_its_own_that_others_cannot_read() -> None:
    write_profile(observed())
    assert stat.S_IMODE(os.stat(profile_path(URL)).st_mode) == 0o600
    read_profile(other := EndpointProfile("http://127.0.0.1:9001"))
    assert known(other) == UNKNOWN
    assert [name for name in os.listdir(os.path.dirname(profile_path(URL))) if name.startswith(".")] == []


def a_document(**changes: Any) -> bytes:
    return json.dumps({**observed().as_document(), **changes}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 60_000,
        a_document(version=VERSION + 1),
        a_document(endpoint="http://elsewhere"),
        a_document(facts=[]),
        a_document(facts={"etags": "opaque", "max_parts": None, "unheard": {"value": 1}}),
        a_document(facts={fact: {"value": [], "at": NOW} for fact in FACTS}),
        a_document(facts={fact: {"value": value, "at": float("nan")} for fact, value in FACTS.items()}),
        a_document(facts={"max_parts": {"value": 0, "at": NOW}, "batch_delete": {"value": 0, "at": NOW}}),
        a_document(facts={"max_part_size": {"value": 1024, "at": NOW}}),
        a_document(facts={"max_parts": {"value": 10_001, "at": NOW}, "etags": {"value": "sha1", "at": NOW}}),
    ],
)
def test_a_file_that_is_damaged_is_as_none_and_is_replaced(content: bytes) -> None:
    path = Path(profile_path(URL))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    profile = EndpointProfile(URL, clock=lambda: NOW)
    read_profile(profile)
    assert known(profile) == UNKNOWN
    profile.record("max_parts", 7)
    write_profile(profile)
    read_profile(again := EndpointProfile(URL, clock=lambda: NOW))
    assert again.max_parts == 7


NAMES = st.sampled_from([*FACTS, "value", "at", "given", "version", "facts"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
)


@settings(deadline=None)
@given(DOCUMENTS)
def test_no_document_is_too_odd(facts: Any) -> None:
    profile = EndpointProfile(URL, clock=lambda: NOW)
    profile.take(facts)
    profile.take({"version": VERSION, "endpoint": URL, "facts": facts})
    assert profile.etags in ("unknown", "md5", "opaque")
    assert 0 < profile.max_parts <= 10_000


def test_a_place_that_cannot_be_written_or_read_costs_nothing(isolated: Path) -> None:
    blocking = isolated / "aios3sync"
    blocking.write_text("not a directory")
    profile = observed()
    write_profile(profile)
    assert profile.changed, "it is tried again"
    read_profile(fresh := EndpointProfile(URL))
    assert known(fresh) == UNKNOWN


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("platformdirs.user_state_dir", lambda *_, **__: "~/.local/state/aios3sync")
    monkeypatch.chdir(tmp_path)
    assert profile_path(URL) == ""
    write_profile(observed())
    read_profile(EndpointProfile(URL))
    assert list(tmp_path.iterdir()) == []
