"""Encode one window: the newest arrived events at each decision become tokens, the logged action becomes knots.

The only encoding code there is: training calls it with many decisions, serving with the present one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.clock import seconds_to_ns
from counterpoint.core.errors import StreamError
from counterpoint.data.encoding.acting import base_at, knots, normalise, start_at
from counterpoint.data.encoding.episode import PROPRIOCEPTION, ImageTrack, PreparedEpisode
from counterpoint.data.encoding.images import camera_bucket, frame_patches, patch_positions
from counterpoint.data.encoding.pack import EncodedWindow, ImagePiece, TextPiece, VectorPiece
from counterpoint.data.encoding.prefix import disturbed, hidden, lateness_ns
from counterpoint.data.encoding.relation import Relation, relation_values
from counterpoint.data.encoding.text import text_features
from counterpoint.data.encoding.tracks import CLIP, Layout, is_changed, is_known
from counterpoint.data.encoding.windows import WindowConfig

Float = NDArray[np.float32]
Int = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _SelectedEvents:
    """Which events each selection time sees."""

    time_ns: Int
    """[n], selection times, increasing."""
    jitter_ns: Int
    """[vector tracks, then image tracks], extra arrival delay."""
    rows: tuple[Int, ...]
    """For each vector track: [n], newest arrived event, -1 for none."""
    known: tuple[NDArray[np.bool_], ...]
    """For each vector track: [n], whether that event exists and is recent."""


@dataclass(kw_only=True, eq=False)
class _Tokens:
    """Tokens gathered so far, in no order."""

    capture_ns: list[Int] = field(default_factory=list)
    arrival_ns: list[Int] = field(default_factory=list)
    vectors: list[tuple[int, Layout, Float]] = field(default_factory=list)
    images: list[tuple[int, NDArray[np.uint8], Float, int]] = field(default_factory=list)
    texts: list[tuple[int, Int]] = field(default_factory=list)

    def add(self, capture_ns: Int, arrival_ns: Int) -> int:
        """File times; return the number of their group."""
        self.capture_ns.append(capture_ns)
        self.arrival_ns.append(arrival_ns)
        return len(self.capture_ns) - 1


def encode(
    config: WindowConfig,
    episode: PreparedEpisode,
    select_ns: Int,
    delay_s: Float,
    *,
    rng: np.random.Generator | None,
    targets: bool,
) -> EncodedWindow:
    """Encode a window whose decisions are the last `len(delay_s)` of the selection times.

    Args:
        config: shape of windows.
        episode: the prepared streams.
        select_ns: int64 [n], non-decreasing; events are selected at each.
        delay_s: float32 [branches], inference delays.
        rng: draws latency jitter, dropping of past actions and disturbed prefixes; None for none of them.
        targets: whether to read knots from the commands; without, values are 0 and all valid.

    Raises:
        StreamError: a decision lies before the first measurement arrived.
    """
    selected = _select(config, episode, select_ns, rng)
    tokens = _Tokens()
    _add_sensing(tokens, episode, selected)
    for relation in episode.relations:
        _add_relation(tokens, episode, selected, relation)
    if rng is None or rng.random() >= config.past_action_drop:
        _add_past_actions(tokens, config, episode, select_ns)
    _add_instruction(tokens, config, episode, select_ns)
    for track, jitter_ns in zip(episode.images, selected.jitter_ns[len(episode.tracks) :].tolist(), strict=True):
        _add_images(tokens, config, track, select_ns, jitter_ns)
    return _finish(config, episode, selected, tokens, delay_s, rng, targets=targets)


def _select(
    config: WindowConfig, episode: PreparedEpisode, select_ns: Int, rng: np.random.Generator | None
) -> _SelectedEvents:
    max_age_ns, longest = seconds_to_ns(config.max_age_s), seconds_to_ns(config.latency_jitter_s)
    count = len(episode.tracks) + len(episode.images)
    jitter_ns = np.zeros(count, np.int64) if rng is None else (rng.random(count) * longest).astype(np.int64)
    rows = tuple(t.arrivals.newest_at(select_ns - j) for t, j in zip(episode.tracks, jitter_ns, strict=False))
    known = tuple(
        is_known(r, t.arrivals.capture_ns, select_ns, max_age_ns) for t, r in zip(episode.tracks, rows, strict=True)
    )
    return _SelectedEvents(time_ns=select_ns, jitter_ns=jitter_ns, rows=rows, known=known)


def _add_sensing(tokens: _Tokens, episode: PreparedEpisode, selected: _SelectedEvents) -> None:
    for i, track in enumerate(episode.tracks):
        chosen = selected.rows[i][selected.known[i] & is_changed(selected.rows[i])]
        if len(chosen):
            arrivals = track.arrivals
            group = tokens.add(arrivals.capture_ns[chosen], arrivals.arrival_ns[chosen] + selected.jitter_ns[i])
            tokens.vectors.append((group, track.layout, track.normalised(chosen)))


def _add_relation(tokens: _Tokens, episode: PreparedEpisode, selected: _SelectedEvents, relation: Relation) -> None:
    """One token a selection: captured and known when the later of its two events was."""
    first, second = relation.object_index, relation.tool_index
    keep = selected.known[first] & selected.known[second]
    keep &= is_changed(selected.rows[first]) | is_changed(selected.rows[second])
    object_rows, tool_rows = selected.rows[first][keep], selected.rows[second][keep]
    if not len(object_rows):
        return
    objects, tools = episode.tracks[first].arrivals, episode.tracks[second].arrivals
    capture_ns = np.maximum(objects.capture_ns[object_rows], tools.capture_ns[tool_rows])
    arrival_ns = np.maximum(
        objects.arrival_ns[object_rows] + selected.jitter_ns[first],
        tools.arrival_ns[tool_rows] + selected.jitter_ns[second],
    )
    values = relation_values(relation, episode.tracks, object_rows, tool_rows)
    tokens.vectors.append((tokens.add(capture_ns, arrival_ns), relation.layout, values))


def _add_past_actions(tokens: _Tokens, config: WindowConfig, episode: PreparedEpisode, select_ns: Int) -> None:
    """Executed commands relative to what was measured when they were given."""
    track = episode.acting
    if track.arrivals is None:
        return
    rows = track.arrivals.newest_before(select_ns)
    capture_ns = track.arrivals.capture_ns
    chosen = rows[is_known(rows, capture_ns, select_ns, seconds_to_ns(config.max_age_s)) & is_changed(rows)]
    proprioception = episode.tracks[episode.proprioception]
    measured_rows = proprioception.arrivals.newest_at(capture_ns[chosen])
    chosen, measured_rows = chosen[measured_rows >= 0], measured_rows[measured_rows >= 0]
    if not len(chosen):
        return
    base = base_at(track, proprioception.values[measured_rows], capture_ns[chosen])
    acting = episode.robot.acting
    values = track.values[chosen] - base
    values -= acting.centre[0]
    values /= acting.scale[0]
    values.clip(-CLIP, CLIP, out=values)
    known_ns = np.maximum(track.arrivals.arrival_ns[chosen], capture_ns[chosen] + 1)  # not by its own decision
    tokens.vectors.append((tokens.add(capture_ns[chosen], known_ns), track.past_layout, values))


def _add_instruction(tokens: _Tokens, config: WindowConfig, episode: PreparedEpisode, select_ns: Int) -> None:
    """The instruction in force at the window's start is stamped with that start: it holds, it does not age."""
    if episode.instruction is None or not len(episode.instructions):
        return
    rows = episode.instruction.newest_at(select_ns)
    chosen = rows[(rows >= 0) & is_changed(rows)]
    if len(chosen):
        capture_ns = np.maximum(episode.instruction.capture_ns[chosen], select_ns[0])
        arrival_ns = np.maximum(episode.instruction.arrival_ns[chosen], select_ns[0])
        buckets, count = config.text_buckets, config.text_features
        features = np.stack([text_features(episode.instructions[row], buckets, count) for row in chosen])
        tokens.texts.append((tokens.add(capture_ns, arrival_ns), features))


