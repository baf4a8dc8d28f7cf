"""JSON files that strangers wrote: size, encoding and kind are checked before anything relies on them."""

from __future__ import annotations

import json
from pathlib import Path

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import inside

MAX_INFO_BYTES = 16 * 2**20
"""Largest file that describes a dataset."""
MAX_LINES_BYTES = 256 * 2**20
"""Largest file of one line per episode."""


def read_text(path: Path, most: int) -> str:
    """Read a metadata file of at most `most` bytes.

    Raises:
        IngestError: `missing_file`, `absurd_size` or `not_text`.
    """
    if not path.is_file():
        raise IngestError(f"{path}: missing", reason="missing_file")
    if path.stat().st_size > most:
        raise IngestError(f"{path}: larger than {most} bytes", reason="absurd_size")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise IngestError(f"{path}: not UTF-8 text ({error})", reason="not_text") from error


def read_info(root: Path, name: str) -> dict[str, object]:
    """Read the JSON file that describes the dataset in `root`.

    Raises:
        IngestError: `missing_info`, `path_outside`, `absurd_size`, `not_text` or `not_json`.
    """
    path = inside(root, name)
    if not path.is_file():
        raise IngestError(f"{path}: missing; a dataset of this format has one", reason="missing_info")
    return parse_object(read_text(path, MAX_INFO_BYTES), str(path))


def parse_object(text: str | bytes, where: str) -> dict[str, object]:
    """Parse a JSON object; raises IngestError `not_json`.

    Escapes of half a character, which no text file can hold, are refused too.
    """
    try:
        raw: object = json.loads(text)
        if isinstance(text, str) and "\\ud" in text.lower():
            json.dumps(raw, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise IngestError(f"{where}: not JSON ({error})", reason="not_json") from error
    if not isinstance(raw, dict):
        raise IngestError(f"{where}: expected a JSON object, got {type(raw).__name__}", reason="not_json")
    return raw


def read_json_lines(path: Path) -> list[dict[str, object]]:
    """Read a JSONL file of objects; raises IngestError `not_json` naming the line, or as `read_text`."""
    lines = enumerate(read_text(path, MAX_LINES_BYTES).splitlines(), start=1)
    return [parse_object(line, f"{path}, line {number}") for number, line in lines if line.strip()]
