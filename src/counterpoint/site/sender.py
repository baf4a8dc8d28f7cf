"""The sender's side of one receiver: requests that are retried until they succeed.

Temporary failures (a dead link, a full receiver, a damaged piece) are retried; permanent ones (a wrong token, a server
that is not a receiver) raise SiteError at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urljoin

import httpx

from counterpoint.core.errors import SiteError, StoreError
from counterpoint.site import tus
from counterpoint.site.pacing import Backoff, Bandwidth, PieceSize
from counterpoint.site.tus import UploadName

logger = logging.getLogger(__name__)

RETRYABLE = frozenset({408, 423, 425, 429, 460, 500, 502, 503, 504, 507})
"""Statuses after which the same request may succeed later."""
MAX_UNEXPECTED = 5
"""Consecutive unexpected answers, as after a request damaged in transfer, before the sender gives up."""
LONGEST_RETRY_AFTER_S = 60.0


@dataclass
class TransferStats:
    """Transfer statistics of a sender, in payload bytes (without headers and TLS)."""

    needed_bytes: int = 0
    """Bytes that the receiver did not have when the sender first asked."""
    sent_bytes: int = 0
    """Bytes sent, whether they arrived or not."""
    confirmed_bytes: int = 0
    """Bytes that the receiver confirmed as written to its disk."""
    confirmed_again_bytes: int = 0
    """Confirmed bytes that had to be sent again because the receiver lost or expired an upload; normally 0."""
    retries: int = 0
    requests: int = 0

    @property
    def sent_ratio(self) -> float:
        """Sent divided by needed bytes: 1 where nothing was lost."""
        return self.sent_bytes / self.needed_bytes if self.needed_bytes else 1.0


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A file that the receiver needs to commit an episode."""

    sha256: str
    name: str


@dataclass(frozen=True, kw_only=True)
class CommitAnswer:
    """The receiver's answer about an episode."""

    state: Literal["committed", "already", "open", "refused"]
    message: str = ""
    missing: tuple[Missing, ...] = ()
    spoilt: tuple[str, ...] = ()
    """Hashes of files that arrived with content other than the manifest says."""


def parse_answer(response: httpx.Response) -> CommitAnswer:
    """Read an answer to POST /commit; raises ValueError, KeyError or TypeError where it is none."""
    if response.status_code == 413:
        return CommitAnswer(state="refused", message=f"too_large: {response.text[:200].strip()}")
    body = response.json()
    match response.status_code, body["state"]:
        case 201, "committed":
            return CommitAnswer(state="committed")
        case 200, "already":
            return CommitAnswer(state="already")
        case 422, "refused":
            return CommitAnswer(state="refused", message=f"{body['reason']}: {body['message']}")
        case 409, "open":
            missing = tuple(Missing(sha256=str(each["sha256"]), name=str(each["name"])) for each in body["missing"])
            return CommitAnswer(state="open", missing=missing, spoilt=tuple(map(str, body["spoilt"])))
        case _:
            raise ValueError("not an answer of a receiver")


class OnBytes(Protocol):
    """Called with the number of bytes that were confirmed."""

    def __call__(self, count: int, /) -> None:
        """Handle it."""


class RetryableError(Exception):
    """A request failed but may succeed later."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        """Keep the cause and how long the receiver asks to wait."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StaleUploadError(Exception):
    """The receiver does not know this upload's episode, or no longer; ask it what it needs."""


