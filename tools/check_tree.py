"""Checks of the tree that no other tool makes: sizes, ASCII, machine paths, links. Run by `make check`.

python tools/check_tree.py [ROOT]     exit 0, or 1 with one line a finding
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FOLDER_FILES = 20
FOLDERS = ("src", "tests", "benchmarks", "tools", "docs", ".ci")
SUFFIXES = (".py", ".md", ".xml", ".toml", ".sh", ".html", ".css", "")
FORBIDDEN_NAMES = ("utils", "common", "helpers", "manager")
# Places that exist on one machine alone. Written in pieces so that this file passes its own check.
MACHINE_PATH = re.compile("|".join(("/" + "work/", "/" + "root/", "/" + r"home/\w", "/" + "Users/", "/" + "opt/")))
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def main(root: Path) -> int:
    """Print findings; return the exit code."""
    paths = list(tree(root))
    findings = [*check_folders(paths, root), *(finding for path in paths for finding in check_file(path, root))]
    for finding in findings:
        print(finding)
    if findings:
        print(
            f"{len(findings)} findings; caps: {MAX_MODULE_LINES} lines a module, {MAX_FUNCTION_LINES} a function, "
            f"{MAX_FOLDER_FILES} Python files a folder"
        )
    return 1 if findings else 0


def tree(root: Path) -> Iterator[Path]:
    """Yield the text files of the project, in order."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            hidden = any(
                part.startswith(".") or part.endswith(".egg-info") for part in path.relative_to(root).parts[1:]
            )
            if path.is_file() and path.suffix in SUFFIXES and not hidden and "__pycache__" not in path.parts:
                yield path
    yield from (
        path for name in ("README.md", "CHANGELOG.md", "pyproject.toml", "Makefile") if (path := root / name).is_file()
    )


def check_folders(paths: Iterable[Path], root: Path) -> Iterator[str]:
    """Yield folders that are too long to read at a glance; `__init__.py` and `conftest.py` do not count."""
    counts = Counter(
        path.parent for path in paths if path.suffix == ".py" and path.name not in ("__init__.py", "conftest.py")
    )
    for folder, count in sorted(counts.items()):
        if count > MAX_FOLDER_FILES:
            yield f"{folder.relative_to(root)}: {count} Python files, at most {MAX_FOLDER_FILES}; make rooms"


def check_file(path: Path, root: Path) -> Iterator[str]:
    """Yield findings about one file."""
    name, text = path.relative_to(root), path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.isascii():
            strange = next(letter for letter in line if not letter.isascii())
            yield f"{name}:{number}: {strange!r} is not ASCII"
        if found := MACHINE_PATH.search(line):
            yield f"{name}:{number}: {found.group()!r} is a path of one machine"
    if path.suffix == ".py":
        yield from check_python(path, name, text)
    if path.suffix == ".md":
        for target in LINK.findall(text):
            if not (path.parent / target).exists():
                yield f"{name}: link to {target!r}, which does not exist"


def check_python(path: Path, name: Path, text: str) -> Iterator[str]:
    """Yield findings about names and sizes."""
    if path.stem in FORBIDDEN_NAMES:
        yield f"{name}: name the thing; {path.stem!r} says nothing"
    if (count := len(text.splitlines())) > MAX_MODULE_LINES:
        yield f"{name}: {count} lines, at most {MAX_MODULE_LINES}; split it by noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
