"""Instructions as hashed features: words, pairs of words, letter triples. No vocabulary, no learned weights."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=65536)
def text_features(text: str, buckets: int, features: int) -> NDArray[np.int64]:
    """Return the hash buckets of `text`, int64 [features], -1 where unused; words come first.

    CRC-32 of a marked feature, so the same on every machine. The array is shared: do not write to it.
    """
    words = re.findall(r"\w+", text.lower())
    marked = [f"w {word}" for word in words]
    marked += [f"b {first} {second}" for first, second in pairwise(words)]
    padded = f" {' '.join(words)} "
    marked += [f"c {padded[i : i + 3]}" for i in range(len(padded) - 2)]
    hashed = list(dict.fromkeys(zlib.crc32(feature.encode()) % buckets for feature in marked))[:features]
    row = np.full(features, -1, dtype=np.int64)
    row[: len(hashed)] = hashed
    row.setflags(write=False)
    return row
