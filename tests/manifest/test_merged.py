"""Two runs that make documents of one without knowing of each other: what either has written is named."""

from __future__ import annotations

import random

import pytest

from aios3sync._dataclass import replace
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.manifest.root import RangeLayers, Root, joined_shards, merged

PAIR = Binding("/data", "http://s3", "bucket", "p/")
KEYS = "abcdefghij"


def root(*shards: tuple[str, str, tuple[str, ...]], **state: object) -> Root:
    return Root(1, PAIR, ManifestState(**state), tuple(RangeLayers(*shard) for shard in shards))  # type: ignore[arg-type]


def layers(document: Root, key: str) -> tuple[str, ...]:
    (shard,) = document.part(key, f"{key}\0")
    return shard.layers


def test_new_files_of_both_are_over_what_both_have_kept() -> None:
    base = root(("", "", ("old",)), complete=True)
    ours = root(
        ("", "m", ("ours-0", "old")), ("m", "", ("ours-1", "old")), complete=True, run=3, receipts=("r",)
    )
    theirs = root(
        ("", "c", ("theirs-0", "old")), ("c", "", ("theirs-1", "old")), complete=True, run=5, receipts=("q",)
    )
    found = merged(base, ours, theirs)
    assert found.shards == (
        RangeLayers("", "c", ("theirs-0", "ours-0", "old")),
        RangeLayers("c", "m", ("theirs-1", "ours-0", "old")),
        RangeLayers("m", "", ("theirs-1", "ours-1", "old")),
    )
    assert (found.state.complete, found.state.run) == (False, 5)
    assert Root.decoded(found.encoded()) == found


def test_receipts_of_both_are_no_data() -> None:
    base, ours, theirs = (root(("", "", ()), receipts=names) for names in ((), ("r",), ("q",)))
    assert merged(base, ours, theirs).state.receipts == ("q", "r")


def test_a_file_with_the_rows_of_all_is_below_what_the_other_run_has_written() -> None:
    base = root(("", "", ("b", "a")))
    copy, new = root(("", "", ("copy",))), root(("", "", ("new", "b", "a")))
    for ours, theirs in ((copy, new), (new, copy)):
        assert merged(base, ours, theirs).shards == (RangeLayers("", "", ("new", "copy")),)


def test_attempts_that_ended_are_named_in_their_range_alone() -> None:
    base = root(("", "m", ("r-0.*", "old")), ("m", "", ("r-1.*", "old")))
    ours = root(("", "m", ("r-0.2.sqlite", "old")), ("m", "", ("old",)))
    theirs = root(("", "m", ("top", "r-0.*", "old")), ("m", "", ("top", "r-1.*", "old")))
    assert merged(base, ours, theirs).shards == (
        RangeLayers("", "m", ("top", "r-0.2.sqlite", "old")),
        RangeLayers("m", "", ("top", "old")),
    )


@pytest.mark.parametrize("seed", range(50))
def test_nothing_new_is_lost_and_nothing_given_up_comes_back(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311

    def made(before: Root, run: str) -> Root:
        edges = sorted(rng.sample(KEYS, rng.randrange(4)))
        ranges = zip(["", *edges], [*edges, ""], strict=True)
        shards = []
        for number, (first, end) in enumerate(ranges):
            new = (f"{run}-{number}",) if rng.random() < 0.7 else ()
            whole = bool(new) and rng.random() < 0.3
            parts = [RangeLayers(first, end)] if whole else before.part(first, end)
            shards += [part._replace(layers=(*new, *part.layers)) for part in parts]
        return replace(before, shards=joined_shards(shards))

    base = made(made(root(("", "", ())), "x"), "y")
    ours, theirs = made(base, "ours"), made(base, "theirs")
    found = merged(base, ours, theirs)
    assert Root.decoded(found.encoded()) == found
    for key in KEYS:
        before, one, other = (layers(each, key) for each in (base, ours, theirs))
        wanted = ({*one} | {*other}) - ({*before} - ({*one} & {*other}))
        assert {*layers(found, key)} == wanted
        assert len(layers(found, key)) == len(wanted)
        kept = [name for name in before if name in wanted]
        assert [*layers(found, key)][len(wanted) - len(kept) :] == kept, "what is old is below, in its order"
