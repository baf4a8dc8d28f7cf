"""The Processor: fits, inverts, serves what it trained, and travels as plain data."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from encoded_windows import encode_window
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode
from counterpoint.core.errors import CheckpointError, PolicyError, UnknownNameError
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.core.seeding import generator
from counterpoint.core.stream import vector_stream
from counterpoint.data.encoding.acting import acting_track, base_at, denormalise, knots, normalise
from counterpoint.data.encoding.pack import pack
from counterpoint.data.encoding.processor import Processor
from counterpoint.data.episodes.selection import Selection
from counterpoint.data.episodes.source import MemorySource
from counterpoint.data.episodes.synthetic import synthetic_embodiment, synthetic_episode, synthetic_source

ALL = Selection(split="all")
ROBOT = synthetic_embodiment(7)
EPISODES = [synthetic_episode(ROBOT, i, seed=1) for i in range(6)]
PROCESSOR = Processor.fit([MemorySource(EPISODES)], selection=ALL)


def observation(episode: Episode, now_ns: int, delay_s: float, committed: ActionChunk | None = None) -> Observation:
    """What a server would be given: events that have arrived, no older than the processor asks for."""
    return Observation.from_streams(
        episode.embodiment,
        episode.streams,
        now_ns=now_ns,
        history_s=PROCESSOR.config.history_s,
        ready_ns=now_ns + int(delay_s * 1e9),
        committed=committed,
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_decoding_inverts_normalising_of_knots(seed: int) -> None:
    acting = PROCESSOR.robots[ROBOT.name].acting
    rng = generator(seed)
    values = rng.uniform(-9.9, 9.9, (16, 7)).astype(np.float32)
    base = rng.uniform(-1, 1, 7).astype(np.float32) * np.array([1] * 6 + [0], np.float32)
    raw = denormalise(values, base, acting)
    np.testing.assert_allclose(normalise(raw[None], base[None], acting)[0], values, atol=2e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_decoded_targets_are_the_logged_action(seed: int) -> None:
    rng = generator(seed)
    episode = EPISODES[seed % 6]
    action = episode.streams["action"]
    now = int(rng.integers(action.capture_ns[0] + 10**8, action.capture_ns[-1] - 10**9))
    window = encode_window(PROCESSOR, ROBOT, episode.streams, np.array([now]), np.zeros(1, np.float32))
    chunk = PROCESSOR.decode(ROBOT, window.values[0], window.base[0], now)
    for i, name in enumerate(chunk.channel_names):
        t0 = action.capture_ns[0]
        logged = np.interp(
            (chunk.time_ns - t0) / 1e9, (action.capture_ns - t0) / 1e9, action.values[:, i].astype(float)
        )
        np.testing.assert_allclose(chunk.values[1:, i], logged[1:], atol=2e-4, err_msg=name)
    assert chunk.time_ns[:2].tolist() == [now, now + 50_000_000]


def test_an_answer_without_delay_also_decides_the_present_command() -> None:
    acting = PROCESSOR.robots[ROBOT.name].acting
    slope, offset = np.linspace(-0.2, 0.2, 7), np.full(7, 0.11)
    line = (offset + slope * 0.05 * np.arange(16)[:, None]).astype(np.float32)
    base = np.full(7, 0.1, np.float32) * (acting.centre[0] == 0)
    values = normalise(line[None], base[None], acting)[0]
    chunk = PROCESSOR.decode(ROBOT, values, base, 7)
    assert chunk.time_ns[0] == 7
    np.testing.assert_allclose(chunk.values, line, atol=1e-3)


def test_serving_encodes_a_moment_as_training_does() -> None:
    episode = EPISODES[0]
    now = episode.start_ns + 2_500_000_000 + 12_345
    serving = PROCESSOR.encode_observation(observation(episode, now, 0.0))
    times = PROCESSOR.config.serving_times_ns(now)
    training = encode_window(PROCESSOR, ROBOT, episode.streams, times, np.zeros(len(times), np.float32))
    np.testing.assert_array_equal(serving.capture_s, training.capture_s)
    np.testing.assert_array_equal(serving.arrival_s, training.arrival_s)
    assert len(serving.vectors) == len(training.vectors) == 5
    for ours, theirs in zip(serving.vectors, training.vectors, strict=True):
        assert ours.layout.key == theirs.layout.key
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.place, theirs.place)
    np.testing.assert_array_equal(serving.texts[0].features, training.texts[0].features)
    np.testing.assert_array_equal(serving.base[0], training.base[-1])
    np.testing.assert_array_equal(serving.start[0], training.start[-1])
    assert serving.decision_s[0] == training.decision_s[-1]


def test_committed_commands_enter_as_training_would_encode_them() -> None:
    episode = EPISODES[1]
    now = episode.start_ns + 10**9
    training = encode_window(PROCESSOR, ROBOT, episode.streams, np.array([now]), np.zeros(1, np.float32))
    chunk = PROCESSOR.decode(ROBOT, training.values[0], training.base[0], now)
    serving = PROCESSOR.encode_observation(observation(episode, now, 0.2, chunk))
    np.testing.assert_allclose(serving.prefix[0, :4], training.values[0, :4], atol=2e-3)
    assert (serving.prefix[0, 4:] == 0).all()
    assert serving.delay_s[0] == np.float32(0.2)


def test_a_robot_that_was_never_commanded_holds_where_it_is() -> None:
    episode = EPISODES[2]
    now = episode.start_ns + 5_000_000
    view = observation(episode, now, 0.1)
    streams = {name: stream for name, stream in view.streams.items() if name != "action"}
    window = PROCESSOR.encode_observation(replace(view, streams=streams))
    measured = streams["proprioception"].values[-1, :7]
    np.testing.assert_array_equal(window.start[0], measured)
    np.testing.assert_allclose(window.prefix[0, :2, :6], 0.0, atol=1e-5)
    chunk = PROCESSOR.decode(ROBOT, np.zeros((16, 7), np.float32), window.base[0], now)
    assert chunk.time_ns[0] == now
    np.testing.assert_array_equal(chunk.values[0, :6], measured[:6])


def test_commands_stay_within_the_channels_limits() -> None:
    far = np.full((16, 7), 9.0, np.float32)
    chunk = PROCESSOR.decode(ROBOT, far, np.full(7, 3.0, np.float32), 0)
    assert chunk.values[:, :6].max() <= np.float32(math.pi)
    assert chunk.values[:, 6].max() <= 1.0


def test_what_cannot_be_decoded_or_served_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"expected values \(16, 7\)"):
        PROCESSOR.decode(ROBOT, np.zeros((4, 7), np.float32), np.zeros(7, np.float32), 0)
    view = observation(EPISODES[0], EPISODES[0].start_ns + 10**9, 0.0)
    with pytest.raises(PolicyError, match="proprioception"):
        PROCESSOR.encode_observation(replace(view, streams={}))
    with pytest.raises(UnknownNameError, match="synthetic_7"):
        PROCESSOR.encode_observation(replace(view, embodiment=synthetic_embodiment(8)))


def test_normalised_values_are_of_order_one_at_every_knot() -> None:
    episode = PROCESSOR.prepare(ROBOT, EPISODES[3].streams)
    low, high = episode.bounds_ns(PROCESSOR.config)
    times = np.linspace(low, high - 10**9, 200).astype(np.int64)
    window = PROCESSOR.encode(episode, times, np.zeros(200, np.float32))
    rms = np.sqrt((window.values[..., :6] ** 2).mean(axis=(0, 2)))
    assert ((rms > 0.2) & (rms < 5)).all()


def test_a_processor_travels_as_json_and_loads_strictly() -> None:
    raw = json.loads(json.dumps(PROCESSOR.to_dict()))
    again = Processor.from_dict(raw)
    assert again.config == PROCESSOR.config
    assert again.to_dict() == PROCESSOR.to_dict()
    acting = again.robots[ROBOT.name].acting
    np.testing.assert_array_equal(acting.scale, PROCESSOR.robots[ROBOT.name].acting.scale)
    with pytest.raises(CheckpointError, match="surprise"):
        Processor.from_dict({**raw, "surprise": 1})
    with pytest.raises(CheckpointError, match=r"processor\.version"):
        Processor.from_dict({**raw, "version": 99})
    with pytest.raises(CheckpointError, match="branchez"):
        Processor.from_dict({**raw, "config": {**raw["config"], "branchez": 1}})
    broken = json.loads(json.dumps(raw))
    broken["robots"][ROBOT.name]["acting"]["scale"][0][0] = "wide"
    with pytest.raises(CheckpointError, match=r"acting\.scale"):
        Processor.from_dict(broken)


def test_robots_of_many_sizes_share_a_batch_without_padding() -> None:
    sources = [synthetic_source(3, dof, seed=2) for dof in (6, 7, 16, 26)]
    processor = Processor.fit(sources, selection=ALL)
    windows = []
    for source in sources:
        episode = source.episodes[0]
        streams = episode.streams
        times = streams["action"].capture_ns[10] + np.arange(8) * 200_000_000
        delay = np.zeros(8, np.float32)
        windows.append(encode_window(processor, episode.embodiment, streams, times, delay))
    batch = pack(windows)
    assert sorted(group.values.shape[-1] for group in batch.acting) == [6, 7, 16, 26]
    assert batch.num_windows == 4
    slots = np.concatenate([*(g.slot for g in batch.vectors), *(g.slot for g in batch.texts)])
    filled = np.flatnonzero(np.isfinite(batch.arrival_s.ravel()))
    np.testing.assert_array_equal(np.sort(slots), filled)
    shared = [g for g in batch.vectors if len(set(g.slot // batch.capture_s.shape[1])) == 4]
    assert len(shared) == 3, "tool poses, objects and relations of all robots stand in one group each"


def test_channels_that_never_move_do_not_blow_up() -> None:
    time_ns = np.arange(300, dtype=np.int64) * 10_000_000
    still = Episode(
        episode_id="still",
        embodiment=ROBOT,
        provenance=EPISODES[0].provenance,
        streams={
            "proprioception": vector_stream(ROBOT.sensing[0], time_ns, np.full((300, 13), 0.25)),
            "action": vector_stream(ROBOT.action_spec, time_ns[::4], np.full((75, 7), 0.25)),
        },
    )
    processor = Processor.fit([MemorySource([still])], selection=ALL)
    window = encode_window(processor, ROBOT, still.streams, time_ns[50:58], np.zeros(8, np.float32))
    assert np.abs(window.values).max() < 1e-3
    assert all(np.abs(piece.values).max() < 1e-3 for piece in window.vectors)
    chunk = processor.decode(ROBOT, np.full((16, 7), 3.0, np.float32), window.base[0], 0)
    assert np.abs(chunk.values[:, :6] - 0.25).max() < 1e-3


def test_joints_that_are_not_measured_act_relative_to_the_newest_command() -> None:
    channel = Channel(name="elbow", quantity="joint_position", unit="rad")
    other = Channel(name="force", quantity="force", unit="N")
    sensing = StreamSpec(name="proprioception", channels=(other,))
    robot = Embodiment(name="blind", sensing=(sensing,), acting=(channel,), control_rate_hz=10.0)
    time_ns = np.arange(5, dtype=np.int64) * 10**8
    action = vector_stream(robot.action_spec, time_ns, np.arange(5.0)[:, None])
    track = acting_track(robot, action, sensing.channel_names)
    base = base_at(track, np.zeros((2, 1), np.float32), np.array([0, 250_000_000]))
    assert base.ravel().tolist() == [0.0, 2.0]
    values, valid = knots(track, np.array([250_000_000]), np.array([50_000_000, 200_000_000]))
    np.testing.assert_allclose(values.ravel(), [3.0, 4.0])
    assert valid.tolist() == [[True, False]]
