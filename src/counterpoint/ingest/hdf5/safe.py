"""HDF5 from strangers: no other file is opened, no plugin is loaded, sizes are checked before reading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import file_size

MAX_DATASET_BYTES = 8 * 2**30
MAX_CHUNK_BYTES = 512 * 2**20
MAX_COMPRESSION = 1100
"""A dataset that claims more than this times its stored size is refused; deflate reaches 1032."""
SLACK_BYTES = 2**16
MAX_LINKS = 8
MAX_NAMES = 1_000_000
_OWN_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})
"""deflate, shuffle, fletcher32, szip, nbit, scale-offset and h5py's lzf: no other filter is built in."""
_DIGITS = re.compile(r"([0-9]+)")
_DAMAGED = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError, SystemError)
"""What h5py raises on damaged files."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, and turn what h5py raises into an IngestError.

    Raises:
        IngestError: `missing_file`, `empty_file`, `damaged_hdf5`, or whatever the block raises.
    """
    file_size(path, "HDF5")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except IngestError:
        raise
    except _DAMAGED as error:
        reason = "truncated" if "truncated file" in str(error) else "damaged_hdf5"
        if "signature not found" in str(error):
            reason = "wrong_magic"
        raise IngestError(f"{path}: damaged HDF5 file ({error})", reason=reason) from error


def find(group: h5py.Group, path: str, links: int = 0) -> h5py.Group | h5py.Dataset | None:
    """Return the object at `path` below `group`, or None; links are followed within the file only.

    Raises:
        IngestError: `path_outside` for a link to another file, or a cycle of links.
    """
    found: h5py.Group | h5py.Dataset = group
    for name in path.split("/"):
        if not isinstance(found, h5py.Group) or name not in found:
            return None
        link = found.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            target = link.path
            if links >= MAX_LINKS:
                raise IngestError(f"{path!r}: a cycle of links; refused", reason="path_outside")
            start = found.file["/"] if target.startswith("/") else found
            inner = find(start, target.strip("/"), links + 1)
            if inner is None:
                return None
            found = inner
        elif isinstance(link, h5py.HardLink):
            found = found[name]
        else:
            raise IngestError(f"{path!r}: a link to another file; refused", reason="path_outside")
    return found


def names(group: h5py.Group) -> list[str]:
    """Return the names in a group, in natural order: `demo_2` before `demo_10`; raises IngestError."""
    if len(group) > MAX_NAMES:
        raise IngestError(f"{group.name}: claims {len(group)} members, at most {MAX_NAMES}", reason="absurd_size")
    return sorted(
        group,
        key=lambda name: [
            (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in _DIGITS.split(name)
        ],
    )


def datasets(group: h5py.Group, below: str) -> dict[str, h5py.Dataset]:
    """Return all datasets below the path `below`, by path relative to `group`; raises IngestError."""
    found: dict[str, h5py.Dataset] = {}
    inner = find(group, below)
    if not isinstance(inner, h5py.Group):
        return found
    for name in names(inner):
        path = f"{below}/{name}"
        member = find(group, path)
        if isinstance(member, h5py.Dataset):
            found[path] = member
        elif isinstance(member, h5py.Group) and path.count("/") < MAX_LINKS:
            found.update(datasets(group, path))
    return found


def read_array(dataset: h5py.Dataset, where: str) -> NDArray[np.generic]:
    """Read a dataset of numbers (or of fixed-length bytes) whole.

    Raises:
        IngestError: `wrong_type`, `path_outside`, `unknown_filter`, `absurd_size` or `missing_value`.
    """
    kind = dataset.dtype
    if kind.kind not in "fiubS":
        raise IngestError(f"{where}: type {kind}, expected numbers", reason="wrong_type")
    check_storage(dataset, where)
    return np.asarray(dataset[()])


def check_storage(dataset: h5py.Dataset, where: str) -> None:
    """Refuse datasets that would open other files, load plugins or allocate too much; raises as `read_array`."""
    plan = dataset.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise IngestError(f"{where}: its samples are in another file; refused", reason="path_outside")
    foreign = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())} - _OWN_FILTERS
    if foreign:
        raise IngestError(
            f"{where}: filter {sorted(foreign)} needs a plugin; write the file again with gzip", reason="unknown_filter"
        )
    size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize if dataset.shape is not None else 0
    chunk = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize if dataset.chunks else 0
    stored = dataset.id.get_storage_size()
    file_size = dataset.file.id.get_filesize()
    packing = MAX_COMPRESSION if plan.get_nfilters() else 1
    most = min(MAX_DATASET_BYTES, packing * min(stored, file_size) + SLACK_BYTES)
    if size > most or chunk > min(MAX_CHUNK_BYTES, max(size, SLACK_BYTES) * 16):
        raise IngestError(
            f"{where}: claims {size} bytes of samples in chunks of {chunk}, but {stored} bytes are stored",
            reason="absurd_size",
        )
    if size and not stored:
        raise IngestError(f"{where}: its samples were never written", reason="missing_value")


def text_of(holder: h5py.Group, *keys: str) -> str:
    """Return the first of these attributes or scalar datasets that is text, otherwise an empty string."""
    for key in keys:
        raw = holder.attrs.get(key)
        if raw is None:
            member = find(holder, key)
            if (
                not isinstance(member, h5py.Dataset)
                or member.shape != ()
                or h5py.check_string_dtype(member.dtype) is None
            ):
                continue
            check_storage(member, key)
            raw = member[()]
        if isinstance(raw, bytes):
            return raw.decode("utf-8", errors="replace")
        if isinstance(raw, str):
            return raw
    return ""
