"""The command line as a user and a script meet it: help, JSON, exit codes, nearest names, Ctrl-C."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.cli import main as command_line
from counterpoint.cli.main import main
from counterpoint.cli.verb import AnyVerb, Reply, VerbArguments, split_overrides, table
from counterpoint.cli.verbs import VERBS
from counterpoint.cli.verbs.rollout import parse_delays
from counterpoint.cli.verbs.train import TrainArguments
from counterpoint.core.errors import ConfigError, StoreError

Capture = pytest.CaptureFixture[str]
HEAVY = {"av", "duckdb", "matplotlib", "mujoco", "numpy", "pyarrow", "ray", "scipy", "sklearn", "torch", "tyro", "zarr"}


def object_of(text: str) -> dict[str, object]:
    lines = text.splitlines()
    assert len(lines) == 1, f"expected exactly one JSON object, got {text!r}"
    found = json.loads(lines[0])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", VERBS)
def test_help_teaches_with_an_example(name: str, capsys: Capture) -> None:
    assert main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert VERBS[name] in text
    assert f"counterpoint {name}" in text.partition("Example:")[2]
    assert "--json" in text


def test_overview_lists_every_verb(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in VERBS)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from counterpoint.cli.main import main; main(['--help']); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    loaded = set(ast.literal_eval(out.splitlines()[-1]))
    assert "counterpoint.cli.main" in loaded
    assert not loaded & HEAVY


def test_robots_list_has_the_keys_that_scripts_rely_on(capsys: Capture) -> None:
    assert main(["robots", "list", "--json"]) == 0
    robots = object_of(capsys.readouterr().out)["robots"]
    assert isinstance(robots, list)
    channels = {robot["name"]: robot["acting_channels"] for robot in robots}
    assert channels["ur5e"] == 7
    assert channels["panda"] == 8
    assert all(isinstance(robot["sensing_channels"], int) and robot["sensing_channels"] > 0 for robot in robots)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage: counterpoint VERB"),
        (["robots"], "robots list"),
        (["catlog"], "unknown verb 'catlog': did you mean 'catalog'"),
        (["robots", "lst"], "did you mean 'robots list'"),
        (["robots", "show", "pnda"], "unknown robot 'pnda': did you mean 'panda'?"),
        (
            ["collect", "--robot", "ur5e", "--task", "reech", "--into", "x"],
            "unknown task 'reech': did you mean 'reach'",
        ),
        (["collect", "--robot", "ur5", "--task", "reach", "--into", "x"], "unknown robot 'ur5': did you mean 'ur5e'"),
        (["collect", "--task", "reach"], "--robot"),
        (["train", "smal"], "unknown recipe 'smal'"),
        (["train", "small", "--steps"], "steps: expected a value"),
        (["train", "tiny", "--batch-widows", "3"], "batch_widows: unknown key; did you mean 'batch_windows'"),
        (["rollout", "hold", "--robot", "ur5e", "--task", "reach", "--delay-ms", "soon"], "or 'measured', got 'soon'"),
        (["check", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["evaluate", "nowhere", "--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_usage_and_input_exit_with_2_and_one_clear_line(
    words: list[str], said: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    shown = capsys.readouterr()
    assert said in shown.out + shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("words", [["robots", "show", "pnda"], ["catlog"], ["collect", "--task", "reach"]])
def test_errors_are_one_json_object_too(words: list[str], capsys: Capture) -> None:
    assert main([*words, "--json"]) == 2
    assert "error" in object_of(capsys.readouterr().out)


class Fixed:
    """A verb that calls what it is given."""

    example, resume = "counterpoint fixed", "run it again."

    def __init__(self, run: Callable[[], Reply]) -> None:
        self._run = run

    def prepare(self, words: object, name: str, summary: str) -> tuple[VerbArguments, Callable[[], Reply]]:
        return VerbArguments(json="--json" in str(words), debug="--debug" in str(words)), self._run


def run_fixed(run: Callable[[], Reply], monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    verb: AnyVerb = Fixed(run)
    monkeypatch.setitem(VERBS, "fixed", "Do what the test says.")
    monkeypatch.setattr(command_line, "load_verb", lambda name: verb)
    return main(["fixed", *words])


def raising(error: BaseException) -> Callable[[], Reply]:
    def run() -> Reply:
        raise error

    return run


def test_failed_check_exits_with_1(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert run_fixed(lambda: Reply(data={"ok": False}, text="bad", passed=False), monkeypatch) == 1
    assert capsys.readouterr().out == "bad\n"


def test_ctrl_c_exits_with_130_and_tells_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert run_fixed(raising(KeyboardInterrupt()), monkeypatch) == 130
    assert "interrupted: run it again." in capsys.readouterr().err


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert run_fixed(raising(StoreError("episode 3 is damaged")), monkeypatch, "--debug") == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("counterpoint: error: episode 3 is damaged\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "data/x"), "data/x: No space left on device; free some space"),
        (FileNotFoundError(2, "No such file or directory", "gone"), "gone: No such file or directory"),
        (ModuleNotFoundError("no", name="torch"), "pip install 'counterpoint[train]'"),
    ],
)
def test_troubles_of_the_machine_are_clear_lines(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert run_fixed(raising(error), monkeypatch) == 2
    assert said in capsys.readouterr().err


def test_what_packages_print_does_not_reach_json(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def run() -> Reply:
        print("chatter")  # noqa: T201  # what the test is about
        return Reply(data={"loss": float("nan")}, text="")

    assert run_fixed(run, monkeypatch, "--json") == 0
    assert object_of(capsys.readouterr().out) == {"loss": None}


def test_overrides_are_split_from_flags() -> None:
    words = ["small", "--resume", "--model.width", "64", "--data.stores=a,b", "--batch-windows", "-1", "--json"]
    rest, overrides = split_overrides(TrainArguments, words)
    assert rest == ["small", "--resume", "--json"]
    assert overrides == {"model.width": "64", "data.stores": "a,b", "batch_windows": "-1"}


def test_delays_are_numbers_or_measured() -> None:
    assert parse_delays("0, 100,measured") == (0.0, 100.0, "measured")
    with pytest.raises(ConfigError, match="got 'x'"):
        parse_delays("x")


def test_table_aligns_numbers_to_the_right() -> None:
    assert table(("name", "n"), [("a", 5), ("bcdef", 10)]) == "name    n\na       5\nbcdef  10"
