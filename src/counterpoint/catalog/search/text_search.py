"""Text search over tasks and instructions, by shared character n-grams.

Each distinct text is encoded once as a vector; a query is compared with all of them.

    texts --n-grams, TF-IDF--> sparse --SVD--> [texts, 128] --cached--> query . texts

The index holds only numbers (hashed n-grams need no vocabulary), so nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from counterpoint.catalog.cache import load_arrays, save_arrays
from counterpoint.core.errors import ConfigError

logger = logging.getLogger(__name__)

INDEX = "catalogue/search"
ROWS = "catalogue/search-rows"
CACHED_ROWS = 50_000
VERSION = 1
FEATURES = 2**15
RANK = 128
FIT_TEXTS = 20_000
"""The projection is fitted on at most this many texts, evenly spaced in sorted order."""
PIECE = 8192
_NOTHING = np.zeros((0, 0), np.float32)
_NO_ROWS = np.zeros(0, np.int64)

Vectors = NDArray[np.float32]


class TextEncoder(Protocol):
    """Encodes texts as vectors whose scalar product measures similarity; a user may supply one."""

    @property
    def name(self) -> str:
        """Name and version of the encoder; an index of another encoder is rebuilt."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32 [texts, dimensions], rows of length 1."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A text that answers a search."""

    text: str
    score: float
    """At most 1: how much of the query the text covers."""
    episodes: int
    hours: float
    robots: tuple[str, ...]
    examples: tuple[str, ...]
    """A few episode ids."""


class NgramEncoder:
    """Character n-grams weighted by rarity, projected onto the directions in which the fitted texts differ most."""

    name = f"tfidf-svd-{VERSION}"

    def __init__(self, rarity: Vectors, components: Vectors) -> None:
        """Keep float32 [FEATURES] and float32 [rank, FEATURES]; see `fit`."""
        self.rarity = rarity
        self.components = components

    @classmethod
    def fit(cls, texts: Sequence[str]) -> NgramEncoder:
        """Learn rarity and projection from texts."""
        if not texts:
            return cls(np.zeros(FEATURES, np.float32), np.zeros((0, FEATURES), np.float32))
        chosen = [
            texts[place] for place in np.unique(np.linspace(0, len(texts) - 1, min(len(texts), FIT_TEXTS)).astype(int))
        ]
        counts = _counts(chosen)
        seen = np.bincount(counts.indices, minlength=FEATURES)
        rarity = (np.log((1 + len(chosen)) / (1 + seen)) + 1).astype(np.float32)
        rank = min(RANK, len(chosen))
        weighted = normalize(counts.multiply(rarity).tocsr())
        if rank < len(chosen) - 1:
            svd = TruncatedSVD(rank, random_state=0, n_iter=4).fit(weighted)
            components = svd.components_
        else:  # few texts: an orthogonal basis of all of them, exactly
            _, strength, rows = np.linalg.svd(weighted.toarray(), full_matrices=False)
            components = rows[strength > 1e-6]
        return cls(rarity, np.ascontiguousarray(components, dtype=np.float32))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32 [texts, rank], rows of length 1 (or 0 for a text without a known n-gram)."""
        found = self.project(texts)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return cast(Vectors, found / np.maximum(length, 1e-12))

    def project(self, texts: Sequence[str]) -> Vectors:
        """Return float32 [texts, rank] without stretching: n-grams unknown to the fitted texts shorten the vector."""
        pieces = [texts[start : start + PIECE] for start in range(0, len(texts), PIECE)]
        rows = [normalize(_counts(piece).multiply(self.rarity).tocsr()) @ self.components.T for piece in pieces]
        return np.concatenate([*rows, np.zeros((0, len(self.components)))]).astype(np.float32)


class TextIndex:
    """Vectors of every different text of a table, ready for queries."""

    def __init__(self, encoder: TextEncoder, texts: list[str], vectors: Vectors) -> None:
        """Use `open_index`."""
        self.encoder = encoder
        self.texts = texts
        self.vectors = vectors

    def best(self, query: str, limit: int) -> list[tuple[int, float]]:
        """Return (place in `texts`, score) of the best matches, best first; equal scores in the order of the texts."""
        if not self.texts:
            return []
        encoder = self.encoder
        wanted = encoder.project([query]) if isinstance(encoder, NgramEncoder) else encoder.encode([query])
        scores = self.vectors @ wanted[0]
        limit = min(limit, len(scores))
        top = np.argpartition(-scores, limit - 1)[:limit]
        return [(int(place), float(scores[place])) for place in top[np.lexsort((top, -scores[top]))]]


@dataclass(frozen=True, kw_only=True, eq=False)
class CodedTexts:
    """The distinct texts of a table, and the text of each row."""

    texts: list[str]
    """Sorted; rows without text have the empty one."""
    codes: NDArray[np.int64]
    """[rows], places in `texts`."""


def coded_texts(table: pa.Table) -> CodedTexts:
    """Return the text of each episode: its task and instruction; empty if it has neither."""
    task, instructions = (_coded(table[name]) for name in ("task", "instruction"))
    pairs = pa.array(task[1].astype(np.int64) * max(len(instructions[0]), 1) + instructions[1]).dictionary_encode()
    first, second = np.divmod(pairs.dictionary.to_numpy(), max(len(instructions[0]), 1))
    words = _joined(
        pc.replace_substring(task[0].take(pa.array(first)), "_", " "), instructions[0].take(pa.array(second))
    )
    texts = sorted(set(words.to_pylist()))
    places = pc.index_in(words, value_set=pa.array(texts, pa.string())).to_numpy().astype(np.int64)
    return CodedTexts(texts=texts, codes=places[pairs.indices.to_numpy()])


