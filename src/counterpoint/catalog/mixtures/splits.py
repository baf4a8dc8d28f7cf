"""Splitting episodes into train, validation and test without leaks: whole groups, by a hash of their names.

Rows that share any of the keys (site, task, duplicate cluster, ...) form one group, and a group is never divided.
The split of a group is a pure function of its names and the seed, so adding episodes moves no others. The exception is
an episode that joins two groups into one: given the earlier splits, the joined group goes to the most held-out of
them, so that no test episode is ever trained on later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from counterpoint.catalog.groups import connected_by
from counterpoint.catalog.mixtures.mixture import SPLITS, SplitSettings
from counterpoint.core.errors import ConfigError, unknown_name
from counterpoint.core.records import Json
from counterpoint.core.seeding import stable_hash

Ints = NDArray[np.int64]
SplitKey = Literal["episode", "site", "environment", "task", "robot", "operator", "duplicate"]
SPLIT_KEYS: tuple[SplitKey, ...] = get_args(SplitKey)


@dataclass(frozen=True, kw_only=True, eq=False)
class Division:
    """Where each row goes."""

    split: NDArray[np.int8]
    """[rows], places in SPLITS."""
    group: Ints
    """[rows], the first row of each row's group."""
    moved: int
    """Rows whose earlier split was another one, because groups were joined."""


def check_settings(settings: SplitSettings) -> None:
    """Raise ConfigError or UnknownNameError if the settings are invalid."""
    for key in settings.by:
        if key not in SPLIT_KEYS:
            raise unknown_name("split key", key, SPLIT_KEYS)
    if not settings.by:
        raise ConfigError(f"split.by: expected at least one of {', '.join(SPLIT_KEYS)}, got none")
    for name, share in (("validation", settings.validation), ("test", settings.test)):
        if not 0 <= share < 1:
            raise ConfigError(f"split.{name}: expected a share in [0, 1), got {share}")
    if settings.validation + settings.test >= 1:
        raise ConfigError(f"split: validation {settings.validation} and test {settings.test} leave nothing to train on")


def divide(
    table: pa.Table,
    settings: SplitSettings,
    *,
    clusters: Ints | None = None,
    earlier: Mapping[str, str] | None = None,
) -> Division:
    """Divide the rows of `table` (columns of `Store.flat`).

    Args:
        table: one row an episode.
        settings: keys, shares and seed. Episodes without a site (task, ...) share one group.
        clusters: int64 [rows] from `find_clusters`; needed for the key `duplicate`.
        earlier: split by content_sha256, from an earlier mixture.

    Raises:
        ConfigError: invalid shares, or missing clusters. UnknownNameError: an unknown key.
    """
    check_settings(settings)
    if not table.num_rows:
        return Division(split=np.zeros(0, np.int8), group=np.zeros(0, np.int64), moved=0)
    numbers, names = [], []
    for key in settings.by:
        codes, words = _coded(table, key, clusters)
        numbers.append(codes)
        names.append(np.array([stable_hash("split", settings.seed, key, word) for word in words], np.uint64)[codes])
    group = numbers[0] if len(numbers) == 1 else connected_by(numbers)
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    draw = np.full(len(first), np.iinfo(np.uint64).max, np.uint64)
    # A group takes the draw of one of its names: the name with the lowest rank.
    for hashes in names:
        np.minimum.at(draw, place, _rank(hashes))
    share = _rank(draw).astype(np.float64) / 2.0**64
    chosen = np.where(share < settings.test, 2, np.where(share < settings.test + settings.validation, 1, 0)).astype(
        np.int8
    )
    moved = 0
    if earlier:
        known = np.array([_split_number(earlier.get(c)) for c in table["content_sha256"].to_pylist()], np.int8)
        kept = np.full(len(first), -1, np.int8)
        np.maximum.at(kept, place, known)
        chosen = np.where(kept >= 0, kept, chosen)
        moved = int(((known >= 0) & (known != chosen[place])).sum())
    return Division(split=chosen[place], group=first[place].astype(np.int64), moved=moved)


def describe_division(table: pa.Table, division: Division, settings: SplitSettings) -> dict[str, Json]:
    """Return for each split its episodes, groups, hours, share of hours, the share wanted and the error."""
    seconds = np.nan_to_num(table["duration_s"].to_numpy())
    total = float(seconds.sum())
    wanted = {
        "train": 1 - settings.validation - settings.test,
        "validation": settings.validation,
        "test": settings.test,
    }
    described: dict[str, Json] = {}
    for number, name in enumerate(SPLITS):
        rows = division.split == number
        share = float(seconds[rows].sum()) / total if total else 0.0
        described[name] = {
            "episodes": int(rows.sum()),
            "groups": len(np.unique(division.group[rows])),
            "hours": round(float(seconds[rows].sum()) / 3600, 6),
            "share": round(share, 6),
            "wanted": round(wanted[name], 6),
            "error": round(share - wanted[name], 6),
        }
    return described


def _coded(table: pa.Table, key: str, clusters: Ints | None) -> tuple[Ints, Sequence[str]]:
    """Return a number for each row and the words the numbers stand for."""
    if key == "duplicate":
        if clusters is None:
            raise ConfigError("split.by: 'duplicate' needs clusters; see find_clusters")
        _, codes = np.unique(clusters, return_inverse=True)
        contents = table["content_sha256"].to_pylist()
        smallest: dict[int, str] = {}
        for code, content in zip(codes.tolist(), contents, strict=True):
            smallest[code] = min(smallest.get(code, content), content)
        return codes.astype(np.int64), [smallest[code] for code in range(len(smallest))]
    column = pc.fill_null(table["episode_id" if key == "episode" else key], "").combine_chunks().dictionary_encode()
    return column.indices.to_numpy().astype(np.int64), column.dictionary.to_pylist()


def _rank(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers one to one, so that choosing the least of several leaves it evenly spread."""
    with np.errstate(over="ignore"):
        mixed = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0x7FB5D329728EA185)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x81DADEF4BC2DD44D)
        return np.asarray(mixed ^ (mixed >> np.uint64(33)), dtype=np.uint64)


def _split_number(name: str | None) -> int:
    return -1 if name is None else SPLITS.index(name) if name in SPLITS else -1
