"""The messages between the coordinator and the nodes, and the Executor that carries them.

A *node* is one process that works on shards, on whatever machine. No message holds a credential: each node
finds its own, as does the process that began the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aios3sync._dataclass import dataclass, field
from aios3sync._namedtuple import NamedTuple
from aios3sync.distributed.leases import Lease, NodeUse
from aios3sync.distributed.tokens import Token
from aios3sync.manifest.layers import Layer
from aios3sync.manifest.protocol import Binding, ManifestState
from aios3sync.options import ConnectOptions
from aios3sync.sync.request import SyncRequest

if TYPE_CHECKING:
    from aios3sync.index.rows import Facts
    from aios3sync.sync.resources import Inspect

__all__ = (
    "AttemptChanges",
    "Executor",
    "NodeMessage",
    "NodeReport",
    "NodeSetup",
    "SentChanges",
    "ShardFile",
    "ShardOutcome",
    "ShardTask",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSetup:
    """What a node needs to know of a run.

    Attributes:
        run: a random name of the run.
        connect: how to reach S3.
        endpoint: the name of the endpoint.
        source_connect: how to reach the source of a copy, if not in the same way.
        neighbours: number of nodes on the same machine, this one included, which share its cores.
        wants_events: whether the caller listens.
        tokens: what a node must see before it works.
        follows: whether an object index takes the changes.
        inspect, inspected: see :class:`~aios3sync.sync.resources.Resources`; functions of modules.
    """

    run: str
    connect: ConnectOptions
    endpoint: str
    source_connect: ConnectOptions | None = None
    neighbours: int = 1
    wants_events: bool = True
    tokens: tuple[Token, ...] = ()
    follows: bool = False
    inspect: Inspect | None = None
    inspected: Callable[[str], bool] | None = None


class SentChanges(NamedTuple):
    """Changes of the bucket, for the object index, that an ``attempt`` at a step has made."""

    attempt: str
    changes: Sequence[Facts]


class AttemptChanges(NamedTuple):
    """What an attempt at a step has changed in the bucket, when it has ended.

    Attributes:
        attempt: a random name.
        number: of the attempt at its step, from 1.
        total: how many changes.
        rest: those of them that no exchange has taken.
        trouble: why there are more that nobody knows; empty where there are none.
    """

    attempt: str
    number: int
    total: int
    rest: Sequence[Facts]
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMessage:
    """What the coordinator sends to a node, several times a second.

    Attributes:
        setup: of the run, for a node that does not know it yet.
        lease: what the node may use.
        stop: the number of the signal that requests a stop; 0 for none.
        events: how many events of single keys the report may hold.
        changes: how many changes for the index the report may hold.
    """

    setup: NodeSetup
    lease: Lease
    stop: int = 0
    events: int = 0
    changes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """The answer of a node.

    Attributes:
        use: what it uses of its lease.
        counts: what it has done since the last report, see :class:`~aios3sync.events.NodesReported`.
        events: events of single keys, each as its class and its fields.
        changes: of the bucket, where an index takes them.
    """

    use: NodeUse
    counts: Mapping[str, int] = field(default_factory=dict)
    events: Sequence[tuple[type, tuple[Any, ...]]] = ()
    changes: Sequence[SentChanges] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFile:
    """Where the rows of a shard are read and written.

    Attributes:
        directory: of the files; where they are objects an address, and the layers are then names.
        name: of the layer that is written; each attempt at the shard makes a file of its own.
        binding: the pair.
        state: of the manifest as a whole, as the run found it.
        layers: the files below.
        first, end: the range of the shard.
    """

    directory: str
    name: str
    binding: Binding
    state: ManifestState
    layers: tuple[Layer, ...] = ()
    first: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """One step of one shard, for any node.

    Attributes:
        setup: of the run.
        step: ``survey`` before anything is sent, ``compare`` with its transfers, ``delete``, ``finish``.
        number: of the shard.
        request: the sync, with the range of the shard.
        file: of the manifest of the shard.
        held: of the deletes of the shard: the file that the comparison writes, and that the deletes are read
            from.
        held_content: of that file, packed, where a dry run stores none.
        lookalikes: of the deletes: names that stay.
    """

    setup: NodeSetup
    step: str
    number: int
    request: SyncRequest
    file: ShardFile
    held: str = ""
    held_content: bytes = b""
    lookalikes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOutcome:
    """How a step ended.

    Attributes:
        number: of the shard.
        value: a SourceSurvey, a ShardResult or, of the other steps, a SyncReport.
        error: an error that would end the step on every node; ``None`` where it ended well.
        path: the file of the manifest, closed; empty where none was written. Where files are objects, this is
            a name, and so are ``held`` and the error file of a report.
        written: whether it has rows, or hides some.
        whole: whether it needs none of the layers below it.
        state: of that manifest.
        held: the file with the deletes that were held.
        held_content: of that file, packed, where a dry run stores none.
        requests: for the files of the manifest, of this node since its last outcome.
        changes: of the bucket, where an index takes them.
    """

    number: int
    value: Any = None
    error: Exception | None = None
    path: str = ""
    written: bool = False
    whole: bool = False
    state: ManifestState = field(default_factory=ManifestState)
    held: str = ""
    held_content: bytes = b""
    requests: Mapping[str, int] = field(default_factory=dict)
    changes: AttemptChanges | None = None


class Executor(Protocol):
    """Carries messages to nodes, and runs steps of shards on any of them."""

    async def nodes(self) -> Mapping[str, str]:
        """Return the names of the current nodes, each with the name of its machine."""
        ...

    async def ask(self, function: Callable[[Any], Any], messages: Mapping[str, Any]) -> Mapping[str, Any]:
        """Call a function of a module on nodes at once, even while they work; it must return quickly.

        Returns:
            The answer of each node; nodes that are gone are left out.
        """
        ...

    def run(self, function: Callable[[Any], Any], argument: Any, name: str) -> Awaitable[Any]:
        """Call a function on any node, and again on another node if that one dies or the call fails.

        Raises:
            ClusterError: it failed too often.
        """
        ...
