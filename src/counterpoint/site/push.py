"""Pushes a spool: sends every committed episode to the receiver, each byte once, despite any interruption.

spool --episodes--> queue --N workers--> commit? -> missing files -> upload -> commit -> ledger [-> delete]
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from counterpoint.core.errors import ConfigError, CounterpointError, SiteError, StoreError
from counterpoint.core.records import Json
from counterpoint.engine.progress import Progress
from counterpoint.site.pacing import Backoff, Bandwidth, PieceSize
from counterpoint.site.sender import CommitAnswer, Sender, StaleUploadError, TransferStats
from counterpoint.site.spool import Spool, SpooledEpisode, file_is_whole
from counterpoint.site.tus import UploadName

logger = logging.getLogger(__name__)

MAX_ROUNDS = 20
"""Requests per episode before giving up on it, where the receiver keeps asking for files that were sent."""
FIRST_CONTACT_S = 8.0
MEGABIT = 1e6 / 8


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """How to push."""

    target: str
    """Address of the receiver, for example `https://data.example.org:8443`."""
    token: str = field(repr=False)
    limit_mbps: float | None = None
    """Limit in megabits per second, all uploads together; None for no limit."""
    parallel: int = 2
    """Episodes in transfer at once."""
    watch: bool = False
    """Keep running, and push episodes that are committed later."""
    interval_s: float = 5.0
    """How often to look for new episodes."""
    delete_after: bool = False
    """Delete episodes from the spool once the receiver has confirmed that it has them."""
    patience_s: float = 600.0
    """Give up when no request has succeeded for this long; not with `watch`."""
    timeout_s: float = 30.0
    """A connection without progress for this long is closed."""
    authority: Path | None = None
    """Certificate of a private authority (PEM), for receivers that the system does not trust."""
    plain_http: bool = False
    """Allow plain HTTP to other computers; anyone on the network path can then read the token."""

    def __post_init__(self) -> None:
        """Check ranges and the address."""
        for name in ("parallel", "interval_s", "patience_s", "timeout_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        parts = urlsplit(self.target)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"to: expected an address such as https://HOST:PORT, got {self.target!r}")
        if parts.scheme == "http" and not self.is_local and not self.plain_http:
            raise ConfigError(
                f"to: plain HTTP to {self.target} exposes the token; use https, or --plain-http in a trusted network"
            )

    @property
    def is_local(self) -> bool:
        """Whether the receiver is on this computer."""
        host = urlsplit(self.target).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")


@dataclass
class PushReport:
    """Result of a push."""

    committed: int = 0
    """Episodes that the receiver committed."""
    already: int = 0
    """Episodes that it already had."""
    confirmed_before: int = 0
    """Episodes that the ledger lists as confirmed; nothing was requested or sent."""
    deleted: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Episode and reason: refused by the receiver, or damaged in the spool."""
    stats: TransferStats = field(default_factory=TransferStats)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        values: dict[str, Json] = asdict(self)
        stats: dict[str, Json] = asdict(self.stats)
        del values["stats"], stats["confirmed_bytes"]
        failed: list[Json] = [{"episode_id": episode, "message": message} for episode, message in self.failed]
        ratio = round(self.stats.sent_ratio, 6)
        return {**values, **stats, "failed": failed, "sent_ratio": ratio, "seconds": round(self.seconds, 3)}


def push(root: Path, config: PushConfig, *, progress: bool = True) -> PushReport:
    """Send every committed episode of the store at `root`; with `watch` until it is interrupted.

    Raises:
        StoreError: `root` is not a store.
        SiteError: the token is unknown, the target is not a receiver, or no request has succeeded for too long;
            confirmed bytes are kept.
    """
    report = PushReport()
    begun = time.monotonic()
    spool = Spool(root, config.target.rstrip("/"))
    try:
        report.confirmed_before = spool.confirmed
        asyncio.run(_Push(spool, config, report, progress=progress).run())
    finally:
        report.seconds = time.monotonic() - begun
        spool.close()
    return report


