"""Who may send how much at once: the receiver's limits, and the back-pressure that enforces them.

An episode is admitted as a whole, by the sizes in its manifest, before any of its files: so two half-sent episodes
never wait for each other's space. A request over a limit gets 429 (limit of the site) or 503 (limit of the receiver)
with `Retry-After`, and the sender waits.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from counterpoint.core.errors import ConfigError
from counterpoint.site.tus import TusError

GIB = 1 << 30
MAX_MANIFEST_BYTES = 4 << 20
MAX_DESCRIPTION_BYTES = 4 << 20
BUFFER_BYTES = 256 << 10
"""Bytes of a request that are buffered in memory before they are written."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a receiver."""

    max_sites: int = 1_000
    """Sites with a request in progress at once; others have to retry later."""
    requests_per_site: int = 8
    """Requests of one site in progress at once."""
    max_bytes_in_flight: int = 256 * GIB
    """Bytes of admitted episodes that are not committed yet, over all sites."""
    site_bytes_in_flight: int = 64 * GIB
    """The same per site; also the largest episode."""
    open_manifests_per_site: int = 256
    """Episodes of one site in transfer at once."""
    free_bytes: int = GIB
    """Disk space that uploads must leave free."""
    body_timeout_s: float = 20.0
    """A request whose body stalls for this long is aborted."""
    request_timeout_s: float = 600.0
    """A request that takes longer than this in total is aborted."""
    header_timeout_s: float = 10.0
    """A connection without a complete header for this long is closed."""
    expire_s: float = 72 * 3600.0
    """Uploads that have not grown for this long are deleted."""
    retry_after_s: int = 2
    """How long a sender is asked to wait where a limit is reached."""

    def __post_init__(self) -> None:
        """Check that limits are positive; raises ConfigError."""
        for name, value in vars(self).items():
            if value < (0 if name == "free_bytes" else 1e-3):
                raise ConfigError(f"{name}: expected a positive number, got {value}")


class Admission:
    """Counts what is in progress; used from one event loop, so no locks are needed."""

    def __init__(self, root: Path, limits: Limits) -> None:
        """Start with nothing in progress."""
        self.limits = limits
        self._root = root
        self._requests: Counter[str] = Counter()
        self._episodes: dict[tuple[str, str], int] = {}
        self.throttled = 0
        """Number of answers with 429, 503 or 507."""

    @property
    def active_sites(self) -> int:
        """Sites with a request in progress."""
        return len(self._requests)

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of admitted episodes."""
        return sum(self._episodes.values())

    @property
    def open_episodes(self) -> int:
        """Episodes in transfer, admitted or with only a manifest."""
        return len(self._episodes)

    @contextmanager
    def request(self, site: str) -> Iterator[None]:
        """Count a request while it runs; TusError 429 or 503 where there are too many."""
        if self._requests[site] >= self.limits.requests_per_site:
            raise self._later(429, f"expected at most {self.limits.requests_per_site} requests at once from one site")
        if not self._requests[site] and len(+self._requests) >= self.limits.max_sites:
            del self._requests[site]
            raise self._later(503, f"{self.limits.max_sites} sites are already sending")
        self._requests[site] += 1
        try:
            yield
        finally:
            self._requests[site] -= 1
            if not self._requests[site]:
                del self._requests[site]

    def open(self, site: str, episode: str) -> None:
        """Count an episode whose manifest is about to arrive; 429 where a site has too many, 507 on a full disk."""
        if (site, episode) in self._episodes:
            return
        if sum(owner == site for owner, _ in self._episodes) >= self.limits.open_manifests_per_site:
            raise self._later(429, f"at most {self.limits.open_manifests_per_site} episodes at once from one site")
        self._check_room(MAX_MANIFEST_BYTES)
        self._episodes[site, episode] = 0

    def admit(self, site: str, episode: str, num_bytes: int) -> None:
        """Reserve space for an episode, once; 413 if it can never fit, 429, 503 or 507 if not now."""
        if self._episodes.get((site, episode)):
            return
        if num_bytes > min(self.limits.site_bytes_in_flight, self.limits.max_bytes_in_flight):
            raise TusError(413, f"the episode has {num_bytes} bytes, more than this receiver accepts at once")
        held = sum(size for (owner, _), size in self._episodes.items() if owner == site)
        if held + num_bytes > self.limits.site_bytes_in_flight:
            raise self._later(429, "this site has reached its limit of bytes in flight; finish other episodes first")
        if self.bytes_in_flight + num_bytes > self.limits.max_bytes_in_flight:
            raise self._later(503, "the receiver has reached its limit of bytes in flight")
        self._check_room(self.bytes_in_flight + num_bytes)
        self._episodes[site, episode] = num_bytes

    def is_admitted(self, site: str, episode: str) -> bool:
        """Whether the episode's files may be sent."""
        return bool(self._episodes.get((site, episode)))

    def restore(self, site: str, episode: str, num_bytes: int) -> None:
        """Count an episode that an earlier process admitted, regardless of the limits."""
        self._episodes[site, episode] = num_bytes

    def episodes(self) -> set[tuple[str, str]]:
        """Return (site, manifest hash) of the episodes in transfer."""
        return set(self._episodes)

    def release(self, site: str, episode: str) -> None:
        """Release an episode's space."""
        self._episodes.pop((site, episode), None)

    def _check_room(self, num_bytes: int) -> None:
        if shutil.disk_usage(self._root).free < num_bytes + self.limits.free_bytes:
            raise self._later(507, "the receiver's disk is full")

    def _later(self, status: int, message: str) -> TusError:
        self.throttled += 1
        return TusError(status, message, retry_after_s=self.limits.retry_after_s)