class Sender:
    """Talks to the receiver at `target`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        target: str,
        bandwidth: Bandwidth,
        piece: PieceSize,
        backoff: Backoff,
        on_bytes: OnBytes = lambda count: None,
    ) -> None:
        """Use `client`, which carries the token and the timeouts."""
        self.stats = TransferStats()
        self._client = client
        self._target = target.rstrip("/") + "/"
        self._bandwidth = bandwidth
        self._piece = piece
        self._backoff = backoff
        self._on_bytes = on_bytes
        self._reached: dict[UploadName, int] = {}
        self._unexpected = 0
        self._is_greeted = False

    async def greet(self) -> None:
        """Check that a receiver answers and accepts the token; raises SiteError."""
        response = await self._patiently("OPTIONS", "uploads")
        versions = response.headers.get("Tus-Version", "")
        if response.status_code != 204 or tus.VERSION not in versions.split(","):
            raise SiteError(
                f"{self._target}: expected 'counterpoint site receive' there, got HTTP {response.status_code}"
            )
        self._is_greeted = True
        self._good()

    async def commit(self, episode_id: str, manifest_sha256: str) -> CommitAnswer:
        """Ask the receiver to commit an episode; raises StoreError where its answers make no sense."""
        body = {"episode_id": episode_id, "manifest_sha256": manifest_sha256}
        while True:
            response = await self._patiently("POST", "commit", json=body)
            try:
                answer = parse_answer(response)
            except (ValueError, KeyError, TypeError):
                await self._wait(self._unexpected_answer(response))
            else:
                self._good()
                return answer

    async def upload(self, name: UploadName, path: Path) -> None:
        """Send a file from the receiver's offset on, until every byte is confirmed.

        Raises:
            StoreError: the file is missing or refused.
            SiteError: no request has succeeded for too long.
        """
        try:
            length = path.stat().st_size
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
        while True:
            try:
                url, offset = await self._create(name, length)
                self._note_offset(name, offset, length)
                while offset < length:
                    offset = await self._send_piece(url, name, path, offset)
                self._reached.pop(name, None)
                return
            except RetryableError as error:
                await self._wait(error)

    async def _create(self, name: UploadName, length: int) -> tuple[str, int]:
        headers = {"Upload-Length": str(length), "Upload-Metadata": tus.metadata_header(name)}
        response = await self._patiently("POST", "uploads", headers=headers)
        if response.status_code == 409:
            raise StaleUploadError(response.text[:200].strip())
        url = urljoin(str(response.url), response.headers.get("Location", ""))
        state = response if "Upload-Offset" in response.headers else await self._patiently("HEAD", url)
        offset, stated = state.headers.get("Upload-Offset", ""), state.headers.get("Upload-Length")
        if response.status_code != 201 or not offset.isdigit() or stated != str(length):
            raise self._unexpected_answer(response)
        self._good()
        return url, int(offset)

    def _note_offset(self, name: UploadName, offset: int, length: int) -> None:
        known = self._reached.get(name)
        if known is None:
            self.stats.needed_bytes += length - offset
            self._on_bytes(offset)
        elif offset < known:
            self.stats.confirmed_again_bytes += known - offset
            self._on_bytes(offset - known)
        elif offset > known:  # the answer was lost, not the bytes
            self.stats.confirmed_bytes += offset - known
            self._on_bytes(offset - known)
        self._reached[name] = offset

    async def _send_piece(self, url: str, name: UploadName, path: Path, offset: int) -> int:
        data = await asyncio.to_thread(_read, path, offset, self._piece.bytes)
        headers = {
            "Content-Type": tus.CONTENT_TYPE,
            "Content-Length": str(len(data)),
            "Upload-Offset": str(offset),
            "Upload-Checksum": tus.checksum_header(data),
        }
        try:
            response = await self._try("PATCH", url, headers=headers, content=lambda: self._metered(data))
            reached = response.headers.get("Upload-Offset", "")
            if response.status_code != 204 or not reached.isdigit():
                raise self._unexpected_answer(response)
        except RetryableError:
            self._piece.shrink()
            raise
        self._piece.grow()
        self._good()
        self._note_offset(name, int(reached), int(reached))
        return int(reached)

    async def _metered(self, data: bytes) -> AsyncIterator[bytes]:
        size = self._bandwidth.slice_bytes
        for first in range(0, len(data), size):
            slice_ = data[first : first + size]
            await self._bandwidth.take(len(slice_))
            self.stats.sent_bytes += len(slice_)
            yield slice_

    async def _patiently(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, json: dict[str, str] | None = None
    ) -> httpx.Response:
        """Repeat a request without a payload until it succeeds."""
        while True:
            try:
                response = await self._try(method, url, headers=headers, json=json)
            except RetryableError as error:
                await self._wait(error)
            else:
                self._backoff.good()
                return response

    async def _try(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        json: dict[str, str] | None = None,
        content: Callable[[], AsyncIterator[bytes]] | None = None,
    ) -> httpx.Response:
        """Make a request once; RetryableError where it may succeed later, SiteError where it never will."""
        self.stats.requests += 1
        try:
            response = await self._client.request(
                method,
                urljoin(self._target, url),
                headers={"Tus-Resumable": tus.VERSION, **(headers or {})},
                json=json,
                content=None if content is None else content(),
            )
        except httpx.UnsupportedProtocol as error:
            raise SiteError(f"{self._target}: expected an address such as https://HOST:PORT") from error
        except httpx.TransportError as error:
            raise RetryableError(f"{type(error).__name__}: {error}") from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise SiteError(f"{self._target}: not an address ({error}); expected https://HOST:PORT") from error
        if response.status_code in (401, 403):
            if self._unexpected < (
                MAX_UNEXPECTED if self._is_greeted else 2
            ):  # the request may have been damaged in transfer
                raise self._unexpected_answer(response)
            raise SiteError(
                f"{self._target}: the receiver does not know this token (HTTP {response.status_code}); "
                "ask its operator for one: counterpoint site token NAME"
            )
        if response.status_code in RETRYABLE:
            raise RetryableError(
                f"HTTP {response.status_code}: {response.text[:200].strip()}", _retry_after_s(response)
            )
        return response

    def _good(self) -> None:
        self._backoff.good()
        self._unexpected = 0

    def _unexpected_answer(self, response: httpx.Response) -> RetryableError:
        """Return the error for an unexpected answer; raises StoreError after too many in a row."""
        self._unexpected += 1
        said = f"HTTP {response.status_code}: {response.text[:200].strip()}"
        if self._unexpected > MAX_UNEXPECTED:
            self._unexpected = 0
            raise StoreError(f"{self._target}: expected an answer of 'counterpoint site receive', got {said}")
        return RetryableError(said)

    async def _wait(self, error: RetryableError) -> None:
        if error.retry_after_s:
            self._backoff.good()  # the receiver is alive and asks to wait, so the link is not dead
        if self._backoff.is_over():
            raise SiteError(
                f"{self._target}: no request has succeeded for {self._backoff.patience_s:g} s (last: {error}). Is "
                "'counterpoint site receive' running there? Re-running the command resumes after the confirmed bytes"
            ) from error
        wait_s = self._backoff.next_wait_s(error.retry_after_s)
        self.stats.retries += 1
        is_news = self._backoff.failures == (4 if self._is_greeted else 1) and not error.retry_after_s
        level = logging.WARNING if is_news else logging.DEBUG
        logger.log(level, "%s: %s; retrying", self._target, error)
        await asyncio.sleep(wait_s)


def _read(path: Path, offset: int, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(count)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    if not data:
        raise StoreError(f"{path}: the file has become shorter; committed episodes must not change")
    return data


def _retry_after_s(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return min(LONGEST_RETRY_AFTER_S, float(value)) if value.isdigit() else 0.0