def open_texts(root: Path | None, table: pa.Table) -> CodedTexts:
    """Return `coded_texts`, from the cache under `root` where it is still right; small tables are not worth one."""
    if root is None or table.num_rows < CACHED_ROWS:
        return coded_texts(table)
    key = f"{VERSION} {_checksum(table, ('task', 'instruction'))}"
    if (known := load_arrays(root / ROWS, key)) is not None:
        return CodedTexts(texts=known[1]["texts"], codes=cast(NDArray[np.int64], known[0]["codes"]))
    coded = coded_texts(table)
    save_arrays(root / ROWS, key, {"codes": coded.codes.astype(np.int32)}, {"texts": coded.texts})
    return coded


def _checksum(table: pa.Table, names: Sequence[str]) -> str:
    """Return a checksum of columns as they lie in memory: equal for the same files, quicker than reading words."""
    sums: dict[int, int] = {}
    parts: list[tuple[int, int, int]] = []
    for chunk in (chunk for name in names for chunk in table[name].chunks):
        for buffer in filter(None, chunk.buffers()):
            if buffer.address not in sums:
                sums[buffer.address] = zlib.crc32(buffer)
            parts.append((sums[buffer.address], chunk.offset, len(chunk)))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _coded(column: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int32]]:
    """Return the different words of a column and int32 [rows] places among them."""
    coded = pc.fill_null(column, "").dictionary_encode().combine_chunks()  # codes are quicker to join than words
    return coded.dictionary, coded.indices.to_numpy()


def _joined(task: pa.Array, instructions: pa.Array) -> pa.Array:
    # Logs with one sentence per episode use it as task and as instruction.
    is_same = pc.equal(pc.utf8_lower(pc.utf8_rtrim(instructions, " .")), pc.utf8_lower(pc.utf8_rtrim(task, " .")))
    both = pc.utf8_trim_whitespace(pc.binary_join_element_wise(task, instructions, " "))
    return pc.if_else(is_same, instructions, both)


def open_index(root: Path | None, texts: Sequence[str], encoder: TextEncoder | None = None) -> TextIndex:
    """Return an index over different texts, from the cache under `root` where it is still right.

    Args:
        root: store whose `catalogue/` keeps it; None keeps it in memory alone.
        texts: sorted, as in `CodedTexts`.
        encoder: your own; None for n-grams fitted on the texts.
    """
    name = encoder.name if encoder is not None else NgramEncoder.name
    key = hashlib.sha256("\0".join([name, *texts]).encode("utf-8", "surrogatepass")).hexdigest()
    folder = None if root is None else root / INDEX
    if folder is not None and (known := load_arrays(folder, key)) is not None:
        arrays = cast(dict[str, Vectors], known[0])
        kept = encoder or NgramEncoder(arrays["rarity"], arrays["components"])
        return TextIndex(kept, list(texts), arrays["vectors"])
    if len(texts) > PIECE:
        logger.info("building the search index of %d texts; later searches reuse it", len(texts))
    chosen = encoder or NgramEncoder.fit(texts)
    vectors = np.concatenate([chosen.encode(texts[i : i + PIECE]) for i in range(0, len(texts), PIECE)] or [_NOTHING])
    arrays = {"vectors": vectors}
    if isinstance(chosen, NgramEncoder):
        arrays |= {"rarity": chosen.rarity, "components": chosen.components}
    if folder is not None:
        save_arrays(folder, key, arrays, {})
    return TextIndex(chosen, list(texts), vectors)


def search(
    table: pa.Table,
    query: str,
    *,
    root: Path | None = None,
    limit: int = 10,
    least: float = 0.05,
    encoder: TextEncoder | None = None,
) -> list[Hit]:
    """Return the texts nearest to `query`, best first, with their episodes.

    Args:
        table: as `Store.flat` returns it.
        query: words, in any language the texts are in.
        root: store that keeps the index.
        limit: at most so many texts.
        least: lowest score worth showing.
        encoder: see `open_index`.

    Raises:
        ConfigError: an empty query.
    """
    if not query.strip():
        raise ConfigError("search: expected some words, got an empty text")
    coded = open_texts(root, table)
    index = open_index(root, coded.texts, encoder)
    best = [(place, score) for place, score in index.best(query, limit) if score >= least and index.texts[place]]
    rows = [np.flatnonzero(coded.codes == place) for place, _ in best]
    facts = table.select(["episode_id", "robot", "duration_s"]).take(pa.array(np.concatenate([*rows, _NO_ROWS])))
    hits = []
    for (place, score), start, count in zip(best, np.cumsum([0, *map(len, rows)]), map(len, rows), strict=False):
        part = facts.slice(start, count)
        hits.append(
            Hit(
                text=index.texts[place],
                score=round(score, 4),
                episodes=count,
                hours=round(float(np.nansum(part["duration_s"].to_numpy())) / 3600, 6),
                robots=tuple(sorted(filter(None, pc.unique(part["robot"]).to_pylist()))),
                examples=tuple(part["episode_id"].slice(0, 3).to_pylist()),
            )
        )
    return hits


def _counts(texts: Sequence[str]):  # type: ignore[no-untyped-def]  # scipy has no types
    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=FEATURES, alternate_sign=False, norm=None, lowercase=True
    )
    return vectorizer.transform(texts)
