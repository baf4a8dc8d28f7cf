"""A real receiver in this process, and requests as any client could make them."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import httpx
import uvicorn

from counterpoint.site import tus
from counterpoint.site.admission import Limits
from counterpoint.site.push import PushConfig, PushReport, push
from counterpoint.site.receiver import Receiver
from counterpoint.site.serving import protocol_with
from counterpoint.site.tokens import Tokens, add_token
from counterpoint.site.tus import UploadName

PATIENT = Limits(retry_after_s=1, free_bytes=0)
"""A busy machine may keep a request waiting for seconds; tests of what dawdles say what is too long."""


class Running:
    """A receiver on a free loopback port, in a thread."""

    def __init__(self, folder: Path, limits: Limits = PATIENT) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.tokens = folder / "tokens.json"
        self.token = add_token(self.tokens, "lab_1")
        self.other_token = add_token(self.tokens, "lab_2")
        self.start(limits)

    def start(self, limits: Limits = PATIENT) -> None:
        self.receiver = Receiver(self.store, Tokens(self.tokens), limits)
        config = uvicorn.Config(
            self.receiver.app(),
            host="127.0.0.1",
            port=0,
            http=protocol_with(limits.header_timeout_s),
            log_level="critical",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        self.port = int(self._server.servers[0].sockets[0].getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(120)

    def client(self, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token or self.token}", "Tus-Resumable": "1.0.0"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, trust_env=False)

    def counted(self, name: str) -> int:
        return self.receiver.counters.get(name)


def config_for(running: Running, **changes: object) -> PushConfig:
    values: dict[str, object] = {"target": running.url, "token": running.token, "timeout_s": 60.0, "patience_s": 300.0}
    return PushConfig(**{**values, **changes})  # type: ignore[arg-type]  # test shorthand


def push_all(spool: Path, running: Running, **changes: object) -> PushReport:
    return push(spool, config_for(running, **changes), progress=False)


def bytes_to_send(spool: Path) -> int:
    """Every file of every episode, and the descriptions that they share, once."""
    return sum(path.stat().st_size for pattern in ("episodes/*/*/*", "*s/*.json") for path in spool.glob(pattern))


class Sent:
    """One episode of a spool, and the requests that send it by hand."""

    def __init__(self, spool: Path, episode_id: str, client: httpx.Client) -> None:
        self.spool = spool
        self.episode_id = episode_id
        self.client = client
        self.folder = next(spool.glob(f"episodes/*/{episode_id}"))
        self.manifest = (self.folder / "manifest.json").read_bytes()
        self.episode = hashlib.sha256(self.manifest).hexdigest()

    def name(self, sha256: str = "") -> UploadName:
        return UploadName(episode=self.episode, sha256=sha256 or self.episode)

    def create(self, name: UploadName, length: int | str, **headers: str) -> httpx.Response:
        stated = {"Upload-Length": str(length), "Upload-Metadata": tus.metadata_header(name)}
        return self.client.post("/uploads", headers={**stated, **headers})

    def patch(self, name: UploadName, offset: int | str, data: bytes, **headers: str) -> httpx.Response:
        stated = {"Content-Type": tus.CONTENT_TYPE, "Upload-Offset": str(offset)}
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.patch(self.path(name), headers={**stated, **names}, content=data)

    def path(self, name: UploadName) -> str:
        return f"/uploads/{name.episode}/{name.sha256}"

    def commit(self) -> httpx.Response:
        return self.client.post("/commit", json={"episode_id": self.episode_id, "manifest_sha256": self.episode})

    def send(self, name: UploadName, data: bytes) -> None:
        assert self.create(name, len(data)).status_code == 201
        assert self.patch(name, 0, data).status_code == 204

    def missing(self) -> dict[str, bytes]:
        """What the receiver asks for, by hash."""
        answer = self.commit()
        assert answer.status_code == 409
        found = {}
        for each in answer.json()["missing"]:
            path = self.spool / each["name"] if "/" in each["name"] else self.folder / each["name"]
            found[each["sha256"]] = path.read_bytes()
        return found

    def send_all(self) -> httpx.Response:
        self.send(self.name(), self.manifest)
        for sha256, data in self.missing().items():
            self.send(self.name(sha256), data)
        return self.commit()