class _Push:
    """One run."""

    def __init__(self, spool: Spool, config: PushConfig, report: PushReport, *, progress: bool) -> None:
        self.spool = spool
        self.config = config
        self.report = report
        self._progress = progress
        self._describing = asyncio.Lock()
        self._bar: Progress | None = None

    async def run(self) -> None:
        limit = None if self.config.limit_mbps is None else self.config.limit_mbps * MEGABIT
        bandwidth, piece = Bandwidth(limit), PieceSize(limit)
        backoff = Backoff(float("inf") if self.config.watch else min(FIRST_CONTACT_S, self.config.patience_s))
        async with _client(self.config) as client:
            sender = Sender(client, self.config.target, bandwidth, piece, backoff, self._on_bytes)
            self.report.stats = sender.stats
            await sender.greet()
            if not self.config.watch:
                backoff.patience_s = self.config.patience_s
            while True:
                episodes, problems = await asyncio.to_thread(self.spool.fresh, also_confirmed=self.config.delete_after)
                self.report.failed += [("", problem) for problem in problems]
                for problem in problems:
                    logger.error("%s", problem)
                if episodes:
                    await self._send_all(sender, episodes)
                if not self.config.watch:
                    return
                await asyncio.sleep(self.config.interval_s)

    async def _send_all(self, sender: Sender, episodes: list[SpooledEpisode]) -> None:
        queue = iter(episodes)

        async def work() -> None:
            for spooled in queue:  # shared: each episode goes to one worker
                await self._send(sender, spooled)

        total = sum(spooled.num_bytes for spooled in episodes)
        with Progress("push", total=total, unit="B", shown=self._progress) as bar:
            self._bar = bar
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.config.parallel, len(episodes))):
                        group.create_task(work())
            except* (CounterpointError, OSError) as errors:
                raise errors.exceptions[0] from None
            finally:
                self._bar = None

    def _on_bytes(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    async def _send(self, sender: Sender, spooled: SpooledEpisode) -> None:
        sent_before = sender.stats.sent_bytes
        episode_id = spooled.info.episode_id
        try:
            answer = await self._settle(sender, spooled)
        except StoreError as error:
            logger.error("episode %s: %s", episode_id, error)
            self.report.failed.append((episode_id, str(error)))
            return
        match answer.state:
            case "committed":
                self.report.committed += 1
            case "already":
                self.report.already += 1
            case _:
                logger.error("episode %s: refused: %s", episode_id, answer.message)
                self.report.failed.append((episode_id, answer.message))
                return
        await asyncio.to_thread(self.spool.confirm, spooled, answer.state, sender.stats.sent_bytes - sent_before)
        if self.config.delete_after:
            await asyncio.to_thread(self.spool.delete, spooled)
            self.report.deleted += 1

    async def _settle(self, sender: Sender, spooled: SpooledEpisode) -> CommitAnswer:
        """Send the files that the receiver asks for until the episode is committed or refused.

        Episodes share descriptions, which are in the store only once the episode that brought them is committed.
        So one episode sends them and is completed first; the others wait and ask again.
        """
        async with AsyncExitStack() as turn:
            has_turn = has_described = False
            for _ in range(MAX_ROUNDS):
                answer = await sender.commit(spooled.info.episode_id, spooled.manifest_sha256)
                if answer.state != "open":
                    return answer
                wants_descriptions = any("/" in missing.name for missing in answer.missing)
                if wants_descriptions and not has_turn:
                    await turn.enter_async_context(self._describing)
                    has_turn = True
                    continue
                if has_turn and not (wants_descriptions or has_described):  # another episode has brought them meanwhile
                    await turn.aclose()
                    has_turn = False
                has_described |= wants_descriptions
                await self._supply(sender, spooled, answer)
        raise StoreError(f"the receiver still asks for files after {MAX_ROUNDS} requests; see its log")

    async def _supply(self, sender: Sender, spooled: SpooledEpisode, answer: CommitAnswer) -> None:
        files = {file.path: file for file in spooled.info.files}
        try:
            for missing in answer.missing:
                path = self.spool.path_of(spooled, missing.name)
                sha256 = spooled.manifest_sha256 if missing.name == "manifest.json" else missing.sha256
                own = files.get(missing.name)
                if own is not None and own.sha256 != missing.sha256:
                    raise StaleUploadError("the receiver's answer is about another episode")
                if own is not None and (not path.is_file() or path.stat().st_size != own.bytes):
                    raise StoreError(f"{path}: missing, or not {own.bytes} bytes long. Run 'counterpoint check'")
                if missing.sha256 in answer.spoilt and not await asyncio.to_thread(file_is_whole, path, sha256):
                    raise StoreError(f"{path}: its content has changed since it was written. Run 'counterpoint check'")
                await sender.upload(UploadName(episode=spooled.manifest_sha256, sha256=sha256), path)
        except StaleUploadError as stale:
            logger.debug("episode %s: %s", spooled.info.episode_id, stale)


def _client(config: PushConfig) -> httpx.AsyncClient:
    verify: bool | ssl.SSLContext = True
    if config.authority is not None:
        try:
            verify = ssl.create_default_context(cafile=config.authority)
        except (OSError, ssl.SSLError) as error:
            raise SiteError(
                f"{config.authority}: cannot be used as the certificate of an authority ({error})"
            ) from error
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {config.token}"},
        timeout=httpx.Timeout(config.timeout_s, pool=None),
        limits=httpx.Limits(max_connections=config.parallel + 1),
        verify=verify,
        follow_redirects=False,
        trust_env=not config.is_local,  # proxies are for other computers
    )
