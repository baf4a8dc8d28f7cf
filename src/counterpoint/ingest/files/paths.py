"""Paths named in a log's metadata: filled in without `str.format`, never outside the log's folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from counterpoint.core.errors import IngestError

_FIELD = re.compile(r"\{([A-Za-z_]\w*)(?::0(\d)d)?\}")
MAX_PATH = 1024


def fill_template(template: str, values: Mapping[str, int | str]) -> str:
    """Fill `{name}` and `{name:03d}` in `template`; every other feature of format strings is refused.

    Raises:
        IngestError: `bad_template` for any other field.
    """

    def value(match: re.Match[str]) -> str:
        name, digits = match.groups()
        found = values.get(name)
        if found is None or (digits and not isinstance(found, int)):
            raise IngestError(
                f"path template {template!r}: cannot fill {match.group(0)!r}; known: {', '.join(values)}",
                reason="bad_template",
            )
        return f"{found:0{int(digits)}d}" if digits else str(found)

    filled = _FIELD.sub(value, template)
    if "{" in filled or "}" in filled or len(filled) > MAX_PATH:
        raise IngestError(
            f"path template {template[:200]!r}: expected only fields such as {{name}} and {{name:03d}}",
            reason="bad_template",
        )
    return filled


def inside(root: Path, relative: str) -> Path:
    """Return `root / relative`, whether it exists or not.

    Raises:
        IngestError: `path_outside` where the path is absolute, contains `..`, or points outside
            `root` through a link.
    """
    pure = PurePosixPath(relative)
    if pure.is_absolute() or ".." in pure.parts or "\\" in relative or "\0" in relative or not pure.parts:
        raise IngestError(f"{root}: path {relative!r} points outside the folder; refused", reason="path_outside")
    path = root / pure
    if not path.resolve().is_relative_to(root.resolve()):
        raise IngestError(f"{path}: this link points outside {root}; refused", reason="path_outside")
    return path


def file_size(path: Path, expected: str) -> int:
    """Return the size of a file that exists and is not empty; `expected` says what it should hold.

    Raises:
        IngestError: `missing_file` or `empty_file`.
    """
    if not path.is_file():
        raise IngestError(f"{path}: missing, or not a file", reason="missing_file")
    size = path.stat().st_size
    if size == 0:
        raise IngestError(f"{path}: empty file, expected {expected}", reason="empty_file")
    return size


def starts_with(path: Path, magic: bytes, offset: int = 0) -> bool:
    """Whether a file has these bytes at `offset`; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(len(magic)) == magic
    except OSError:
        return False
