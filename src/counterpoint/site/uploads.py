"""Uploads over HTTP: creation, state, and pieces that are written to the disk before they are confirmed."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from counterpoint.core.errors import IngestError
from counterpoint.site import tus
from counterpoint.site.admission import BUFFER_BYTES, MAX_DESCRIPTION_BYTES, MAX_MANIFEST_BYTES, Admission, Limits
from counterpoint.site.commits import Commits
from counterpoint.site.counters import Counters
from counterpoint.site.incoming import REFUSED, Incoming, Piece, Upload
from counterpoint.site.tus import TusError, UploadName
from counterpoint.store.episodes.adopt import wanted_files


class Uploads:
    """The tus server, for uploads that an admitted episode needs and no others.

    The caller makes sure that requests for one upload do not overlap.
    """

    def __init__(
        self, limits: Limits, incoming: Incoming, commits: Commits, admission: Admission, counters: Counters
    ) -> None:
        """Work on `incoming`."""
        self.limits = limits
        self.incoming = incoming
        self.commits = commits
        self.admission = admission
        self.counters = counters

    def options(self) -> Response:
        """Answer OPTIONS: versions and extensions of this server."""
        headers = {
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
            "Tus-Max-Size": str(self.limits.site_bytes_in_flight),
        }
        return Response(status_code=204, headers=headers)

    async def create(self, request: Request, site: str, name: UploadName) -> Response:
        """Answer POST: 201 with the location and state of the upload."""
        length = tus.parse_count(request.headers, "Upload-Length")
        if length > self.limits.site_bytes_in_flight:
            raise TusError(413, f"Upload-Length: at most {self.limits.site_bytes_in_flight}, got {length}")
        if (self.incoming.folder(site, name.episode) / REFUSED).is_file():
            raise TusError(409, "this episode was refused; POST /commit returns the reason")
        if name.is_manifest:
            if length > MAX_MANIFEST_BYTES:
                raise TusError(413, f"Upload-Length: a manifest has at most {MAX_MANIFEST_BYTES} bytes, got {length}")
            self.admission.open(site, name.episode)
        else:
            await run_in_threadpool(self._check_expected, site, name, length)
        upload, is_new = await run_in_threadpool(self.incoming.create, site, name, length)
        self.counters.add("uploads_created_total", int(is_new))
        location = f"/uploads/{name.episode}/{name.sha256}"
        return Response(status_code=201, headers={"Location": location, **self.state_headers(upload)})

    def _check_expected(self, site: str, name: UploadName, length: int) -> None:
        """Accept only files in an admitted episode's manifest, with the sizes stated there."""
        try:
            info = self.commits.manifest(site, name.episode)
        except IngestError as error:
            raise TusError(
                409, "the manifest of this episode cannot be used; POST /commit returns the reason"
            ) from error
        if info is None or not self.admission.is_admitted(site, name.episode):
            raise TusError(409, "send the manifest first, then POST /commit, which lists the missing files")
        wanted = [each for each in wanted_files(self.commits.root, info) if each.sha256 == name.sha256]
        if not wanted:
            raise TusError(409, "the episode does not need this file")
        if wanted[0].bytes is None:
            if length > MAX_DESCRIPTION_BYTES:
                raise TusError(413, f"Upload-Length: a description has at most {MAX_DESCRIPTION_BYTES} bytes")
        elif wanted[0].bytes != length:
            raise TusError(400, f"Upload-Length: expected {wanted[0].bytes}, the size in the manifest, got {length}")

    async def patch(self, request: Request, site: str, name: UploadName) -> Response:
        """Answer PATCH: 204 with the offset that is on the disk."""
        if request.headers.get("Content-Type") != tus.CONTENT_TYPE:
            raise TusError(415, f"Content-Type: expected {tus.CONTENT_TYPE}")
        offset = tus.parse_count(request.headers, "Upload-Offset")
        checksum = tus.parse_checksum(request.headers.get("Upload-Checksum"))
        upload = await run_in_threadpool(self.incoming.get, site, name)
        if offset != upload.offset:
            raise TusError(409, f"Upload-Offset: expected {upload.offset}, the upload's current offset, got {offset}")
        announced = tus.parse_count(request.headers, "Content-Length") if "Content-Length" in request.headers else 0
        if offset + announced > upload.length:
            raise TusError(413, f"more bytes than Upload-Length {upload.length}")
        piece = await run_in_threadpool(Piece, upload, checksum)
        try:
            whole = await self._stream(request, piece)
            reached = await run_in_threadpool(piece.keep, whole=whole)
        except TusError as error:
            self.counters.add("checksum_mismatches_total", int(error.status == tus.CHECKSUM_MISMATCH))
            raise
        finally:
            await run_in_threadpool(piece.close)
        self.counters.add("bytes_confirmed_total", reached - offset)
        headers = {"Upload-Offset": str(reached), "Upload-Expires": self._expires(upload)}
        return Response(status_code=204, headers=headers)

    async def _stream(self, request: Request, piece: Piece) -> bool:
        """Write the body to the disk; return whether it is complete. TusError 408 where it is too slow."""
        buffer = bytearray()
        chunks = request.stream()
        try:
            async with asyncio.timeout(self.limits.request_timeout_s):
                while True:
                    async with asyncio.timeout(self.limits.body_timeout_s):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    self.counters.add("bytes_received_total", len(chunk))
                    buffer += chunk
                    if len(buffer) >= BUFFER_BYTES:
                        await run_in_threadpool(piece.write, bytes(buffer))
                        buffer.clear()
        except TimeoutError as error:
            raise TusError(408, "the body arrived too slowly; send a smaller piece") from error
        except ClientDisconnect:
            self.counters.add("disconnects_total")
            await run_in_threadpool(piece.write, bytes(buffer))
            return False
        await run_in_threadpool(piece.write, bytes(buffer))
        return True

    def state_headers(self, upload: Upload) -> dict[str, str]:
        """Return the headers with the state of an upload."""
        return {
            "Upload-Offset": str(upload.offset),
            "Upload-Length": str(upload.length),
            "Upload-Metadata": tus.metadata_header(upload.name),
            "Upload-Expires": self._expires(upload),
            "Cache-Control": "no-store",
        }

    def _expires(self, upload: Upload) -> str:
        return formatdate(upload.touched_s + self.limits.expire_s, usegmt=True)
