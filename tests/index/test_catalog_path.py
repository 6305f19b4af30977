"""The former module path of the catalog works for one more release, and names the new one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aios3sync import catalog
from aios3sync.index import catalog as former


def test_the_former_path_has_its_former_names() -> None:
    assert set(former.__all__) <= set(catalog.__all__)
    assert dir(former) == sorted(former.__all__)


@pytest.mark.parametrize("name", former.__all__)
def test_a_name_is_the_same_object_and_warns(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"now aios3sync\.catalog; .* import {name}") as warned:
        assert getattr(former, name) is getattr(catalog, name)
    assert [warning.filename for warning in warned] == [__file__]


def test_an_import_statement_warns() -> None:
    with pytest.warns(DeprecationWarning, match=r"aios3sync\.catalog") as warned:
        from aios3sync.index.catalog import DatasetEntry

    assert DatasetEntry is catalog.DatasetEntry
    assert [warning.filename for warning in warned] == [__file__]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Shelf'"):
        _ = former.Shelf


def test_the_former_path_loads_nothing_by_itself() -> None:
    """Importing the module neither warns nor loads the catalog."""
    code = "import sys, aios3sync.index.catalog; sys.exit('aios3sync.catalog' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
