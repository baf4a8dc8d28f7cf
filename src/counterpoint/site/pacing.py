"""How fast to send, and how long to wait after a failure."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from counterpoint.core.errors import ConfigError

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 30.0
MIN_PIECE_BYTES = 64 << 10
MAX_PIECE_BYTES = 8 << 20


class Bandwidth:
    """A token bucket shared by all uploads of a sender; its burst is a tenth of a second."""

    def __init__(self, bytes_per_s: float | None) -> None:
        """Limit to `bytes_per_s`; None for no limit."""
        if bytes_per_s is not None and not bytes_per_s > 0:
            raise ConfigError(f"limit_mbps: expected a positive number, got {bytes_per_s * 8e-6:g}")
        self._rate = bytes_per_s
        self._free_at = time.monotonic()

    @property
    def slice_bytes(self) -> int:
        """Bytes to send at a time so that the rate stays even."""
        return MIN_PIECE_BYTES if self._rate is None else int(min(MIN_PIECE_BYTES, max(1024, self._rate / 10)))

    async def take(self, count: int) -> None:
        """Wait until `count` more bytes may go."""
        if self._rate is None:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now - 0.1) + count / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


@dataclass
class Backoff:
    """Exponential backoff with jitter, until no request has succeeded for too long."""

    patience_s: float
    """Give up when no request has succeeded for this long."""
    failures: int = 0
    last_good_s: float = -1.0

    def __post_init__(self) -> None:
        """Start the clock."""
        self.last_good_s = time.monotonic()

    def good(self) -> None:
        """Record a success."""
        self.failures = 0
        self.last_good_s = time.monotonic()

    def is_over(self) -> bool:
        """Whether to give up."""
        return time.monotonic() - self.last_good_s > self.patience_s

    def next_wait_s(self, at_least_s: float = 0.0) -> float:
        """Return how long to wait after another failure; jitter keeps many senders from coming back at once."""
        self.failures += 1
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * float(1 << min(self.failures - 1, 10)))
        return at_least_s + random.uniform(0.1, 1.0) * longest


class PieceSize:
    """Bytes sent with one checksum: more while the link is good, fewer after a failure.

    A piece that arrives incomplete is sent again, so pieces are small on a bad link.
    """

    def __init__(self, limit_bytes_per_s: float | None) -> None:
        """Start small."""
        self.bytes = 256 << 10
        self._most = MAX_PIECE_BYTES
        if limit_bytes_per_s is not None:  # about five seconds per piece at most
            self._most = int(min(MAX_PIECE_BYTES, max(MIN_PIECE_BYTES, limit_bytes_per_s * 5)))
            self.bytes = min(self.bytes, self._most)

    def grow(self) -> None:
        """Record that a piece arrived."""
        self.bytes = min(self._most, self.bytes * 2)

    def shrink(self) -> None:
        """Record that a piece was lost."""
        self.bytes = max(MIN_PIECE_BYTES, self.bytes // 4)
