"""The parts of a multipart upload: they cover the file, fit the limits, and resume what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3sync.core.parts import (
    GIB,
    MAX_OBJECT_SIZE,
    MAX_PART_SIZE,
    MAX_PARTS,
    MAX_STREAM_SIZE,
    MIB,
    MIN_PART_SIZE,
    Part,
    growing_part_size,
    inferred_part_size,
    max_part_size_from_refusal,
    max_parts_from_refusal,
    plan_part_size,
    plan_parts,
    remaining,
)
from aios3sync.errors import UsageError

laws = settings(deadline=None, derandomize=True, max_examples=150)
part_sizes = st.integers(MIN_PART_SIZE, MAX_PART_SIZE)


@laws
@given(st.integers(0, MAX_OBJECT_SIZE), part_sizes)
def test_every_object_fits_its_parts(size: int, wanted: int) -> None:
    """10,000 parts of the planned size hold the object, and no part is larger or smaller than allowed."""
    planned = plan_part_size(size, wanted)
    assert -(-size // planned) <= MAX_PARTS
    assert wanted <= planned <= MAX_PART_SIZE
    assert planned == wanted or planned % MIB == 0


@laws
@given(st.integers(0, MAX_OBJECT_SIZE), part_sizes)
def test_a_part_grows_no_more_than_needed(size: int, wanted: int) -> None:
    """A grown part is the least whole number of MiB that is enough."""
    planned = plan_part_size(size, wanted)
    if planned > wanted:
        assert -(-size // (planned - MIB)) > MAX_PARTS or planned - MIB < wanted


@pytest.mark.parametrize(
    ("size", "wanted", "planned"),
    [
        (0, 16 * MIB, 16 * MIB),
        (MAX_PARTS * 16 * MIB, 16 * MIB, 16 * MIB),
        (MAX_PARTS * 16 * MIB + 1, 16 * MIB, 17 * MIB),
        (MAX_PARTS * 17 * MIB, 16 * MIB, 17 * MIB),
        (100 * GIB, 8 * MIB, 11 * MIB),
        (MAX_OBJECT_SIZE, MIN_PART_SIZE, MAX_PART_SIZE),
        (MAX_OBJECT_SIZE - 1, MIN_PART_SIZE, MAX_PART_SIZE),
    ],
)
def test_part_sizes_at_the_edges(size: int, wanted: int, planned: int) -> None:
    """The wanted size is kept as long as 10,000 parts suffice."""
    assert plan_part_size(size, wanted) == planned


def test_too_large_for_s3() -> None:
    """What no object can hold is refused before anything is sent."""
    with pytest.raises(UsageError, match="more than S3 can hold"):
        plan_part_size(MAX_OBJECT_SIZE + 1, MAX_PART_SIZE)


@laws
@given(st.integers(0, 5000), st.integers(1, 700))
def test_parts_cover_the_file(size: int, part_size: int) -> None:
    """The parts follow one another from 0 to the end, numbered from 1; only the last may be short."""
    parts = list(plan_parts(size, part_size))
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    end = 0
    for part in parts:
        assert part.offset == end
        end += part.length
    assert end == size
    assert all(part.length == part_size for part in parts[:-1])
    assert 0 <= parts[-1].length <= part_size
    assert parts[-1].length > 0 or size == 0


def test_an_empty_object_has_one_empty_part() -> None:
    """A multipart upload needs a part, even of nothing."""
    assert list(plan_parts(0, 5)) == [Part(1, 0, 0)]


@laws
@given(st.integers(0, 5000), st.integers(50, 700), st.sets(st.integers(1, 120)))
def test_resuming_sends_what_is_missing(size: int, part_size: int, stored: set[int]) -> None:
    """What is left and what is stored make the plan, without overlap; foreign numbers change nothing."""
    planned = list(plan_parts(size, part_size))
    left = remaining(planned, stored)
    assert {part.number for part in left} == {part.number for part in planned} - stored
    assert left == sorted(left)
    assert remaining(planned, ()) == planned
    assert remaining(planned, (part.number for part in planned)) == []


@laws
@given(size=st.integers(1, 40 * 1024 * GIB), most=st.integers(1, MAX_PARTS))
def test_a_part_size_that_grew_under_any_limit_is_inferred_from_the_number_of_parts(
    size: int, most: int
) -> None:
    if size > most * MAX_PART_SIZE:
        with pytest.raises(UsageError):
            plan_part_size(size, MIN_PART_SIZE, most)
        return
    part_size = plan_part_size(size, MIN_PART_SIZE, most)
    parts = -(-size // part_size)
    assert parts <= most
    if part_size > MIN_PART_SIZE:
        assert inferred_part_size(size, parts) == part_size


@pytest.mark.parametrize(
    ("message", "stored", "refused", "most"),
    [
        ("Part number must be an integer between 1 and 1000, inclusive", 996, 1003, (1000, True)),
        ("Part number must be an integer between 1 and 4, inclusive", 2, 7, (4, True)),
        ("The maximum number of parts is 1000", 990, 1001, (1000, True)),
        ("you may not upload more than 100 parts", 96, 101, (100, True)),
        (
            "s3://bucket/2026/4: Part number must be an integer between 1 and 10000, inclusive",
            2,
            7,
            (2, False),
        ),
        ("no", 996, 1003, (996, False)),
        ("no", 0, 1, (0, False)),
        ("between 1 and 10000", 0, 5, (0, False)),
    ],
)
def test_the_limit_of_parts_comes_from_the_message_or_from_the_stored_parts(
    message: str, stored: int, refused: int, most: tuple[int, bool]
) -> None:
    """A limit that the endpoint itself contradicts is none."""
    assert max_parts_from_refusal(message, stored, refused) == most


@pytest.mark.parametrize(
    ("message", "refused", "least", "largest"),
    [
        ("Your proposed upload exceeds the maximum allowed size", 64 * MIB, 1, 5 * MIB),
        ("the maximum part size is 33554432 bytes", 64 * MIB, 1, 32 * MIB),
        ("parts of up to 32 MiB, please", 64 * MIB, 1, 32 * MIB),
        ("the limit is 20MB", 64 * MIB, 1, 20_000_000),
        ("Part is larger than 33,554,432", 64 * MIB, 1, 32 * MIB),
        ("the limit is 128 MiB", 64 * MIB, 1, 5 * MIB),
        ("at most 1000 parts", 64 * MIB, 1, 5 * MIB),
        ("the limit is 20MB", 64 * MIB, 40 * MIB, 40 * MIB),
        ("the limit is 1 KB", 64 * MIB, 1, 5 * MIB),
        ("no", 5 * MIB, 1, 0),
        ("no", 64 * MIB, 64 * MIB, 0),
    ],
)
def test_the_largest_part_comes_from_the_message_or_is_the_smallest_left(
    message: str, refused: int, least: int, largest: int
) -> None:
    """What cannot be true is not believed: a limit above the refused part, or one that leaves no upload."""
    assert max_part_size_from_refusal(message, refused, least) == largest


@laws
@given(
    size=st.integers(1, 40 * 1024 * GIB),
    wanted=st.integers(MIN_PART_SIZE, MAX_PART_SIZE),
    most=st.integers(1, MAX_PARTS),
    largest=st.integers(MIN_PART_SIZE, MAX_PART_SIZE),
)
def test_the_limits_of_number_and_size_hold_together_where_they_can(
    size: int, wanted: int, most: int, largest: int
) -> None:
    if size > most * MAX_PART_SIZE:
        return
    part_size = plan_part_size(size, wanted, most, largest)
    assert -(-size // part_size) <= most
    assert part_size <= largest or size > most * largest
    assert part_size >= min(wanted, largest)


@pytest.mark.parametrize("most", [1000, MAX_PARTS])
@pytest.mark.parametrize("first", [MIN_PART_SIZE, 16 * MIB, GIB])
def test_parts_of_unknown_length_reach_5_tib_and_stay_small_for_long(first: int, most: int) -> None:
    """Sizes never fall, the first tenth is alike, all hold 5 TiB together, and none is too large."""
    sizes = [growing_part_size(number, first, most) for number in range(1, most + 1)]
    assert sizes == sorted(sizes)
    assert set(sizes[: most // 10]) == {first}
    assert sum(sizes) >= min(MAX_STREAM_SIZE, most * MAX_PART_SIZE // 2)
    assert max(sizes) <= MAX_PART_SIZE
    assert all((size - first) % MIB == 0 for size in sizes[:-1] if size < MAX_PART_SIZE)


def test_the_usual_stream_has_parts_below_1200_mib() -> None:
    assert growing_part_size(MAX_PARTS, 16 * MIB) <= 1200 * MIB
    assert sum(growing_part_size(number, 16 * MIB) for number in range(1, MAX_PARTS + 1)) >= MAX_STREAM_SIZE
    assert growing_part_size(1, 16 * MIB, largest=8 * MIB) == 8 * MIB
