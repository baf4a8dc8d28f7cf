"""Entry point of the command line: find the verb, parse, run, print, choose the exit code.

0 success    1 a check failed    2 bad usage or input    130 interrupted by Ctrl-C
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from counterpoint.cli.verbs import VERBS
from counterpoint.core.errors import CounterpointError, UnknownNameError, unknown_name

if TYPE_CHECKING:
    from counterpoint.cli.verb import AnyVerb, Reply
    from counterpoint.core.records import Json

EXTRAS = {
    "numcodecs": "ingest",
    "h5py": "ingest",
    "google": "ingest",
    "google_crc32c": "ingest",
    "av": "store",
    "duckdb": "catalog",
    "gymnasium": "sim",
    "httpx": "site",
    "jinja2": "report",
    "lightgbm": "scaling",
    "lz4": "ingest",
    "matplotlib": "report",
    "mcap": "export",
    "mujoco": "sim",
    "obstore": "cloud",
    "PIL": "report",
    "plotly": "catalog",
    "pyarrow": "store",
    "ray": "ray",
    "rerun": "show",
    "rosbags": "ingest",
    "ruamel": "ingest",
    "safetensors": "train",
    "scipy": "catalog",
    "sklearn": "catalog",
    "starlette": "site",
    "tensorboard": "train",
    "torch": "train",
    "uvicorn": "site",
    "zstandard": "ingest",
}
"""The extra that installs a module that may be missing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` without the program's name."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(overview())
            return 0 if words else 2
        if words[0] == "--version":
            from counterpoint import __version__

            print(f"counterpoint {__version__}")
            return 0
        if group := verbs_of(words):
            print(group)
            return 0 if words[1:] else 2
        name, rest = find_verb(words)
        return run_verb(name, rest, as_json=as_json)
    except UnknownNameError as error:
        return _fail(error, as_json=as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def overview() -> str:
    """Return the list of verbs."""
    return "\n".join(
        [
            "counterpoint: train and run embodied foundation models",
            "",
            "usage: counterpoint VERB [...]      counterpoint VERB --help explains a verb, with an example",
            "",
            _listing(VERBS),
            "",
            "Every verb takes --json (one object on standard output) and exits with 0 on success, 1 if a check",
            "fails, 2 on bad usage or input. To start: counterpoint demo --out demo-out",
        ]
    )


def verbs_of(words: Sequence[str]) -> str:
    """Return the list of verbs that share a first word, if only that word (and --help) was given; else nothing."""
    inner = {name: summary for name, summary in VERBS.items() if name.startswith(f"{words[0]} ")}
    is_bare = len(words) == 1 or words[1] in ("-h", "--help")
    return f"{words[0]} has these verbs:\n{_listing(inner)}" if inner and is_bare else ""


def _listing(verbs: Mapping[str, str]) -> str:
    width = max(map(len, verbs))
    return "\n".join(f"  {name.ljust(width)}  {summary}" for name, summary in verbs.items())


def find_verb(words: Sequence[str]) -> tuple[str, list[str]]:
    """Split a command line into the name of its verb, of one or two words, and the rest.

    Raises:
        UnknownNameError: no such verb; offers the nearest.
    """
    for count in (2, 1):
        if (name := " ".join(words[:count])) in VERBS:
            return name, list(words[count:])
    groups = {name.partition(" ")[0] for name in VERBS if " " in name}
    if words[0] in groups:
        inner = [name for name in VERBS if name.startswith(f"{words[0]} ")]
        raise unknown_name("verb", " ".join(words[:2]), inner, hint=f"({words[0]} has: {', '.join(inner)})")
    raise unknown_name("verb", words[0], {*VERBS, *groups}, hint="See counterpoint --help.")


def load_verb(name: str) -> AnyVerb:
    """Import the module of one verb."""
    module = import_module(f"counterpoint.cli.verbs.{name.replace(' ', '.').replace('-', '_')}")
    return cast("AnyVerb", module.VERB)


def run_verb(name: str, words: Sequence[str], *, as_json: bool) -> int:
    """Parse the words after a verb's name, run it, print its reply, and return the exit code."""
    verb = load_verb(name)
    try:
        arguments, run = verb.prepare(words, name, VERBS[name])
    except CounterpointError as error:
        return _fail(error, as_json=as_json)
    except SystemExit as stop:
        if stop.code and as_json:
            _print_json({"error": "bad usage; the message is on standard error"})
        return 2 if stop.code else 0
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("counterpoint").setLevel(logging.DEBUG if arguments.debug else logging.INFO)
    try:
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            reply = run()
    except KeyboardInterrupt as stop:
        return _interrupted(str(stop) or verb.resume, as_json=as_json)
    except (CounterpointError, OSError, ModuleNotFoundError) as error:
        if arguments.debug:
            traceback.print_exc()
        return _fail(error, as_json=as_json)
    _print(reply, as_json=as_json)
    return 0 if reply.passed else 1


def _print(reply: Reply, *, as_json: bool) -> None:
    if as_json:
        _print_json(reply.data)
    else:
        print(reply.text)
    sys.stdout.flush()


def _print_json(data: dict[str, Json]) -> None:
    from counterpoint.core.records import finite_json

    print(json.dumps(finite_json(data), allow_nan=False))


def _interrupted(how_to_go_on: str, *, as_json: bool) -> int:
    print(f"\ninterrupted: {how_to_go_on}", file=sys.stderr)
    if as_json:
        _print_json({"error": "interrupted", "next": how_to_go_on})
    return 130


def _fail(error: Exception, *, as_json: bool) -> int:
    """Print one clear line and return the exit code for bad usage or input."""
    if isinstance(error, BrokenPipeError):
        raise error
    message = _message(error)
    print(f"counterpoint: error: {message}", file=sys.stderr)
    if as_json:
        _print_json({"error": message, "kind": type(error).__name__})
    return 2


def _message(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise error  # a broken installation or a bug of ours: show all of it
        return f"needs the Python package {module!r}; install it with: pip install 'counterpoint[{EXTRAS[module]}]'"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hint = "; free some space, then run the command again" if error.errno == errno.ENOSPC else ""
        return f"{where}{error.strerror or error}{hint}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
