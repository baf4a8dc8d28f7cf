"""From complete uploads to the store: what is adopted, what is refused and why, receipts, crashes in between."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from receivers import Running, Sent
from site_soak import noise_episode

from counterpoint.core.errors import IngestError, SiteError
from counterpoint.site.incoming import COMMITTING
from counterpoint.site.journal import Journal, read_journal
from counterpoint.store import Store, StoreWriter
from counterpoint.store.episodes.adopt import adopt, check_manifest, wanted_files
from counterpoint.store.files.layout import canonical_json, create_store, sha256_hex

Change = Callable[[dict[str, object]], None]


def changed(manifest: bytes, change: Change) -> bytes:
    """A manifest that says something else, with a checksum that holds."""
    body = json.loads(manifest)
    del body["checksum"]
    change(body)
    return canonical_json({**body, "checksum": sha256_hex(canonical_json(body))})


def put(path: str, value: object) -> Change:
    def change(body: dict[str, object]) -> None:
        *parents, last = path.split(".")
        place: object = body
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place[key]  # type: ignore[index]  # plain JSON
        place[int(last) if isinstance(place, list) else last] = value  # type: ignore[index]  # plain JSON

    return change


HOSTILE = [
    (put("files.0.path", "../../../evil"), "bad_path"),
    (put("files.0.path", "/etc/passwd"), "bad_path"),
    (put("files.0.path", ".hidden"), "bad_path"),
    (put("files.0.path", "manifest.json"), "bad_path"),
    (put("files.0.path", "a\x00b"), "bad_path"),
    (put("files.0.path", "x" * 300), "bad_path"),
    (put("files.0.path", "other.parquet"), "bad_manifest"),
    (put("files.0.sha256", "../../x"), "bad_manifest"),
    (put("files.0.bytes", -1), "bad_manifest"),
    (put("files.0.bytes", "12"), "bad_manifest"),
    (put("files.0.bytes", 2**70), "bad_manifest"),
    (put("files.0.bytes", True), "bad_manifest"),
    (put("files.0.bytes", 2**62), "bad_manifest"),
    (put("end_ns", -1), "bad_manifest"),
    (put("files", []), "bad_manifest"),
    (put("files", 7), "bad_manifest"),
    (put("episode_id", ""), "bad_manifest"),
    (put("episode_id", 7), "bad_manifest"),
    (put("episode_id", "x" * 300), "bad_manifest"),
    (put("episode_id", "\ud800"), "bad_manifest"),
    (put("embodiment_sha256", "../../../store"), "bad_manifest"),
    (put("content_sha256", "short"), "bad_manifest"),
    (put("start_ns", 1.5), "bad_manifest"),
    (put("end_ns", 2**64), "bad_manifest"),
    (put("provenance", [1, 2]), "bad_manifest"),
    (put("provenance.task", None), "bad_manifest"),
    (put("provenance.source", "rumour"), "bad_manifest"),
    (put("provenance.success", "yes"), "bad_manifest"),
    (put("provenance.notes", [1]), "bad_manifest"),
    (put("streams.0.kind", "smell"), "bad_manifest"),
    (put("streams.0.video", "not_there.mp4"), "bad_manifest"),
    (put("version", 2), "bad_manifest"),
    (put("format", "other"), "bad_manifest"),
    (put("surprise", 1), "bad_manifest"),
]


@pytest.mark.parametrize(("change", "reason"), HOSTILE)
def test_hostile_manifests_are_refused(made: Path, change: Change, reason: str) -> None:
    manifest = next(made.glob("episodes/*/noise-0/manifest.json")).read_bytes()
    assert check_manifest(manifest).episode_id == "noise-0"
    with pytest.raises(IngestError) as refused:
        check_manifest(changed(manifest, change))
    assert refused.value.reason == reason


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff" * 10, b'{"format": NaN}'])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(IngestError, match=r"manifest\.json"):
        check_manifest(data)


def blobs_of(spool: Path, episode_id: str) -> tuple[bytes, dict[str, Path]]:
    folder = next(spool.glob(f"episodes/*/{episode_id}"))
    files = [*folder.iterdir(), *spool.glob("specs/*.json"), *spool.glob("embodiments/*.json")]
    return (folder / "manifest.json").read_bytes(), {sha256_hex(path.read_bytes()): path for path in files}


def test_adopt_commits_once_and_byte_for_byte(spool: Path, tmp_path: Path) -> None:
    root = tmp_path / "other"
    create_store(root)
    manifest, blobs = blobs_of(spool, "noise-0")
    assert adopt(root, manifest, blobs)
    assert not adopt(root, manifest, blobs)
    assert next(root.glob("episodes/*/noise-0/manifest.json")).read_bytes() == manifest
    store = Store.open(root)
    assert store.verify() == []
    read, original = store.read("noise-0"), Store.open(spool).read("noise-0")
    assert (read.streams["sensed"].values == original.streams["sensed"].values).all()
    assert wanted_files(root, store.info("noise-0"))[0].name == "streams.parquet"
    assert not list(root.glob("staging/*"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda manifest, blobs, path: (manifest, {}), "missing_file"),
        (lambda manifest, blobs, path: (manifest, {digest: path for digest in blobs}), "checksum"),
        (lambda m, b, p: (changed(m, put("streams.0.samples", 7)), b), "count"),
        (lambda m, b, p: (changed(m, put("embodiment", "another")), b), "bad_description"),
        (lambda m, b, p: (changed(m, put("streams.0.name", "another")), b), "bad_description"),
    ],
)
def test_adopt_refuses_what_does_not_hold(
    spool: Path,
    tmp_path: Path,
    spoil: Callable[[bytes, dict[str, Path], Path], tuple[bytes, dict[str, Path]]],
    reason: str,
) -> None:
    root = tmp_path / "other"
    create_store(root)
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk")
    with pytest.raises(IngestError) as refused:
        adopt(root, *spoil(*blobs_of(spool, "noise-0"), junk))
    assert refused.value.reason == reason
    assert not list(root.glob("episodes/*/*"))
    assert not list(root.glob("staging/*"))
    assert Store.open(root).verify() == []


def test_parquet_that_is_none_is_refused(spool: Path, tmp_path: Path) -> None:
    root = tmp_path / "other"
    create_store(root)
    manifest, blobs = blobs_of(spool, "noise-0")
    junk = tmp_path / "junk"
    junk.write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")
    digest = sha256_hex(junk.read_bytes())

    def change(body: dict[str, object]) -> None:
        body["files"] = [{"path": "streams.parquet", "bytes": 108, "sha256": digest}]

    with pytest.raises(IngestError) as refused:
        adopt(root, changed(manifest, change), {**blobs, digest: junk})
    assert refused.value.reason == "damaged_streams"


def test_other_content_under_the_same_id_is_refused_and_listed(running: Running, sent: Sent, tmp_path: Path) -> None:
    with StoreWriter(running.store) as writer:
        writer.add(noise_episode("noise-0", 99, 0.5))
    there = next(running.store.glob("episodes/*/noise-0/manifest.json")).read_bytes()
    sent.send(sent.name(), sent.manifest)  # the manifest alone: no other byte is wasted
    answer = sent.commit()
    assert answer.status_code == 422
    assert answer.json()["reason"] == "conflict"
    assert sent.commit().status_code == 422
    assert sent.create(sent.name(), len(sent.manifest)).status_code == 409
    listed = read_journal(running.store / "refused.jsonl")
    assert [(line["site"], line["episode_id"], line["reason"]) for line in listed] == [("lab_1", "noise-0", "conflict")]
    assert next(running.store.glob("episodes/*/noise-0/manifest.json")).read_bytes() == there


def test_hostile_manifest_over_the_wire_is_422(running: Running, sent: Sent) -> None:
    sent.manifest = changed(sent.manifest, put("files.0.path", "../../evil"))
    sent.episode = sha256_hex(sent.manifest)
    sent.send(sent.name(), sent.manifest)
    assert (sent.commit().status_code, sent.commit().json()["reason"]) == (422, "bad_path")
    assert not list(running.store.glob("episodes/*/*"))


def test_file_that_came_whole_and_wrong_is_asked_for_again(running: Running, sent: Sent) -> None:
    sent.send(sent.name(), sent.manifest)
    wanted = sent.missing()
    first = next(iter(wanted))
    for sha256, data in wanted.items():
        sent.send(sent.name(sha256), bytes(len(data)) if sha256 == first else data)
    answer = sent.commit()
    assert answer.status_code == 409
    assert [each["sha256"] for each in answer.json()["missing"]] == answer.json()["spoilt"] == [first]
    sent.send(sent.name(first), wanted[first])
    assert sent.commit().status_code == 201
    assert Store.open(running.store).verify() == []


def test_receipts_name_the_site_and_the_manifest_stays_as_it_was(running: Running, sent: Sent, spool: Path) -> None:
    with running.client(running.other_token) as client:
        twin = Sent(spool, "noise-0", client)
        twin.send(twin.name(), twin.manifest)  # both have begun
        assert sent.send_all().status_code == 201
        assert twin.commit().status_code == 200
    receipts = read_journal(running.store / "receipts.jsonl")
    assert [(line["site"], line["state"]) for line in receipts] == [("lab_1", "committed"), ("lab_2", "already")]
    assert receipts[0]["manifest_sha256"] == sent.episode
    assert next(running.store.glob("episodes/*/noise-0/manifest.json")).read_bytes() == sent.manifest
    assert not list(running.store.glob("incoming/*/*"))
    assert not running.receiver.admission.open_episodes


def test_crash_between_commit_and_receipt_is_made_good_once(running: Running, sent: Sent, tmp_path: Path) -> None:
    sent.send(sent.name(), sent.manifest)
    for sha256, data in sent.missing().items():
        sent.send(sent.name(sha256), data)
    folder = running.store / "incoming" / "lab_1" / sent.episode
    (folder / COMMITTING).touch()
    aside = tmp_path / "aside"
    shutil.copytree(folder, aside)
    assert adopt(running.store, sent.manifest, running.receiver.incoming.complete("lab_1", sent.episode))
    running.stop()
    running.start()
    receipts = read_journal(running.store / "receipts.jsonl")
    assert [line["state"] for line in receipts] == ["committed"]
    running.stop()
    shutil.copytree(aside, folder)  # the crash came after the receipt and before the clean-up
    running.start()
    assert read_journal(running.store / "receipts.jsonl") == receipts
    assert not list(running.store.glob("incoming/*/*"))


def test_restart_goes_on_where_it_was_confirmed(running: Running, sent: Sent) -> None:
    sent.send(sent.name(), sent.manifest)
    wanted = sent.missing()
    sha256, data = max(wanted.items(), key=lambda item: len(item[1]))
    sent.create(sent.name(sha256), len(data))
    assert sent.patch(sent.name(sha256), 0, data[:1000]).status_code == 204
    running.stop()
    part = running.store / "incoming" / "lab_1" / sent.episode / f"{sha256}.part"
    with part.open("ab") as file:  # written, never confirmed: as after a power cut
        file.write(b"never confirmed")
    with part.with_suffix(".log").open("ab") as file:
        file.write(b"15")
    running.start()
    with running.client() as client:
        sent.client = client
        assert client.head(sent.path(sent.name(sha256))).headers["Upload-Offset"] == "1000"
        assert sent.patch(sent.name(sha256), 1000, data[1000:]).status_code == 204
        for other in set(wanted) - {sha256}:
            sent.send(sent.name(other), wanted[other])
        assert sent.commit().status_code == 201
    assert Store.open(running.store).verify() == []


def test_abandoned_episodes_are_swept_and_their_room_freed(running: Running, sent: Sent) -> None:
    import asyncio

    sent.send(sent.name(), sent.manifest)
    sent.missing()
    assert running.receiver.admission.bytes_in_flight > 0
    assert asyncio.run(running.receiver.sweep()) == 0
    old = time.time() - running.receiver.limits.expire_s - 10
    for path in running.store.glob("incoming/*/*/*"):
        os.utime(path, (old, old))
    assert asyncio.run(running.receiver.sweep()) == 1
    assert running.receiver.admission.bytes_in_flight == 0
    assert not list(running.store.glob("incoming/*/*"))


def test_one_receiver_a_store(running: Running) -> None:
    with pytest.raises(SiteError, match="another process"):
        Journal(running.store / "receipts.jsonl")


def test_journal_passes_over_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"a": 1})
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"a": 2, "b"')
    journal = Journal(path)
    journal.append({"a": 3})
    journal.close()
    assert [line["a"] for line in read_journal(path)] == [1, 3]
