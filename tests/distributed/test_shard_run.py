"""A sync in shards does what one run does: the same objects, files and counts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aios3sync.report import SyncReport
from aios3sync.store.endpoint_profile import EndpointProfile
from aios3sync.store.protocol import PutOptions, StoreCapabilities
from aios3sync.testing.memory import MemoryStore
from aios3sync.testing.trees import make_tree
from tests.distributed.sharding import Sharding, counts_of, ranges_at

ORDERS: dict[str, Any] = {
    "bytes": {},
    "SeaweedFS": {"order": lambda key: key.split("/"), "capabilities": StoreCapabilities()},
    "none": {"order": lambda key: key[::-1], "capabilities": StoreCapabilities()},
}


def bucket(
    objects: Mapping[str, bytes], order: str = "bytes", name: str = "bucket", **more: Any
) -> MemoryStore:
    """A bucket with objects below ``p/``, which lists in an order and in pages of 3."""
    return MemoryStore(
        name,
        objects={f"p/{key}": body for key, body in objects.items()},
        page_size=lambda _: 3,
        **ORDERS[order],
        **more,
    )


def profile(order: str) -> EndpointProfile:
    """What is known of an endpoint that lists in an order.

    One that does not list in byte order is known for it: where a short listing happens to ascend, a run takes
    the next one for ordered until it meets the first key that is not, and sends again what it has not seen by
    then. What happens to ascend is another matter in a part of the keys than in all.
    """
    return EndpointProfile(etags="md5", list_order="" if order == "bytes" else "unordered")


def bodies(store: MemoryStore) -> dict[str, bytes]:
    return {key.removeprefix("p/"): body for key, body in store.bodies().items()}


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def tree(root: Path, content: Mapping[str, bytes]) -> None:
    make_tree(root, dict(content), mtime_ns=time.time_ns() - 10**11)


def remove(root: Path, keys: Any) -> None:
    for key in keys:
        (root / key).unlink()


ASCENDS_BY_CHANCE: dict[str, Any] = {
    "first": dict.fromkeys(("-a/!/0", "0", "0-", "0/!\ue000/-é", "0/0/0", "00/\ue000", "0a"), b"A"),
    "second": dict.fromkeys(("-a/0/0", "0", "0-", "0/-", "0/0", "0/0/0", "0/0a", "0/é."), b"A"),
    "there": dict.fromkeys(("0", "0/0", "é!", "éa/0"), b""),
    "cuts": ["0", "0"],
    "delete": "off",
    "order": "SeaweedFS",
}
"""The first listing of the target may be in byte order, later ones are not."""

NAMES = st.text("!-.0aé\ue000", min_size=1, max_size=2).filter(lambda name: name.strip("."))
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENT = st.dictionaries(KEYS, st.binary(max_size=2), max_size=12)
CUTS = st.lists(st.text("!-./0aé\ue000\0", min_size=1, max_size=4), max_size=3)
DELETES = st.sampled_from(["off", "tracked", "mirror"])
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def possible(content: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out keys that are folders as well: no tree holds both."""
    return {key: body for key, body in content.items() if not any(k.startswith(f"{key}/") for k in content)}


def comparable(counts: dict[str, int], report: SyncReport, reports: list[SyncReport]) -> dict[str, int]:
    """Return counts that do not depend on which shards listed, where the whole run had to for one of them.

    What is in the bucket already and not in the manifest is adopted where it was listed, else sent again.
    """
    if all(each.checked == report.checked for each in reports):
        return counts
    sent = counts.get("uploaded", 0) + counts.get("adopted", 0)
    return {**counts, "uploaded": sent, "adopted": 0, "uploaded_bytes": 0}


VARIANTS: list[dict[str, Any]] = [
    {},
    {"exclude": ("a*",), "include": ("a/*",)},
    {"gitignore": True},
    {"files": ("a", "0/a", "é", "a/0"), "allow_empty_source": True},
    {"max_delete": 1},
    {"max_delete_ratio": 0.2},
    {"allow_empty_source": False},
    {"check": "list"},
    {"check": "content"},
    {"incremental": False},
]


