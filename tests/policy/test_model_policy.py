"""A model as a policy: the protocol, repeatable answers, batches like singles, committed commands kept."""

from dataclasses import replace

import numpy as np
import pytest

from counterpoint.core.errors import ConfigError, PolicyError, UnknownNameError
from counterpoint.core.policy import ActionChunk, Observation, Policy
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.policy.checkpoint import Checkpoint
from counterpoint.policy.model_policy import ModelPolicy

Sources = tuple[EpisodeSource, ...]


def observe(source: EpisodeSource, row: int = 60, delay_s: float = 0.0, committed: bool = False) -> Observation:
    facts = source.flat().to_pylist()[0]
    embodiment, streams = source.embodiment(facts["robot"]), source.low(facts["episode_id"])
    now_ns = int(streams["proprioception"].capture_ns[row])
    action = streams["action"]
    chunk = ActionChunk(
        time_ns=action.capture_ns,
        values=np.asarray(action.values, dtype=np.float32),
        channel_names=embodiment.acting_names,
    )
    return Observation.from_streams(
        embodiment,
        streams,
        now_ns=now_ns,
        ready_ns=now_ns + round(delay_s * 1e9),
        committed=chunk if committed else None,
    )


@pytest.fixture
def policy(checkpoint: Checkpoint) -> ModelPolicy:
    return ModelPolicy(checkpoint, steps=3, temperature=1.0)


def test_answers_the_protocol(policy: ModelPolicy, sources: Sources) -> None:
    assert isinstance(policy, Policy)
    observation = observe(sources[0])
    chunk = policy.act(observation)
    assert chunk.channel_names == observation.embodiment.acting_names
    assert chunk.time_ns[-1] - observation.now_ns == pytest.approx(policy.horizon_s * 1e9)


def test_same_seed_gives_the_same_answers(policy: ModelPolicy, sources: Sources) -> None:
    policy.reset(3)
    first = [policy.act(observe(sources[0])).values for _ in range(2)]
    policy.reset(3)
    again = [policy.act(observe(sources[0])).values for _ in range(2)]
    policy.reset(4)
    other = policy.act(observe(sources[0])).values
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other)


def test_batch_of_different_robots_answers_like_single_calls(policy: ModelPolicy, sources: Sources) -> None:
    observations = [observe(sources[1]), observe(sources[0]), observe(sources[1], row=20, delay_s=0.1)]
    policy.reset(1)
    together = policy.act_batch(observations)
    policy.reset(1)
    alone = [policy.act(observation) for observation in observations]
    for one, other in zip(together, alone, strict=True):
        assert one.channel_names == other.channel_names
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)


def test_committed_commands_come_back_unchanged(policy: ModelPolicy, sources: Sources) -> None:
    observation = observe(sources[0], delay_s=0.2, committed=True)
    assert observation.committed is not None
    chunk = policy.act(observation)
    for time_ns in chunk.time_ns[chunk.time_ns < observation.ready_ns]:
        np.testing.assert_allclose(chunk.at(int(time_ns)), observation.committed.at(int(time_ns)), atol=1e-4)


def test_without_delay_the_last_command_is_not_given_again(policy: ModelPolicy, sources: Sources) -> None:
    observation = observe(sources[0])
    action = observation.streams["action"]
    last = action.values[action.capture_ns < observation.now_ns][-1]
    chunk = policy.act(observation)
    assert chunk.time_ns[0] == observation.now_ns
    assert np.abs(chunk.values[0] - last).max() > 1e-3
    np.testing.assert_allclose(policy.act(observe(sources[0], delay_s=0.1)).values[0], last, atol=1e-5)


def test_a_delay_beyond_training_is_said_once(
    checkpoint: Checkpoint, sources: Sources, caplog: pytest.LogCaptureFixture
) -> None:
    policy = ModelPolicy(checkpoint)
    policy.act(observe(sources[0], delay_s=policy.processor.config.max_delay_s))
    assert not caplog.records
    for _ in range(2):
        policy.act(observe(sources[0], delay_s=0.4))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "400 ms" in caplog.text
    assert "250 ms" in caplog.text


def test_cold_sampling_does_not_depend_on_the_seed(checkpoint: Checkpoint, sources: Sources) -> None:
    policy = ModelPolicy(checkpoint, temperature=0.0)
    policy.reset(1)
    first = policy.act(observe(sources[0])).values
    policy.reset(2)
    assert np.array_equal(first, policy.act(observe(sources[0])).values)


def test_missing_stream_and_unknown_robot_are_named(policy: ModelPolicy, sources: Sources) -> None:
    observation = observe(sources[0])
    blind = {name: stream for name, stream in observation.streams.items() if name != "proprioception"}
    with pytest.raises(PolicyError, match="proprioception"):
        policy.act(replace(observation, streams=blind))
    with pytest.raises(UnknownNameError, match="unknown robot 'other'"):
        policy.act(replace(observation, embodiment=replace(observation.embodiment, name="other")))


def test_bad_options_are_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="steps of at least 1"):
        ModelPolicy(checkpoint, steps=0)


def test_no_observations_no_answers(policy: ModelPolicy) -> None:
    assert policy.act_batch([]) == []
