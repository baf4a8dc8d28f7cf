"""Random numbers as pure functions of named keys: no global state, and the same numbers on any worker."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*keys: int | str) -> np.random.Generator:
    """Return a generator that depends on `keys` alone, in order: `generator(seed, "task", 7)`."""
    return np.random.Generator(np.random.Philox(key=stable_hash(*keys)))


def stable_hash(*keys: int | str, bits: int = 64) -> int:
    """Hash `keys` to an integer of `bits` bits, the same on every machine and Python version."""
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[: (bits + 7) // 8], "little") % (1 << bits)
