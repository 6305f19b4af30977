"""Record the terminal session of README: real commands on an embedded endpoint, drawn as an SVG image.

Run it with ``python examples/record_session.py``; it writes docs/images/session.svg, as rich draws it.
The window has a background of its own and loads nothing: it looks the same on light and dark pages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

import aioboto3
import anyio
from rich.console import Console
from rich.text import Text

from aios3sync.testing import Endpoint, start_seaweedfs

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "session.svg"
BUCKET = "my-bucket"
WIDTH = 92
COMMENT = "#"
SESSION = (
    "# the first sync sends everything, the second one asks S3 nothing",
    "aios3sync sync photos s3://my-bucket/photos",
    "aios3sync sync photos s3://my-bucket/photos",
    "# the disk is not mounted, and the backup runs all the same",
    "mv photos elsewhere; mkdir photos",
    "aios3sync sync photos s3://my-bucket/photos --delete",
    "# everything is still there: bring it back, and compare the contents",
    "aios3sync sync s3://my-bucket/photos photos",
    "aios3sync verify photos s3://my-bucket/photos",
)

# The drawing of rich without its fonts, which would come from another host.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


async def make_bucket(endpoint: Endpoint) -> None:
    """Create the bucket."""
    client = aioboto3.Session().client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        region_name=endpoint.region,
    )
    async with client as s3:
        await s3.create_bucket(Bucket=BUCKET)


def make_photos(root: Path) -> None:
    """Write a few files of noise."""
    for name, size in (("cats/1.jpg", 500_000), ("cats/2.jpg", 500_000), ("notes.txt", 90)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))


def environment(endpoint: Endpoint, root: Path) -> dict[str, str]:
    """Return the environment of the commands: this program first, a state of its own, no other settings."""
    found = shutil.which("aios3sync", path=str(Path(sys.executable).parent))
    assert found, "install the package first: make venv"  # noqa: S101
    path = os.pathsep.join([str(Path(found).parent), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "HOME": str(root), "XDG_STATE_HOME": str(root / "state"), **endpoint.environment()}


def output_of(command: str, place: Path, settings: dict[str, str]) -> str:
    """Run a command as a shell does and return what it printed, errors included."""
    shown = subprocess.run(  # noqa: S602 - the commands are those above
        command,
        shell=True,
        cwd=place,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return shown.stdout.decode()


def record(console: Console) -> None:
    """Run the session and print it as a terminal would."""
    with tempfile.TemporaryDirectory(prefix="aios3sync-session-") as place, start_seaweedfs() as endpoint:
        root = Path(place)
        make_photos(root / "photos")
        anyio.run(make_bucket, endpoint)
        settings = environment(endpoint, root)
        for line in SESSION:
            if line.startswith(COMMENT):
                console.print(Text(line, "bright_black italic"))
            else:
                console.print(Text.assemble(("$ ", "green"), (line, "bold")))
                console.print(Text(output_of(line, root, settings)), end="")


def main() -> None:
    """Record the session and write the image."""
    console = Console(record=True, width=WIDTH, file=StringIO(), highlight=False)
    record(console)
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    drawn = console.export_svg(title="aios3sync", code_format=FORMAT, unique_id="session")
    IMAGE.write_text("".join(f"{line.rstrip()}\n" for line in drawn.splitlines()), "utf-8")
    print(f"{IMAGE.relative_to(Path.cwd()) if IMAGE.is_relative_to(Path.cwd()) else IMAGE} is written")


if __name__ == "__main__":
    main()
