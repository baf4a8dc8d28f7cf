"""The model against a plain reference: one token, one head, one number at a time, straight from the definitions.

The reference shares the weights with the model and nothing else: no masks, no caches, no batched matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from model_batches import SMALL, awkward_batch, make_batch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from counterpoint.core.batch import Batch
from counterpoint.model.blocks import StreamHalf
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.harmonic import HarmonicModel
from counterpoint.model.sizes import flops_per_batch
from counterpoint.model.tensors import TensorBatch, to_tensors

CONFIG = replace(SMALL, context_s=0.43, commit_noise=0.1, flow_time_power=1.5)


@dataclass
class Token:
    """A sensing or acting token of one window."""

    x: Tensor
    time_s: float
    arrival_s: float = math.inf
    is_text: bool = False
    branch: int = -1
    key: Tensor | None = None
    value: Tensor | None = None


def normalised(x: Tensor, weight: Tensor | None = None) -> Tensor:
    y = x / torch.sqrt((x**2).mean() + torch.finfo(torch.float32).eps)
    return y if weight is None else y * weight


def turned(x: Tensor, time_s: float, config: HarmonicConfig) -> Tensor:
    """Turn pair i, numbers i and i + D / 2, by 2 pi time / period_i; periods are spaced geometrically."""
    half = config.head_dim // 2
    pairs = []
    for i in range(half):
        period = config.min_period_s * (config.max_period_s / config.min_period_s) ** (i / (half - 1))
        angle = 2 * math.pi * time_s / period
        pairs.append(torch.complex(x[i], x[i + half]) * complex(math.cos(angle), math.sin(angle)))
    return torch.cat([torch.stack(pairs).real, torch.stack(pairs).imag])


def heads(vector: Tensor, config: HarmonicConfig) -> list[Tensor]:
    return [vector[h * config.head_dim : (h + 1) * config.head_dim] for h in range(config.heads)]


def offer(token: Token, key: Tensor, value: Tensor, config: HarmonicConfig) -> None:
    token.key = torch.stack([turned(normalised(k), token.time_s, config) for k in heads(key, config)])
    token.value = torch.stack(heads(value, config))


def attended(query: Tensor, seen: list[Token]) -> Tensor:
    """Softmax attention of one token's heads [H, D] over the tokens that it sees, concatenated."""
    out = []
    for h, q in enumerate(query):
        scores = [(q @ token.key[h]) / math.sqrt(len(q)) for token in seen if token.key is not None]
        weights = torch.softmax(torch.stack(scores), 0)
        out.append(sum(w * token.value[h] for w, token in zip(weights, seen, strict=True) if token.value is not None))
    return torch.cat([torch.as_tensor(each) for each in out])


def block(half: StreamHalf, tokens: list[Token], sees: Callable[[Token], list[Token]], config: HarmonicConfig) -> None:
    queries = []
    for token in tokens:
        q, k, v = (half.qkv.weight @ normalised(token.x, half.attention_norm.weight)).chunk(3)
        offer(token, k, v, config)
        queries.append(torch.stack([turned(normalised(each), token.time_s, config) for each in heads(q, config)]))
    found = [attended(query, sees(token)) for query, token in zip(queries, tokens, strict=True)]
    for token, attention in zip(tokens, found, strict=True):
        x = token.x + half.out.weight @ attention
        hidden = torch.relu(half.up.weight @ normalised(x, half.mlp_norm.weight)) ** 2
        token.x = x + half.down.weight @ hidden


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return layer.weight @ x + layer.bias


