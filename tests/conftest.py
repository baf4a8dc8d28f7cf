"""Settings of every test: one thread each, rendering without a screen, no deadlines, where recordings of robots are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy, torch or MuJoCo is imported: two workers share two cores, so each keeps to one thread.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("MUJOCO_GL", "egl")

# A shell without job control starts what it puts into the background with Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Ray waits for its own processes, and ends tasks where the memory of the machine, whoever uses it, runs short.
os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "300")
os.environ.setdefault("RAY_worker_register_timeout_seconds", "300")
os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")

# An example may be kept waiting by whatever else the machine does; what hangs is ended by pytest's own timeout.
settings.register_profile("any machine", deadline=None)  # else like the profile that hypothesis chose, for CI or not
settings.load_profile("any machine")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder with recordings of real robots; skips where there is none."""
    default = REPOSITORY.parent / "shared" / "realdata"
    folder = Path(os.environ.get("COUNTERPOINT_REALDATA", default))
    if not folder.is_dir():
        pytest.skip(f"no recordings of real robots at {folder}; set COUNTERPOINT_REALDATA to their folder")
    return folder.resolve()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's robot library."""
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "counterpoint-home"))
