"""One file of a table in any format: a schema, and rows on demand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from counterpoint.core.errors import IngestError


class Shard(Protocol):
    """A file opened for reading; its rows follow those of the previous shard."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names and types of all columns; columns of a text file have the type of their first row."""
        ...

    @property
    def num_rows(self) -> int:
        """Number of rows, checked against the file's size."""
        ...

    def rows(self, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        """Return rows [start, stop) of some columns, checked.

        Raises:
            IngestError: the file is damaged, or a text is not a number; carries the reason code.
        """
        ...


def checked_schema(schema: pa.Schema, path: Path) -> pa.Schema:
    """Return `schema`; raises IngestError `not_text` for names that are not UTF-8, `bad_header` for repeated ones."""
    try:
        schema.to_string(show_schema_metadata=False, show_field_metadata=False)
        names = list(schema.names)
    except (ValueError, pa.ArrowException) as error:
        raise IngestError(f"{path}: a column name is not UTF-8 text ({error})", reason="not_text") from error
    if len(set(names)) < len(names):
        raise IngestError(f"{path}: repeated column names", reason="bad_header")
    return schema
