"""CSV with a header: the delimiter is found by content, and every cell that is read must be a number."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from counterpoint.core.errors import IngestError
from counterpoint.ingest.files.paths import file_size

DELIMITERS = ",;\t|"
HEAD_BYTES = 2**18
MAX_BYTES = 2 * 2**30
MAX_COLUMNS = 10_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|[+-]?(nan|inf|infinity)$", re.IGNORECASE)


def is_csv(path: Path) -> bool:
    """Whether the first lines have the same number of cells, and numbers below the header."""
    try:
        lines = _head(path)
        delimiter = _delimiter(lines)
        rows = _cells(lines, delimiter)
    except (IngestError, OSError):
        return False
    if len(rows) < 2 or len(rows[0]) < 2 or len(rows[1]) != len(rows[0]):
        return False
    numbers = sum(not cell or is_number(cell, delimiter) for cell in rows[1])
    return 2 * numbers >= len(rows[1])


def is_number(cell: str, delimiter: str = ",") -> bool:
    """Whether a cell is a number; with `;` as delimiter, a comma is the decimal point."""
    text = cell.strip()
    return _NUMBER.match(text.replace(",", ".") if delimiter == ";" else text) is not None


class CsvShard:
    """A CSV file; see `ingest.table.shard.Shard`. Its text is in memory; numbers are parsed on demand."""

    def __init__(self, path: Path) -> None:
        """Read the header and all cells as text.

        Raises:
            IngestError: `missing_file`, `empty_file`, `absurd_size`, `not_text`, `no_header`, `bad_header`,
                `no_rows` or `ragged_rows`.
        """
        self.path = path
        size = file_size(path, "CSV")
        if size > MAX_BYTES:
            raise IngestError(f"{path}: {size} bytes, at most {MAX_BYTES}; split the file", reason="absurd_size")
        lines = _head(path)
        self._delimiter = _delimiter(lines)
        rows = _cells(lines, self._delimiter)
        if not rows:
            raise IngestError(f"{path}: no rows", reason="no_rows")
        header = [cell.strip().removeprefix("#").strip() for cell in rows[0]]
        self._check_header(header)
        self._text = self._read(header)
        self.num_rows: int = self._text.num_rows
        if not self.num_rows:
            raise IngestError(f"{path}: found a header and no rows", reason="no_rows")
        first = [self._text[name][0].as_py() for name in header]
        kinds = [pa.float64() if is_number(cell, self._delimiter) or not cell else pa.string() for cell in first]
        self.schema: pa.Schema = pa.schema(list(zip(header, kinds, strict=True)))

    def rows(self, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Return rows [start, stop) of some columns; raises IngestError `missing_value` or `not_a_number`."""
        piece = self._text.slice(start, stop - start)
        arrays = [
            piece[name].combine_chunks()
            if pa.types.is_string(self.schema.field(name).type)
            else self._numbers(piece[name].combine_chunks(), name, start)
            for name in columns
        ]
        return pa.table(arrays, names=list(columns))

    def _read(self, header: list[str]) -> pa.Table:
        try:
            return arrow_csv.read_csv(
                self.path,
                read_options=arrow_csv.ReadOptions(use_threads=False, column_names=header, skip_rows=1),
                parse_options=arrow_csv.ParseOptions(delimiter=self._delimiter),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                ),
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            if "Empty CSV" in str(error):
                raise IngestError(f"{self.path}: found a header and no rows", reason="no_rows") from error
            reason = "not_text" if "UTF8" in str(error) else "ragged_rows"
            raise IngestError(f"{self.path}: {error}", reason=reason) from error

    def _check_header(self, header: list[str]) -> None:
        if len(header) > MAX_COLUMNS:
            raise IngestError(f"{self.path}: {len(header)} columns", reason="absurd_size")
        if all(is_number(name, self._delimiter) for name in header):
            raise IngestError(f"{self.path}: no header; write the column names into the first line", reason="no_header")
        doubled = {name for name in header if header.count(name) > 1 or not name}
        if doubled:
            raise IngestError(f"{self.path}: missing or repeated column names: {sorted(doubled)}", reason="bad_header")

    def _numbers(self, cells: pa.Array, name: str, start: int) -> pa.Array:
        """Return int64 where all cells are integers (times in ns exceed a float's precision), otherwise float64."""
        trimmed = pc.utf8_trim_whitespace(cells)
        if self._delimiter == ";":
            trimmed = pc.replace_substring(trimmed, pattern=",", replacement=".")
        for kind in (pa.int64(), pa.float64()):
            try:
                return pc.cast(trimmed, kind)
            except pa.ArrowInvalid:
                continue
        texts = trimmed.to_pylist()
        bad = next((row for row, text in enumerate(texts) if not is_number(text)), None)
        if bad is None:  # plus signs, which Arrow does not parse
            return pa.array([float(text) for text in texts], pa.float64())
        # line 1 is the header
        where = f"{self.path}, line {start + bad + 2}, column {name!r}"
        if not texts[bad]:
            raise IngestError(f"{where}: empty, expected a number", reason="missing_value")
        raise IngestError(f"{where}: {texts[bad][:40]!r}, expected a number", reason="not_a_number")


def _head(path: Path) -> list[str]:
    """Return the first complete lines; raises IngestError `not_text` or `absurd_size`."""
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
    if b"\0" in raw:
        raise IngestError(f"{path}: holds zero bytes, expected text", reason="not_text")
    is_whole = len(raw) < HEAD_BYTES
    if not is_whole:
        if b"\n" not in raw:
            raise IngestError(f"{path}: the first line has more than {HEAD_BYTES} bytes", reason="absurd_size")
        raw = raw[: raw.rindex(b"\n")]
    try:
        return raw.decode("utf-8-sig").splitlines()[:20]
    except UnicodeDecodeError as error:
        raise IngestError(f"{path}: not UTF-8 text ({error})", reason="not_text") from error


def _delimiter(lines: list[str]) -> str:
    """Return the most frequent delimiter of the header, preferring one that is as frequent in the next line."""
    if not lines:
        return ","
    following = lines[1] if len(lines) > 1 else lines[0]
    return max(DELIMITERS, key=lambda each: (lines[0].count(each) == following.count(each) > 0, lines[0].count(each)))


def _cells(lines: list[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return []
