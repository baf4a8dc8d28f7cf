"""The harmonic model keeps its promises about time, causality and embodiments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_batches import SMALL, make_batch

from counterpoint.core.errors import ConfigError
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.harmonic import HarmonicModel, committed_knots
from counterpoint.model.sizes import block_parameters, ladder
from counterpoint.model.tensors import TensorBatch, to_tensors


def make_model(config: HarmonicConfig = SMALL) -> HarmonicModel:
    torch.manual_seed(0)
    return HarmonicModel(config).eval()


def predict(model: HarmonicModel, batch: TensorBatch) -> list[torch.Tensor]:
    noisy = [torch.zeros_like(group.values) for group in batch.acting]
    flow_time = torch.zeros(*batch.decision_s.shape, batch.knot_s.numel())
    with torch.no_grad():
        return model.predict(batch, model.sense(batch), noisy, flow_time)


def test_later_events_do_not_change_a_decision() -> None:
    model, batch = make_model(), make_batch()
    before = predict(model, to_tensors(batch))
    values = batch.vectors[0].values.copy()
    values[3:] += 5.0  # these arrive at 0.41 s and 0.51 s
    changed = replace(batch, vectors=(replace(batch.vectors[0], values=values), *batch.vectors[1:]))
    after = predict(model, to_tensors(changed))
    torch.testing.assert_close(after[0][:, :2], before[0][:, :2])  # decisions at 0.25 s and 0.35 s
    assert not torch.allclose(after[0][:, 2], before[0][:, 2])  # decision at 0.45 s sees the first of them
    torch.testing.assert_close(after[1], before[1])


def test_late_arrival_hides_an_event_however_early_it_was_captured() -> None:
    model, batch = make_model(), make_batch(dofs=(6,))
    late = batch.arrival_s.copy()
    late[0, 1] = 9.0
    values = batch.vectors[0].values.copy()
    values[0] += 5.0
    hidden = replace(batch, arrival_s=late)
    changed = replace(hidden, vectors=(replace(batch.vectors[0], values=values),))
    torch.testing.assert_close(predict(model, to_tensors(hidden)), predict(model, to_tensors(changed)))


def test_branches_do_not_see_each_other() -> None:
    model = make_model()
    batch = to_tensors(make_batch(dofs=(6,)))
    cache = model.sense(batch)
    flow_time = torch.full((1, 3, 8), 0.5)
    noisy = torch.randn(1, 3, 8, 6, generator=torch.Generator().manual_seed(1))
    other = noisy.clone()
    other[:, 1] += 1.0
    first, second = (model.predict(batch, cache, [x], flow_time)[0] for x in (noisy, other))
    torch.testing.assert_close(first[:, [0, 2]], second[:, [0, 2]])
    assert not torch.allclose(first[:, 1], second[:, 1])


def test_only_time_differences_matter() -> None:
    model, batch = make_model(), make_batch()
    shifted = replace(
        batch, capture_s=batch.capture_s + 3, arrival_s=batch.arrival_s + 3, decision_s=batch.decision_s + 3
    )
    for early, late in zip(predict(model, to_tensors(batch)), predict(model, to_tensors(shifted)), strict=True):
        torch.testing.assert_close(early, late, atol=1e-4, rtol=1e-3)


def test_order_of_channels_does_not_matter() -> None:
    model, batch = make_model(), make_batch(dofs=(6,))
    order = np.array([3, 1, 5, 0, 2, 4])
    group, acting = batch.vectors[0], batch.acting[0]
    permuted = replace(
        batch,
        vectors=(replace(group, descriptors=group.descriptors[order], values=group.values[:, order]),),
        acting=(replace(acting, descriptors=acting.descriptors[order], values=acting.values[..., order]),),
    )
    (straight,), (shuffled,) = predict(model, to_tensors(batch)), predict(model, to_tensors(permuted))
    torch.testing.assert_close(straight[..., order], shuffled, atol=1e-5, rtol=1e-4)


def test_extending_the_cache_equals_encoding_at_once() -> None:
    model, batch = make_model(), make_batch(dofs=(6,))
    whole = model.sense(to_tensors(batch))
    group = batch.vectors[0]
    first = replace(
        batch,
        capture_s=batch.capture_s[:, :4],
        arrival_s=batch.arrival_s[:, :4],
        vectors=(replace(group, values=group.values[:3], slot=group.slot[:3]),),
    )
    rest = replace(
        batch,
        capture_s=batch.capture_s[:, 4:],
        arrival_s=batch.arrival_s[:, 4:],
        vectors=(replace(group, values=group.values[3:], slot=group.slot[3:] - 4),),
        texts=(),
    )
    extended = model.sense(to_tensors(rest), model.sense(to_tensors(first)))
    for one, two in zip((*whole.keys, *whole.values), (*extended.keys, *extended.values), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
    assert torch.equal(whole.lasting, extended.lasting)


def test_committed_knots_come_back_unchanged_and_carry_no_loss() -> None:
    model = make_model()
    batch = make_batch(dofs=(6,))
    delay_s = np.full((1, 3), 0.1, np.float32)
    delayed = replace(batch, delay_s=delay_s, prefix_s=delay_s)
    tensors = to_tensors(delayed)
    (sampled,) = model.sample(tensors, steps=3, temperature=1.0, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sampled[:, :, :1], tensors.acting[0].values[:, :, :1])
    assert committed_knots(tensors).sum() == 3 * 1  # the knot at the delay itself is still to be decided
    all_committed = to_tensors(replace(batch, delay_s=np.full((1, 3), 9.0, np.float32)))
    assert model.loss(all_committed, torch.Generator().manual_seed(0)).total == 0


def test_invalid_knots_carry_no_loss() -> None:
    model, batch = make_model(), make_batch(dofs=(6,))
    none_valid = replace(batch, acting=(replace(batch.acting[0], valid=np.zeros((1, 3, 8), dtype=bool)),))
    assert model.loss(to_tensors(none_valid), torch.Generator().manual_seed(0)).total == 0
    assert model.loss(to_tensors(batch), torch.Generator().manual_seed(0)).total > 0


def test_training_learns_one_batch_for_two_robots() -> None:
    torch.manual_seed(0)
    model = HarmonicModel(SMALL)
    batch = to_tensors(make_batch())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(150):
        loss = model.loss(batch, generator).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:10])


def test_every_parameter_gets_a_gradient_and_stands_in_one_group() -> None:
    model = HarmonicModel(SMALL)
    model.loss(to_tensors(make_batch()), torch.Generator().manual_seed(0)).total.backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {"sensing.patch.weight", "sensing.patch.bias", "sensing.place.weight", "sensing.place.bias"} | {
        "sensing.camera.weight"
    }
    grouped = [p for group in model.parameter_groups().values() for p in group]
    assert len({id(p) for p in grouped}) == len(grouped) == len(list(model.parameters()))
    assert sum(p.numel() for p in model.parameter_groups()["hidden"]) == block_parameters(SMALL)


def test_knots_must_fill_tokens() -> None:
    model = make_model(replace(SMALL, knots_per_token=3))
    with pytest.raises(ConfigError, match="expected a divisor of the 8 knots a branch, got 3"):
        predict(model, to_tensors(make_batch()))


def test_ladder_is_monotone_and_near_what_was_asked() -> None:
    sizes = [3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 1e8, 1e9, 1e10]
    rungs = [block_parameters(ladder(size)) for size in sizes]
    assert rungs == sorted(set(rungs))
    assert all(0.5 < got / asked < 2.0 for got, asked in zip(rungs, sizes, strict=True))
    with pytest.raises(ConfigError, match="positive"):
        ladder(0)


def test_bfloat16_products_change_little_and_leave_float32_gradients() -> None:
    batch = to_tensors(make_batch())
    losses = []
    for matmul in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = HarmonicModel(replace(SMALL, training_matmul=matmul))
        loss = model.loss(batch, torch.Generator().manual_seed(0)).total
        loss.backward()
        assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_a_hidden_prefix_is_not_seen_and_its_knots_carry_no_loss() -> None:
    model = make_model()
    delay_s = np.full((1, 3), 0.2, np.float32)
    told = replace(make_batch(dofs=(6,)), delay_s=delay_s)
    other = replace(told, acting=(replace(told.acting[0], prefix=told.acting[0].prefix + 1),))
    losses = [model.loss(to_tensors(batch), torch.Generator().manual_seed(0)).total for batch in (told, other)]
    assert losses[0] == losses[1] > 0
    seen = [
        model.loss(to_tensors(replace(batch, prefix_s=delay_s)), torch.Generator().manual_seed(0)).total
        for batch in (told, other)
    ]
    assert seen[0] != seen[1]
