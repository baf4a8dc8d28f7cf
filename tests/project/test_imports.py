"""Public names import, and light packages stay light."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import counterpoint

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(counterpoint.__path__, "counterpoint.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_and_has_what_it_exports(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name} exports {public!r}, which it does not have"


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("counterpoint.core.policy", ("torch", "mujoco", "pyarrow", "tyro", "av")),
        ("counterpoint.store", ("torch", "mujoco", "obstore")),
        ("counterpoint.store.cloud", ("torch", "mujoco", "obstore")),
        ("counterpoint.catalog", ("torch", "mujoco", "duckdb", "sklearn", "scipy")),
        ("counterpoint.ingest", ("torch", "mujoco")),
        ("counterpoint.robots.library", ("torch",)),
        ("counterpoint.sim.world", ("torch",)),
        ("counterpoint.model.harmonic", ("mujoco", "pyarrow")),
        ("counterpoint.train.trainer", ("mujoco",)),
        ("counterpoint.cli.main", ("torch", "mujoco", "pyarrow", "matplotlib")),
    ],
)
def test_import_leaves_out(imported: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {imported}; print([name for name in {absent!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
