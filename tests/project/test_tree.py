"""The tree's own rules: the check script finds what it should, and finds nothing here."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def check(repository: Path, root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "tools" / "check_tree.py"), str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_tree_keeps_its_rules(repository: Path) -> None:
    found = check(repository, repository)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("name", "content", "finding"),
    [
        ("src/long.py", "x = 1\n" * 401, "src/long.py: 401 lines, at most 400"),
        ("tests/big.py", "def big():\n" + "    x = 1\n" * 60, "tests/big.py:1: big has 61 lines, at most 60"),
        ("src/utils.py", "", "name the thing"),
        ("src/accent.py", "# caf\u00e9\n", "src/accent.py:1: '\u00e9' is not ASCII"),
        ("docs/a.md", "[gone](missing.md)\n", "docs/a.md: link to 'missing.md', which does not exist"),
        ("docs/b.md", "see /" + "root/notes\n", "is a path of one machine"),
    ],
)
def test_check_finds(repository: Path, tmp_path: Path, name: str, content: str, finding: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    found = check(repository, tmp_path)
    assert found.returncode == 1
    assert finding in found.stdout


@pytest.mark.parametrize(("files", "code"), [(20, 0), (21, 1)])
def test_a_folder_holds_at_most_twenty_files(repository: Path, tmp_path: Path, files: int, code: int) -> None:
    room = tmp_path / "src" / "room"
    room.mkdir(parents=True)
    for name in ("__init__", *(f"noun_{number}" for number in range(files))):
        (room / f"{name}.py").write_text("", encoding="utf-8")
    found = check(repository, tmp_path)
    assert found.returncode == code
    assert ("src/room: 21 Python files, at most 20" in found.stdout) == (code == 1)


def test_every_hard_dependency_is_explained(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    decisions = (repository / "docs" / "decisions.md").read_text()
    for requirement in project["dependencies"]:
        name = requirement.partition("~")[0]
        assert f"`{name}`" in decisions, f"{name} has no line in docs/decisions.md"


def test_changelog_has_an_unreleased_section(repository: Path) -> None:
    assert "## [Unreleased]" in (repository / "CHANGELOG.md").read_text()
