"""`import counterpoint` is light, and every name that it offers is there."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import counterpoint

LAZY = [
    path
    for path in sorted(Path(counterpoint.__file__).parent.rglob("__init__.py"))
    if "lazy_exports(" in path.read_text(encoding="utf-8")
]
CALLED = ("ingest", "train", "evaluate")


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(Path(counterpoint.__file__).parents[1]).parent.parts))


@pytest.mark.parametrize("path", LAZY, ids=lambda path: path.parent.name)
def test_names_are_those_that_type_checkers_see(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (branch,) = [each for each in tree.body if isinstance(each, ast.If)]
    seen = {
        (str(each.module), name.name) for each in branch.body if isinstance(each, ast.ImportFrom) for name in each.names
    }
    (call,) = [each for each in ast.walk(branch) if isinstance(each, ast.Dict)]
    offered = {(module, name) for module, names in ast.literal_eval(call).items() for name in names}
    assert offered == seen
    module = module_of(path)
    assert {name for _, name in seen} == set(module.__all__) - {"__version__"}
    assert set(module.__all__) <= set(dir(module))
    for home, name in sorted(seen):
        found = getattr(module, name)
        if module is counterpoint and name in CALLED:
            assert callable(found)
        else:
            assert found is getattr(importlib.import_module(home), name), f"{home}.{name} is hidden by a module"


def test_a_misspelled_name_is_offered_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'load_policy'"):
        counterpoint.load_polisy  # type: ignore[attr-defined]  # noqa: B018  # that is the point


def test_packages_stay_packages_when_they_are_called() -> None:
    import counterpoint.train.recipes

    found: object = counterpoint.train
    assert isinstance(found, ModuleType)
    with pytest.raises(ValueError, match="did you mean 'single_robot'"):
        counterpoint.train("single_robt", stores=[], out="nowhere")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import counterpoint as cp; cp.__version__; dir(cp)", ("numpy", "torch", "pyarrow", "typing")),
        ("import counterpoint as cp; cp.Observation, cp.ObservationBuffer, cp.Episode", ("torch", "pyarrow", "av")),
        ("import counterpoint as cp; cp.check_policy", ("torch", "pyarrow")),
        ("import counterpoint as cp; cp.open_store, cp.ingest", ("torch", "mujoco")),
    ],
)
def test_names_import_what_they_need(code: str, absent: tuple[str, ...]) -> None:
    listing = f"import sys; {code}; print([name for name in {absent!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {listing}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_core_needs_numpy_alone() -> None:
    import counterpoint.core

    names = sorted(path.stem for path in Path(counterpoint.core.__path__[0]).glob("*.py"))
    imports = ", ".join(f"counterpoint.core.{name}" for name in names if name != "__init__")
    code = f"import sys, {imports}; print({{name.split('.')[0] for name in sys.modules}} - sys.stdlib_module_names)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {name for name in ast.literal_eval(found.stdout) if not name.startswith("_")}
    assert others <= {"counterpoint", "numpy", "sitecustomize"}
