"""What the everyday requests load: neither botocore, nor an XML parser, nor the package for e-mail."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "email", "http.client"),
    *("urllib.request", "urllib3", "xml"),
}
LIGHT = [
    "aios3sync.store.s3.endpoint",
    "aios3sync.store.wire.request_builder",
    "aios3sync.store.wire.multipart_requests",
    "aios3sync.store.wire.responses",
    "aios3sync.store.wire.signing",
]


@pytest.mark.parametrize("module", LIGHT)
def test_requests_and_answers_without_xml_load_little(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted({*json.loads(ran.stdout)} & HEAVY) == []
