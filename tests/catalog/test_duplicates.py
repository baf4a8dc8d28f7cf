"""Copies land in one cluster, other episodes do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from catalog_episodes import episode, make_store, robot
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.catalog.duplicates.clusters import alike_pairs, describe_clusters
from counterpoint.catalog.duplicates.fingerprint import Fingerprint, fingerprint, phash, simhash
from counterpoint.catalog.duplicates.fingerprint_table import FILE, find_clusters, open_fingerprints
from counterpoint.core.stream import vector_stream
from counterpoint.ingest import ingest
from counterpoint.store import Store


def clusters(store: Store) -> list[set[str]]:
    labels, unread = find_clusters([store])
    assert not unread
    return [set(cluster.episodes) for cluster in describe_clusters(store.flat(), labels)]


def test_copies_in_other_clothes_are_found(tmp_path: Path) -> None:
    same = {"seed": 5, "seconds": 8.0}
    store = make_store(
        tmp_path / "store",
        [
            episode("first", **same, task="lift"),  # type: ignore[arg-type]  # test shorthand
            episode("other-id", **same, task="another name", site="elsewhere"),  # type: ignore[arg-type]
            episode("other-rate", **same, rate_hz=30.0),  # type: ignore[arg-type]
            episode("other-robot-name", **same, embodiment=robot("arm_2")),  # type: ignore[arg-type]
            episode("noisy", **same, noise=5e-4),  # type: ignore[arg-type]
            *(episode(f"different-{seed}", seed=seed, seconds=8.0) for seed in range(20, 40)),
        ],
    )
    assert clusters(store) == [{"first", "other-id", "other-rate", "other-robot-name", "noisy"}]


def test_pictures_tell_same_motions_apart(tmp_path: Path) -> None:
    replayed = [episode(f"scene-{scene}-{take}", picture=scene, site=str(take)) for scene in (1, 2) for take in (1, 2)]
    store = make_store(tmp_path / "store", replayed)
    assert sorted(map(sorted, clusters(store))) == [["scene-1-1", "scene-1-2"], ["scene-2-1", "scene-2-2"]]


def test_standing_still_is_no_duplicate_without_pictures(tmp_path: Path) -> None:
    def still(name: str) -> object:
        made = episode(name, site=name)
        streams = {
            key: vector_stream(stream.spec, stream.capture_ns, np.zeros_like(stream.values))
            for key, stream in made.streams.items()
        }
        return replace(made, streams=streams)

    assert clusters(make_store(tmp_path / "store", [still("a"), still("b")])) == []  # type: ignore[list-item]


def test_one_and_no_episode(tmp_path: Path) -> None:
    assert clusters(make_store(tmp_path / "one", [episode("a")])) == []
    assert clusters(make_store(tmp_path / "none")) == []


def test_fingerprints_are_kept_and_made_again_when_damaged(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [episode(f"e{i}", seed=i) for i in range(3)])
    expected, _ = open_fingerprints(store)
    assert open_fingerprints(store)[0].equals(expected)
    content = (store.root / FILE).read_bytes()
    for damaged in (content[:100], b"", content[:300] + bytes([content[300] ^ 255]) + content[301:]):
        (store.root / FILE).write_bytes(damaged)
        assert open_fingerprints(Store.open(store.root))[0].equals(expected)


def test_only_new_episodes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_fingerprints(make_store(tmp_path / "store", [episode("a"), episode("b", seed=1)]))
    store = make_store(tmp_path / "store", [episode("c", seed=2)])
    read: list[str] = []

    def noted(store: Store, episode_id: str) -> Fingerprint:
        read.append(episode_id)
        return fingerprint(store, episode_id)

    monkeypatch.setattr("counterpoint.catalog.duplicates.fingerprint_table.fingerprint", noted)
    assert open_fingerprints(store)[0].num_rows == 3
    assert read == ["c"]


def test_a_damaged_episode_is_told_and_stands_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [episode("a"), episode("b", site="x"), episode("c", site="y")])
    folder = next((store.root / "episodes").glob("*/b"))
    (folder / "streams.parquet").write_bytes(b"PAR1")
    labels, unread = find_clusters([Store.open(store.root)])
    assert len(unread) == 1
    assert "'b'" in unread[0]
    assert labels.tolist() == [0, 1, 0]


def test_no_false_alarm_on_recordings_of_one_task(realdata: Path, tmp_path: Path) -> None:
    """The hundred G1 episodes all pick up the same bottle; none is a copy, and one that is copied is found."""
    ingest([realdata / "g1_inspire_26dof"], tmp_path / "store")
    store = Store.open(tmp_path / "store")
    prints, _ = open_fingerprints(store)
    hashes = prints["trajectory"].to_numpy()
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :])[np.triu_indices(len(hashes), 1)]
    assert len(store) == 100
    assert clusters(store) == []
    assert int((distance <= 6).sum()) == 0
    original = store.read(store.episodes[3].episode_id)
    renamed = replace(original, episode_id="copy", provenance=replace(original.provenance, site="elsewhere"))
    assert clusters(make_store(store.root, [renamed])) == [{"copy", original.episode_id}]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=12), st.data())
def test_every_near_pair_is_found(numbers: list[int], data: st.DataObject) -> None:
    flips = data.draw(st.lists(st.integers(0, 63), max_size=6, unique=True))
    numbers.append(numbers[0] ^ sum(1 << flip for flip in flips))
    hashes = np.array(numbers, np.uint64)
    found = {
        tuple(sorted(pair))
        for one, other in alike_pairs(hashes, 6)
        for pair in zip(one.tolist(), other.tolist(), strict=True)
    }
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= 6
    expected = {(a, b) for a, b in np.argwhere(near).tolist() if a < b}
    assert found == expected


def test_hashes_change_a_little_with_a_little() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 2**63, 2000).astype(np.uint64)
    other = tokens.copy()
    other[:40] = rng.integers(0, 2**63, 40).astype(np.uint64)
    assert (simhash(tokens) ^ simhash(other)).bit_count() <= 8
    assert (simhash(tokens) ^ simhash(rng.integers(0, 2**63, 2000).astype(np.uint64))).bit_count() > 16
    picture = np.kron(rng.integers(0, 255, (6, 8)), np.ones((20, 20))).astype(np.uint8)
    noisy = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    assert (phash(picture) ^ phash(noisy)).bit_count() <= 6
    assert (phash(picture) ^ phash(noisy[::2, ::2])).bit_count() <= 6
    assert (phash(picture) ^ phash(picture[:, ::-1])).bit_count() > 12
    assert phash(np.zeros((1, 1), np.uint8)) == phash(np.zeros((500, 3), np.uint8))
