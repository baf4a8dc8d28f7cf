"""Flags of verbs that work in parallel: on how many processes, here or on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from counterpoint.cli.verb import VerbArguments
from counterpoint.core.errors import ConfigError

if TYPE_CHECKING:
    from counterpoint.engine import Engine


@dataclass(frozen=True, kw_only=True)
class ParallelArguments(VerbArguments):
    """Flags of a verb that works in parallel."""

    engine: Literal["local", "ray"] = "local"
    """`local`: processes of this machine. `ray`: Ray Data, on the cluster at --address or on one started here."""
    workers: int | None = None
    """Number of processes. Default: one per core; with Ray, two, or all that a joined cluster has."""
    address: str | None = None
    """Ray cluster to join, for example `auto` or `10.0.0.1:6379`; only with --engine ray."""

    def open_engine(self) -> Engine:
        """Return the engine that the flags name.

        Raises:
            ConfigError: the flags contradict each other.
            ModuleNotFoundError: Ray is not installed.
        """
        from counterpoint.engine import open_engine

        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers: expected 1 or more, got {self.workers}")
        if self.address is not None and self.engine != "ray":
            raise ConfigError("--address: names a Ray cluster, so it needs --engine ray")
        return open_engine(self.engine, workers=self.workers, address=self.address)