def _add_images(tokens: _Tokens, config: WindowConfig, track: ImageTrack, select_ns: Int, jitter_ns: int) -> None:
    arrivals = track.arrivals
    rows = arrivals.newest_at(select_ns - jitter_ns)
    chosen = rows[is_known(rows, arrivals.capture_ns, select_ns, seconds_to_ns(config.max_age_s)) & is_changed(rows)]
    if not len(chosen):
        return
    pictures = track.pictures.decode(chosen, "rgb", config.picture_size)
    patches = frame_patches(pictures, config.patch, config.image_patches)
    count = patches.shape[1]
    arrival_ns = arrivals.arrival_ns[chosen] + jitter_ns
    group = tokens.add(arrivals.capture_ns[chosen].repeat(count), arrival_ns.repeat(count))
    positions = np.tile(patch_positions(config.image_patches), (len(chosen), 1))
    camera = camera_bucket(track.name, config.camera_buckets)
    tokens.images.append((group, patches.reshape(-1, *patches.shape[2:]), positions, camera))


def _finish(
    config: WindowConfig,
    episode: PreparedEpisode,
    selected: _SelectedEvents,
    tokens: _Tokens,
    delay_s: Float,
    rng: np.random.Generator | None,
    *,
    targets: bool,
) -> EncodedWindow:
    decision_ns = selected.time_ns[-len(delay_s) :]
    origin_ns = int(selected.time_ns[0])
    measured_rows = selected.rows[episode.proprioception][-len(delay_s) :]
    if (measured_rows < 0).any():
        raise StreamError(
            f"robot {episode.embodiment.name!r}: no {PROPRIOCEPTION} had arrived at decision time "
            f"{int(decision_ns[measured_rows < 0][0])} ns; decide later, or keep more history in the observation"
        )
    measured = episode.tracks[episode.proprioception].values[measured_rows]
    base = base_at(episode.acting, measured, decision_ns)
    shape = (len(decision_ns), config.knots)
    if targets:
        raw, valid = knots(episode.acting, decision_ns, config.knot_offset_ns)
        values = normalise(raw, base, episode.robot.acting)
    else:
        values = np.zeros((*shape, base.shape[1]), dtype=np.float32)
        valid = np.ones(shape, dtype=np.bool_)
    start = start_at(episode.acting, measured, decision_ns, episode.robot.acting)
    prefix, prefix_s = values, delay_s
    if targets and rng is not None:
        prefix = _prefix(config, episode, decision_ns, base, start, rng)
        prefix_s = np.where(hidden(config.prefix, len(delay_s), rng), np.float32(0), delay_s)
    capture_s, arrival_s, places = _in_order(tokens, origin_ns)
    decision_s = _seconds(decision_ns, origin_ns)
    return EncodedWindow(
        embodiment=episode.embodiment.name,
        origin_ns=origin_ns,
        capture_s=capture_s,
        arrival_s=arrival_s,
        vectors=tuple(VectorPiece(layout=o, values=v, place=places[g]) for g, o, v in tokens.vectors),
        images=tuple(
            ImagePiece(patches=pixels, position=position, camera=camera, place=places[g])
            for g, pixels, position, camera in tokens.images
        ),
        texts=tuple(TextPiece(features=features, place=places[g]) for g, features in tokens.texts),
        decision_s=decision_s,
        delay_s=delay_s,
        acting=episode.acting.layout,
        values=values,
        prefix=prefix,
        prefix_s=prefix_s,
        valid=valid,
        base=base,
        start=start,
        knot_s=(config.knot_offset_ns * 1e-9).astype(np.float32),
        experience_s=float(decision_s[-1] - decision_s[0]) + config.stride_s,
    )


