"""The sending side: each byte once, whatever breaks; the ledger; the official tus client as a referee."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from receivers import Running, bytes_to_send, config_for, push_all
from site_soak import noise_episode
from tusclient.client import TusClient

from counterpoint.cli.main import main
from counterpoint.core.errors import ConfigError, SiteError, StoreError
from counterpoint.site.journal import read_journal
from counterpoint.site.pacing import Backoff, Bandwidth, PieceSize
from counterpoint.site.push import PushConfig, push
from counterpoint.site.tokens import Tokens, add_token, load_tokens, read_token
from counterpoint.store import Store, StoreWriter
from counterpoint.store.files.layout import sha256_hex

Capture = pytest.CaptureFixture[str]


def test_every_byte_goes_once(running: Running, spool: Path) -> None:
    report = push_all(spool, running)
    assert (report.committed, report.already, report.failed) == (3, 0, [])
    assert report.stats.sent_bytes == report.stats.needed_bytes == running.counted("bytes_confirmed_total")
    assert report.stats.needed_bytes == bytes_to_send(spool)
    assert Store.open(running.store).verify() == []
    again = push_all(spool, running)
    assert (again.committed, again.already, again.confirmed_before) == (0, 0, 3)
    assert again.stats.requests == 1  # the greeting


def test_without_a_ledger_the_receiver_is_asked_and_nothing_is_sent(running: Running, spool: Path) -> None:
    push_all(spool, running)
    ledger = spool / "pushed.jsonl"
    assert len(read_journal(ledger)) == 3
    ledger.write_bytes(ledger.read_bytes()[:-20])  # torn by a power cut
    report = push_all(spool, running)
    assert (report.already, report.confirmed_before, report.stats.sent_bytes) == (1, 2, 0)
    assert len(read_journal(ledger)) == 3


def test_many_workers_bring_shared_descriptions_once(running: Running, spool: Path) -> None:
    report = push_all(spool, running, parallel=3)
    assert report.committed == 3
    assert report.stats.sent_bytes == bytes_to_send(spool)


def test_back_pressure_is_waited_for(run_with: Callable[..., Running], spool: Path) -> None:
    running = run_with(requests_per_site=1)
    report = push_all(spool, running, parallel=3)
    assert report.committed == 3
    assert running.receiver.admission.throttled > 0


def test_watch_pushes_what_comes_later_and_ctrl_c_ends_it(running: Running, spool: Path) -> None:
    token = running.folder / "token"
    token.write_text(running.token)
    command = [sys.executable, "-m", "counterpoint.cli.main", "site", "push", str(spool), "--to", running.url]
    command += ["--token-file", str(token), "--watch", "--interval-s", "0.2", "--delete-after"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as pushing:
        try:
            wait_for(lambda: len(list(running.store.glob("episodes/*/*"))) == 3)
            with StoreWriter(spool) as writer:
                writer.add(noise_episode("later", 9, 1.0))
            wait_for(lambda: len(list(running.store.glob("episodes/*/later"))) == 1)
            wait_for(lambda: not list(spool.glob("episodes/*/*")))
            pushing.send_signal(signal.SIGINT)
            _, errors = pushing.communicate(timeout=120)
        finally:
            pushing.kill()
    assert pushing.returncode == 130
    assert b"run the same command again" in errors
    assert b"Traceback" not in errors
    assert Store.open(spool).verify() == []
    assert Store.open(running.store).verify() == []


def test_delete_after_only_with_confirmation(running: Running, spool: Path) -> None:
    with StoreWriter(running.store) as writer:
        writer.add(noise_episode("noise-1", 99, 0.5))
    report = push_all(spool, running, delete_after=True)
    assert (report.committed, report.deleted, len(report.failed)) == (2, 2, 1)
    assert report.failed[0][0] == "noise-1"
    assert [path.name for path in spool.glob("episodes/*/*")] == ["noise-1"]


def test_episodes_confirmed_earlier_are_deleted_only_after_asking(running: Running, spool: Path) -> None:
    push_all(spool, running)
    report = push_all(spool, running, delete_after=True)
    assert (report.already, report.deleted, report.stats.sent_bytes) == (3, 3, 0)
    assert not list(spool.glob("episodes/*/*"))


def test_damage_in_the_spool_is_found_and_stops_nothing_else(running: Running, spool: Path) -> None:
    flipped = next(spool.glob("episodes/*/noise-0/streams.parquet"))
    data = bytearray(flipped.read_bytes())
    data[1000] ^= 1
    flipped.write_bytes(data)
    next(spool.glob("episodes/*/noise-1/manifest.json")).write_bytes(b"{")
    report = push_all(spool, running)
    assert report.committed == 1
    assert sorted(episode for episode, _ in report.failed) == ["", "noise-0"]
    assert any(str(flipped) in message for _, message in report.failed)
    assert [info.episode_id for info in Store.open(running.store).episodes] == ["noise-2"]


def test_shortened_file_in_the_spool(running: Running, spool: Path) -> None:
    short = next(spool.glob("episodes/*/noise-0/streams.parquet"))
    short.write_bytes(short.read_bytes()[:1000])
    report = push_all(spool, running)
    assert report.committed == 2
    assert [episode for episode, _ in report.failed] == ["noise-0"]


def test_two_senders_on_one_spool(running: Running, spool: Path) -> None:
    from counterpoint.site.spool import Spool

    held = Spool(spool, running.url)
    with pytest.raises(SiteError, match="another process"):
        push_all(spool, running)
    held.close()


def test_official_tus_client_sends_an_episode(running: Running, spool: Path) -> None:
    manifest = next(spool.glob("episodes/*/noise-0/manifest.json"))
    episode = sha256_hex(manifest.read_bytes())
    client = TusClient(f"{running.url}/uploads", headers={"Authorization": f"Bearer {running.token}"})

    def upload(path: Path) -> None:
        metadata = {"episode": episode, "sha256": sha256_hex(path.read_bytes()), "filename": path.name}
        with path.open("rb") as file:
            uploader = client.uploader(file_stream=file, chunk_size=40_000, metadata=metadata, upload_checksum=True)
            uploader.upload_chunk()  # type: ignore[no-untyped-call]  # it has no types
            resumed = client.uploader(file_stream=file, url=uploader.url, chunk_size=40_000)
            assert resumed.offset == uploader.offset
            resumed.upload()

    with running.client() as http:
        body = {"episode_id": "noise-0", "manifest_sha256": episode}
        upload(manifest)
        for each in http.post("/commit", json=body).json()["missing"]:
            upload(spool / each["name"] if "/" in each["name"] else manifest.with_name(each["name"]))
        assert http.post("/commit", json=body).status_code == 201
    assert Store.open(running.store).verify() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "example.org"}, "https://HOST:PORT"),
        ({"target": "ftp://example.org"}, "https://HOST:PORT"),
        ({"target": "http://192.0.2.1:80"}, "--plain-http"),
        ({"parallel": 0}, "parallel"),
    ],
)
def test_bad_configurations(running: Running, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_for(running, **changes)


def test_first_errors_of_a_user(running: Running, spool: Path, tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="HTTP 401"):
        push_all(spool, running, token="cps_" + "x" * 40)
    with pytest.raises(SiteError, match=r"for 0\.1 s .*ConnectError"):
        push_all(spool, running, target="http://127.0.0.1:1", patience_s=0.1)
    with pytest.raises(SiteError, match="got HTTP 40"):
        push_all(spool, running, target=f"{running.url}/elsewhere")
    with pytest.raises(StoreError, match="not a store"):
        push_all(tmp_path / "nowhere", running)
    with pytest.raises(SiteError, match=r"nowhere.*counterpoint site token"):
        read_token(tmp_path / "nowhere")


def test_tokens(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "tokens.json"
    assert main(["site", "token", "lab_1", "--tokens", str(path)]) == 0
    token = capsys.readouterr().out.strip()
    assert token not in path.read_text()
    second = add_token(path, "lab_2")
    tokens = Tokens(path)
    assert [tokens.site_of(each) for each in (token, second, "cps_x", "")] == ["lab_1", "lab_2", None, None]
    assert main(["site", "token", "../x", "--tokens", str(path)]) == 2
    out = tmp_path / "lab_3.token"
    assert main(["site", "token", "lab_3", "--tokens", str(path), "--out", str(out)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert tokens.site_of(read_token(out)) == "lab_3"
    assert main(["site", "token", "lab_1", "--tokens", str(path), "--revoke"]) == 0
    assert tokens.site_of(token) is None
    assert main(["site", "token", "lab_1", "--tokens", str(path), "--revoke"]) == 1
    os.remove(path)
    assert tokens.site_of(second) is None
    path.write_text("{}")
    with pytest.raises(SiteError, match="expected a tokens file"):
        load_tokens(path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "nowhere"], "HOST:PORT"),
        (["--tls-cert", "cert.pem"], "expected both"),
        (["--max-sites", "0"], "max_sites"),
    ],
)
def test_bad_usage_of_receive(tmp_path: Path, capsys: Capture, words: list[str], said: str) -> None:
    add_token(tmp_path / "tokens.json", "lab_1")
    assert main(["site", "receive", str(tmp_path / "s"), "--tokens", str(tmp_path / "tokens.json"), *words]) == 2
    assert said in capsys.readouterr().err


def test_tls_with_a_private_authority_and_a_quiet_end(tmp_path: Path, spool: Path) -> None:
    certificate, key = self_signed(tmp_path)
    token = tmp_path / "token"
    token.write_text(add_token(tmp_path / "tokens.json", "lab_1"))
    command = [sys.executable, "-m", "counterpoint.cli.main", "site", "receive", str(tmp_path / "store"), "--json"]
    command += ["--tokens", str(tmp_path / "tokens.json"), "--listen", "127.0.0.1:0"]
    command += ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as receiving:
        try:
            assert receiving.stderr is not None
            line = receiving.stderr.readline()
            url = line.split(" on ")[1].split(",")[0]
            assert url.startswith("https://127.0.0.1:")
            config = PushConfig(target=url, token=read_token(token), authority=certificate)
            assert push(spool, config, progress=False).committed == 3
            with pytest.raises(SiteError, match="CERTIFICATE_VERIFY_FAILED"):
                push(spool, PushConfig(target=url, token=read_token(token), patience_s=0.1), progress=False)
            receiving.send_signal(signal.SIGINT)
            output, errors = receiving.communicate(timeout=120)
        finally:
            receiving.kill()
    assert receiving.returncode == 0
    assert json.loads(output)["episodes_committed"] == 3
    assert "Traceback" not in errors


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return paths


def test_pace() -> None:
    piece = PieceSize(1e6)
    for _ in range(20):
        piece.grow()
    assert piece.bytes == 5_000_000
    for _ in range(20):
        piece.shrink()
    assert piece.bytes == 64 << 10
    backoff = Backoff(patience_s=1e9)
    waits = [backoff.next_wait_s() for _ in range(12)]
    assert 0 < waits[0] < 0.3
    assert max(waits) <= 30
    assert backoff.next_wait_s(7.0) >= 7
    with pytest.raises(ConfigError):
        Bandwidth(0.0)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
