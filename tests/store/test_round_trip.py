"""Property tests: arbitrary episodes survive the store."""

from __future__ import annotations

import tempfile

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import Stream, TimeSource
from counterpoint.store import Store, StoreWriter
from counterpoint.store.files.blocks import Columns, columns_to_table, table_to_columns

ROBOT = Embodiment(
    name="r",
    sensing=(),
    acting=(Channel(name="a", quantity="joint_position", unit="rad"),),
    control_rate_hz=10.0,
)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def times(draw: st.DrawFn, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Odd rates, equal instants, negative starts, arrivals out of order."""
    steps = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 10**10)))
    start = draw(st.integers(-(2**61), 2**61))
    capture = start + np.cumsum(steps)
    return capture, capture + draw(hnp.arrays(np.int64, count, elements=st.integers(0, 10**9)))


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    name = draw(st.text("abc/._ %", min_size=1, max_size=8))
    kind = draw(st.sampled_from(["vector", "vector", "text", "image"]))
    count = draw(st.integers(0, 12))
    capture, arrival = draw(times(count))
    values: np.ndarray
    match kind:
        case "vector":
            width = draw(st.integers(1, 7))
            channels = tuple(Channel(name=str(i), quantity="unknown", unit="1") for i in range(width))
            spec = StreamSpec(name=name, channels=channels, rate_hz=draw(st.none() | st.floats(0.1, 1e4)))
            values = draw(hnp.arrays(np.float32, (count, width), elements=FINITE))
        case "text":
            spec = StreamSpec(name=name, kind="text")
            values = np.empty(count, dtype=np.object_)
            values[:] = draw(st.lists(TEXT, min_size=count, max_size=count))
        case _:
            height, width = draw(st.integers(1, 33)), draw(st.integers(1, 33))
            spec = StreamSpec(name=name, kind="image", height=height, width=width)
            shade = draw(hnp.arrays(np.uint8, count))
            values = np.broadcast_to(shade[:, None, None, None], (count, height, width, 3)).copy()
    sources: tuple[TimeSource, ...] = ("measured", "nominal")
    source = draw(st.sampled_from(sources))
    return Stream(spec=spec, capture_ns=capture, arrival_ns=arrival, values=values, time_source=source)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(streams(), max_size=4, unique_by=lambda stream: stream.spec.name), TEXT.filter(bool))
def test_any_episode_comes_back_as_it_was(written: list[Stream], instruction: str) -> None:
    episode = Episode(
        episode_id="e",
        embodiment=ROBOT,
        provenance=Provenance(robot="r", instruction=instruction),
        streams={stream.spec.name: stream for stream in written},
    )
    with tempfile.TemporaryDirectory() as folder:
        StoreWriter(folder).add(episode)
        store = Store.open(folder)
        assert store.verify() == []
        read = store.read("e")
        low = store.low("e")
        assert (read.start_ns, read.end_ns) == (episode.start_ns, episode.end_ns)
        assert read.provenance == episode.provenance
        for stream in written:
            assert_same(read.streams[stream.spec.name], stream)
            if stream.spec.kind != "image":
                assert_same(low[stream.spec.name], stream)
        StoreWriter(folder).add(read if not any(s.spec.kind == "image" for s in written) else episode)


def assert_same(found: Stream, stream: Stream) -> None:
    assert found.spec == stream.spec
    assert found.time_source == stream.time_source
    np.testing.assert_array_equal(found.capture_ns, stream.capture_ns)
    np.testing.assert_array_equal(found.arrival_ns, stream.arrival_ns)
    if stream.spec.kind == "image" and len(stream):
        assert np.abs(found.values.astype(float) - stream.values.astype(float)).max() < 12
    else:
        np.testing.assert_array_equal(found.values, stream.values)


@given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 16))
def test_streams_cut_into_blocks_join_again(count: int, width: int, block: int) -> None:
    written = Columns(
        capture_ns=np.arange(count),
        arrival_ns=np.arange(count) + 5,
        values=np.arange(count * width, dtype=np.float32),
        texts=[str(i) for i in range(count)],
    )
    table = columns_to_table([("a", written), ("b", written)], block)
    assert table.num_rows == 2 * max(1, -(-count // block))
    for found in table_to_columns(table).values():
        np.testing.assert_array_equal(found.capture_ns, written.capture_ns)
        np.testing.assert_array_equal(found.arrival_ns, written.arrival_ns)
        np.testing.assert_array_equal(found.values, written.values)
        assert list(found.texts) == list(written.texts)
