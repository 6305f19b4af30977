"""Fields that are derived from the names of files, and the counters for monitoring."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from aios3sync.catalog import CatalogCollector, CatalogMetrics, DatasetEntry
from aios3sync.catalog.entries import is_full_model, read_entry, with_facts


def shards(*numbers: int, of: int = 3, ending: str = "safetensors") -> list[str]:
    return [f"model-{number:05d}-of-{of:05d}.{ending}" for number in numbers]


@pytest.mark.parametrize(
    ("names", "full"),
    [
        ([], False),
        (["model.safetensors"], True),
        (["pytorch_model.bin"], True),
        (shards(1, 2, 3), True),
        (shards(1, 3), False),
        (shards(1, 2) + shards(3, of=4), False),
        (shards(1, 2) + shards(3, ending="bin"), False),
        (shards(1, of=1), True),
        (["model-00000-of-00000.safetensors"], False),
        (["old-model.safetensors", "sub/model.safetensors"], False),
    ],
    ids=str,
)
def test_full_models(names: list[str], full: bool) -> None:
    assert is_full_model(names) is full


def test_cards_of_datasets() -> None:
    for name, has_card in [("dataset_card.md", True), ("README.md", True), ("model_card.md", False)]:
        entry = with_facts(DatasetEntry("d"), [name])
        assert entry.has_card is has_card


def test_documents_with_booleans_as_text() -> None:
    raw = {"dataset_id": "d", "has_card": "true", "revision": "", "last_updated": 5.5}
    entry = read_entry(DatasetEntry, raw)
    assert entry == DatasetEntry("d", has_card=True, last_updated="5.5")
    assert read_entry(DatasetEntry, {"dataset_id": None}) is None


def test_prometheus_sees_the_counters() -> None:
    metrics = CatalogMetrics()
    metrics.answered("index", 0.5)
    metrics.answered("index", 0.25)
    metrics.not_modified += 1
    metrics.fallbacks["index:missing"] += 3
    metrics.index_bytes["datasets"] = 77
    registry = CollectorRegistry()
    registry.register(CatalogCollector(metrics))
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'aios3sync_catalog_answers_total{tier="index"} 2.0',
        'aios3sync_catalog_answer_seconds_sum{tier="index"} 0.75',
        'aios3sync_catalog_fallbacks_total{reason="index:missing"} 3.0',
        "aios3sync_catalog_not_modified_total 1.0",
        'aios3sync_catalog_index_bytes{kind="datasets"} 77.0',
    ):
        assert line in lines
