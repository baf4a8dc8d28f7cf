"""`check_policy` passes ours and says what is wrong with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from fake_world import FakeWorld
from numpy.typing import NDArray

from counterpoint.core.errors import PolicyError
from counterpoint.core.policy import ActionChunk, Observation, Policy
from counterpoint.data.episodes.source import EpisodeSource
from counterpoint.evaluate.baselines import BASELINES
from counterpoint.policy.checker import check_policy
from counterpoint.policy.checkpoint import Checkpoint
from counterpoint.policy.model_policy import ModelPolicy


def seen(source: EpisodeSource, robot: str) -> Observation:
    streams = source.low(f"{robot}-0-0" if robot.endswith("4") else f"{robot}-1-0")
    now_ns = int(streams["proprioception"].capture_ns[60])
    return Observation.from_streams(source.embodiment(robot), streams, now_ns=now_ns)


def test_a_model_passes(checkpoint: Checkpoint, sources: tuple[EpisodeSource, ...]) -> None:
    check_policy(ModelPolicy(checkpoint, steps=2, temperature=1.0), seen(sources[0], "synthetic_4"))
    check_policy(ModelPolicy(checkpoint, steps=2), seen(sources[1], "synthetic_7"), delay_s=0.2)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_passes(name: str) -> None:
    world = FakeWorld()
    for _ in range(5):
        world.step(world.joints + np.float32(0.1))
    check_policy(BASELINES[name], world.observation(), keeps_committed=False)


@dataclass
class Faulty:
    """Holds the measured joints, with one fault."""

    fault: str
    horizon_s: float = 0.2
    draws: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    kept: NDArray[np.float32] = field(default_factory=lambda: np.zeros((5, 2), np.float32))

    def reset(self, seed: int) -> None:
        if self.fault != "draws its own noise":
            self.draws = np.random.default_rng(seed)

    def act(self, observation: Observation) -> ActionChunk:
        stream = observation.streams["proprioception"] if self.fault == "raises a KeyError" else None
        if "proprioception" not in observation.streams:
            raise PolicyError("no proprioception")
        stream = observation.streams["proprioception"]
        values = np.tile(np.asarray(stream.values[-1], np.float32), (5, 1))
        values += self.draws.normal(size=(5, 1)).astype(np.float32) * np.float32(1e-3)
        names = observation.embodiment.acting_names
        time_ns = observation.now_ns + np.arange(5) * 50_000_000
        match self.fault:
            case "other names":
                names = ("a", "b")
            case "other type":
                values = values.astype(np.float64)
            case "starts late":
                time_ns = time_ns + 10_000_000
            case "ends early":
                time_ns = time_ns // 2 + observation.now_ns // 2
            case "writes to its input":
                stream.values[-1] = 7.0
            case "gives its input back":
                time_ns, values = time_ns[[0, -1]], np.asarray(stream.values[-2:], np.float32)
            case "keeps its answer":
                self.kept[:] = values
                values = self.kept
            case "forgets commitments" if observation.committed is not None:
                values = values + np.float32(1)
        return ActionChunk(time_ns=time_ns, values=values, channel_names=names)

    def act_batch(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        if self.fault == "answers once":
            return [self.act(observations[0])] if observations else []
        return [self.act(observation) for observation in observations]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("other names", "acting channels joint_1, joint_2, got a, b"),
        ("other type", "float32, got float64"),
        ("starts late", "first knot at now_ns, got one 10000000 ns later"),
        ("ends early", "horizon_s = 0.2"),
        ("draws its own noise", "same answers after reset"),
        ("writes to its input", "it has changed the values of stream 'proprioception'"),
        ("gives its input back", "share memory with the values of stream 'proprioception'"),
        ("keeps its answer", "two answers share memory"),
        ("forgets commitments", "committed command 0.0 s"),
        ("answers once", "expected 2 answers, got 1"),
        ("raises a KeyError", "expected a PolicyError"),
    ],
)
def test_a_fault_is_named(fault: str, said: str) -> None:
    world = FakeWorld()
    for _ in range(3):
        world.step(world.joints)
    with pytest.raises(PolicyError) as caught:
        check_policy(Faulty(fault), world.observation())
    assert said in str(caught.value)


def test_what_is_no_policy_is_told_what_it_lacks() -> None:
    class Half:
        horizon_s = 1.0

        def reset(self, seed: int) -> None: ...

    half: Policy = Half()  # type: ignore[assignment]  # that is the point
    with pytest.raises(PolicyError, match="lacks act, act_batch"):
        check_policy(half, FakeWorld().observation())


def test_a_camera_of_another_name_is_refused(checkpoint: Checkpoint, sources: tuple[EpisodeSource, ...]) -> None:
    config = replace(checkpoint.processor.config, cameras=("camera/front",))
    policy = ModelPolicy(replace(checkpoint, processor=replace(checkpoint.processor, config=config)), steps=2)
    robot = sources[0].embodiment("synthetic_4")

    def look(name: str) -> ActionChunk:
        picture = np.zeros((64, 64, 3), np.uint8)
        return policy.act(
            Observation.from_arrays(robot, now_ns=10**18, proprioception=np.zeros(7), cameras={name: picture})
        )

    with pytest.raises(ValueError, match="did you mean 'camera/front'"):
        look("frnt")
    assert look("front").channel_names == robot.acting_names
