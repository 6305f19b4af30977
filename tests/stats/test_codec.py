"""The cache file: it is read as it was written, and a damaged one is never used."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios3sync.stats.codec import CachedStats, Validation, decode_cached, encode_cached
from aios3sync.stats.model import (
    BucketStats,
    DeltaGliderStats,
    ListedObject,
    Number,
    UploadTotals,
    VersionTotals,
    exact,
    unknown,
)

if TYPE_CHECKING:
    from tests.stats.conftest import Bench


def example(**changes: Any) -> CachedStats:
    stats = BucketStats(
        bucket="bucket",
        computed_at=1_800_000_000.5,
        original_bytes=Number(12.5, "sampled", 10, 15.5, 0.1, "a note"),
        largest=(ListedObject("k\ud800\x00é", 5, 1.5),),
        uploads=UploadTotals(exact(1), unknown("denied"), 12.0),
        versions=VersionTotals(exact(0), exact(0), exact(0)),
        deltaglider=DeltaGliderStats("bucket", 1, 2, 3, 4, 0.5, 6, 7),
        warnings=("one",),
    )
    return CachedStats(Validation(1, 2, "fp"), replace(stats, **changes), ("css",), ("js",))


def test_statistics_are_read_as_they_were_written() -> None:
    assert decode_cached(encode_cached(example())) == example()


async def test_real_numbers_are_read_as_they_were(bench: Bench) -> None:
    for number in range(300):
        await bench.put(f"f{number % 9}/g{number % 50}/x{number}.t{number % 5}", bytes(number))
        await bench.put_delta(f"d{number % 9}/{number}.delta", number, 3 * number)
    counted = await bench.stats(mode="detailed")
    found = await bench.stats(mode="detailed")
    same = (
        "objects",
        "original_bytes",
        "kinds",
        "folders",
        "extensions",
        "sizes",
        "ages",
        "largest",
        "heads",
    )
    for name in (*same, "top_folders", "storage_classes", "newest", "deltaglider", "computed_at", "complete"):
        assert getattr(found, name) == getattr(counted, name), name


def test_facts_of_one_call_are_not_cached() -> None:
    document = json.loads(encode_cached(example(requests={"HeadObject": 5}, elapsed_s=3.0)))
    assert not {"cache", "requests", "elapsed_s"} & set(document["stats"])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every value of a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name, below in value.items():
            found += places(below, (*path, name))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            found += places(below, (*path, number))
    return found


DOCUMENT = json.loads(encode_cached(example()))
STRUCTURE = [path for path in places(DOCUMENT) if path[0] in ("stats", "validation", "gzip", "gzip_found")]


@pytest.mark.parametrize("path", STRUCTURE, ids=str)
def test_a_value_of_another_type_anywhere_is_noticed(path: tuple[Any, ...]) -> None:
    document = json.loads(encode_cached(example()))
    holder = document
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = {"unexpected": []}
    with pytest.raises(ValueError, match="damaged"):
        decode_cached(json.dumps(document).encode())


@pytest.mark.parametrize("path", [path for path in STRUCTURE if isinstance(path[-1], str)], ids=str)
def test_a_field_that_is_missing_anywhere_is_noticed(path: tuple[Any, ...]) -> None:
    document = json.loads(encode_cached(example()))
    holder = document
    for name in path[:-1]:
        holder = holder[name]
    del holder[path[-1]]
    with pytest.raises(ValueError, match="damaged"):
        decode_cached(json.dumps(document).encode())


@given(st.integers(0, len(encode_cached(example())) - 1), st.integers(0, 3), st.binary(max_size=3))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_file_with_other_bytes_is_read_or_refused(place: int, length: int, put: bytes) -> None:
    body = encode_cached(example())
    body = body[:place] + put + body[place + length :]
    try:
        found = decode_cached(body)
    except ValueError:
        return
    assert encode_cached(found)
    assert asdict(found.stats)["deltaglider"].keys() == asdict(example().stats)["deltaglider"].keys()


@given(
    st.binary(max_size=40)
    | st.recursive(st.none() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="it is"):
        decode_cached(body)


def test_a_folder_nested_without_end_is_refused() -> None:
    document = json.loads(encode_cached(example()))
    folder = document["stats"]["folders"]
    text = json.dumps(document)
    leaf = json.dumps(folder)
    deep = leaf
    for _ in range(300):
        deep = leaf.replace('"children": []', f'"children": [{deep}]')
    with pytest.raises(ValueError, match="it is"):
        decode_cached(text.replace(leaf, deep).encode())


async def test_the_json_of_the_command_line_has_every_number(bench: Bench) -> None:
    await bench.put("a", b"12345")
    found = await bench.stats()
    document = json.loads(json.dumps(found.to_document()))
    assert document["command"] == "stats"
    assert document["location"] == "s3://bucket/"
    assert document["computed"] == "2027-01-15T08:00:00+00:00"
    assert set(document) >= set(BucketStats.__slots__)
    assert document == json.loads(json.dumps(found.as_dict()))
