"""MultipartVerbs: the operations of multipart uploads on the wire transport."""

from __future__ import annotations

from collections.abc import Sequence

from aios3sync.errors import ObjectNotFoundError
from aios3sync.store.protocol import Body, CopySource, ListedPart, ListedUpload, PutOptions, PutResult
from aios3sync.store.s3.answers import distinct_parts
from aios3sync.store.s3.errors import InvalidAnswerError
from aios3sync.store.s3.markers import NO_WAY_ON
from aios3sync.store.s3.objects import range_header
from aios3sync.store.s3.parameters import checksum_member
from aios3sync.store.wire import multipart_requests as requests
from aios3sync.store.wire.bucket_client import BucketClient

__all__ = ("MultipartVerbs",)


class MultipartVerbs(BucketClient):
    """The operations of multipart uploads; modules that read XML are loaded when they are needed."""

    async def create_multipart(self, key: str, options: PutOptions) -> str:
        """Begin a multipart upload with CreateMultipartUpload."""
        from aios3sync.store.wire.xml_results import upload_id

        with self._valid("CreateMultipartUpload", key):
            request = requests.create_upload(key, options)
        answer = await self._document(request)
        with self._whole(request):
            return upload_id(answer)

    async def put_part(
        self, key: str, upload_id: str, number: int, body: Body, options: PutOptions, *, md5: bytes
    ) -> PutResult:
        """Store one part with one UploadPart."""

        async def put(sha256: str) -> PutResult:
            with self._valid("UploadPart", key):
                request = requests.put_part(key, upload_id, number, body, options, md5=md5, sha256=sha256)
            result = self._verified(request, await self._ask(request), md5)
            sent = request.template.constant.get(f"x-amz-checksum-{options.checksum}", "")
            return result._replace(checksum=sent)

        protected = bool(md5) and self._route.pool.protected
        return await self._payloads.send(body, put, protected=protected)

    async def copy_part(
        self, source: CopySource, key: str, upload_id: str, number: int, options: PutOptions
    ) -> PutResult:
        """Store one part with one UploadPartCopy."""
        from aios3sync.store.wire.xml_results import copied_part

        with self._valid("UploadPartCopy", key):
            parameters = self._requests.paid | self._requests.source(self._bucket, source)
            parameters["CopySourceRange"] = range_header(source.start, source.length)
            request = requests.copy_part(key, upload_id, number, parameters, options)
        answer = await self._document(request)
        with self._whole(request):
            return copied_part(answer)

    async def complete_multipart(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], options: PutOptions
    ) -> PutResult:
        """Join the parts with CompleteMultipartUpload; missing checksums are requested by ListParts."""
        from aios3sync.store.wire.xml_results import completed

        if options.checksum and not all(part.checksum for part in parts):
            parts = await self._with_checksums(key, upload_id, parts, checksum_member(options.checksum))
        with self._valid("CompleteMultipartUpload", key):
            request = requests.complete_upload(key, upload_id, parts, options)
        answer = await self._document(request)
        with self._whole(request):
            return completed(answer)

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload with AbortMultipartUpload."""
        with self._valid("AbortMultipartUpload", key):
            request = requests.abort_upload(key, upload_id, self._requests.paid)
        try:
            await self._document(request)
        except ObjectNotFoundError:
            return

    async def list_parts(self, key: str, upload_id: str) -> list[ListedPart]:
        """List all parts, with as many ListParts as their pages need."""
        return distinct_parts([part for part, _ in await self._stored(key, upload_id)])

    async def list_multiparts(self, prefix: str) -> list[ListedUpload]:
        """List all unfinished uploads, with as many ListMultipartUploads as their pages need.

        Encoded keys are requested only from AWS: SeaweedFS claims that it encodes them, but does not.
        """
        from aios3sync.store.wire.xml_results import uploads_page

        encoded = self._capabilities.sorted_listing
        uploads: list[ListedUpload] = []
        markers = ("", "")
        visited = {markers}
        while True:
            with self._valid("ListMultipartUploads"):
                request = requests.list_uploads(prefix, markers, self._requests.paid, encoded=encoded)
            answer = await self._document(request)
            with self._whole(request):
                page = uploads_page(answer)
                uploads += page.uploads
                if page.markers is None:
                    return uploads
                if page.markers in visited:
                    raise InvalidAnswerError(NO_WAY_ON)
            markers = page.markers
            visited.add(markers)

    async def _stored(self, key: str, upload_id: str) -> list[tuple[ListedPart, dict[str, str]]]:
        """Return all parts as they are listed, each with its checksums by the name of the member."""
        from aios3sync.store.wire.xml_results import parts_page

        stored: list[tuple[ListedPart, dict[str, str]]] = []
        marker = 0
        while True:
            with self._valid("ListParts", key):
                request = requests.list_parts(key, upload_id, marker, self._requests.reading)
            answer = await self._document(request)
            with self._whole(request):
                page = parts_page(answer, marker)
            stored += page.parts
            marker = page.marker
            if not marker:
                return stored

    async def _with_checksums(
        self, key: str, upload_id: str, parts: Sequence[ListedPart], member: str
    ) -> list[ListedPart]:
        """Return the parts with their checksums, where the endpoint still knows them."""
        stored = await self._stored(key, upload_id)
        known = {part.number: checksums.get(member, "") for part, checksums in stored}
        return [
            part if part.checksum else part._replace(checksum=known.get(part.number, "")) for part in parts
        ]
