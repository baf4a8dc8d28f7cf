"""Many sites at once over a bad network, with power cuts at both ends: is anything lost, is anything twice?

    site processes (push, killed with SIGKILL) -> chaos proxy -> receiver process (killed with SIGKILL) -> store

Everything is real but the distance: stores, processes, sockets. Loopback only; bounded in count and time; children
die with this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from site_chaos import ChaosProxy, Passed, Weather

from counterpoint.core.clock import periodic_ns
from counterpoint.core.embodiment import Channel, Embodiment, StreamSpec
from counterpoint.core.episode import Episode, Provenance
from counterpoint.core.stream import vector_stream
from counterpoint.site.journal import read_journal
from counterpoint.site.tokens import add_token
from counterpoint.store import Store, StoreWriter

PATIENCE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class SoakConfig:
    """How big and how rough."""

    sites: int = 50
    hosts: int = 5
    """Processes that the sites share: a kill is a power cut of all sites in one."""
    episodes: int = 3
    """Own episodes of each site; one more is the same everywhere."""
    seconds: float = 6.0
    """Of each episode; 100 kB a second."""
    host_kills: int = 10
    receiver_kills: int = 5
    kill_every_s: float = 1.0
    """Mean time between kills."""
    weather: Weather = field(
        default_factory=lambda: Weather(bytes_until_cut=1e6, corrupt_chance=0.01, stall_chance=0.01)
    )
    seed: int = 0
    timeout_s: float = 160.0


@dataclass
class SoakReport:
    """What came of it."""

    expected: int = 0
    found: int = 0
    same_manifests: int = 0
    """Episodes whose manifest is byte for byte that of the spool."""
    problems: list[str] = field(default_factory=list)
    """Of `Store.verify`, and whatever else must not be."""
    committed_receipts: int = 0
    already_receipts: int = 0
    needed_bytes: int = 0
    """Files and manifests of all different episodes, and their descriptions, each once."""
    confirmed_bytes: int = 0
    """Bytes in receipts; more than needed where several sites sent the same episode at the same time."""
    passed: Passed = field(default_factory=Passed)
    host_kills: int = 0
    receiver_kills: int = 0
    seconds: float = 0.0
    """In all: making spools, pushing, checking."""
    pushing_seconds: float = 0.0
    """Starting processes and pushing."""
    receiver_peak_mb: float = 0.0
    """Largest resident set of a receiver."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, nothing is twice and nothing is damaged."""
        whole = self.expected == self.found == self.same_manifests == self.committed_receipts
        return whole and not self.problems

    @property
    def wire_ratio(self) -> float:
        """Bytes that went up the wire, headers included, over the bytes needed."""
        return self.passed.bytes_up / max(1, self.needed_bytes)

    def to_text(self) -> str:
        """Return a few lines for people."""
        values = {**asdict(self), "wire_ratio": round(self.wire_ratio, 3), "is_clean": self.is_clean}
        return "\n".join(f"{name:20} {value}" for name, value in values.items())


def soak(root: Path, config: SoakConfig) -> SoakReport:
    """Run it under `root`, an empty folder; whatever happens no process is left behind."""
    report = SoakReport()
    begun = time.monotonic()
    spools = [root / f"site_{index:03d}" for index in range(config.sites)]
    unique = make_spools(root, spools, config, report)
    port = free_port()
    proxy = ChaosProxy(port, config.weather, config.seed)
    crew = _Crew(root, spools, config, port, proxy.port)
    started = time.monotonic()
    try:
        crew.run_until_done(report)
    finally:
        report.pushing_seconds = round(time.monotonic() - started, 1)
        crew.stop()
        proxy.close()
    report.passed = proxy.passed
    report.receiver_peak_mb = crew.receiver_peak_mb
    inspect(root, unique, report)
    report.seconds = round(time.monotonic() - begun, 1)
    return report


