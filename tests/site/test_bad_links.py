"""Sending over bad links: what the receiver confirmed once is never sent again, whichever message the link spoils."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from receivers import Running, bytes_to_send, push_all
from site_chaos import ChaosProxy, Touch, Weather

from counterpoint.site.push import PushReport
from counterpoint.site.tus import TusError, UploadName, metadata_header, parse_metadata
from counterpoint.store import Store

LARGE = 10_000
"""Bytes of a chunk that can only be part of a stream's piece."""


@pytest.fixture
def running(run_with: Callable[..., Running]) -> Running:
    """A receiver that soon gives up what a spoilt header announced and never comes."""
    return run_with(body_timeout_s=0.5, header_timeout_s=0.7, request_timeout_s=2.0)


@contextmanager
def link(running: Running, touch: Touch, weather: Weather | None = None) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(running.port, weather or Weather(), seed=3, touch=touch)
    try:
        yield proxy
    finally:
        proxy.close()


def push_over(running: Running, spool: Path, touch: Touch, **changes: object) -> PushReport:
    with link(running, touch) as proxy:
        return push_all(spool, running, target=f"http://127.0.0.1:{proxy.port}", **changes)


def assert_all_arrived(report: PushReport, running: Running) -> None:
    assert report.committed + report.already == 3
    assert report.failed == []
    assert report.stats.confirmed_again_bytes == 0
    assert Store.open(running.store).verify() == []


def metadata_in(data: bytes) -> UploadName | None:
    """The upload that a chunk asks to create."""
    found = re.search(rb"upload-metadata: ([^\r]*)", data, re.IGNORECASE)
    try:
        return parse_metadata(found[1].decode()) if found else None
    except TusError:
        return None


def flipped(data: bytes) -> bytes:
    """The chunk with one bit of its last byte changed."""
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "weather",
    [
        Weather(bytes_until_cut=60_000),
        Weather(corrupt_chance=0.1),
        Weather(bytes_until_cut=200_000, corrupt_chance=0.05, stall_chance=0.1, stall_s=0.2),
    ],
)
def test_bad_links_cost_only_what_was_lost(running: Running, spool: Path, weather: Weather) -> None:
    is_spoilt = False

    async def spoil_a_stream(data: bytes, is_up: bool) -> bytes:
        """Cause at least one failure: random damage may only hit bytes that nobody reads."""
        nonlocal is_spoilt
        if is_spoilt or not is_up or len(data) < LARGE:
            return data
        is_spoilt = True
        return flipped(data)

    with link(running, spoil_a_stream, weather) as proxy:
        report = push_all(spool, running, target=f"http://127.0.0.1:{proxy.port}")
    assert report.stats.retries > 0
    assert_all_arrived(report, running)
    # What the receiver confirmed, all requests together, is what it asked for.
    assert running.counted("bytes_confirmed_total") == report.stats.needed_bytes
    # It asked for each byte once: but for files whose bytes the link spoilt and the name of their checksum as well.
    again = report.stats.needed_bytes - bytes_to_send(spool)
    largest = max(path.stat().st_size for path in spool.glob("episodes/*/*/*"))
    assert 0 <= again <= largest * running.counted("spoilt_files_total")


def test_descriptions_come_once_though_the_episode_that_brings_them_stumbles(running: Running, spool: Path) -> None:
    stage = "asked"

    async def spoil(data: bytes, is_up: bool) -> bytes:
        """Ask for another file, once two episodes have been told that they lack descriptions."""
        nonlocal stage
        name = metadata_in(data) if is_up else None
        if stage != "asked" or name is None or name.is_manifest:
            return data
        stage = "waiting"
        while running.counted("status_409_total") < 5:  # both: a manifest, descriptions; one of them once more, alone
            await asyncio.sleep(0.005)
        stage = "over"
        other = UploadName(episode=name.episode, sha256=name.sha256[::-1])
        return data.replace(metadata_header(name).encode(), metadata_header(other).encode())

    report = push_over(running, spool, spoil, parallel=2, timeout_s=60.0)
    assert stage == "over"
    assert_all_arrived(report, running)
    assert running.counted("bytes_confirmed_total") == report.stats.needed_bytes == bytes_to_send(spool)


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_confirmation_that_was_not_heard_is_asked_for_and_its_bytes_stay(
    running: Running, spool: Path, is_cut: bool
) -> None:
    spoilt = 0

    async def spoil(data: bytes, is_up: bool) -> bytes:
        """Lose every other confirmation, or make its status another."""
        nonlocal spoilt
        if is_up or not data.startswith(b"HTTP/1.1 204") or b"upload-offset" not in data.lower():
            return data
        spoilt += 1
        if spoilt % 2:
            return data
        if is_cut:
            raise ConnectionResetError
        return data.replace(b"204", b"244", 1)

    report = push_over(running, spool, spoil)
    assert spoilt >= 9  # three manifests, three streams, three descriptions
    assert report.stats.retries >= 4
    assert_all_arrived(report, running)
    assert running.counted("bytes_confirmed_total") == report.stats.needed_bytes == bytes_to_send(spool)
    assert report.stats.sent_bytes == bytes_to_send(spool)


