"""Keys that are one name to a filesystem that folds case or Unicode forms: the first one is fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aios3sync.local.folding import Folding, folding_of
from aios3sync.sync.folded_names import FoldedNames
from tests.sync.conftest import Bench, body_tree

pytestmark = pytest.mark.usefixtures("settle")

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    ("case", "form", "others"),
    [
        (True, True, {"a/x": "A", "b": "B", DECOMPOSED: COMPOSED}),
        (True, False, {"a/x": "A", "b": "B"}),
        (False, True, {DECOMPOSED: COMPOSED}),
    ],
)
async def test_the_first_name_counts_also_of_folders(case: bool, form: bool, others: dict[str, str]) -> None:
    names = FoldedNames(case=case, form=form)
    first = await names.others(["A/x", "A/y", "B", COMPOSED])
    assert first == {}
    assert await names.others(["a/x", "b", DECOMPOSED, "c"]) == others
    await names.close()


@pytest.mark.parametrize("delete", ["off", "mirror"])
async def test_only_the_first_of_equal_names_is_fetched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, delete: str
) -> None:
    monkeypatch.setattr("aios3sync.local.folding.folding_of", lambda _: Folding(True, True))
    await bench.store({"A": b"first", "a": b"second", "b": b"1"})
    bench.tree({"a": b"the same file, on such a filesystem"})
    report = await bench.download(delete=delete)
    assert (report.downloaded, report.skipped, report.deleted) == (2, 1, 0)
    assert body_tree(bench.root) == {"A": b"first", "a": b"the same file, on such a filesystem", "b": b"1"}
    assert any("same name as 'A'" in text for text in report.warnings)


def test_this_filesystem_is_found_out_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()
    found = folding_of(str(tmp_path / "probe"))
    (tmp_path / "x").touch()
    assert found.case == (tmp_path / "X").exists()
    assert not list((tmp_path / "probe").iterdir())
    assert folding_of(str(tmp_path / "nowhere")) == Folding()


def test_a_filesystem_that_folds_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def folding(path: Any, **more: Any) -> Any:
        return real(path.lower() if isinstance(path, str) and path.startswith(".AIOS3") else path, **more)

    monkeypatch.setattr(os, "stat", folding)
    assert folding_of(str(tmp_path)) == Folding(case=True, form=False)