def make_spools(root: Path, spools: list[Path], config: SoakConfig, report: SoakReport) -> dict[str, bytes]:
    """Write every site's episodes and token; return the manifest of each different episode by id."""
    unique: dict[str, bytes] = {}
    for number, spool in enumerate(spools):
        (root / f"{spool.name}.token").write_text(add_token(root / "tokens.json", spool.name))
        with StoreWriter(spool) as writer:
            for index in range(config.episodes):
                writer.add(noise_episode(f"{spool.name}-{index}", number * 1000 + index, config.seconds))
            writer.add(noise_episode("everywhere", 0, config.seconds))
        for info in Store.open(spool).episodes:
            manifest = next(spool.glob(f"episodes/*/{info.episode_id}/manifest.json")).read_bytes()
            if info.episode_id not in unique:
                report.needed_bytes += info.num_bytes + len(manifest)
            unique[info.episode_id] = manifest
    report.needed_bytes += sum(path.stat().st_size for path in spools[0].glob("*s/*.json"))
    report.expected = len(unique)
    return unique


def noise_episode(episode_id: str, seed: int, seconds: float) -> Episode:
    """Return an episode of 25 noisy channels at 1 kHz: samples that do not pack."""
    channels = tuple(Channel(name=f"c{index}", quantity="unknown", unit="1", part="arm") for index in range(25))
    robot = Embodiment(
        name="noise",
        sensing=(StreamSpec(name="sensed", channels=channels, rate_hz=1000.0),),
        acting=channels[:2],
        control_rate_hz=20.0,
    )
    rng = np.random.default_rng(seed)
    sensed, acted = periodic_ns(0, 1000.0, int(1000 * seconds)), periodic_ns(0, 20.0, int(20 * seconds))
    streams = [
        vector_stream(robot.sensing[0], sensed, rng.normal(size=(len(sensed), 25))),
        vector_stream(robot.action_spec, acted, rng.normal(size=(len(acted), 2))),
    ]
    return Episode(
        episode_id=episode_id,
        embodiment=robot,
        provenance=Provenance(robot="noise", source="simulation"),
        streams={stream.spec.name: stream for stream in streams},
    )


def inspect(root: Path, unique: dict[str, bytes], report: SoakReport) -> None:
    """Compare the receiver's store with what the sites had."""
    store = Store.open(root / "store")
    report.found = len(store)
    for episode_id, manifest in unique.items():
        found = list((root / "store").glob(f"episodes/*/{episode_id}/manifest.json"))
        report.same_manifests += len(found) == 1 and found[0].read_bytes() == manifest
    report.problems += [f"{problem.path}: {problem.message}" for problem in store.verify()]
    left = [str(path.relative_to(root)) for path in (root / "store" / "incoming").glob("*/*")]
    report.problems += [f"left in incoming: {path}" for path in left]
    if (refused := root / "store" / "refused.jsonl").stat().st_size:
        report.problems.append(f"refused: {refused.read_text()[:500]}")
    receipts = read_journal(root / "store" / "receipts.jsonl")
    states = Counter((line["state"], line["episode_id"]) for line in receipts)
    report.committed_receipts = sum(state == "committed" for state, _ in states)
    report.already_receipts = sum(count for (state, _), count in states.items() if state == "already")
    report.problems += [f"{key} has {n} receipts" for key, n in states.items() if key[0] == "committed" and n > 1]
    report.confirmed_bytes = sum(int(str(line["received_bytes"])) for line in receipts)


