"""Run records: whole lines survive a crash, a torn one is passed over and never glued to the next."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.core.errors import CounterpointError
from counterpoint.core.records import Json, RunRecord, finite_json, read_records

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=10,
)


def write_steps(path: Path, steps: range) -> None:
    record = RunRecord(path)
    for step in steps:
        record.write("metric", step=step)
    record.close()


@pytest.mark.parametrize("lost", range(1, 40, 3))
def test_a_crash_in_the_middle_of_a_line_costs_that_line_alone(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    write_steps(path, range(3))
    path.write_bytes(path.read_bytes()[:-lost])
    write_steps(path, range(3, 5))
    steps = [record["step"] for record in read_records(path)]
    assert steps[:2] == [0, 1]
    assert steps[-2:] == [3, 4]


def test_kind_selects(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "metrics.jsonl")
    record.write("config", steps=10)
    record.write("metric", loss=0.5)
    record.close()
    assert [found["loss"] for found in read_records(tmp_path / "metrics.jsonl", "metric")] == [0.5]


@given(JSON)
def test_every_record_is_plain_json(value: Json) -> None:
    text = json.dumps(finite_json(value), allow_nan=False)
    assert json.loads(text) == finite_json(value)


def test_numbers_that_are_not_finite_become_null() -> None:
    assert finite_json({"loss": math.nan, "best": [math.inf, 1.0]}) == {"loss": None, "best": [None, 1.0]}


def test_missing_record_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(CounterpointError, match=r"absent\.jsonl: no run record here"):
        read_records(tmp_path / "absent.jsonl")
