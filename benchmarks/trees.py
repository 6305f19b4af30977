"""Builds the directory trees to sync, with the content of every file known; the same bytes at each run."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ("Content", "Tree", "TreePlan", "build_tree", "change")

_AGE_S = 7200.0
"""Files are older than any upload, and their times are whole seconds: some tools compare only these."""

_PER_FOLDER = 1000
_BLOCK = 8 * 1024**2


class Content(NamedTuple):
    """Size and MD5 of a file; the MD5 is empty for a file too large for a single PUT."""

    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class TreePlan:
    """The plan of a tree.

    Attributes:
        kind: ``small``: ``count`` random files of ``size`` bytes, 1000 to a folder; ``mixed``: images of
            50 to 500 KB with a caption of 200 bytes each, ``count`` files; ``large``: ``count`` files of
            ``size`` bytes, a first block of their own and then one random block over and over; ``empty``: as
            ``small``, without bytes.
    """

    kind: Literal["small", "mixed", "large", "empty"]
    count: int
    size: int = 0


@dataclass(slots=True)
class Tree:
    """A tree on disk, and the contents of its files by key."""

    root: Path
    contents: dict[str, Content] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(content.size for content in self.contents.values())


def build_tree(plan: TreePlan, root: Path) -> Tree:
    """Write the tree below ``root``, which must not exist yet."""
    tree = Tree(root)
    root.mkdir(parents=True)
    old = float(int(time.time() - _AGE_S))
    writers = {"small": _small, "empty": _small, "mixed": _mixed}
    if plan.kind == "large":
        _build_large(tree, plan, old)
        return tree
    for key, body in writers[plan.kind](plan):
        _write(tree, key, body, old)
    return tree


def change(tree: Tree, count: int, generation: int) -> int:
    """Rewrite ``count`` files, spread evenly, with other bytes of the same size, and return how many.

    Each ``generation`` rewrites other files than the one before, as long as at most half are rewritten.
    """
    keys = sorted(tree.contents)
    step = len(keys) / count
    places = {(round(number * step) + generation) % len(keys) for number in range(count)}
    for key in (keys[place] for place in sorted(places)):
        body = _noise(f"{key} {generation}", tree.contents[key].size)
        _write(tree, key, body, float(int(time.time())))
    return len(places)


def _write(tree: Tree, key: str, body: bytes, mtime: float) -> None:
    path = tree.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (mtime, mtime))
    tree.contents[key] = Content(len(body), hashlib.md5(body, usedforsecurity=False).hexdigest())


def _noise(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - test content, not secrets


def _small(plan: TreePlan) -> Iterator[tuple[str, bytes]]:
    for number in range(plan.count):
        key = f"folder-{number // _PER_FOLDER:03}/file-{number:06}.bin"
        yield key, _noise(key, plan.size)


def _mixed(plan: TreePlan) -> Iterator[tuple[str, bytes]]:
    sizes = random.Random("sizes")  # noqa: S311 - as above
    for number in range(plan.count):
        stem, is_caption = divmod(number, 2)
        if is_caption:
            yield f"images/{stem:04}.txt", _noise(f"caption {stem}", 100).hex().encode()
        else:
            yield f"images/{stem:04}.jpg", _noise(f"image {stem}", sizes.randint(50_000, 500_000))


def _build_large(tree: Tree, plan: TreePlan, old: float) -> None:
    block = _noise("block", _BLOCK)
    for number in range(plan.count):
        key = f"weights-{number}.bin"
        path = tree.root / key
        with path.open("wb") as file:
            file.write(_noise(key, min(4096, plan.size)))
            while (left := plan.size - file.tell()) > 0:
                file.write(block[:left])
        os.utime(path, (old, old))
        tree.contents[key] = Content(plan.size, "")
