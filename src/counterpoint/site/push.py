"""Pushing a spool: every committed episode to the receiver, each byte once, whatever happens in between.

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
from counterpoint.site.pace import Bandwidth, Patience, PieceSize
from counterpoint.site.sender import Sender, Stale, Tally, Verdict
from counterpoint.site.spool import Parcel, Spool, file_is_whole
from counterpoint.site.tus import UploadName

logger = logging.getLogger(__name__)

MAX_ROUNDS = 20
"""Questions about one episode before it is put aside: the receiver keeps asking for what it was given."""
FIRST_CONTACT_S = 8.0
MEGABIT = 1e6 / 8


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    """How to push."""

    target: str
    """Address of the receiver, for example `https://data.example.org:8443`."""
    token: str = field(repr=False)
    limit_mbps: float | None = None
    """Most megabits a second, all uploads together; None for no limit."""
    parallel: int = 2
    """Episodes on their way at once."""
    watch: bool = False
    """Keep pushing what is committed later."""
    interval_s: float = 5.0
    """How often to look for new episodes."""
    delete_after: bool = False
    """Delete episodes from the spool once the receiver has confirmed that it holds them."""
    patience_s: float = 600.0
    """Give up when nothing has worked for this long; not with `watch`."""
    timeout_s: float = 30.0
    """A connection on which nothing moves for this long is dead."""
    authority: Path | None = None
    """Certificate of a private authority (PEM), for receivers that the system does not know."""
    plain_http: bool = False
    """Allow plain HTTP to other computers: whoever can listen on the way then learns the token."""

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
                f"to: {self.target} would show the token to others; use https, or --plain-http in a trusted network"
            )

    @property
    def is_local(self) -> bool:
        """Whether the receiver is on this computer."""
        host = urlsplit(self.target).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")


@dataclass
class PushReport:
    """What came of it."""

    committed: int = 0
    """Episodes that the receiver committed."""
    already: int = 0
    """Episodes that it held already."""
    confirmed_before: int = 0
    """Episodes that the ledger had: nothing was asked or sent."""
    deleted: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Episode and why: refused by the receiver, or damaged here."""
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON values."""
        values: dict[str, Json] = asdict(self)
        tally: dict[str, Json] = asdict(self.tally)
        del values["tally"], tally["confirmed_bytes"]
        failed: list[Json] = [{"episode_id": episode, "message": message} for episode, message in self.failed]
        ratio = round(self.tally.sent_ratio, 6)
        return {**values, **tally, "failed": failed, "sent_ratio": ratio, "seconds": round(self.seconds, 3)}


def push(root: Path, config: PushConfig, *, progress: bool = True) -> PushReport:
    """Send every committed episode of the store at `root`; with `watch` until it is interrupted.

    Raises:
        StoreError: `root` is not a store.
        SiteError: the token is unknown, the target is no receiver, or nothing has worked for too long; what was
            confirmed is kept.
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
        patience = Patience(float("inf") if self.config.watch else min(FIRST_CONTACT_S, self.config.patience_s))
        async with _client(self.config) as client:
            sender = Sender(client, self.config.target, bandwidth, piece, patience, self._on_bytes)
            self.report.tally = sender.tally
            await sender.greet()
            if not self.config.watch:
                patience.patience_s = self.config.patience_s
            while True:
                parcels, problems = await asyncio.to_thread(self.spool.fresh, also_confirmed=self.config.delete_after)
                self.report.failed += [("", problem) for problem in problems]
                for problem in problems:
                    logger.error("%s", problem)
                if parcels:
                    await self._send_all(sender, parcels)
                if not self.config.watch:
                    return
                await asyncio.sleep(self.config.interval_s)

    async def _send_all(self, sender: Sender, parcels: list[Parcel]) -> None:
        queue = iter(parcels)

        async def work() -> None:
            for parcel in queue:  # shared: each parcel goes to one worker
                await self._send(sender, parcel)

        total = sum(parcel.num_bytes for parcel in parcels)
        with Progress("push", total=total, unit="B", shown=self._progress) as bar:
            self._bar = bar
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.config.parallel, len(parcels))):
                        group.create_task(work())
            except* (CounterpointError, OSError) as errors:
                raise errors.exceptions[0] from None
            finally:
                self._bar = None

    def _on_bytes(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    async def _send(self, sender: Sender, parcel: Parcel) -> None:
        sent_before = sender.tally.sent_bytes
        episode_id = parcel.info.episode_id
        try:
            verdict = await self._settle(sender, parcel)
        except StoreError as error:
            logger.error("episode %s: %s", episode_id, error)
            self.report.failed.append((episode_id, str(error)))
            return
        match verdict.state:
            case "committed":
                self.report.committed += 1
            case "already":
                self.report.already += 1
            case _:
                logger.error("episode %s: refused: %s", episode_id, verdict.message)
                self.report.failed.append((episode_id, verdict.message))
                return
        await asyncio.to_thread(self.spool.confirm, parcel, verdict.state, sender.tally.sent_bytes - sent_before)
        if self.config.delete_after:
            await asyncio.to_thread(self.spool.delete, parcel)
            self.report.deleted += 1

    async def _settle(self, sender: Sender, parcel: Parcel) -> Verdict:
        """Give the receiver what it asks for until the episode is committed or refused.

        Descriptions are shared: one episode brings them and is seen through to its end, for they are in the store
        once it is committed and not before; the others wait and ask again.
        """
        async with AsyncExitStack() as turn:
            has_turn = has_described = False
            for _ in range(MAX_ROUNDS):
                verdict = await sender.commit(parcel.info.episode_id, parcel.manifest_sha256)
                if verdict.state != "open":
                    return verdict
                wants_descriptions = any("/" in missing.name for missing in verdict.missing)
                if wants_descriptions and not has_turn:
                    await turn.enter_async_context(self._describing)
                    has_turn = True
                    continue
                if has_turn and not (wants_descriptions or has_described):  # another has brought them meanwhile
                    await turn.aclose()
                    has_turn = False
                has_described |= wants_descriptions
                await self._supply(sender, parcel, verdict)
        raise StoreError(f"the receiver still asks for files after {MAX_ROUNDS} rounds; see its log")

    async def _supply(self, sender: Sender, parcel: Parcel, verdict: Verdict) -> None:
        files = {file.path: file for file in parcel.info.files}
        try:
            for missing in verdict.missing:
                path = self.spool.path_of(parcel, missing.name)
                sha256 = parcel.manifest_sha256 if missing.name == "manifest.json" else missing.sha256
                own = files.get(missing.name)
                if own is not None and own.sha256 != missing.sha256:
                    raise Stale("the receiver answers for another episode")
                if own is not None and (not path.is_file() or path.stat().st_size != own.bytes):
                    raise StoreError(f"{path}: missing or not {own.bytes} bytes long; see 'counterpoint check'")
                if missing.sha256 in verdict.spoilt and not await asyncio.to_thread(file_is_whole, path, sha256):
                    raise StoreError(f"{path}: its bytes have changed since it was written; see 'counterpoint check'")
                await sender.upload(UploadName(episode=parcel.manifest_sha256, sha256=sha256), path)
        except Stale as stale:
            logger.debug("episode %s: %s", parcel.info.episode_id, stale)


def _client(config: PushConfig) -> httpx.AsyncClient:
    verify: bool | ssl.SSLContext = True
    if config.authority is not None:
        try:
            verify = ssl.create_default_context(cafile=config.authority)
        except (OSError, ssl.SSLError) as error:
            raise SiteError(f"{config.authority}: cannot be used as a certificate of an authority ({error})") from error
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {config.token}"},
        timeout=httpx.Timeout(config.timeout_s, pool=None),
        limits=httpx.Limits(max_connections=config.parallel + 1),
        verify=verify,
        follow_redirects=False,
        trust_env=not config.is_local,  # proxies are for other computers
    )
