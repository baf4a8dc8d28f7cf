"""Descriptions of robots and of streams: one JSON file each, named by its SHA-256, read once."""

from __future__ import annotations

import json
from pathlib import Path

from counterpoint.core.embodiment import Embodiment, StreamSpec, embodiment_from_dict, spec_from_dict
from counterpoint.core.errors import CounterpointError, StoreError
from counterpoint.store.files.layout import next_step


class Descriptions:
    """The descriptions of a store by their digests."""

    def __init__(self, root: Path) -> None:
        """Read below the store's folder when asked."""
        self._root = root
        self._specs: dict[str, StreamSpec] = {}
        self._embodiments: dict[str, Embodiment] = {}

    def spec(self, digest: str) -> StreamSpec:
        """Return what a stream carries; raises StoreError where the file is damaged or missing."""
        if digest not in self._specs:
            self._specs[digest] = spec_from_dict(self._read("specs", digest))
        return self._specs[digest]

    def embodiment(self, digest: str) -> Embodiment:
        """Return a robot; raises StoreError where the file is damaged or missing."""
        if digest not in self._embodiments:
            self._embodiments[digest] = embodiment_from_dict(self._read("embodiments", digest))
        return self._embodiments[digest]

    def _read(self, kind: str, digest: str) -> dict[str, object]:
        path = self._root / kind / f"{digest}.json"
        try:
            raw = json.loads(path.read_bytes())
            if not isinstance(raw, dict):
                raise CounterpointError("not a JSON object")
            return raw
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: damaged or missing ({error}); {next_step(self._root)}") from error
