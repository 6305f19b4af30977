"""The real DeltaGlider in an environment of its own, for a live test and for a recording.

Run as a program (``python tests/stats/deltaglider_real.py``) it writes ``deltaglider.json`` again: every
object that DeltaGlider wrote, with its metadata, and its own numbers. It needs the package index and
``xdelta3``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

VERSION = "6.2.0"
HERE = Path(__file__).parent
RECORDING = HERE / "deltaglider.json"


class RealDeltaGlider:
    """The package of one version, installed into ``folder``."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._python = folder / "bin" / "python"
        self._environment = {**os.environ, **environment}
        if not self._python.exists():
            venv.create(folder, with_pip=True)
            self._run("-m", "pip", "install", "--quiet", f"deltaglider=={VERSION}")

    def _run(self, *arguments: str) -> str:
        command = [str(self._python), *arguments]
        done = subprocess.run(command, env=self._environment, check=True, capture_output=True, text=True)
        return done.stdout

    def __call__(self, action: str, bucket: str, *files: Path) -> Any:
        """Run the driver and return the document that it prints."""
        driver = str(HERE / "deltaglider_driver.py")
        return json.loads(self._run(driver, action, bucket, *map(str, files)).splitlines()[-1])


def record() -> None:
    """Write the recording."""
    import boto3

    from aios3sync.testing.servers import start_seaweedfs

    with start_seaweedfs() as endpoint, tempfile.TemporaryDirectory() as folder:
        environment = {**endpoint.environment(), "AWS_ENDPOINT_URL": endpoint.url}
        real = RealDeltaGlider(Path(os.environ.get("DELTAGLIDER_VENV", folder)), environment)
        client = boto3.client(
            "s3",
            endpoint_url=endpoint.url,
            aws_access_key_id=endpoint.access_key,
            aws_secret_access_key=endpoint.secret_key,
            region_name=endpoint.region,
        )
        client.create_bucket(Bucket="releases")
        version = real("upload", "releases")["version"]
        objects = []
        for item in client.list_objects_v2(Bucket="releases")["Contents"]:
            head = client.head_object(Bucket="releases", Key=item["Key"])
            objects.append({"key": item["Key"], "size": item["Size"], "metadata": head["Metadata"]})
        numbers = real("stats", "releases")
    document = {"deltaglider": version, "objects": objects, "stats": numbers}
    RECORDING.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    sys.stderr.write(f"recorded {len(objects)} objects of DeltaGlider {version}\n")


if __name__ == "__main__":
    record()
