"""How long the peers need for 245 points, and what they find, beside ours on the same points in the same run.

python benchmarks/scaling_peers.py [--peer-python python3.12] [--peer-seconds 600] [--only simple-scaling-laws]

  chinchilla             the point fit, Huber on ln L, from 243 starts; beside our point fit
  simple-scaling-laws    fit with 200 draws; beside our fit with 200 draws and profiles; needs Python 3.12

Each peer is installed into an environment of its own. A peer that needs longer than `--peer-seconds` is reported with
that as its least time. The points are a twin of those of Hoffmann et al. with a known law, see `scaling.py`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from counterpoint.scaling.fitting.estimate import estimate
from counterpoint.scaling.runs.table import RunTable
from scaling import HOFFMANN, hoffmann

DRAWS = 200
CHINCHILLA = """
import sys, time
import numpy as np
from chinchilla import Chinchilla
from chinchilla._metrics import log_huber
grid = {"e": [0.0, 0.6, 1.2], "a": [4, 6, 8], "b": [5, 7, 9], "alpha": [0.2, 0.4, 0.6], "beta": [0.2, 0.4, 0.6]}
seeds = {"C": [6e18, 3e21], "N_to_D": [1, 100]}
cc = Chinchilla(sys.argv[1], {k: np.asarray(v, float) for k, v in grid.items()}, seeds, loss_fn=log_huber,
                num_seeding_steps=245, log_level=50)
begun = time.perf_counter()
cc.fit(parallel=False)
print(round(time.perf_counter() - begun, 3), {k: round(float(v), 4) for k, v in cc.get_params().items()})
"""
SIMPLE = """
import sys, time
import polars as pl
from simple_scaling_laws import fit
points = pl.read_csv(sys.argv[1] + "/df.csv")
runs = pl.DataFrame({
    "training_run_id": [f"r{i}" for i in range(len(points))], "test_set_id": ["t"] * len(points),
    "model_size__n": points["N"], "dataset_size__d": points["D"], "test_loss__l": points["loss"],
})
begun = time.perf_counter()
found = fit(runs, law="separable-power", n_draws=int(sys.argv[2]), seed=0)
took = time.perf_counter() - begun
print(round(took, 3), {k: round(v, 4) for k, v in found.params("test_loss__l").items()}, "(A, B at the mean N, D)")
"""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A package that fits the same law."""

    name: str
    trial: str
    draws: int
    """Redrawn fits that both sides make."""


PEERS = (
    Peer(name="simple-scaling-laws", trial=SIMPLE, draws=DRAWS),
    Peer(name="chinchilla", trial=CHINCHILLA, draws=0),
)


def main() -> None:
    """Print times, parameters and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    newest = next(filter(shutil.which, ("python3.13", "python3.12")), sys.executable)
    parser.add_argument("--peer-python", default=newest, help="interpreter of the peers' environments")
    parser.add_argument("--peer-seconds", type=float, default=600, help="longest wait for a peer's fit")
    parser.add_argument("--only", choices=[peer.name for peer in PEERS])
    arguments = parser.parse_args()
    runs = hoffmann(np.random.default_rng(0))
    print("truth:", HOFFMANN)
    for peer in PEERS:
        if arguments.only in (None, peer.name):
            compare(peer, runs, arguments.peer_python, arguments.peer_seconds)


def compare(peer: Peer, runs: RunTable, python: str, limit_s: float) -> None:
    """Install a peer, let it fit, and print how much longer than ours it took."""
    begun = time.perf_counter()
    ours = estimate(runs, "additive", delta=1e-3, draws=peer.draws, with_profiles=peer.draws > 0, workers=1)
    took = time.perf_counter() - begun
    what = f"fit with {peer.draws} draws" if peer.draws else "point fit"
    found = ", ".join(f"{name} {each.value:.4g}" for name, each in ours.parameters.items())
    print(f"counterpoint: {what} {took:.3f} s, {found}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if (refused := _installed(peer.name, home, python)) is not None:
            print(f"{peer.name}: cannot be installed in {python}: {refused}")
            return
        _write_points(runs, home / "df.csv")
        command = [str(home / "bin/python"), "-c", peer.trial, folder, str(peer.draws)]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
        except subprocess.TimeoutExpired:
            print(f"{peer.name}: {what} not done in {limit_s:g} s; / counterpoint: more than {limit_s / took:.0f}x")
            return
    said = (told.stdout.strip() or told.stderr.strip() or "nothing").splitlines()[-1]
    print(f"{peer.name}: {what} {said}")
    if told.returncode == 0:
        print(f"{peer.name} / counterpoint: {float(said.split()[0]) / took:.1f}x")


def _installed(name: str, home: Path, python: str) -> str | None:
    """Install a package into a new environment; return why it could not be, None where it was."""
    subprocess.run([python, "-m", "venv", str(home)], check=True)
    asked = subprocess.run([home / "bin/python", "-m", "pip", "install", "-q", name], capture_output=True, text=True)
    if not asked.returncode:
        return None
    return next((line for line in asked.stderr.splitlines() if "ERROR" in line), "no reason given")[:200]


def _write_points(runs: RunTable, path: Path) -> None:
    assert runs.size is not None  # of the Hoffmann worlds
    rows = [f"{6 * n * d},{n},{d},{y}" for n, d, y in zip(runs.size, runs.data, runs.loss, strict=True)]
    path.write_text("\n".join(["C,N,D,loss", *rows]))


if __name__ == "__main__":
    main()
