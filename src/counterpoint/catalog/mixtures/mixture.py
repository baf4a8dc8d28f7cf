"""A mixture: which episodes a model learns from, how often each part is drawn, and a hash that pins it all.

    FOLDER/
      mixture.json       name, parts with query and weight, stores, splits, and the hash
      mixture.parquet    one row an episode
      statistics.json    means, spreads and quantiles of each robot (`statistics`)

`freeze` makes one from queries.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, cast, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from counterpoint.catalog.mixtures.statistics import StreamStatistics, statistics_from_dict, statistics_to_dict
from counterpoint.core.errors import StoreError
from counterpoint.store import Store

FORMAT = "counterpoint-mixture"
VERSION = 1
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
SCHEMA = pa.schema(
    [
        ("store", pa.int32()),
        ("episode_id", pa.string()),
        ("part", pa.string()),
        ("split", pa.string()),
        ("robot", pa.string()),
        ("source", pa.string()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("duration_s", pa.float64()),
        ("content_sha256", pa.string()),
    ]
)
MISSING_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a mixture; counts are of its training episodes."""

    name: str
    query: str
    """SQL condition on the `episodes` view, as given; `true` takes all that no earlier part took."""
    weight: float
    """Probability that a window comes from this part; the weights of a mixture sum to 1."""
    episodes: int
    hours: float
    sources: Mapping[str, float]
    """Hours by source: `real`, `teleoperation`, `simulation`, `human_video`."""


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """How episodes were divided; see `splits`."""

    by: tuple[str, ...] = ("episode",)
    validation: float = 0.0
    test: float = 0.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """A frozen choice of episodes with weights."""

    name: str
    parts: tuple[Part, ...]
    table: pa.Table
    """Columns of SCHEMA, one row an episode, all splits; `store` is a place in `stores`. See `rows`."""
    stores: tuple[str, ...]
    """Folders of the stores; not part of the hash, so that a mixture may move with its stores."""
    temperature: float = 1.0
    splits: SplitSettings = field(default_factory=SplitSettings)
    statistics: Mapping[str, Mapping[str, StreamStatistics]] = field(default_factory=dict)
    """By robot and stream; empty where they were not computed."""
    hash: str = ""
    """SHA-256 of everything but the folders; equal for equal mixtures. Empty until `sealed`."""

    def rows(self, split: SplitName = "train", part: str | None = None) -> pa.Table:
        """Return the episodes of a split (of one part), in the mixture's order."""
        keep = pc.equal(self.table["split"], split)
        if part is not None:
            keep = pc.and_(keep, pc.equal(self.table["part"], part))
        return self.table.filter(keep)

    def sealed(self) -> Mixture:
        """Return the same mixture with its hash."""
        return replace(self, hash=_hash(self))

    def by_source(self) -> dict[str, tuple[float, float]]:
        """Return (hours, sampling weight) of the training episodes by source; weights sum to 1.

        Within a part episodes are drawn in proportion to their duration.
        """
        shares: dict[str, tuple[float, float]] = {}
        for part in self.parts:
            for source, hours in part.sources.items():
                known_hours, known_weight = shares.get(source, (0.0, 0.0))
                weight = part.weight * (hours / part.hours if part.hours else 1.0 / len(part.sources))
                shares[source] = (known_hours + hours, known_weight + weight)
        return dict(sorted(shares.items()))


def save_mixture(mixture: Mixture, folder: Path) -> Mixture:
    """Write a mixture into `folder`, sealed; return it as it would be loaded.

    Raises:
        StoreError: another mixture lies there already.
    """
    sealed = mixture.sealed()
    mark = folder / "mixture.json"
    if mark.exists() and (known := _document(mark).get("hash")) != sealed.hash:
        raise StoreError(
            f"{mark}: holds another mixture (hash {str(known)[:12]}, this one has {sealed.hash[:12]}); a mixture "
            "never changes, so choose a new folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(sealed.table, folder / "mixture.parquet", compression="zstd")
    statistics = json.dumps(statistics_to_dict(sealed.statistics), indent=1, sort_keys=True)
    (folder / "statistics.json").write_text(statistics, encoding="utf-8")
    stores = [os.path.relpath(Path(store).resolve(), folder.resolve()) for store in sealed.stores]
    document = {**_content(sealed), "stores": stores, "hash": sealed.hash}
    partial = mark.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1), encoding="utf-8")
    partial.replace(mark)
    return sealed


class IndexedStore(Protocol):
    """A store of any kind, on disk or in object storage."""

    @property
    def root(self) -> Path:
        """Where it is."""
        ...

    def flat(self) -> pa.Table:
        """Return one row an episode: at least episode_id and content_sha256."""
        ...


