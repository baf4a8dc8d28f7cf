"""What a run of MLflow is called and set to, alike in files, databases and on servers."""

from __future__ import annotations

from collections.abc import Mapping

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.runs.rows import Scalar, nearest, parsed

_OF_MLFLOW = "mlflow."
"""Tags that MLflow sets itself begin so."""


def chosen_experiments(known: Mapping[str, str], wanted: str, where: str) -> dict[str, str]:
    """Return id and name of the experiments to read: all, or the one of that name or id."""
    if not wanted:
        return dict(known)
    found = {number: name for number, name in known.items() if wanted in (number, name)}
    if not found:
        raise ConfigError(f"mlflow:{where}: no experiment {wanted!r}; {nearest(wanted, known.values())}")
    return found


def settings_of(
    experiment: str, run_name: str, status: str, params: Mapping[str, str], tags: Mapping[str, str]
) -> dict[str, Scalar]:
    """Return a run's settings: parameters as numbers where they spell numbers, the user's tags, and what it is."""
    found: dict[str, Scalar] = {name: parsed(value) for name, value in params.items()}
    found |= {f"tag.{name}": parsed(value) for name, value in tags.items() if not name.startswith(_OF_MLFLOW)}
    return found | {"experiment": experiment, "run_name": run_name, "status": status}