def rows_of(model: HarmonicModel, layer: nn.Linear, descriptor: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """Return a channel's code [E] and its projection rows [slots, width]."""
    phase = descriptor @ model.encoder.frequencies
    mix = model.encoder.mix[0]
    assert isinstance(mix, nn.Linear)
    code = nn.functional.gelu(linear(mix, torch.cat([descriptor, phase.sin(), phase.cos()])))
    return code, linear(layer, code).view(slots, -1)


def sensed(model: HarmonicModel, batch: TensorBatch, window: int) -> list[Token]:
    """Return the sensing tokens of a window, embedded."""
    stream, slots, embedded = model.sensing, batch.capture_s.shape[1], dict[int, tuple[Tensor, bool]]()
    for vectors in batch.vectors:
        for values, slot in zip(vectors.values, vectors.slot.tolist(), strict=True):
            x = torch.zeros(model.config.width)
            for value, descriptor in zip(values, vectors.descriptors, strict=True):
                row = rows_of(model, stream.rows.rows, descriptor, 4)[1]
                x = x + value * row[0] + torch.sin(2 * value) * row[1] + torch.cos(2 * value) * row[2] + row[3]
            embedded[slot] = x / math.sqrt(len(values)), False
    for images in batch.images:
        parts = (images.patches, images.position, images.camera.tolist(), images.slot.tolist())
        for patch, position, camera, slot in zip(*parts, strict=True):
            x = linear(stream.patch, patch.flatten()) + linear(stream.place, position) + stream.camera.weight[camera]
            embedded[slot] = x, False
    for texts in batch.texts:
        for features, slot in zip(texts.features.tolist(), texts.slot.tolist(), strict=True):
            embedded[slot] = torch.stack([stream.text.weight[f] for f in features if f >= 0]).mean(0), True
    return [
        Token(
            x=normalised(embedded[slot][0], stream.norm.weight),
            time_s=float(batch.capture_s[window, slot % slots]),
            arrival_s=float(batch.arrival_s[window, slot % slots]),
            is_text=embedded[slot][1],
        )
        for slot in sorted(embedded)
        if slot // slots == window and math.isfinite(batch.arrival_s[window, slot % slots])
    ]


def acted(model: HarmonicModel, batch: TensorBatch, group: int, row: int, noisy: Tensor, flow: Tensor) -> list[Token]:
    """Return the acting tokens of a window, embedded, from noisy values and flow times [B, K]."""
    stream, acting, size = model.acting, batch.acting[group], model.config.knots_per_token
    window = int(acting.window[row])
    codes, rows = zip(
        *(rows_of(model, stream.rows_in.rows, descriptor, size) for descriptor in acting.descriptors), strict=True
    )
    kind = linear(stream.kind, torch.stack(codes).mean(0))
    tokens = []
    for branch, decision in enumerate(batch.decision_s[window].tolist()):
        for first in range(0, batch.knot_s.numel(), size):
            x, features = torch.zeros(model.config.acting_width), []
            for g in range(size):
                for c in range(len(rows)):
                    x = x + noisy[branch, first + g, c] * rows[c][g] / math.sqrt(len(rows))
                t = float(flow[branch, first + g])
                angles = [math.sin(math.pi * t), math.cos(math.pi * t), math.sin(2 * math.pi * t)]
                features += [t, float(t >= 1), *angles, math.cos(2 * math.pi * t)]
            x = normalised(x + kind + linear(stream.flow, torch.tensor(features)), stream.norm_in.weight)
            middle = float(batch.knot_s[first : first + size].mean())
            tokens.append(Token(x=x, time_s=decision + middle, branch=branch))
    return tokens


def is_fresh(token: Token, now_s: float, config: HarmonicConfig) -> bool:
    return token.is_text or token.time_s >= now_s - config.context_s


def plain_window(model: HarmonicModel, batch: TensorBatch, group: int, row: int, noisy: Tensor, flow: Tensor) -> Tensor:
    """Return the clean chunk [B, K, C] of one window."""
    config, acting = model.config, batch.acting[group]
    window = int(acting.window[row])
    events, actions = sensed(model, batch, window), acted(model, batch, group, row, noisy, flow)

    def of_event(token: Token) -> list[Token]:
        return [e for e in events if e.arrival_s <= token.arrival_s and is_fresh(e, token.time_s, config)]

    def of_action(token: Token) -> list[Token]:
        now = float(batch.decision_s[window, token.branch])
        seen = [e for e in events if e.arrival_s <= now and is_fresh(e, now, config)]
        return seen + [a for a in actions if a.branch == token.branch]

    for layer in range(config.layers):
        if layer < config.layers - 1:
            half = model.sensing.blocks[layer]
            assert isinstance(half, StreamHalf)
            block(half, events, of_event, config)
        else:
            for token in events:
                last = model.sensing.offer
                key, value = (last.kv.weight @ normalised(token.x, last.attention_norm.weight)).chunk(2)
                offer(token, key, value, config)
        half = model.acting.blocks[layer]
        assert isinstance(half, StreamHalf)
        block(half, actions, of_action, config)
    rows = [rows_of(model, model.acting.rows_out.rows, d, config.knots_per_token)[1] for d in acting.descriptors]
    scale = model.acting.gain_out / math.sqrt(config.acting_width)
    read = [normalised(token.x, model.acting.norm_out.weight) * scale for token in actions]
    knots = [torch.stack([x @ row[g] for row in rows]) for x in read for g in range(config.knots_per_token)]
    return torch.stack(knots).view(noisy.shape)


def plain_predict(model: HarmonicModel, batch: TensorBatch, noisy: list[Tensor], flow: Tensor) -> list[Tensor]:
    return [
        torch.stack(
            [
                plain_window(model, batch, group, row, noisy[group][row], flow[window])
                for row, window in enumerate(acting.window.tolist())
            ]
        )
        for group, acting in enumerate(batch.acting)
    ]


def make_model(config: HarmonicConfig = CONFIG) -> HarmonicModel:
    """Return a model whose every parameter is random: gains of one would hide a gain that is not applied."""
    torch.manual_seed(0)
    model = HarmonicModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


def drawn(batch: TensorBatch, seed: int = 1) -> tuple[list[Tensor], Tensor]:
    random = torch.Generator().manual_seed(seed)
    noisy = [torch.randn(group.values.shape, generator=random) for group in batch.acting]
    return noisy, torch.rand((*batch.decision_s.shape, batch.knot_s.numel()), generator=random).round(decimals=1)


def gradients(model: HarmonicModel, chunks: list[Tensor]) -> dict[str, Tensor]:
    model.zero_grad()
    weights = torch.Generator().manual_seed(2)
    torch.stack([(chunk * torch.randn(chunk.shape, generator=weights)).sum() for chunk in chunks]).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_chunks_and_gradients_are_those_of_the_definition() -> None:
    model, batch = make_model(), to_tensors(awkward_batch())
    noisy, flow = drawn(batch)
    ours, plain = model.predict(batch, model.sense(batch), noisy, flow), plain_predict(model, batch, noisy, flow)
    for one, two in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    expected = gradients(model, plain)
    found = gradients(model, ours)
    assert found.keys() == expected.keys() == dict(model.named_parameters()).keys()
    for name, gradient in expected.items():
        error = float((found[name] - gradient).norm() / gradient.norm().clamp_min(1e-6))
        assert error < 1e-3, f"{name}: {error}"


def test_loss_is_the_mean_squared_error_of_uncommitted_valid_knots() -> None:
    """Straight path, the clean chunk predicted: Lipman et al. 2023, arXiv 2210.02747, equations 22 and 23."""
    model, batch = make_model(), to_tensors(awkward_batch())
    found = model.loss(batch, torch.Generator().manual_seed(7))
    random = torch.Generator().manual_seed(7)
    flow = torch.rand(batch.decision_s.shape, generator=random).numpy() ** CONFIG.flow_time_power
    noise = [torch.randn(group.values.shape, generator=random) for group in batch.acting]
    times = torch.ones(*flow.shape, batch.knot_s.numel())
    noisy = [group.values.clone() for group in batch.acting]
    counted: list[list[tuple[int, int, int]]] = [[] for _ in batch.acting]
    for group, acting in enumerate(batch.acting):
        for row, window in enumerate(acting.window.tolist()):
            for branch, knot in np.ndindex(len(flow[0]), batch.knot_s.numel()):
                clean, own = acting.values[row, branch, knot], noise[group][row, branch, knot]
                if batch.knot_s[knot] < batch.delay_s[window, branch] - 1e-6:
                    noisy[group][row, branch, knot] = clean + CONFIG.commit_noise * own
                    continue
                t = float(flow[window, branch])
                times[window, branch, knot] = t
                noisy[group][row, branch, knot] = (1 - t) * own + t * clean
                if acting.valid[row, branch, knot]:
                    counted[group].append((row, branch, knot))
    chunks, total = plain_predict(model, batch, noisy, times), 0.0
    for acting, chunk, places in zip(batch.acting, chunks, counted, strict=True):
        mean = float(torch.stack([(chunk[place] - acting.values[place]) ** 2 for place in places]).mean().detach())
        assert float(found.by_embodiment[acting.embodiment]) == pytest.approx(mean, rel=1e-4)
        total += mean * acting.window.numel() / len(flow)
    assert float(found.total.detach()) == pytest.approx(total, rel=1e-4)


class Recorded(HarmonicModel):
    """Keeps what each step of sampling showed the network."""

    shown: list[tuple[list[Tensor], Tensor]]

    def predict(self, batch: TensorBatch, cache: object, noisy: list[Tensor], flow_time: Tensor) -> list[Tensor]:
        self.shown.append(([each.clone() for each in noisy], flow_time.clone()))
        return super().predict(batch, cache, noisy, flow_time)  # type: ignore[arg-type]  # only passed on


def test_sampling_follows_the_velocity_and_shows_committed_knots_clean() -> None:
    batch, steps, temperature = to_tensors(awkward_batch()), 4, 0.7
    torch.manual_seed(0)
    model = Recorded(CONFIG)
    model.shown = []
    noise = drawn(batch)[0]
    result = model.sample(batch, steps=steps, temperature=temperature, generator=torch.Generator(), noise=noise)
    is_committed = batch.knot_s < batch.delay_s[..., None] - 1e-6
    assert 0 < int(is_committed.sum()) < is_committed.numel()
    assert len(model.shown) == steps
    cache = model.sense(batch)
    x = [
        torch.where(is_committed[group.window][..., None], group.values, temperature * each)
        for group, each in zip(batch.acting, noise, strict=True)
    ]
    for step, (noisy, flow_time) in enumerate(list(model.shown)):
        t = step / steps
        assert torch.equal(flow_time, torch.where(is_committed, 1.0, t))
        with torch.no_grad():
            clean = HarmonicModel.predict(model, batch, cache, x, flow_time)
        for place, acting in enumerate(batch.acting):
            hold = is_committed[acting.window]
            assert torch.equal(noisy[place][hold], acting.values[hold])
            torch.testing.assert_close(noisy[place], x[place], rtol=1e-5, atol=1e-6)
            velocity = (clean[place] - x[place]) / (1 - t)
            x[place] = torch.where(hold[..., None], acting.values, x[place] + velocity / steps)
    for one, two in zip(result, x, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "batch"),
    [
        (SMALL, awkward_batch()),
        (replace(SMALL, width=48, layers=2), make_batch(dofs=(6, 6, 16), tokens=20)),
        (replace(SMALL, acting_width=64, heads=3), make_batch(dofs=(7,), branches=5)),
    ],
)
def test_flops_are_those_that_torch_counts(config: HarmonicConfig, batch: Batch) -> None:
    model, tensors = HarmonicModel(config), to_tensors(batch)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(tensors, torch.Generator().manual_seed(0)).total.backward()
    assert flops_per_batch(config, tensors) == counter.get_total_flops()
