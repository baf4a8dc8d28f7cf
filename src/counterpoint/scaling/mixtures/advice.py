"""What trained mixtures say about the next one: the answer of `scale mix`."""

from __future__ import annotations

from dataclasses import dataclass

from counterpoint.core.records import Json
from counterpoint.scaling.mixtures.laws import MixLaw


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number with its 95% interval."""

    value: float
    ci95: tuple[float, float]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        return {"value": self.value, "ci95": [*self.ci95]}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a law says, with intervals over redrawn mixtures."""

    weights: dict[str, Quantity]
    """Best share of each source."""
    errors: dict[str, Quantity]
    """Predicted error of the best mixture on each task set."""
    change: Quantity
    """Aggregate error of the best mixture over that of the current one, both predicted."""
    hour_values: dict[str, Quantity]
    """Relative change of the aggregate error for one more `per` of each source at the current mixture."""


@dataclass(frozen=True, kw_only=True)
class MixAdvice:
    """What the trained mixtures say about the next one."""

    law: MixLaw
    fitted_by: str
    """What was used to fit it."""
    mixtures: int
    rows: int
    current: str
    """Name of the mixture that is compared with."""
    hours: float | None
    """Hours that the best mixture is for."""
    found: Found
    current_weights: dict[str, float]
    current_errors: dict[str, float]
    """Measured errors of the current mixture."""
    per: str
    """`hour`, or `percent of the budget` where the table has shares only."""
    rank_correlation: float
    """Spearman's, of aggregate errors of mixtures that were left out of the fit."""
    rank_correlations: dict[str, float]
    """The same by task set."""
    parameters: dict[str, Json]
    """Of the data mixing law, by task set: c, k and t by source."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return plain JSON."""
        found = self.found
        return {
            "law": self.law, "fitted_by": self.fitted_by, "n_mixtures": self.mixtures, "n_rows": self.rows,
            "current": self.current, "hours": self.hours,
            "weights": {name: each.to_dict() for name, each in found.weights.items()},
            "current_weights": dict(self.current_weights),
            "errors": {name: each.to_dict() for name, each in found.errors.items()},
            "current_errors": dict(self.current_errors),
            "change": found.change.to_dict(),
            "hour_values": {name: each.to_dict() for name, each in found.hour_values.items()},
            "per": self.per,
            "rank_correlation": self.rank_correlation,
            "rank_correlations": dict(self.rank_correlations),
            "params": self.parameters,
            "warnings": [*self.warnings],
        }  # fmt: skip
