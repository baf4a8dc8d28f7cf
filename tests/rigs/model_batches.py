"""Small batches for tests of the model: regular ones, and one with everything that a model has to cope with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from counterpoint.core.batch import ActingTokens, Batch, ImageTokens, TextTokens, VectorTokens
from counterpoint.core.descriptor import describe
from counterpoint.core.embodiment import Channel
from counterpoint.model.config import HarmonicConfig

SMALL = HarmonicConfig(
    width=32, acting_width=24, layers=3, heads=2, head_dim=16, descriptor_hidden=32, descriptor_frequencies=8
)


def channels(count: int, prefix: str) -> tuple[Channel, ...]:
    """Return joints of one arm."""
    return tuple(
        Channel(name=f"{prefix}{i}", quantity="joint_position", unit="rad", part="arm", chain_index=i, axis=(0, 0, 1.0))
        for i in range(count)
    )


def make_batch(*, dofs: tuple[int, ...] = (6, 16), tokens: int = 5, branches: int = 3, seed: int = 0) -> Batch:
    """One window a robot; tokens arrive at 0.1, 0.2, ...; one instruction each; decisions in between."""
    rng = np.random.default_rng(seed)
    windows = len(dofs)
    capture = np.tile(np.arange(tokens + 1, dtype=np.float32) * 0.1, (windows, 1))
    capture[:, 0] = 0.0
    vectors, acting = [], []
    for window, dof in enumerate(dofs):
        slots = window * (tokens + 1) + 1 + np.arange(tokens)
        descriptors = describe(channels(dof, "q"))
        values = rng.normal(size=(tokens, dof)).astype(np.float32)
        vectors.append(VectorTokens(descriptors=descriptors, values=values, slot=slots))
        actions = rng.normal(size=(1, branches, 8, dof)).astype(np.float32)
        acting.append(
            ActingTokens(
                embodiment=f"robot{dof}",
                descriptors=descriptors,
                values=actions,
                prefix=actions,
                valid=np.ones((1, branches, 8), dtype=bool),
                window=np.array([window]),
            )
        )
    decision = np.tile(0.25 + 0.1 * np.arange(branches, dtype=np.float32), (windows, 1))
    return Batch(
        capture_s=capture,
        arrival_s=capture + np.float32(0.01),
        decision_s=decision,
        delay_s=np.zeros((windows, branches), np.float32),
        prefix_s=np.zeros((windows, branches), np.float32),
        knot_s=0.05 * np.arange(1, 9, dtype=np.float32),
        vectors=tuple(vectors),
        images=(),
        texts=(
            TextTokens(features=np.tile(np.array([3, 5, -1]), (windows, 1)), slot=np.arange(windows) * (tokens + 1)),
        ),
        acting=tuple(acting),
    )


def awkward_batch(seed: int = 0) -> Batch:
    """Two robots; arrivals out of order and late, an empty slot, pictures, delays, invalid knots, a blind decision."""
    rng = np.random.default_rng(seed)
    batch = make_batch(dofs=(2, 3), tokens=7, branches=3, seed=seed)
    arrival = batch.capture_s + rng.uniform(0, 0.4, batch.capture_s.shape).astype(np.float32)
    arrival[0, 4] = 5.0  # never seen by a decision
    arrival[0, 7] = 0.72  # a picture, just in time for the last decision
    arrival[1, 7] = np.inf  # an empty slot
    decision = batch.decision_s.copy()
    decision[0, 0] = -0.05  # before anything arrived
    decision[:, 2] = 0.75
    arrival[0, 2] = arrival[0, 3]  # two that arrive together see each other
    arrival[1, 2] = decision[1, 1]  # just in time
    vectors = [replace(group, values=group.values[:6], slot=group.slot[:6]) for group in batch.vectors]
    pictures = ImageTokens(
        patches=rng.integers(0, 256, (1, 16, 16, 3), dtype=np.uint8),
        position=np.array([[0.25, 0.75]], np.float32),
        camera=np.array([3]),
        slot=np.array([7]),
    )
    acting = [replace(group, valid=rng.random(group.valid.shape) < 0.7) for group in batch.acting]
    delay = np.array([[0.0, 0.1, 0.22], [0.31, 0.0, 0.05]], np.float32)
    return replace(
        batch,
        arrival_s=arrival,
        decision_s=decision,
        delay_s=delay,
        prefix_s=delay,
        vectors=tuple(vectors),
        images=(pictures,),
        acting=tuple(acting),
    )
