"""The program of an upload process: reads, signs and sends the files of its jobs."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from typing import Any

from aios3sync.core.media_types import is_utf8
from aios3sync.core.metadata import rclone_mtime
from aios3sync.local.read import read_same
from aios3sync.processes.connection import WorkerConnection, parse_stored, refusal_code, status_of
from aios3sync.processes.job_process import JobProcess, SentJob, serve
from aios3sync.processes.messages import NOT_UTF8, UNSENT, HeaderTemplateMessage
from aios3sync.processes.protocol import UploadJob
from aios3sync.store.wire.requests import MAX_XML, HeaderTemplate, HttpRequest, object_path
from aios3sync.store.wire.sigv4 import moment

__all__ = ("UploadProcess", "main")


class _HeaderTemplate:
    """A header template, ready for use."""

    def __init__(self, message: HeaderTemplateMessage) -> None:
        self.headers = HeaderTemplate(message.constant, message.varying)
        self.metadata, self.mtime, self.md5 = [*message.metadata], message.mtime, message.md5
        self.utf8 = message.utf8


class UploadProcess(JobProcess):
    """Sends the files of jobs until its input is closed; see :class:`JobProcess`."""

    def __init__(self, input_pipe: int, output_pipe: int) -> None:
        super().__init__(input_pipe, output_pipe)
        self._templates: dict[int, _HeaderTemplate] = {}

    def _set_up(self, rest: list[Any]) -> None:
        template = HeaderTemplateMessage(*rest)
        self._templates[template.number] = _HeaderTemplate(template)

    def _send(self, connection: WorkerConnection, number: int, job: Any) -> None:
        job = UploadJob._make(job)
        began = time.monotonic()
        try:
            found = read_same(job.place, job[3:])
        except Exception:  # noqa: BLE001 - the session reports what is wrong with this file
            found = None
        self._note_storage(time.monotonic() - began, 1)
        if found is None:
            self._idle.append(connection)
            self._results.append((number, UNSENT, "the file is not as it was", 0.0))
            return
        body, started_ns = found
        if self._templates[job.template].utf8 and not is_utf8(body):
            self._idle.append(connection)
            self._results.append((number, UNSENT, NOT_UTF8, 0.0))
            return
        md5, sha256 = hashlib.md5(body, usedforsecurity=False).digest(), hashlib.sha256(body).hexdigest()
        try:
            head = self._head(job, body, md5, sha256)
        except Exception:  # noqa: BLE001 - the session reports what is wrong with this file
            self._idle.append(connection)
            self._results.append((number, UNSENT, "the request cannot be written", 0.0))
            return
        self._request(connection, SentJob(number, job, (md5, started_ns, sha256)), head + body)

    def _head(self, job: UploadJob, body: bytes, md5: bytes, sha256: str) -> bytes:
        """Return the signed request head of a job."""
        template = self._templates[job.template]
        digest, metadata = b64encode(md5).decode("ascii"), template.metadata
        metadata[template.mtime] = rclone_mtime(job.mtime_ns)
        if template.md5 >= 0:
            metadata[template.md5] = digest
        values = (digest, sha256, *metadata)
        path = object_path(job.key)
        request = HttpRequest(
            "PutObject", job.key, "PUT", path, "", template.headers, values, sha256, body, True, MAX_XML
        )
        return self._route.heads.head(request, moment(int(time.time() + self._skew)))

    def _on_response(self, sent: SentJob, head: bytes, seconds: float) -> bool:
        response = parse_stored(head)
        if response is None:
            self._results.append((sent.number, status_of(head), refusal_code(head), seconds))
            return False
        facts = (response.etag, response.encryption, response.version_id)
        self._results.append((sent.number, *sent.facts, *facts, seconds))
        return response.reusable


def main() -> None:
    """Serve standard input until it is closed."""
    serve(UploadProcess)
