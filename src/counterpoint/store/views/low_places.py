"""Where each episode lies in the low-dimensional view: sorted keys of content hashes, with shard and row.

Every shard lists its own episodes in its metadata. One file gathers these lists, so that a process maps 32 bytes per
episode and builds no dictionary; newer shards are read one by one.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterpoint.core.errors import StoreError
from counterpoint.store.files.layout import sha256_file
from counterpoint.store.files.mapped import age_seconds, map_with_metadata, write_mapped

logger = logging.getLogger(__name__)

PLACE = np.dtype([("key", "<u8"), ("shard", "<u4"), ("first", "<u4"), ("count", "<u4"), ("spare", "<u4")])
"""First 8 bytes of the content hash, number of the shard, first row of the episode and number of rows."""
GATHERED_SHARDS = 32
"""The gathered file is rewritten when it lacks this many shards."""
_GATHERED = pa.schema([("key", pa.uint64()), ("place", pa.binary(PLACE.itemsize))])


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Places of all episodes of a view."""

    keys: NDArray[np.uint64]
    """[episodes], sorted."""
    rows: NDArray[np.void]
    """[episodes] of PLACE, likewise."""
    shards: tuple[str, ...]
    """File names, by number."""

    @classmethod
    def none(cls) -> Places:
        """Return the places of an empty view."""
        return cls(keys=np.empty(0, np.uint64), rows=np.empty(0, PLACE), shards=())

    def find(self, key: int) -> Iterator[tuple[str, int, int]]:
        """Yield shard, first row and number of rows of each episode with this key; mostly one."""
        at = int(np.searchsorted(self.keys, np.uint64(key)))
        while at < len(self.keys) and int(self.keys[at]) == key:
            row = self.rows[at]
            yield self.shards[int(row["shard"])], int(row["first"]), int(row["count"])
            at += 1


def key_of(content_sha256: str) -> int:
    """Return the key of one episode: the first 8 bytes of its content hash."""
    return int(content_sha256[:16], 16)


def keys_of(contents: pa.Array) -> NDArray[np.uint64]:
    """Return the keys of many content hashes, uint64 [n]."""
    digits = np.array(contents.to_numpy(zero_copy_only=False).astype("U16"), dtype="U16")
    codes = digits.view(np.uint32).reshape(len(digits), 16)
    values = np.where(codes >= ord("a"), codes - ord("a") + 10, codes - ord("0")).astype(np.uint64)
    shifts = np.arange(60, -1, -4, dtype=np.uint64)
    keys: NDArray[np.uint64] = np.bitwise_or.reduce(values << shifts, axis=1)
    return keys


def pack_places(rows: NDArray[np.void]) -> dict[bytes, bytes]:
    """Return the metadata of a shard that holds these places."""
    return {b"places": base64.b64encode(rows.tobytes())}


def read_places(path: Path, schema: pa.Schema) -> NDArray[np.void]:
    """Return the places that a shard names; raises OSError, ArrowException or ValueError where it is torn."""
    batches, metadata = map_with_metadata(path, schema)
    rows = np.frombuffer(base64.b64decode(metadata.get(b"places", b"")), PLACE).copy()
    total = sum(batch.num_rows for batch in batches)
    if not len(rows) or int((rows["first"].astype(np.int64) + rows["count"]).max()) > total:
        raise ValueError("its list of episodes does not match its rows")
    return rows


def open_places(folder: Path, schema: pa.Schema) -> Places:
    """Return the places of all shards in a folder; gathers them in a file when many are new.

    Torn shards are removed: they are derived, and built again.
    """
    names = {path.name for path in folder.glob("shard-*.arrow")}
    known = _gathered(folder)
    shards = [name for name in known.shards if name in names]
    rows = known.rows
    if len(shards) < len(known.shards):
        number_now = {name: number for number, name in enumerate(shards)}
        moved = np.asarray([number_now.get(name, -1) for name in known.shards])[rows["shard"]]
        rows = rows[moved >= 0].copy()
        rows["shard"] = moved[moved >= 0]
    new = sorted(names - set(shards))
    parts = [rows]
    for name in new:
        try:
            part = read_places(folder / name, schema)
        except FileNotFoundError:
            continue
        except (OSError, pa.ArrowException, ValueError) as error:
            logger.warning("%s: unreadable; it is removed and rebuilt when needed (%s)", folder / name, error)
            (folder / name).unlink(missing_ok=True)
            continue
        part["shard"] = len(shards)
        shards.append(name)
        parts.append(part)
    if rows is known.rows and len(parts) == 1:
        return known
    rows = np.concatenate(parts)
    rows = rows[np.argsort(rows["key"], kind="stable")]
    places = Places(keys=np.ascontiguousarray(rows["key"]), rows=rows, shards=tuple(shards))
    if len(new) >= GATHERED_SHARDS:
        _gather(folder, places)
    return places


def _gathered(folder: Path) -> Places:
    for path in sorted(folder.glob("places-*.arrow"), key=age_seconds):
        try:
            if sha256_file(path) != path.stem.partition("-")[2]:
                continue
            batches, metadata = map_with_metadata(path, _GATHERED)
            rows = np.frombuffer(batches[0].column(1).buffers()[1], PLACE, batches[0].num_rows)
            shards = tuple(json.loads(metadata[b"shards"]))
            return Places(keys=batches[0].column(0).to_numpy(), rows=rows, shards=shards)
        except (OSError, pa.ArrowException, ValueError, KeyError, IndexError):
            continue  # derived: made again
    return Places.none()


def _gather(folder: Path, places: Places) -> None:
    column = pa.FixedSizeBinaryArray.from_buffers(
        _GATHERED.field(1).type, len(places.rows), [None, pa.py_buffer(np.ascontiguousarray(places.rows))]
    )
    batch = pa.RecordBatch.from_arrays([pa.array(places.keys), column], schema=_GATHERED)
    old: Sequence[Path] = list(folder.glob("places-*.arrow"))
    try:
        path = write_mapped(folder, "places-", _GATHERED, [batch], {b"shards": json.dumps(places.shards).encode()})
    except (OSError, StoreError) as error:
        logger.info("places not saved: %s", error)
        return
    for each in old:
        if each != path:
            each.unlink(missing_ok=True)
