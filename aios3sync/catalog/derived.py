"""What the names of its files tell of an entry; pure. Only files directly in its folder count."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from aios3sync.catalog.entries import DatasetEntry, Entry

__all__ = ("is_full_model", "with_facts")

_CARDS: Final = frozenset({"README.md", "readme.md"})
_WEIGHTS: Final = frozenset({"pytorch_model.bin", "model.safetensors"})
_TOKENIZERS: Final = frozenset({"tokenizer.json", "tokenizer_config.json"})
# https://huggingface.co/docs/transformers/big_models: model-00001-of-00003.safetensors
_SHARD: Final = re.compile(
    r"(?P<stem>model|pytorch_model)-(?P<number>\d{5})-of-(?P<of>\d{5})\.(?P<ending>safetensors|bin)"
)


def is_full_model(names: Collection[str]) -> bool:
    """Whether the weights are there: one file, or every part of a set that says how many it has."""
    if not _WEIGHTS.isdisjoint(names):
        return True
    sets: dict[tuple[str, int, str], set[int]] = {}
    for name in names:
        if match := _SHARD.fullmatch(name):
            which = (match["stem"], int(match["of"]), match["ending"])
            sets.setdefault(which, set()).add(int(match["number"]))
    return any(of > 0 and parts >= set(range(1, of + 1)) for (_, of, _), parts in sets.items())


def with_facts(entry: Entry, names: Collection[str]) -> Entry:
    """The entry with what the names of its files tell."""
    present = frozenset(names)
    if isinstance(entry, DatasetEntry):
        return replace(entry, has_card=not present.isdisjoint(_CARDS | {"dataset_card.md"}))
    return replace(
        entry,
        has_card=not present.isdisjoint(_CARDS | {"model_card.md"}),
        has_config="config.json" in present,
        has_tokenizer=not present.isdisjoint(_TOKENIZERS),
        is_full_model=is_full_model(present),
    )
