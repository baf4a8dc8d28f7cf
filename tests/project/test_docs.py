"""Commands in help and documents are ones that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import counterpoint
from counterpoint.cli.main import find_verb, load_verb
from counterpoint.cli.verbs import VERBS
from counterpoint.cli.verbs.train import TrainArguments
from counterpoint.demo.speed import README_TOKENS_PER_S
from counterpoint.train.recipes import resolve

COMMAND = re.compile(r"(?:^ {4}|`)(counterpoint [a-z][^`#\n]*)", re.MULTILINE)


def check_command(line: str) -> None:
    """Parse a command without running it, and resolve its recipe and overrides."""
    name, words = find_verb(shlex.split(line)[1:])
    arguments, _ = load_verb(name).prepare(words, name, VERBS[name])
    if isinstance(arguments, TrainArguments):
        resolve(arguments.recipe, arguments.overrides)


@pytest.mark.parametrize("name", VERBS)
def test_example_of_each_verb_parses(name: str) -> None:
    example = load_verb(name).example
    assert example.startswith(f"counterpoint {name}")
    check_command(example)


def test_readme_states_the_speed_that_the_demo_compares_with(repository: Path) -> None:
    assert f"{README_TOKENS_PER_S:,} tokens/s" in (repository / "README.md").read_text(encoding="utf-8")


def test_names_that_the_readme_imports_exist(repository: Path) -> None:
    used = set(re.findall(r"\bcp\.(\w+)", (repository / "README.md").read_text(encoding="utf-8")))
    assert {"ingest", "open_store", "train", "load_policy", "Observation"} <= used
    assert used <= set(counterpoint.__all__)


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md", "docs/format.md", "docs/decisions.md"])
def test_commands_in_documents_parse(document: str, repository: Path) -> None:
    found = COMMAND.findall((repository / document).read_text(encoding="utf-8"))
    if document == "README.md":
        assert len(found) >= 6
    for line in found:
        if "--help" not in line and len(line.split()) > 2:
            check_command(line)