@QUIET
@given(
    first=CONTENT.map(possible),
    second=CONTENT.map(possible),
    there=CONTENT,
    cuts=CUTS,
    delete=DELETES,
    order=st.sampled_from([*ORDERS]),
    more=st.sampled_from(VARIANTS),
)
async def test_an_upload_in_shards_is_the_upload(
    first: dict[str, bytes],
    second: dict[str, bytes],
    there: dict[str, bytes],
    cuts: list[str],
    delete: str,
    order: str,
    more: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Two syncs, the tree changed between them: what is stored, and what is counted."""
    place = tmp_path_factory.mktemp("up")
    one = Sharding(place / "one", place / "tree", bucket(there, order), profile=profile(order))
    many = Sharding(place / "many", place / "tree", bucket(there, order), profile=profile(order))
    options = {"delete": delete, "allow_empty_source": True, **more}
    tree(place / "tree", {})
    for content in (first, second):
        remove(place / "tree", files(place / "tree"))
        for path in sorted((place / "tree").rglob("*"), reverse=True):
            path.rmdir()
        tree(place / "tree", {**content, ".gitignore": b"0*\n!00\n"} if "gitignore" in more else content)
        report = await one.whole(**options)
        total = await many.sharded(ranges_at(cuts), **options)
        counts = [
            comparable(each, report, total.reports[: len(total.facts)])
            for each in (total.counts, counts_of(report))
        ]
        assert counts[0] == counts[1]
        guards = (total.refused and total.refused.guard, report.refused and report.refused["guard"])
        assert guards[0] == guards[1]
        assert bodies(many.memory) == bodies(one.memory)


@QUIET
@given(
    first=CONTENT,
    second=CONTENT,
    there=CONTENT.map(possible),
    cuts=CUTS,
    delete=DELETES,
    order=st.sampled_from([*ORDERS]),
)
async def test_a_download_in_shards_is_the_download(
    first: dict[str, bytes],
    second: dict[str, bytes],
    there: dict[str, bytes],
    cuts: list[str],
    delete: str,
    order: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Keys that are folders as well included: their object may be in one range, what is below in another."""
    place = tmp_path_factory.mktemp("down")
    sides = []
    for name in ("one", "many"):
        side = Sharding(
            place / name, place / f"tree-{name}", bucket({}, order), direction="down", profile=profile(order)
        )
        tree(side.root, there)
        sides.append(side)
    one, many = sides
    options: dict[str, Any] = {"delete": delete, "allow_empty_source": True, "on_conflict": "overwrite"}
    for content in (first, second):
        for side in sides:
            side.memory.objects.clear()
            for key, body in content.items():
                digest = hashlib.md5(body, usedforsecurity=False).digest()
                await side.memory.put(f"p/{key}", body, PutOptions(), md5=digest)
        report = await one.whole(**options)
        total = await many.sharded(ranges_at(cuts), **options)
        if not (report.failed or report.conflicts):  # what fails over a directory in the way depends on order
            assert total.counts == counts_of(report)
            assert files(many.root) == files(one.root)


@QUIET
@example(**ASCENDS_BY_CHANCE)
@given(
    first=CONTENT,
    second=CONTENT,
    there=CONTENT,
    cuts=CUTS,
    delete=DELETES,
    order=st.sampled_from([*ORDERS]),
)
async def test_a_copy_in_shards_is_the_copy(
    first: dict[str, bytes],
    second: dict[str, bytes],
    there: dict[str, bytes],
    cuts: list[str],
    delete: str,
    order: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = tmp_path_factory.mktemp("copy")
    sides = []
    for name in ("one", "many"):
        endpoint: dict[str, MemoryStore] = {}
        source = bucket(first, order, "source", endpoint=endpoint)
        target = bucket(there, order, endpoint=endpoint)
        known = profile(order)
        sides.append(Sharding(place / name, place, target, source, direction="copy", profile=known))
    one, many = sides
    options: dict[str, Any] = {"delete": delete, "allow_empty_source": True}
    for content in (first, second):
        for side in sides:
            assert side.source is not None
            for key in {*bodies(side.source)} - {*content}:
                del side.source.objects[f"p/{key}"]
            for key, body in content.items():
                if bodies(side.source).get(key) != body:
                    digest = hashlib.md5(body, usedforsecurity=False).digest()
                    await side.source.put(f"p/{key}", body, PutOptions(), md5=digest)
        report = await one.whole(**options)
        total = await many.sharded(ranges_at(cuts), **options)
        assert total.counts == counts_of(report)
        assert bodies(many.memory) == bodies(one.memory)
