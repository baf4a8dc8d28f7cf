"""One array of Zarr 2 or 3: its metadata is checked, and its rows are read chunk by chunk."""

from __future__ import annotations

import importlib.util
import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.json_files import parse_object
from counterpoint.ingest.zarr.codecs import CODECS, JPEG_XL, decode_chunk
from counterpoint.ingest.zarr.hierarchy import Hierarchy

MAX_METADATA_BYTES = 2**20
MAX_CHUNK_BYTES = 2**30
MAX_READ_BYTES = 8 * 2**30
MAX_CHUNKS = 2_000_000
MAX_COMPRESSION = 1100
SLACK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class ZarrArray:
    """The checked metadata of an array."""

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[np.generic]
    order: str
    """C or F: memory order of a chunk."""
    codecs: tuple[str, ...]
    """In decoding order."""
    prefix: str
    separator: str
    fill: float
    may_omit: bool
    """Whether writers omit chunks that contain only `fill`: those of version 3 do, those of version 2 do not."""

    def rows(self, hierarchy: Hierarchy, start: int, stop: int, notes: list[str] | None = None) -> NDArray[np.generic]:
        """Read rows [start, stop); adds the note `empty_chunks:...` to `notes` where chunks were omitted.

        Raises:
            IngestError: `length_mismatch`, `absurd_size`, `damaged_chunk` or `missing_file`.
        """
        if stop > self.shape[0]:
            raise IngestError(
                f"{self.path}: has {self.shape[0]} rows, expected at least {stop}", reason="length_mismatch"
            )
        shape = (stop - start, *self.shape[1:])
        places = [range(start // self.chunks[0], -(-stop // self.chunks[0]))] + [
            range(-(-side // chunk)) for side, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)
        ]
        if math.prod(map(len, places)) > MAX_CHUNKS:
            raise IngestError(f"{self.path}: {math.prod(map(len, places))} chunks", reason="absurd_size")
        keys = {place: self.prefix + self.separator.join(map(str, place)) for place in itertools.product(*places)}
        sizes = {place: hierarchy.size(key) for place, key in keys.items()}
        stored = sum(size or 0 for size in sizes.values())
        claimed = math.prod(shape) * self.dtype.itemsize
        if claimed > min(MAX_READ_BYTES, MAX_COMPRESSION * stored + SLACK_BYTES):
            raise IngestError(
                f"{self.path}: claims {claimed} bytes of samples, but {stored} bytes are stored", reason="absurd_size"
            )
        absent = [keys[place] for place, size in sizes.items() if size is None]
        if absent and not self.may_omit:
            raise IngestError(f"{absent[0]}: {len(absent)} of {len(keys)} chunks are missing", reason="missing_file")
        if absent and notes is not None:
            notes.append(f"empty_chunks:{self.path}")
        result = np.full(shape, self.fill, self.dtype)
        for place, key in keys.items():
            data = hierarchy.get(key)
            if data is not None:
                self._put(result, start, stop, place, self._decoded(data, key))
        return result

    def _decoded(self, data: bytes, key: str) -> NDArray[np.generic]:
        try:
            if self.codecs == (JPEG_XL,):
                return _picture(data).reshape(self.chunks)
            raw = decode_chunk(self.codecs, data, math.prod(self.chunks) * self.dtype.itemsize)
        except ValueError as error:
            raise IngestError(f"{key}: damaged chunk ({error})", reason="damaged_chunk") from error
        return np.frombuffer(raw, self.dtype).reshape(self.chunks, order="F" if self.order == "F" else "C")

    def _put(
        self, result: NDArray[np.generic], start: int, stop: int, place: tuple[int, ...], chunk: NDArray[np.generic]
    ) -> None:
        """Copy the part of a chunk that lies in the requested rows."""
        low = [index * side for index, side in zip(place, self.chunks, strict=True)]
        first, last = max(low[0], start), min(low[0] + self.chunks[0], stop)
        target = [slice(first - start, last - start)]
        source = [slice(first - low[0], last - low[0])]
        for begin, side, whole in zip(low[1:], self.chunks[1:], self.shape[1:], strict=True):
            end = min(begin + side, whole)
            target.append(slice(begin, end))
            source.append(slice(0, end - begin))
        result[tuple(target)] = chunk[tuple(source)]


def load_array(hierarchy: Hierarchy, path: str) -> ZarrArray | None:
    """Read the metadata of an array; None for arrays of objects or with an unknown codec.

    Raises:
        IngestError: `missing_info`, `not_json`, `bad_info`, `wrong_version` or `absurd_size`.
    """
    raw: dict[str, object] | None = None
    for name in (".zarray", "zarr.json"):
        size = hierarchy.size(f"{path}/{name}")
        if size is not None and size > MAX_METADATA_BYTES:
            raise IngestError(f"{path}/{name}: {size} bytes", reason="absurd_size")
        data = hierarchy.get(f"{path}/{name}")
        if data is None:
            continue
        raw = parse_object(data, f"{path}/{name}")
        break
    if raw is None:
        raise IngestError(f"{path}: the array has no metadata", reason="missing_info")
    try:
        match raw.get("zarr_format"):
            case 2:
                found = _version_2(raw, path)
            case 3:
                found = _version_3(raw, path)
            case version:
                raise IngestError(f"{path}: zarr_format {version!r}, expected 2 or 3", reason="wrong_version")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, IngestError):
            raise
        raise IngestError(f"{path}: the metadata does not describe an array: {error!r}", reason="bad_info") from error
    if found is not None:
        _check(found)
    return found


def _version_2(raw: dict[str, object], path: str) -> ZarrArray | None:
    if isinstance(raw["dtype"], list) or np.dtype(str(raw["dtype"])).kind not in "fiub":
        return None
    filters, packer = raw.get("filters"), raw.get("compressor")
    names = [] if packer is None else [str(packer["id"])]  # type: ignore[index]  # anything else raises bad_info
    if filters or not _is_known(names):
        return None
    return ZarrArray(
        path=path,
        shape=_sides(raw["shape"]),
        chunks=_sides(raw["chunks"]),
        dtype=np.dtype(str(raw["dtype"])),
        order=str(raw.get("order", "C")),
        codecs=tuple(names),
        prefix=f"{path}/",
        separator=_separator(raw.get("dimension_separator", ".")),
        fill=_fill(raw.get("fill_value")),
        may_omit=False,
    )


def _version_3(raw: dict[str, object], path: str) -> ZarrArray | None:
    grid, keys, codecs = raw["chunk_grid"], raw["chunk_key_encoding"], raw["codecs"]
    kind = raw["data_type"]
    if not isinstance(kind, str) or kind not in np.sctypeDict or np.dtype(kind).kind not in "fiub":
        return None
    if not (isinstance(grid, dict) and isinstance(keys, dict) and isinstance(codecs, list)):
        raise TypeError("chunk_grid, chunk_key_encoding or codecs of the wrong kind")
    names = [str(codec["name"]) for codec in codecs]
    if grid["name"] != "regular" or names[:1] != ["bytes"] or not _is_known(names[1:]) or JPEG_XL in names:
        return None
    endian = codecs[0].get("configuration", {}).get("endian", "little")
    is_default = keys["name"] == "default"
    return ZarrArray(
        path=path,
        shape=_sides(raw["shape"]),
        chunks=_sides(grid["configuration"]["chunk_shape"]),
        dtype=np.dtype(kind).newbyteorder(">" if endian == "big" else "<"),
        order="C",
        codecs=tuple(reversed(names[1:])),
        prefix=f"{path}/c/" if is_default else f"{path}/",
        separator=_separator(keys.get("configuration", {}).get("separator", "/" if is_default else ".")),
        fill=_fill(raw.get("fill_value")),
        may_omit=True,
    )


def _check(array: ZarrArray) -> None:
    if not array.shape or len(array.shape) != len(array.chunks) or 0 in array.chunks or array.order not in ("C", "F"):
        raise IngestError(f"{array.path}: shape {array.shape}, chunks {array.chunks}", reason="bad_info")
    if math.prod(array.chunks) * array.dtype.itemsize > MAX_CHUNK_BYTES:
        raise IngestError(f"{array.path}: chunks of {array.chunks} numbers", reason="absurd_size")


def _is_known(names: list[str]) -> bool:
    if names == [JPEG_XL]:
        return importlib.util.find_spec("imagecodecs") is not None
    return set(names) <= CODECS.keys() and len(names) <= 3


def _sides(raw: object) -> tuple[int, ...]:
    if not isinstance(raw, list) or not all(type(side) is int and 0 <= side < 2**53 for side in raw) or len(raw) > 8:
        raise ValueError(f"sides {raw!r}")
    return tuple(raw)


def _separator(raw: object) -> str:
    if raw not in (".", "/"):
        raise ValueError(f"separator {raw!r}")
    return str(raw)


def _fill(raw: object) -> float:
    return float(raw) if isinstance(raw, int | float) and math.isfinite(raw) else 0.0


def _picture(data: bytes) -> NDArray[np.uint8]:
    import imagecodecs  # for UMI's camera; only called where it is installed

    try:
        return np.asarray(imagecodecs.jpegxl_decode(data), np.uint8)
    except (RuntimeError, ValueError) as error:
        raise ValueError(str(error)) from error
