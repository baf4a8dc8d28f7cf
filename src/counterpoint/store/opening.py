"""Opening a store by its path or address, wherever it lies."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.store.reader import Store

if TYPE_CHECKING:
    from counterpoint.store.cloud.remote import RemoteStore

_ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/+(.*)", re.IGNORECASE)
"""`s3://bucket/views`, or `s3:/bucket/views` where the address has been through `Path`."""


def open_store(
    path: Path | str, *, cache: Path | str | None = None, options: Mapping[str, str] | None = None
) -> Store | RemoteStore:
    """Open a store for looking at its episodes and for training.

    Args:
        path: folder that `counterpoint ingest` or `collect` wrote, or the address of published training views, for
            example `s3://fleet/views`, `gs://fleet/views` or `file:///mnt/views`.
        cache: local folder for what is fetched from an address; `$COUNTERPOINT_HOME/cache` (default
            `~/.counterpoint/cache`) where left out.
        options: settings of the object storage, for example `{"endpoint": "http://localhost:9000"}`.

    Raises:
        StoreError: there is no store, or it is damaged, of another version, or cannot be reached.
    """
    address = _ADDRESS.fullmatch(str(path))
    if address is None:
        return Store.open(path)
    from counterpoint.store.cloud.remote import RemoteStore

    home = Path(os.environ.get("COUNTERPOINT_HOME") or Path.home() / ".counterpoint")
    slashes = "///" if address[1] == "file" else "//"
    return RemoteStore.open(f"{address[1]}:{slashes}{address[2]}", cache=Path(cache or home / "cache"), options=options)
