"""A trained model as a policy: observation -> tokens -> flow steps -> commands on continuous time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from counterpoint.core.batch import Batch
from counterpoint.core.errors import ConfigError, PolicyError, unknown_name
from counterpoint.core.policy import ActionChunk, Observation
from counterpoint.core.seeding import generator
from counterpoint.data.encoding.pack import pack
from counterpoint.data.encoding.processor import Processor
from counterpoint.model.tensors import to_tensors
from counterpoint.policy.checkpoint import Checkpoint, load_checkpoint

log = logging.getLogger(__name__)


class ModelPolicy:
    """Implements `core.policy.Policy` with the averaged weights of a checkpoint.

    The n-th answer after `reset(seed)` draws its noise from (seed, n) alone, so answers are the same
    one by one and in batches, up to rounding.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | Path | str,
        *,
        steps: int = 8,
        temperature: float = 0.5,
        device: torch.device | str = "cpu",
        threads: int = 0,
    ) -> None:
        """Load the model.

        Args:
            checkpoint: a checkpoint, or the path of one or of a run folder (the newest is taken).
            steps: Euler steps of the flow, at least 1; the cost of an answer grows with it.
            temperature: scale of the initial noise; 1 samples the learned distribution, 0 follows its centre.
            device: where to compute.
            threads: threads of tensor operations of the whole process; 0 leaves them as they are.

        Raises:
            CheckpointError: the checkpoint is foreign or damaged.
            ConfigError: an option is out of range.
        """
        if steps < 1 or not temperature >= 0:
            raise ConfigError(
                f"policy: expected steps of at least 1 and a temperature of at least 0, got {steps} and {temperature}"
            )
        if threads:
            torch.set_num_threads(threads)
        self.checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint)
        self.steps, self.temperature = steps, temperature
        self._device = torch.device(device)
        self._model = self.checkpoint.build_model().to(self._device)
        self._seed, self._answers = 0, 0
        self._warned_of_delay = False

    @property
    def processor(self) -> Processor:
        """How observations become tokens and numbers become commands."""
        return self.checkpoint.processor

    @property
    def horizon_s(self) -> float:
        """How far after the decision the chunk reaches, in seconds."""
        return self.processor.config.horizon_s

    @property
    def history_s(self) -> float:
        """How far back an observation's streams should reach, in seconds."""
        return self.processor.config.history_s

    def reset(self, seed: int) -> None:
        """Forget everything; the same seed gives the same answers."""
        self._seed, self._answers = seed, 0

    def act(self, observation: Observation) -> ActionChunk:
        """Return commands from `observation.now_ns` to the horizon; raises PolicyError, UnknownNameError."""
        return self.act_batch([observation])[0]

    def act_batch(self, observations: Sequence[Observation]) -> list[ActionChunk]:
        """Answer independent observations, also of different robots, in order.

        Raises:
            PolicyError: an observation lacks a stream that the policy needs.
            UnknownNameError: the checkpoint does not know a robot.
        """
        if not observations:
            return []
        for observation in observations:
            self._check_cameras(observation)
            self._check_delay(observation)
        windows = [self.processor.encode_observation(observation) for observation in observations]
        batch = pack(windows)
        chunks: list[ActionChunk | None] = [None] * len(windows)
        for group, sampled in zip(batch.acting, self._sample(batch), strict=True):
            for row, values in zip(group.window.tolist(), sampled, strict=True):
                window, observation = windows[row], observations[row]
                chunks[row] = self.processor.decode(
                    observation.embodiment, values[-1], window.base[-1], observation.now_ns
                )
        answers = [chunk for chunk in chunks if chunk is not None]
        if len(answers) != len(observations):
            raise PolicyError(f"policy: {len(observations)} observations, {len(answers)} answers")
        self._answers += len(observations)
        return answers

    def _check_cameras(self, observation: Observation) -> None:
        """Refuse a camera with an unknown name if one that the model uses is missing; raises UnknownNameError."""
        wanted = self.processor.config.cameras
        given = [name for name, stream in observation.streams.items() if stream.spec.kind == "image"]
        unknown = [name for name in given if name not in wanted]
        if unknown and any(name not in given for name in wanted):
            raise unknown_name("camera", unknown[0], wanted, hint="(cameras that this policy was trained with)")

    def _check_delay(self, observation: Observation) -> None:
        """Warn once where the delay is longer than any that the model was trained for."""
        delay_s, trained_s = (observation.ready_ns - observation.now_ns) / 1e9, self.processor.config.max_delay_s
        if delay_s > trained_s and not self._warned_of_delay:
            self._warned_of_delay = True
            log.warning(
                "policy: the delay of %.0f ms is longer than the %.0f ms it was trained for, so expect lower success; "
                "train with --window.max_delay_s %.2g, or answer faster",
                1e3 * delay_s,
                1e3 * trained_s,
                1.25 * delay_s,
            )

    def __repr__(self) -> str:
        """Return a line: robots, cameras, horizon."""
        robots = ", ".join(robot.name for robot in self.checkpoint.embodiments)
        cameras = ", ".join(self.processor.config.cameras) or "none"
        step = self.checkpoint.training.get("step", "unknown")
        return f"<ModelPolicy of step {step}: robots {robots}; cameras {cameras}; horizon {self.horizon_s:.2f} s>"

    def _sample(self, batch: Batch) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        """Return sampled values [n, branches, knots, channels] a group."""
        noise = []
        for group in batch.acting:
            draws = [generator(self._seed, "noise", self._answers + int(row)) for row in group.window]
            shape = group.values.shape[1:]
            noise.append(np.stack([draw.standard_normal(shape, dtype=np.float32) for draw in draws]))
        with torch.inference_mode():
            sampled = self._model.sample(
                to_tensors(batch, self._device),
                steps=self.steps,
                temperature=self.temperature,
                generator=torch.Generator(self._device),
                noise=[torch.from_numpy(values).to(self._device) for values in noise],
            )
        return [values.float().cpu().numpy() for values in sampled]


def load_policy(
    path: Path | str,
    *,
    steps: int = 8,
    temperature: float = 0.5,
    device: torch.device | str = "cpu",
    threads: int = 0,
) -> ModelPolicy:
    """Return the policy of a run folder (its newest checkpoint) or of a checkpoint folder.

    Options and errors are those of `ModelPolicy`.
    """
    return ModelPolicy(path, steps=steps, temperature=temperature, device=device, threads=threads)
