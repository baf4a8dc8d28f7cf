"""The receiver: a Starlette application that speaks tus 1.0.0 and commits complete episodes.

    OPTIONS|POST /uploads   HEAD|PATCH|DELETE /uploads/EPISODE/SHA256      tus
    POST /commit {"episode_id", "manifest_sha256"}   201 committed, 200 already, 409 open: what is missing, 422 refused
    GET /healthz   GET /metrics                        no token needed

Memory is bounded by a few hundred kB per request in progress; blocking calls run in threads.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from counterpoint.core.errors import IngestError, StoreError
from counterpoint.site import tus
from counterpoint.site.admission import MAX_DESCRIPTION_BYTES, Admission, Limits
from counterpoint.site.commits import CommitResult, Commits
from counterpoint.site.counters import Counters
from counterpoint.site.incoming import REFUSED, Incoming
from counterpoint.site.tokens import Tokens
from counterpoint.site.tus import TusError
from counterpoint.site.uploads import Uploads
from counterpoint.store.files.layout import create_store

logger = logging.getLogger(__name__)

MAX_COMMIT_BYTES = 8 << 10
DRAIN_BYTES = 16 << 20
"""A refused request is read up to this size, so that the sender sees the answer; longer ones are cut off."""
SWEEP_S = 60.0
COMMITS_AT_ONCE = 2
"""Each commit checks one `streams.parquet` in memory."""
STATUS = {"committed": 201, "already": 200, "open": 409, "refused": 422}

Handler = Callable[[Request, str], Awaitable[Response]]


class Receiver:
    """The state of one receiving process.

    Raises:
        StoreError: `root` is not a store and cannot become one.
        SiteError: another receiver is using this store.
    """

    def __init__(self, root: Path, tokens: Tokens, limits: Limits) -> None:
        """Open the store, creating it if needed, and continue what an earlier process left."""
        create_store(root)
        self.tokens = tokens
        self.limits = limits
        self.counters = Counters()
        self.incoming = Incoming(root, limits.expire_s)
        self.commits = Commits(root, self.incoming)
        self.admission = Admission(root, limits)
        self.transfers = Uploads(limits, self.incoming, self.commits, self.admission, self.counters)
        self._busy: set[tuple[str, str]] = set()
        self._committing = asyncio.Semaphore(COMMITS_AT_ONCE)
        for site, episode in self.incoming.episodes():
            self._restore(site, episode)

    def app(self) -> Starlette:
        """Return the application."""
        routes = [
            Route("/uploads", self._answering(self._uploads), methods=["OPTIONS", "POST"]),
            Route(
                "/uploads/{episode}/{sha256}",
                self._answering(self._upload),
                methods=["HEAD", "PATCH", "DELETE", "POST"],
            ),
            Route("/commit", self._answering(self._commit), methods=["POST"]),
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    async def healthz(self, request: Request) -> Response:
        """Say that the receiver is alive."""
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        """Return counters in the Prometheus text format; they do not name sites."""
        gauges = {
            "bytes_in_flight": self.admission.bytes_in_flight,
            "open_episodes": self.admission.open_episodes,
            "active_sites": self.admission.active_sites,
            "throttled_total": self.admission.throttled,
        }
        return PlainTextResponse(self.counters.to_text(gauges))

    async def _uploads(self, request: Request, site: str) -> Response:
        """Answer OPTIONS and POST (creation)."""
        if request.method == "OPTIONS":
            return self.transfers.options()
        name = tus.parse_metadata(request.headers.get("Upload-Metadata", ""))
        with self._alone(site, name.sha256 + name.episode):
            return await self.transfers.create(request, site, name)

    async def _upload(self, request: Request, site: str) -> Response:
        """Answer HEAD, PATCH and DELETE; POST with X-HTTP-Method-Override stands for another method."""
        name = tus.parse_name(request.path_params["episode"], request.path_params["sha256"])
        method = request.headers.get("X-HTTP-Method-Override", request.method)
        if method == "HEAD":
            upload = await run_in_threadpool(self.incoming.get, site, name)
            return Response(status_code=200, headers=self.transfers.state_headers(upload))
        with self._alone(site, name.sha256 + name.episode):
            match method:
                case "PATCH":
                    return await self.transfers.patch(request, site, name)
                case "DELETE":
                    await run_in_threadpool(self.incoming.get, site, name)
                    await run_in_threadpool(self.incoming.drop, site, name)
                    return Response(status_code=204)
                case _:
                    raise TusError(405, f"method {method[:20]} is not allowed here")

    async def _commit(self, request: Request, site: str) -> Response:
        episode_id, episode = await self._commit_body(request)
        with self._alone(site, episode):
            async with self._committing:
                outcome = await run_in_threadpool(self.commits.commit, site, episode, episode_id)
        self.counters.add("spoilt_files_total", len(outcome.spoilt))
        if outcome.needs_bytes:
            self._admit(site, episode, outcome)
        if outcome.state != "open":
            self.admission.release(site, episode)
            self.counters.add(f"episodes_{outcome.state}_total")
        return JSONResponse(outcome.to_dict(), status_code=STATUS[outcome.state])

    def _admit(self, site: str, episode: str, outcome: CommitResult) -> None:
        descriptions = sum(MAX_DESCRIPTION_BYTES for each in outcome.missing if each.bytes is None)
        self.admission.admit(site, episode, outcome.needs_bytes + descriptions)

    def _answering(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._answer(request, handler)

        return endpoint

    async def _answer(self, request: Request, handler: Handler) -> Response:
        """Check the version and the token, count the request, and turn errors into exact statuses."""
        self.counters.add("requests_total")
        is_tus = request.method != "OPTIONS" and request.url.path != "/commit"
        try:
            if is_tus and request.headers.get("Tus-Resumable") != tus.VERSION:
                raise TusError(412, f"Tus-Resumable: expected {tus.VERSION}")
            with self._entered(request) as site:
                response = await handler(request, site)
        except TusError as error:
            response = _refusal(error)
        except ClientDisconnect:
            response = Response(status_code=400)  # the client is gone
        except (StoreError, OSError) as error:
            logger.error("%s %s: %s", request.method, request.url.path, error)
            response = _refusal(TusError(503, "the receiver cannot write to its disk", retry_after_s=5))
        if response.status_code >= 400:
            self.counters.add(f"status_{response.status_code}_total")
            if response.status_code == 408 or _unread_bytes(request) > DRAIN_BYTES:
                response.headers["Connection"] = "close"
        response.headers["Tus-Resumable"] = tus.VERSION
        return response

    async def _commit_body(self, request: Request) -> tuple[str, str]:
        data = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_timeout_s):
                async for chunk in request.stream():
                    data += chunk
                    if len(data) > MAX_COMMIT_BYTES:
                        raise TusError(413, f"expected at most {MAX_COMMIT_BYTES} bytes")
            raw = json.loads(data)
            episode_id, episode = raw["episode_id"], raw["manifest_sha256"]
            assert isinstance(episode_id, str)
            assert isinstance(episode, str)
            episode_id.encode()
        except TimeoutError as error:
            raise TusError(408, "the body arrived too slowly") from error
        except (ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
            raise TusError(400, 'expected {"episode_id": "...", "manifest_sha256": "..."}') from error
        return episode_id, tus.parse_name(episode, episode).episode

    @contextmanager
    def _entered(self, request: Request) -> Iterator[str]:
        """Find the site of the request's token and count the request; TusError 401, 429 or 503."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        site = self.tokens.site_of(token.strip()) if scheme.lower() == "bearer" else None
        if site is None:
            self.counters.add("unauthorized_total")
            raise TusError(401, "unknown token; the receiver's operator creates one with: counterpoint site token NAME")
        with self.admission.request(site):
            yield site

    @contextmanager
    def _alone(self, site: str, what: str) -> Iterator[None]:
        """Lock an upload or an episode for one request at a time; TusError 423 for others."""
        if (site, what) in self._busy:
            raise TusError(423, "another request is using this; try again", retry_after_s=1)
        self._busy.add((site, what))
        try:
            yield
        finally:
            self._busy.discard((site, what))

    def _restore(self, site: str, episode: str) -> None:
        size = 0
        with suppress(IngestError):
            if info := self.commits.manifest(site, episode):
                size = info.num_bytes
        if not (self.incoming.folder(site, episode) / REFUSED).is_file():
            self.admission.restore(site, episode, size)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(self._sweep_forever())
        yield
        sweeping.cancel()
        self.commits.close()

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(min(SWEEP_S, self.limits.expire_s))
            await self.sweep()

    async def sweep(self) -> int:
        """Delete episodes whose uploads have not grown for too long; return how many."""
        count = 0
        known = await run_in_threadpool(lambda: set(self.incoming.episodes()))
        for site, episode in known | self.admission.episodes():
            touched_s = await run_in_threadpool(self.incoming.touched_s, site, episode)
            if self.incoming.is_expired(touched_s) and not self._is_busy(site, episode):
                await run_in_threadpool(self.incoming.remove, site, episode)
                self.admission.release(site, episode)
                count += 1
        self.counters.add("expired_episodes_total", count)
        return count

    def _is_busy(self, site: str, episode: str) -> bool:
        return any(owner == site and what.endswith(episode) for owner, what in self._busy)


def _refusal(error: TusError) -> Response:
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    match error.status:
        case 401:
            headers["WWW-Authenticate"] = "Bearer"
        case 412:
            headers["Tus-Version"] = tus.VERSION
    return PlainTextResponse(error.message + "\n", status_code=error.status, headers=headers)


def _unread_bytes(request: Request) -> int:
    """Return how many bytes of a refused request may still arrive; above any limit where it does not say."""
    if "Transfer-Encoding" in request.headers:
        return DRAIN_BYTES + 1
    length = request.headers.get("Content-Length", "0")
    return int(length) if length.isdigit() else DRAIN_BYTES + 1
