"""The keys of a Zarr hierarchy: files of a folder, or members of a zip, which is never extracted."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import file_size, inside, starts_with

ENDS = "meta/episode_ends"
METADATA = (".zarray", "zarr.json")
ZIP_MAGIC = b"PK\x03\x04"
MAX_VALUE_BYTES = 2**30
MAX_MEMBERS = 20_000_000
"""Most files in a zip; each of them is checked."""
MAX_COMPRESSION = 1100
SLACK_BYTES = 2**16
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError, KeyError)


class Hierarchy(Protocol):
    """Values by key; each is read whole."""

    def size(self, key: str) -> int | None:
        """Return the stored size of a value, None where there is none; raises IngestError `path_outside`."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return a value, None where there is none; raises IngestError."""
        ...

    def arrays(self, group: str) -> list[str]:
        """Return the names of the arrays directly below a group, sorted."""
        ...


def has_episode_ends(path: Path) -> bool:
    """Whether a folder or zip has the array that marks this layout."""
    if path.is_dir():
        return any((path / ENDS / name).is_file() for name in METADATA)
    if not starts_with(path, ZIP_MAGIC):
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return any(f"{ENDS}/{name}" in file.NameToInfo for name in METADATA)
    except _BAD_ZIP:
        return False


def open_hierarchy(path: Path) -> Hierarchy:
    """Open a folder or a zip; raises IngestError."""
    return FolderHierarchy(path) if path.is_dir() else ZipHierarchy(path)


class FolderHierarchy:
    """A folder; links out of it are refused."""

    def __init__(self, root: Path) -> None:
        """Keep the folder."""
        self._root = root

    def size(self, key: str) -> int | None:
        """Return the stored size of a value, None where there is none."""
        path = inside(self._root, key)
        return path.stat().st_size if path.is_file() else None

    def get(self, key: str) -> bytes | None:
        """Return a value, None where there is none."""
        size = self.size(key)
        if size is None:
            return None
        _check_size(size, key)
        return inside(self._root, key).read_bytes()

    def arrays(self, group: str) -> list[str]:
        """Return the names of the arrays directly below a group."""
        folder = inside(self._root, group)
        if not folder.is_dir():
            return []
        return [each.name for each in sorted(folder.iterdir()) if any((each / name).is_file() for name in METADATA)]


class ZipHierarchy:
    """A zip; the names and claimed sizes of all members are checked before any is read."""

    def __init__(self, path: Path) -> None:
        """Read the zip's directory.

        Raises:
            IngestError: `empty_file`, `wrong_magic`, `damaged_zip`, `path_outside` or `absurd_size`.
        """
        self._path = path
        size = file_size(path, "a zip")
        if not starts_with(path, ZIP_MAGIC):
            raise IngestError(f"{path}: expected a zip", reason="wrong_magic")
        try:
            self._file = zipfile.ZipFile(path)
            self._members = {info.filename: info for info in self._file.infolist()}
        except _BAD_ZIP as error:
            raise IngestError(f"{path}: the zip is damaged ({error}); copy it again", reason="damaged_zip") from error
        if len(self._members) > MAX_MEMBERS:
            raise IngestError(
                f"{path}: {len(self._members)} files in the zip, at most {MAX_MEMBERS}; unpack it", reason="absurd_size"
            )
        for name, info in self._members.items():
            _check_member(path, name, info, size)

    def size(self, key: str) -> int | None:
        """Return the stored size of a value, None where there is none."""
        info = self._members.get(key)
        return None if info is None else info.compress_size

    def get(self, key: str) -> bytes | None:
        """Return a value, None where there is none; raises IngestError `damaged_zip` or `absurd_size`."""
        info = self._members.get(key)
        if info is None:
            return None
        _check_size(info.file_size, key)
        try:
            return self._file.read(info)
        except _BAD_ZIP as error:
            raise IngestError(f"{self._path}, {key}: damaged zip ({error})", reason="damaged_zip") from error

    def arrays(self, group: str) -> list[str]:
        """Return the names of the arrays directly below a group."""
        parts = [PurePosixPath(name).parts for name in self._members]
        depth = len(PurePosixPath(group).parts)
        found = {each[depth] for each in parts if len(each) == depth + 2 and each[-1] in METADATA}
        return sorted(name for name in found if any(f"{group}/{name}/{each}" in self._members for each in METADATA))


def _check_member(path: Path, name: str, info: zipfile.ZipInfo, size: int) -> None:
    pure = PurePosixPath(name)
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name.split("/")[0] or is_link:
        raise IngestError(f"{path}: member {name!r} points outside the zip; refused", reason="path_outside")
    if info.compress_size > size or info.file_size > MAX_COMPRESSION * info.compress_size + SLACK_BYTES:
        raise IngestError(
            f"{path}: member {name!r} claims to unpack from {info.compress_size} to {info.file_size} bytes; refused",
            reason="absurd_size",
        )


def _check_size(size: int, key: str) -> None:
    if size > MAX_VALUE_BYTES:
        raise IngestError(f"{key}: {size} bytes, at most {MAX_VALUE_BYTES}", reason="absurd_size")
