"""The sensing stream: events become tokens that are encoded once, cached, and extended as events arrive.

Legend: W windows, S sensing tokens, H heads, D head size, M width, C channels, V value features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterpoint.model.blocks import Offer, StreamHalf, attend
from counterpoint.model.channels import ChannelEncoder, ChannelRows
from counterpoint.model.config import HarmonicConfig
from counterpoint.model.rotary import rotary_frequencies, rotary_phase
from counterpoint.model.tensors import ImageTensors, TensorBatch, TextTensors, VectorTensors
from counterpoint.model.visibility import sensing_visibility

VALUE_FEATURES = 3
"""Numbers made of one measured value: v, sin 2v, cos 2v."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SensingCache:
    """What the acting stream reads: keys and values of every layer, and when each token arrived."""

    capture_s: Tensor
    """[W, S]."""
    arrival_s: Tensor
    """[W, S]; +inf where a slot is empty."""
    lasting: Tensor
    """Bool [W, S]: instructions, which never expire."""
    keys: tuple[Tensor, ...]
    """A layer each, [W, H, S, D]."""
    values: tuple[Tensor, ...]
    """A layer each, [W, H, S, D]."""


class SensingStream(nn.Module):
    """Tokenizes events and holds the sensing half of every block."""

    frequencies: Tensor

    def __init__(self, config: HarmonicConfig, encoder: ChannelEncoder) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.rows = ChannelRows(config.descriptor_hidden, VALUE_FEATURES + 1, config.width)
        self.text = nn.EmbeddingBag(config.text_buckets, config.width, mode="mean")
        self.patch = nn.Linear(3 * config.patch * config.patch, config.width)
        self.place = nn.Linear(2, config.width)
        self.camera = nn.Embedding(config.num_cameras, config.width)
        self.norm = nn.RMSNorm(config.width)
        frequencies = rotary_frequencies(config.head_dim, config.min_period_s, config.max_period_s)
        self.register_buffer("frequencies", frequencies)
        self.blocks = nn.ModuleList(StreamHalf(config, config.width) for _ in range(config.layers - 1))
        self.offer = Offer(config)

    def forward(self, batch: TensorBatch, cache: SensingCache | None = None) -> SensingCache:
        """Encode a batch's sensing tokens; `cache` holds those of earlier arrivals, which are extended."""
        x = self.tokens(batch)
        lasting = torch.zeros(batch.capture_s.numel(), dtype=torch.bool, device=x.device)
        for texts in batch.texts:
            lasting[texts.slot] = True
        lasting = lasting.view_as(batch.capture_s)
        capture, arrival, all_lasting = batch.capture_s, batch.arrival_s, lasting
        if cache is not None:
            capture = torch.cat([cache.capture_s, capture], dim=1)
            arrival = torch.cat([cache.arrival_s, arrival], dim=1)
            all_lasting = torch.cat([cache.lasting, lasting], dim=1)
        visible = sensing_visibility(
            capture,
            arrival,
            all_lasting,
            self.config.context_s,
            query_capture_s=batch.capture_s,
            query_arrival_s=batch.arrival_s,
        )
        phase = rotary_phase(batch.capture_s, self.frequencies)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, StreamHalf)
            q, k, v = block.project(x, phase)
            if cache is not None:
                k = torch.cat([cache.keys[layer], k], dim=2)
                v = torch.cat([cache.values[layer], v], dim=2)
            keys.append(k)
            values.append(v)
            x = block.finish(x, attend(q, k, v, visible))
        k, v = self.offer(x, phase)
        if cache is not None:
            k, v = torch.cat([cache.keys[-1], k], dim=2), torch.cat([cache.values[-1], v], dim=2)
        return SensingCache(
            capture_s=capture,
            arrival_s=arrival,
            lasting=all_lasting,
            keys=(*keys, k),
            values=(*values, v),
        )

    def tokens(self, batch: TensorBatch) -> Tensor:
        """Return normalised token embeddings [W, S, M]; empty slots are zero."""
        flat = batch.capture_s.new_zeros(batch.capture_s.numel(), self.config.width)
        parts = [(group.slot, self._embed_vectors(group)) for group in batch.vectors]
        parts += [(group.slot, self._embed_images(group)) for group in batch.images]
        parts += [(group.slot, self._embed_texts(group)) for group in batch.texts]
        if parts:
            slots = torch.cat([slot for slot, _ in parts])
            flat = flat.index_copy(0, slots, self.norm(torch.cat([token.float() for _, token in parts])))
        return flat.view(*batch.capture_s.shape, self.config.width)

    def _embed_vectors(self, group: VectorTensors) -> Tensor:
        """Return a token for each event: the sum over channels of value features times the channel's rows."""
        rows = self.rows(self.encoder(group.descriptors))
        num_channels = rows.shape[0]
        v = group.values
        features = torch.stack([v, torch.sin(2 * v), torch.cos(2 * v)], dim=-1).flatten(1)
        weights = rows[:, :VALUE_FEATURES].reshape(num_channels * VALUE_FEATURES, -1)
        summed: Tensor = features @ weights + rows[:, VALUE_FEATURES].sum(0)
        return summed / math.sqrt(num_channels)

    def _embed_images(self, group: ImageTensors) -> Tensor:
        patch: Tensor = self.patch(group.patches.flatten(1))
        place: Tensor = self.place(group.position)
        camera: Tensor = self.camera(group.camera)
        return patch + place + camera

    def _embed_texts(self, group: TextTensors) -> Tensor:
        """Return the mean embedding of each text's hashed features; zero without features."""
        used = group.features >= 0
        offsets = torch.cat([used.new_zeros(1, dtype=torch.long), used.sum(1).cumsum(0)[:-1]])
        bags: Tensor = self.text(group.features[used], offsets)
        return bags