def load_mixture(folder: Path | str, *, stores: Sequence[IndexedStore] | None = None) -> Mixture:
    """Read a mixture and check that it is whole and that its stores still hold its episodes.

    Args:
        folder: what `save_mixture` wrote.
        stores: the stores in the mixture's order, where they have moved or are open already.

    Raises:
        StoreError: no mixture, damaged, of another version, or episodes are missing; lists which.
    """
    mixture = read_mixture(folder)
    check_mixture(mixture, stores if stores is not None else [Store.open(path) for path in mixture.stores])
    return mixture


def read_mixture(folder: Path | str) -> Mixture:
    """Read a mixture and check that it is whole, without looking at its stores; raises StoreError."""
    root = Path(folder)
    mixture = _read(root)
    if (actual := _hash(mixture)) != mixture.hash:
        raise StoreError(
            f"{root}: damaged or edited: expected hash {mixture.hash[:12]}, got {actual[:12]}; "
            "freeze it again with 'counterpoint mix'"
        )
    return mixture


def check_mixture(mixture: Mixture, stores: Sequence[IndexedStore]) -> None:
    """Raise StoreError unless the stores hold every episode of the mixture, unchanged."""
    if len(stores) != len(mixture.stores):
        raise StoreError(
            f"mixture {mixture.name!r}: expected {len(mixture.stores)} stores, got {len(stores)}; "
            f"pass these, in this order: {', '.join(mixture.stores)}"
        )
    for number, store in enumerate(stores):
        wanted = mixture.table.filter(pc.equal(mixture.table["store"], number))
        held = store.flat().select(["episode_id", "content_sha256"])
        places = pc.index_in(wanted["episode_id"], value_set=held["episode_id"])
        found = held["content_sha256"].take(places)
        same = pc.fill_null(pc.equal(found, wanted["content_sha256"]), False)
        bad = wanted.filter(pc.invert(same))
        if bad.num_rows:
            changed = pc.sum(pc.is_valid(found)).as_py() - pc.sum(same).as_py()
            names = ", ".join(bad["episode_id"].slice(0, MISSING_SHOWN).to_pylist())
            more = f" and {bad.num_rows - MISSING_SHOWN} more" if bad.num_rows > MISSING_SHOWN else ""
            raise StoreError(
                f"mixture {mixture.name!r}: store {store.root} lacks {bad.num_rows} of {wanted.num_rows} episodes "
                f"({changed} of them exist with other content): {names}{more}; restore them, or freeze a new mixture "
                "with 'counterpoint mix'"
            )


def _content(mixture: Mixture) -> dict[str, object]:
    """Return what the hash covers."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": mixture.name,
        "parts": [{**asdict(part), "sources": dict(part.sources)} for part in mixture.parts],
        "temperature": mixture.temperature if math.isfinite(mixture.temperature) else "inf",
        "splits": {**asdict(mixture.splits), "by": list(mixture.splits.by)},
        "episodes_sha256": _table_digest(mixture.table),
        "statistics_sha256": _digest(statistics_to_dict(mixture.statistics)),
    }


def _hash(mixture: Mixture) -> str:
    return _digest(_content(mixture))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _table_digest(table: pa.Table) -> str:
    """Hash values, not Parquet bytes, which differ between releases of the library."""
    digest = hashlib.sha256()
    for name in SCHEMA.names:
        column = table[name]
        if pa.types.is_string(column.type):
            digest.update(json.dumps([name, column.to_pylist()], separators=(",", ":")).encode())
        else:
            digest.update(name.encode() + column.to_numpy().astype(column.to_numpy().dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _document(path: Path) -> dict[str, object]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{path}: no mixture here; make one with 'counterpoint mix STORE... --into FOLDER'") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: damaged ({error}); freeze it again with 'counterpoint mix'") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("version") != VERSION:
        raise StoreError(f"{path}: expected format {FORMAT!r} version {VERSION}, got something else")
    return raw


def _read(root: Path) -> Mixture:
    raw = _document(root / "mixture.json")
    try:
        splits = cast(dict[str, object], raw["splits"])
        return Mixture(
            name=str(raw["name"]),
            parts=tuple(Part(**each) for each in cast(list[dict[str, object]], raw["parts"])),  # type: ignore[arg-type]  # the except below covers it
            table=pq.read_table(root / "mixture.parquet").select(SCHEMA.names).cast(SCHEMA),
            stores=tuple(os.path.normpath(root / str(each)) for each in cast(list[str], raw["stores"])),
            temperature=float(cast(float, raw["temperature"])),
            splits=SplitSettings(**{**splits, "by": tuple(cast(list[str], splits["by"]))}),  # type: ignore[arg-type]  # as above
            statistics=statistics_from_dict(json.loads((root / "statistics.json").read_text(encoding="utf-8"))),
            hash=str(raw["hash"]),
        )
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{root}: damaged mixture ({error}); freeze it again with 'counterpoint mix'") from error
