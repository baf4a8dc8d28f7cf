"""Any change to a manifest from elsewhere is refused with a reason, or safe for the store's index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint.core.errors import IngestError
from counterpoint.store.episodes.adopt import check_manifest
from counterpoint.store.files.layout import canonical_json, episode_folder, sha256_hex
from counterpoint.store.index.rows import infos_to_batches, rows_to_infos

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["../x", "/etc/passwd", "a/b", ".", "..", "manifest.json", "\x00", "a" * 500, "\ud800", "vector"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def places_of(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        found += [place for key, each in value.items() for place in places_of(each, (*at, key))]
    elif isinstance(value, list):
        found += [place for key, each in enumerate(value) for place in places_of(each, (*at, key))]
    return found


def mutated(body: object, place: tuple[str | int, ...], value: object) -> object:
    if not place:
        return value
    if isinstance(body, dict):
        return {**body, str(place[0]): mutated(body[str(place[0])], place[1:], value)}
    assert isinstance(body, list)
    return [mutated(each, place[1:], value) if key == place[0] else each for key, each in enumerate(body)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(data=st.data())
def test_any_change_to_a_manifest(made: Path, data: st.DataObject) -> None:
    body = json.loads(next(made.glob("episodes/*/noise-0/manifest.json")).read_bytes())
    del body["checksum"]
    place = data.draw(st.sampled_from(places_of(body)))
    changed = mutated(body, place, data.draw(json_values))
    assert isinstance(changed, dict)
    manifest = canonical_json({**changed, "checksum": sha256_hex(canonical_json(changed))})
    try:
        info = check_manifest(manifest)
    except IngestError as error:
        assert error.reason in ("bad_manifest", "bad_path")  # noqa: PT017  # both outcomes are right
        return
    assert episode_folder(made, info.episode_id).parent.parent == made / "episodes"
    assert all("/" not in file.path and file.path not in (".", "..") for file in info.files)
    assert rows_to_infos(infos_to_batches([info])[0]) == [info]


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_manifest(data: bytes) -> None:
    with pytest.raises(IngestError):
        check_manifest(data)
