"""Random numbers are pure functions of their keys, on every machine and version."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.seeding import generator, stable_hash

KEYS = st.lists(st.one_of(st.integers(-(2**63), 2**63), st.text(max_size=10)), min_size=1, max_size=4)


def test_hash_and_numbers_are_what_they_always_were() -> None:
    assert stable_hash("seed", 7) == 10747011145283679838
    assert generator(0, "task", 7).integers(0, 1000, 5).tolist() == [462, 441, 38, 285, 869]


@given(KEYS)
def test_same_keys_give_the_same_numbers(keys: list[int | str]) -> None:
    assert generator(*keys).random(3).tolist() == generator(*keys).random(3).tolist()


@given(KEYS, st.integers(1, 64))
def test_hash_stays_below_its_bits(keys: list[int | str], bits: int) -> None:
    assert 0 <= stable_hash(*keys, bits=bits) < 2**bits


def test_order_type_and_grouping_of_keys_matter() -> None:
    all_keys: list[tuple[int | str, ...]] = [(1, 2), (2, 1), ("1", 2), (12,), ("1", "2"), ("12",)]
    hashes = [stable_hash(*keys) for keys in all_keys]
    assert len(set(hashes)) == len(hashes)