class _Crew:
    """The processes: site hosts and the receiver, killed and started again."""

    def __init__(self, root: Path, spools: list[Path], config: SoakConfig, port: int, proxy_port: int) -> None:
        self.root = root
        self.config = config
        self.receiver_peak_mb = 0.0
        self._port = port
        self._random = random.Random(config.seed)
        self._groups = [spools[index :: config.hosts] for index in range(min(config.hosts, len(spools)))]
        self._target = f"http://127.0.0.1:{proxy_port}"
        self._log = (root / "children.log").open("ab")
        self._receiver = self._start_receiver()
        self._hosts = [self._start_host(group) for group in self._groups]

    def run_until_done(self, report: SoakReport) -> None:
        """Kill and start again until every host has come to its end; SoakReport.problems says what did not."""
        deadline = time.monotonic() + self.config.timeout_s
        next_kill = time.monotonic() + 1.0
        while any(host.poll() != 0 for host in self._hosts):
            if time.monotonic() > deadline:
                report.problems.append(f"not done after {self.config.timeout_s} s")
                return
            time.sleep(0.05)
            self._note_peak()
            if time.monotonic() > next_kill:
                self._kill_someone(report)
                next_kill = time.monotonic() + self._random.expovariate(1 / self.config.kill_every_s)
            if self._receiver.poll() is not None:
                self._receiver = self._start_receiver()
            for index, host in enumerate(self._hosts):
                if host.poll() not in (None, 0):
                    self._hosts[index] = self._start_host(self._groups[index])

    def stop(self) -> None:
        """Kill whatever still runs."""
        for process in (*self._hosts, self._receiver):
            process.kill()
            process.wait()
        self._log.close()

    def _kill_someone(self, report: SoakReport) -> None:
        alive = [host for host in self._hosts if host.poll() is None]
        want_receiver = self._random.random() < self.config.receiver_kills / max(
            1, self.config.receiver_kills + self.config.host_kills
        )
        if report.receiver_kills < self.config.receiver_kills and (want_receiver or not alive):
            self._receiver.kill()
            self._receiver.wait()
            report.receiver_kills += 1
        elif report.host_kills < self.config.host_kills and alive:
            victim = self._random.choice(alive)
            victim.kill()
            victim.wait()
            report.host_kills += 1

    def _start_receiver(self) -> subprocess.Popen[bytes]:
        words = ["site", "receive", str(self.root / "store"), "--tokens", str(self.root / "tokens.json")]
        words += ["--listen", f"127.0.0.1:{self._port}", "--body-timeout-s", "3"]
        return self._start([sys.executable, "-m", "counterpoint.cli.main", *words])

    def _start_host(self, group: list[Path]) -> subprocess.Popen[bytes]:
        return self._start([sys.executable, __file__, self._target, *map(str, group)])

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=self._log, stderr=self._log, preexec_fn=_die_with_parent)

    def _note_peak(self) -> None:
        try:
            pages = int(Path(f"/proc/{self._receiver.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return
        self.receiver_peak_mb = max(self.receiver_peak_mb, round(pages * resource.getpagesize() / 1e6, 1))


def free_port() -> int:
    """Return a loopback port that is free now, below those that Linux gives to connections: none of them takes it."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("none of 100 ports is free")


def _die_with_parent() -> None:
    """Ask Linux to kill this child when the process that started it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def host(target: str, spools: list[Path]) -> int:
    """Push several spools at once, a thread each; what one process of the soak does. 0 when all is confirmed."""
    from concurrent.futures import ThreadPoolExecutor

    from counterpoint.core.errors import SiteError
    from counterpoint.site.push import PushConfig, push
    from counterpoint.site.tokens import read_token

    def one(spool: Path) -> bool:
        token = read_token(spool.with_name(f"{spool.name}.token"))
        config = PushConfig(target=target, token=token, timeout_s=5.0, patience_s=PATIENCE_S)
        try:
            report = push(spool, config, progress=False)
        except SiteError as error:
            print(json.dumps({"site": spool.name, "error": str(error)}), flush=True)
            return False
        print(json.dumps({"site": spool.name, **report.to_dict()}), flush=True)
        return not report.failed

    with ThreadPoolExecutor(len(spools)) as pool:
        return 0 if all(list(pool.map(one, spools))) else 1


if __name__ == "__main__":
    os._exit(host(sys.argv[1], [Path(word) for word in sys.argv[2:]]))