def _prefix(
    config: WindowConfig,
    episode: PreparedEpisode,
    decision_ns: Int,
    base: Float,
    start: Float,
    rng: np.random.Generator,
) -> Float:
    """Return what training says of committed knots: recorded commands, some of them late, still, swapped or off."""
    track, acting = episode.acting, episode.robot.acting
    raw, _ = knots(track, decision_ns - lateness_ns(config.prefix, len(decision_ns), rng), config.knot_offset_ns)
    held = normalise(np.repeat(start[:, None], config.knots, axis=1), base, acting)
    return disturbed(config.prefix, normalise(raw, base, acting), held, track.relative, rng)


def _in_order(tokens: _Tokens, origin_ns: int) -> tuple[Float, Float, list[Int]]:
    """Return capture and arrival in order of arrival, and where each group's tokens went."""
    if not tokens.capture_ns:
        return np.zeros(0, np.float32), np.zeros(0, np.float32), []
    capture_ns, arrival_ns = np.concatenate(tokens.capture_ns), np.concatenate(tokens.arrival_ns)
    order = np.argsort(arrival_ns, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    ends = np.cumsum([len(times) for times in tokens.capture_ns])
    starts = [0, *ends[:-1]]
    groups = [place[start:end] for start, end in zip(starts, ends, strict=True)]
    return _seconds(capture_ns[order], origin_ns), _seconds(arrival_ns[order], origin_ns), groups


def _seconds(time_ns: Int, origin_ns: int) -> Float:
    return ((time_ns - origin_ns) * 1e-9).astype(np.float32)
