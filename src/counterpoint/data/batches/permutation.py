"""A shuffle that needs no memory: a keyed bijection of 0 .. size - 1, computed one number at a time.

A Feistel network permutes the smallest power of four that holds `size`; numbers that fall outside are sent
through again until they fall inside (cycle walking; Black and Rogaway, "Ciphers with Arbitrary Finite Domains",
2002), which takes fewer than four rounds on average. A shuffled list of the frames of 270,000 hours would take
hundreds of gigabytes; this takes six integers.
"""

from __future__ import annotations

from counterpoint.core.seeding import stable_hash

ROUNDS = 6
_MASK = (1 << 64) - 1


class KeyedPermutation:
    """A bijection of 0 .. size - 1 that depends on `size` and the keys alone."""

    def __init__(self, size: int, *keys: int | str) -> None:
        """Derive the rounds' keys; `size` from 1 to 2**62."""
        if not 1 <= size <= 1 << 62:
            raise ValueError(f"expected a size from 1 to 2**62, got {size}")
        self.size = size
        self._half = max(1, ((size - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        self._keys = [stable_hash("permutation", *keys, number) for number in range(ROUNDS)]

    def __len__(self) -> int:
        """Return the size."""
        return self.size

    def __getitem__(self, place: int) -> int:
        """Return what stands at a place; raises IndexError outside 0 .. size - 1."""
        if not 0 <= place < self.size:
            raise IndexError(f"place {place} of {self.size}")
        value = self._forward(place)
        while value >= self.size:
            value = self._forward(value)
        return value

    def _forward(self, value: int) -> int:
        left, right = value >> self._half, value & self._mask
        for key in self._keys:
            left, right = right, left ^ (_mixed((right ^ key) & _MASK) & self._mask)
        return (left << self._half) | right


def mixed(*words: int) -> int:
    """Hash 64-bit words to one of 64 bits: quick, well spread, the same everywhere; not for secrets."""
    value = 0
    for word in words:
        value = _mixed((value + word + 0x9E3779B97F4A7C15) & _MASK)
    return value


def _mixed(value: int) -> int:
    """Finish a 64-bit hash (the last steps of SplitMix64)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
