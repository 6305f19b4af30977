"""What each kind of command line may load: a list, since times differ from machine to machine.

A package that is in no list here is one more thing that every run waits for; a new one needs a reason.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Bucket, CommandLine

PROGRAM = """
import builtins, sys
sys.argv = ["aios3sync", *sys.argv[2:]]
place, before = {place!r}, set(sys.modules)
compiled, compile_code = set(), compile
def compile(source, *arguments, **more):
    if isinstance(source, str):  # not a module, which an earlier process may have compiled
        compiled.add("compile()")
    return compile_code(source, *arguments, **more)
builtins.compile = compile
from aios3sync.__main__ import main
if "sync" in sys.argv:
    import aios3sync.sync.small_run as small_run
    small_run._PATIENCE_S = 600  # on a busy machine too
if "--check" in sys.argv or {sends}:
    import aios3sync.store.wire.blocking_connection as connection
    import aios3sync.store.wire.blocking_endpoint as endpoint
    connection._PATIENCE_S = endpoint._PATIENCE_S = 600
if {sends}:
    import aios3sync.store.wire.blocking_puts as puts
    puts._PATIENCE_S = 600
code = main()
with open(place, "w") as file:
    file.write(" ".join(sorted(compiled | set(sys.modules) - before)))
sys.exit(code)
"""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of the standard library: what takes a millisecond or more, with all that it loads.
COSTLY = words(
    """
    ast asyncio base64 bz2 compile() concurrent configparser copy csv ctypes dataclasses datetime decimal dis
    email enum getpass gettext gzip hashlib html http importlib.metadata inspect ipaddress json locale logging
    lzma mimetypes multiprocessing pathlib pickle platform queue random re selectors shutil signal socket
    sqlite3 ssl statistics subprocess tempfile traceback typing unittest urllib uuid xml zipfile
    """
)

# Everyone reads the manifest.
UNCHANGED = words("datetime signal sqlite3")
# One connection that waits, and the parser of listings.
LISTED = UNCHANGED | words("enum hashlib re selectors socket xml")
# One connection that waits.
SENT = UNCHANGED | words("enum hashlib json re selectors socket")
# The event loop: asyncio itself loads ssl, subprocess and logging.
LOOP = UNCHANGED | words(
    """
    anyio ast asyncio base64 compile() concurrent copy dis enum hashlib inspect ipaddress json locale logging
    pathlib queue re selectors sniffio socket ssl subprocess traceback typing typing_extensions urllib uvloop
    """
)
# One request: its user agent, its repetitions, and the parsers of HTTP and of listings.
REQUEST = LOOP | words("dataclasses http httptools platform random xml")


def loaded(cli: CommandLine, tmp_path: Path, *arguments: str, sends: bool = False) -> frozenset[str]:
    """Run a command line as a process of its own; return the packages that it loaded and that cost time."""
    place = tmp_path / "modules"
    ended = _process(cli, place, *arguments, sends=sends)
    assert ended == 0
    names = place.read_text().split()
    found = {name for name in names if name in COSTLY}
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    ignored = {"aios3sync", "cython_runtime"}  # the latter is no file
    return frozenset(found | {name for name in foreign if name not in ignored and name[0] != "_"})


def _process(cli: CommandLine, place: Path, *arguments: str, sends: bool) -> int:
    text = PROGRAM.format(place=str(place), sends=sends)
    ended = subprocess.run(
        [sys.executable, "-c", text, "-", *arguments],
        env=cli.environment,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert not ended.stderr, ended.stderr
    return ended.returncode


@pytest.fixture
def settled(tree: Path, cli: CommandLine, bucket: Bucket, tmp_path: Path) -> tuple[str, ...]:
    """A sync that has been done, and whose rows may be trusted by their stats."""
    arguments = ("sync", str(tree), bucket.url(), "--manifest", str(tmp_path / "m.sqlite"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aios3sync.local.digest.SETTLING_NS", -int(3600e9))
        assert cli(*arguments).code == 0
    return arguments


def test_the_version_loads_nothing(offline: CommandLine, tmp_path: Path) -> None:
    assert loaded(offline, tmp_path, "--version") <= {"signal"}


@pytest.mark.parametrize("how", [[], ["-q"]], ids=str)
def test_a_sync_with_nothing_to_do(
    cli: CommandLine, settled: tuple[str, ...], tmp_path: Path, how: list[str]
) -> None:
    """No event loop, no client, no command line library.

    Nor is any text compiled: the first call of ``compile()`` takes two milliseconds, for the classes of
    syntax trees. A type variable with a bound in quotes does so.
    """
    assert loaded(cli, tmp_path, *settled, *how) <= UNCHANGED


def test_its_json_document_loads_orjson(cli: CommandLine, settled: tuple[str, ...], tmp_path: Path) -> None:
    found = loaded(cli, tmp_path, *settled, "--json") - UNCHANGED
    assert "orjson" in found
    assert not found & {"anyio", "asyncio", "click", "rich", "ssl"}


@pytest.mark.parametrize("how", [[], ["-q"]], ids=str)
def test_a_sync_that_lists_and_finds_nothing_to_do(
    cli: CommandLine, settled: tuple[str, ...], tmp_path: Path, how: list[str]
) -> None:
    """No event loop, no client, no logging."""
    assert loaded(cli, tmp_path, *settled, "--check", "list", *how) <= LISTED


@pytest.mark.parametrize("how", [[], ["-q"]], ids=str)
def test_a_sync_of_one_file(
    cli: CommandLine, settled: tuple[str, ...], tree: Path, tmp_path: Path, how: list[str]
) -> None:
    """No event loop, no client, no command line library, no logging."""
    (tree / "new").write_text("new")
    found = loaded(cli, tmp_path, *settled, *how, sends=True)
    assert found <= SENT
    assert "socket" in found


def test_a_run_that_lists(cli: CommandLine, settled: tuple[str, ...], tmp_path: Path) -> None:
    """Neither boto, nor rich, click, multiprocessing, aiofiles; the endpoint of a verbose run is shown."""
    assert loaded(cli, tmp_path, *settled, "--check", "list", "-v") <= REQUEST


@pytest.fixture
def ten(tmp_path: Path) -> str:
    """A directory of ten files."""
    for number in range(10):
        path = tmp_path / "new" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {number}")
    return str(tmp_path / "new")


def test_a_first_sync_of_ten_files(cli: CommandLine, bucket: Bucket, tmp_path: Path, ten: str) -> None:
    """No event loop, no client, no command line library, no logging."""
    found = loaded(cli, tmp_path, "sync", ten, bucket.url(), sends=True)
    assert found <= LISTED | SENT
    assert len(bucket.keys()) == 10


def test_a_run_that_sends_ten_files(cli: CommandLine, bucket: Bucket, tmp_path: Path, ten: str) -> None:
    """The endpoint of a verbose run is shown."""
    assert loaded(cli, tmp_path, "sync", ten, bucket.url(), "-v") <= REQUEST
    assert len(bucket.keys()) == 10