def test_a_length_that_the_link_changed_does_not_undo_what_has_come(running: Running, spool: Path) -> None:
    size = min(path.stat().st_size for path in spool.glob("specs/*.json"))
    stage = "confirmed"

    async def spoil(data: bytes, is_up: bool) -> bytes:
        """Lose the confirmation of a description, then change its length in the question how far it is."""
        nonlocal stage
        if stage == "confirmed" and not is_up and f"upload-offset: {size}\r".encode() in data.lower():
            stage = "asked"
            raise ConnectionResetError
        if stage == "asked" and is_up and (length := f"Upload-Length: {size}\r".encode()) in data:
            stage = "over"
            return data.replace(length, f"Upload-Length: {size ^ 1}\r".encode())
        return data

    report = push_over(running, spool, spoil, parallel=1)
    assert stage == "over"
    assert_all_arrived(report, running)
    assert running.counted("bytes_confirmed_total") == report.stats.needed_bytes == bytes_to_send(spool)


def test_bytes_spoilt_together_with_the_name_of_their_checksum_are_found_and_come_again(
    running: Running, spool: Path
) -> None:
    stage = "head"

    async def spoil(data: bytes, is_up: bool) -> bytes:
        nonlocal stage
        if stage == "over" or not is_up:
            return data
        if stage == "head" and b"Upload-Checksum" in data and len(data) < LARGE:
            stage = "body"
            head, rest = data.replace(b"Upload-Checksum", b"Uplobd-Checksum").split(b"\r\n\r\n")
            if not rest:
                return head + b"\r\n\r\n"
            data = head + b"\r\n\r\n" + rest
        if stage == "body":
            stage = "over"
            return flipped(data)
        return data

    report = push_over(running, spool, spoil, parallel=1)
    assert stage == "over"
    assert_all_arrived(report, running)
    manifest = next(spool.glob("episodes/*/noise-0/manifest.json")).stat().st_size
    assert running.counted("spoilt_files_total") == 1
    assert running.counted("bytes_confirmed_total") == report.stats.needed_bytes == bytes_to_send(spool) + manifest


def test_receiver_that_restarts_is_waited_for(run_with: Callable[..., Running], spool: Path) -> None:
    running = run_with()
    has_moved = threading.Event()

    async def hold(data: bytes, is_up: bool) -> bytes:
        """Once a stream has come, pass nothing more until the receiver has moved: there surely is more to come."""
        while is_up and not has_moved.is_set() and running.counted("bytes_confirmed_total") >= 20_000:
            await asyncio.sleep(0.005)
        return data

    token = running.folder / "token"
    token.write_text(running.token)
    with link(running, hold) as proxy:
        command = [sys.executable, "-m", "counterpoint.cli.main", "site", "push", str(spool), "--json"]
        command += ["--to", f"http://127.0.0.1:{proxy.port}", "--token-file", str(token), "--limit-mbps", "2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as pushing:
            try:
                while running.counted("bytes_confirmed_total") < 20_000:
                    assert pushing.poll() is None
                    time.sleep(0.01)
                running.stop()
                running.start()
                proxy.forward_to(running.port)
                has_moved.set()
                output, _ = pushing.communicate(timeout=300)
            finally:
                pushing.kill()
    report = json.loads(output)
    assert report["committed"] + report["already"] == 3
    assert report["retries"] > 0
    assert report["confirmed_again_bytes"] == 0
