"""tus 1.0.0 as any client meets it: every status exact, also for what no honest client would send."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from receivers import Running, Sent

from counterpoint.site import tus
from counterpoint.site.tus import TusError, UploadName, metadata_header, parse_metadata
from counterpoint.store import Store

ZEROS = "0" * 64


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def sum_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def test_options_say_what_is_spoken(running: Running) -> None:
    with running.client() as client:
        answer = client.options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {"creation", "checksum", "expiration", "termination"}
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"


def test_whole_episode_by_hand(running: Running, sent: Sent) -> None:
    assert sent.commit().json()["missing"] == [{"sha256": sent.episode, "bytes": None, "name": "manifest.json"}]
    assert sent.send_all().status_code == 201
    assert sent.commit().status_code == 200
    store = Store.open(running.store)
    assert [info.episode_id for info in store.episodes] == ["noise-0"]
    assert store.verify() == []


def test_pieces_and_state(sent: Sent) -> None:
    created = sent.create(sent.name(), len(sent.manifest))
    assert created.status_code == 201
    assert created.headers["Location"] == sent.path(sent.name())
    assert created.headers["Tus-Resumable"] == "1.0.0"
    first = sent.patch(sent.name(), 0, sent.manifest[:100], Upload_Checksum=sum_of(sent.manifest[:100]))
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "100")
    assert "GMT" in first.headers["Upload-Expires"]
    state = sent.client.head(sent.path(sent.name()))
    assert state.status_code == 200
    assert state.headers["Upload-Offset"] == "100"
    assert state.headers["Upload-Length"] == str(len(sent.manifest))
    assert state.headers["Cache-Control"] == "no-store"
    again = sent.create(sent.name(), len(sent.manifest))  # a replayed creation finds the same upload
    assert (again.status_code, again.headers["Upload-Offset"]) == (201, "100")
    rest = sent.patch(sent.name(), 100, sent.manifest[100:], Upload_Checksum=sum_of(sent.manifest[100:], "sha1"))
    assert rest.headers["Upload-Offset"] == str(len(sent.manifest))


def test_another_length_begins_anew_but_does_not_undo_what_is_whole(sent: Sent) -> None:
    length = len(sent.manifest)
    sent.create(sent.name(), length + 1)
    sent.patch(sent.name(), 0, sent.manifest[:100])
    begun = sent.create(sent.name(), length)
    assert (begun.status_code, begun.headers["Upload-Offset"]) == (201, "0")
    sent.patch(sent.name(), 0, sent.manifest)
    assert sent.create(sent.name(), length + 1).status_code == 409
    assert sent.client.head(sent.path(sent.name())).headers["Upload-Offset"] == str(length)


@pytest.mark.parametrize("offset", ["1", "99", "1000000"])
def test_wrong_offset_and_replay_are_409(sent: Sent, offset: str) -> None:
    sent.create(sent.name(), len(sent.manifest))
    assert sent.patch(sent.name(), offset, b"x").status_code == 409
    assert sent.patch(sent.name(), 0, sent.manifest).status_code == 204
    assert sent.patch(sent.name(), 0, sent.manifest).status_code == 409


def test_damaged_piece_is_460_and_leaves_no_trace(running: Running, sent: Sent) -> None:
    sent.create(sent.name(), len(sent.manifest))
    damaged = sent.patch(sent.name(), 0, b"y" * 100, Upload_Checksum=sum_of(b"x" * 100))
    assert damaged.status_code == 460
    assert sent.client.head(sent.path(sent.name())).headers["Upload-Offset"] == "0"
    assert running.counted("checksum_mismatches_total") == 1
    assert sent.patch(sent.name(), 0, sent.manifest).status_code == 204


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload_Offset": "-1"}, 400),
        ({"Upload_Offset": ""}, 400),
        ({"Upload_Offset": "1e3"}, 400),
        ({"Upload_Offset": "9" * 40}, 400),
        ({"Content_Type": "application/octet-stream"}, 415),
        ({"Upload_Checksum": "md5 AAAA"}, 400),
        ({"Upload_Checksum": "sha256 !!!"}, 400),
        ({"Upload_Checksum": "sha256 AAAA"}, 400),
        ({"Tus_Resumable": "0.2.2"}, 412),
        ({"Authorization": "Bearer cps_unknown"}, 401),
        ({"Authorization": "Basic Og=="}, 401),
        ({"Authorization": ""}, 401),
    ],
)
def test_bad_headers_of_a_piece(sent: Sent, headers: dict[str, str], status: int) -> None:
    sent.create(sent.name(), len(sent.manifest))
    answer = sent.patch(sent.name(), 0, sent.manifest, **headers)
    assert answer.status_code == status
    if status == 412:
        assert answer.headers["Tus-Version"] == "1.0.0"
    assert sent.client.head(sent.path(sent.name())).headers["Upload-Offset"] == "0"


@pytest.mark.parametrize(
    ("length", "status"),
    [("", 400), ("-1", 400), ("ten", 400), ("9" * 18, 413), ("9" * 30, 400), (str(5 << 20), 413)],
)
def test_absurd_lengths_are_refused_before_anything_is_made(
    running: Running, sent: Sent, length: str, status: int
) -> None:
    assert sent.create(sent.name(), length).status_code == status
    assert not list(running.store.glob("incoming/*/*/*"))


def test_more_bytes_than_announced_are_413(sent: Sent) -> None:
    sent.create(sent.name(), 10)
    assert sent.patch(sent.name(), 0, b"x" * 11).status_code == 413
    chunks = sent.client.patch(
        sent.path(sent.name()),
        headers={"Content-Type": tus.CONTENT_TYPE, "Upload-Offset": "0"},
        content=iter([b"x" * 8, b"x" * 8]),
    )
    assert chunks.status_code == 413
    assert sent.client.head(sent.path(sent.name())).headers["Upload-Offset"] == "0"


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "episode",
        f"episode {b64('../../etc')},sha256 {b64(ZEROS)}",
        f"episode {b64(ZEROS)},sha256 {b64('..' * 32)}",
        f"episode {b64(ZEROS.upper() + 'A')},sha256 {b64(ZEROS)}",
        f"episode {b64(ZEROS)},sha256 !!!",
        f"episode {b64(ZEROS)},episode {b64(ZEROS)},sha256 {b64(ZEROS)}",
        f"episode {b64(ZEROS)},sha256 {base64.b64encode(bytes([0xFF] * 64)).decode()}",
        "episode " + "A" * 5000,
    ],
)
def test_hostile_metadata_is_400(running: Running, sent: Sent, metadata: str) -> None:
    answer = sent.client.post("/uploads", headers={"Upload-Length": "10", "Upload-Metadata": metadata})
    assert answer.status_code == 400
    assert not list(running.store.glob("incoming/*/*"))


@pytest.mark.parametrize(
    "path", ["/uploads/../../x", "/uploads/%2e%2e/%2e%2e", f"/uploads/{ZEROS}/..%2f..%2fstore.json"]
)
def test_paths_lead_nowhere(running: Running, path: str) -> None:
    request = (
        f"HEAD {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.token}\r\nTus-Resumable: 1.0.0\r\n\r\n"
    )
    assert raw(running.port, request.encode()).startswith(b"HTTP/1.1 404")


def test_one_site_cannot_see_or_touch_the_uploads_of_another(running: Running, sent: Sent) -> None:
    sent.create(sent.name(), len(sent.manifest))
    with running.client(running.other_token) as other:
        assert other.head(sent.path(sent.name())).status_code == 404
        assert other.delete(sent.path(sent.name())).status_code == 404
    assert sent.client.head(sent.path(sent.name())).status_code == 200


def test_termination(sent: Sent) -> None:
    sent.create(sent.name(), len(sent.manifest))
    assert sent.client.delete(sent.path(sent.name())).status_code == 204
    assert sent.client.head(sent.path(sent.name())).status_code == 404
    assert sent.client.delete(sent.path(sent.name())).status_code == 404
    assert sent.patch(sent.name(), 0, b"x").status_code == 404


def test_method_override(sent: Sent) -> None:
    sent.create(sent.name(), len(sent.manifest))
    path = sent.path(sent.name())
    assert sent.client.post(path, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert sent.client.post(path).status_code == 405


def test_expired_uploads_are_410_then_gone(running: Running, sent: Sent) -> None:
    sent.create(sent.name(), len(sent.manifest))
    old = time.time() - running.receiver.limits.expire_s - 10
    for path in running.store.glob("incoming/*/*/*"):
        os.utime(path, (old, old))
    assert sent.client.head(sent.path(sent.name())).status_code == 410
    assert sent.patch(sent.name(), 0, b"x").status_code == 410
    assert sent.create(sent.name(), len(sent.manifest)).headers["Upload-Offset"] == "0"
    assert sent.client.head(sent.path(sent.name())).status_code == 200


def test_files_need_their_manifest_first(sent: Sent) -> None:
    stranger = sent.name(hashlib.sha256(b"x").hexdigest())
    assert sent.create(stranger, 1).status_code == 409
    sent.send(sent.name(), sent.manifest)
    wanted = sent.missing()
    assert sent.create(stranger, 1).status_code == 409  # the manifest does not name it
    streams = hashlib.sha256((sent.folder / "streams.parquet").read_bytes()).hexdigest()
    assert sent.create(sent.name(streams), len(wanted[streams]) + 1).status_code == 400
    description = next(digest for digest in wanted if digest != streams)
    assert sent.create(sent.name(description), 1 << 30).status_code == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"episode_id": 3, "manifest_sha256": "x"}', 400),
        (b"[" * 8000, 400),
        (b" " * 9000, 413),
    ],
)
def test_bad_commits(sent: Sent, body: bytes, status: int) -> None:
    assert sent.client.post("/commit", content=body).status_code == status


def test_commit_of_no_hash_is_404(sent: Sent) -> None:
    assert sent.client.post("/commit", json={"episode_id": "x", "manifest_sha256": "../x"}).status_code == 404


def test_too_many_requests_and_sites(run_with: Callable[..., Running], spool: Path) -> None:
    running = run_with(max_sites=1, requests_per_site=1)
    with running.client() as client:
        sent = Sent(spool, "noise-0", client)
        sent.create(sent.name(), len(sent.manifest))
        with socket.create_connection(("127.0.0.1", running.port)) as slow:
            slow.sendall(piece_head(running, sent, len(sent.manifest)) + sent.manifest[:10])
            wait_until(lambda: running.receiver.admission.active_sites == 1)
            busy = client.options("/uploads")
            assert (busy.status_code, busy.headers["Retry-After"]) == (429, "1")
            with running.client(running.other_token) as other:
                full = other.options("/uploads")
            assert (full.status_code, full.headers["Retry-After"]) == (503, "1")
            slow.sendall(sent.manifest[10:])
            assert slow.recv(4096).startswith(b"HTTP/1.1 204")
        assert client.options("/uploads").status_code == 204


def test_share_of_bytes_in_flight(run_with: Callable[..., Running], spool: Path) -> None:
    running = run_with(site_bytes_in_flight=20 << 20, max_bytes_in_flight=22 << 20)  # 12 MiB for 3 descriptions
    with running.client() as client, running.client(running.other_token) as other:
        first, second, third = (
            Sent(spool, "noise-0", client),
            Sent(spool, "noise-1", client),
            Sent(spool, "noise-2", other),
        )
        for each in (first, second, third):
            each.send(each.name(), each.manifest)
        first.missing()
        held = second.commit()
        assert (held.status_code, held.headers["Retry-After"]) == (429, "1")
        assert third.commit().status_code == 503
        for sha256, data in first.missing().items():
            first.send(first.name(sha256), data)
        assert first.commit().status_code == 201  # its room is free again, and its descriptions are known
        assert second.commit().status_code == 409


def test_episode_that_never_fits_is_413(run_with: Callable[..., Running], spool: Path) -> None:
    running = run_with(site_bytes_in_flight=50_000)
    with running.client() as client:
        sent = Sent(spool, "noise-0", client)
        sent.send(sent.name(), sent.manifest)
        assert sent.commit().status_code == 413


def test_full_disk_is_507(run_with: Callable[..., Running], spool: Path) -> None:
    running = run_with(free_bytes=1 << 60)
    with running.client() as client:
        sent = Sent(spool, "noise-0", client)
        answer = sent.create(sent.name(), len(sent.manifest))
    assert answer.status_code == 507
    assert "Retry-After" in answer.headers


def test_two_requests_for_one_upload_are_423(running: Running, spool: Path) -> None:
    with running.client() as client, socket.create_connection(("127.0.0.1", running.port)) as slow:
        sent = Sent(spool, "noise-0", client)
        sent.create(sent.name(), len(sent.manifest))
        slow.sendall(piece_head(running, sent, len(sent.manifest)) + b"{")
        wait_until(lambda: running.receiver.admission.active_sites == 1)
        assert sent.patch(sent.name(), 0, sent.manifest).status_code == 423


def test_dawdling_body_is_408_and_loses_nothing_confirmed(run_with: Callable[..., Running], spool: Path) -> None:
    running = run_with(body_timeout_s=0.5)
    with running.client() as client:
        sent = Sent(spool, "noise-0", client)
        sent.create(sent.name(), len(sent.manifest))
        answer = raw(running.port, piece_head(running, sent, len(sent.manifest)) + sent.manifest[:10])
        assert answer.startswith(b"HTTP/1.1 408")
        assert sent.patch(sent.name(), 0, sent.manifest).status_code == 204


def test_dribbled_headers_are_cut(run_with: Callable[..., Running]) -> None:
    running = run_with(header_timeout_s=0.7)
    link = socket.create_connection(("127.0.0.1", running.port))
    with link, pytest.raises(OSError):  # noqa: PT011  # reset or broken pipe, as the system likes
        dribble(link)
    with running.client() as client:
        assert client.get("/healthz").text == "ok\n"


def test_cut_connection_keeps_what_came_without_a_checksum(running: Running, sent: Sent) -> None:
    sent.create(sent.name(), len(sent.manifest))
    with socket.create_connection(("127.0.0.1", running.port)) as cut:
        cut.sendall(piece_head(running, sent, len(sent.manifest)) + sent.manifest[:100])
        wait_until(lambda: running.counted("bytes_received_total") == 100)
    wait_until(lambda: running.counted("disconnects_total") == 1 and not running.receiver.admission.active_sites)
    assert sent.client.head(sent.path(sent.name())).headers["Upload-Offset"] == "100"
    assert sent.patch(sent.name(), 100, sent.manifest[100:]).status_code == 204


def test_health_and_metrics_need_no_token_and_name_no_site(running: Running) -> None:
    with running.client("nothing") as client:
        assert client.get("/healthz").status_code == 200
        assert client.options("/uploads").status_code == 401
        text = client.get("/metrics").text
    assert "counterpoint_site_requests_total" in text
    assert "lab_1" not in text


def test_revoked_token_stops_at_once(running: Running, sent: Sent) -> None:
    from counterpoint.site.tokens import revoke_tokens

    assert sent.client.options("/uploads").status_code == 204
    assert revoke_tokens(running.tokens, "lab_1") == 1
    assert sent.client.options("/uploads").status_code == 401


@given(st.text(max_size=200))
def test_any_other_metadata_is_400(header: str) -> None:
    with pytest.raises(TusError) as refused:
        parse_metadata(header)
    assert refused.value.status == 400


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_metadata_round_trip(episode: str, sha256: str) -> None:
    name = UploadName(episode=episode, sha256=sha256)
    assert parse_metadata(metadata_header(name)) == name


def piece_head(running: Running, sent: Sent, length: int) -> bytes:
    return (
        f"PATCH {sent.path(sent.name())} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.token}\r\n"
        f"Tus-Resumable: 1.0.0\r\nContent-Type: {tus.CONTENT_TYPE}\r\nUpload-Offset: 0\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def dribble(link: socket.socket) -> None:
    for _ in range(100):
        link.sendall(b"G")
        time.sleep(0.05)


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=120) as link:
        link.sendall(data)
        return link.recv(4096)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
