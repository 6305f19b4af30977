"""The quick loader: the models that botocore's own loader finds, and only those."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import create_loader

from aios3sync.store.boto.loading import QuickLoader


@pytest.mark.parametrize("service", ["s3", "sqs", "sts", "sso"])
@pytest.mark.parametrize("model", ["service-2", "endpoint-rule-set-1"])
def test_models_are_those_of_botocore(service: str, model: str) -> None:
    theirs = json.loads(json.dumps(create_loader().load_service_model(service, model)))
    assert QuickLoader(None).load_service_model(service, model) == theirs


def test_files_are_those_of_botocore() -> None:
    quick, slow = QuickLoader(None), create_loader()
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        assert quick.load_data(name) == json.loads(json.dumps(slow.load_data(name)))


def test_a_model_that_does_not_exist_is_an_error_as_botocores(tmp_path: Path) -> None:
    with pytest.raises(UnknownServiceError):
        QuickLoader(None).load_service_model("no-such-service", "service-2")
    with pytest.raises(DataNotFoundError):
        QuickLoader(None).load_service_model("s3", "no-such-model-1")
    with pytest.raises(DataNotFoundError):
        QuickLoader(None).load_data("no-such-file")


def test_models_of_ones_own_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "models" / "s3" / "2006-03-01"
    own.mkdir(parents=True)
    (own / "service-2.json").write_text('{"metadata": {"mine": true}}')
    monkeypatch.setenv("PLACE", str(tmp_path))
    loader = QuickLoader("/no/such/place:$PLACE/models")
    assert loader.load_service_model("s3", "service-2")["metadata"] == {"mine": True}
    assert "endpoints" not in loader.load_service_model("sqs", "service-2")
