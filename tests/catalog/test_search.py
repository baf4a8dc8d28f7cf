"""Search finds what was said, also misspelt, and its index is rebuilt when it is stale or damaged."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from catalog_episodes import flat_rows
from numpy.typing import NDArray

from counterpoint.catalog.search.text_search import INDEX, ROWS, coded_texts, open_index, search
from counterpoint.core.errors import ConfigError

TOLD = ["fold the towel", "put the red mug into the sink", "pour a glass of water", "wipe the table", "stack the boxes"]


def table(told: list[str] = TOLD, count: int = 50) -> pa.Table:
    return flat_rows(count, instruction=told, task=[""])


@pytest.mark.parametrize(
    ("query", "expected"),
    [("towel", 0), ("FOLDING TOWELS", 0), ("red mug", 1), ("glas of watter", 2), ("clean: wipe tabel", 3)],
)
def test_finds_the_nearest_text(query: str, expected: int) -> None:
    hits = search(table(), query)
    assert hits[0].text == TOLD[expected]
    assert hits[0].episodes == 10
    assert hits[0].robots == ("arm", "hand")
    assert len(hits[0].examples) == 3


def test_many_texts_are_projected() -> None:
    verbs, things = [f"verb{i}" for i in range(25)], [f"thing{i}" for i in range(20)]
    told = [f"{verb} the {thing} now" for verb in verbs for thing in things]
    hits = search(table(told, 500), "verb7 the thing13 now", limit=3)
    assert hits[0].text == "verb7 the thing13 now"
    assert hits[0].score > hits[2].score


def test_nothing_alike_scores_nothing() -> None:
    assert search(table(), "qqqq zzzz") == []


def test_odd_texts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="some words"):
        search(table(), "  ")
    assert search(flat_rows(0), "anything") == []
    assert search(flat_rows(5, instruction=[""], task=[""]), "anything", root=tmp_path) == []
    only = search(
        flat_rows(1, instruction=["\u628a\u676f\u5b50 \u653e\u4e0b"], task=[""]), "\u676f\u5b50", root=tmp_path
    )
    assert only[0].episodes == 1


def test_a_task_that_says_the_same_is_not_said_twice() -> None:
    coded = coded_texts(flat_rows(4, instruction=["Fold it.", "fold it now"], task=["fold_it"]))
    assert coded.texts == ["Fold it.", "fold it fold it now"]
    assert coded.codes.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("damage", ["flip", "truncate", "garbage", "remove"])
def test_a_damaged_index_is_built_again(tmp_path: Path, damage: str) -> None:
    expected = search(table(), "mug", root=tmp_path)
    path = tmp_path / INDEX / ("index.json" if damage == "garbage" else "vectors.npy")
    content = path.read_bytes()
    match damage:
        case "flip":
            path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
        case "truncate":
            path.write_bytes(content[: len(content) // 2])
        case "garbage":
            path.write_text("[1, 2")
        case _:
            path.unlink()
    assert search(table(), "mug", root=tmp_path) == expected
    assert path.read_bytes() == content


def test_new_texts_make_a_new_index(tmp_path: Path) -> None:
    search(table(), "mug", root=tmp_path)
    assert search(table([*TOLD, "open the oven"]), "oven", root=tmp_path)[0].text == "open the oven"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_store_that_cannot_be_written_is_searched_all_the_same(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert search(table(), "mug", root=tmp_path)
    tmp_path.chmod(0o755)


class _Lengths:
    """A user's own encoder: a text is its length."""

    name = "lengths-1"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        angles = np.array([len(text) for text in texts], np.float32) / 100
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_an_encoder_of_ones_own(tmp_path: Path) -> None:
    hits = search(table(), "x" * len(TOLD[1]), root=tmp_path, encoder=_Lengths())
    assert hits[0].text == TOLD[1]
    assert open_index(tmp_path, coded_texts(table()).texts, _Lengths()).vectors.shape == (5, 2)


def test_rows_of_a_large_table_are_kept_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterpoint.catalog.search.text_search.CACHED_ROWS", 10)
    first = table()
    expected = search(first, "mug", root=tmp_path)
    assert search(first, "mug", root=tmp_path) == expected
    (tmp_path / ROWS / "codes.npy").write_bytes(b"damaged")
    assert search(first, "mug", root=tmp_path) == expected
    assert search(pa.concat_tables([first, first]), "mug", root=tmp_path)[0].episodes == 20
    assert search(first.slice(1, 5), "mug", root=tmp_path)[0].episodes == 1
