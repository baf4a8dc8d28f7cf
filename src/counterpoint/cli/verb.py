"""What a verb is: its arguments, what it does, what it answers.

    command line --parse--> arguments --run--> Reply --print--> text for people or one JSON object

Verb modules import what is heavy (torch, MuJoCo, pyarrow) inside `run`, so that help is quick and a
verb needs only its own extras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Generic, Protocol, TypeVar

import tyro
from tyro.conf import Suppress

from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class VerbArguments:
    """Flags that every verb takes."""

    json: bool = False
    """Print exactly one JSON object on standard output; everything else goes to standard error."""
    debug: bool = False
    """Show debug messages and the traceback of an error."""


@dataclass(frozen=True, kw_only=True)
class OverridableArguments(VerbArguments):
    """Arguments of a verb whose unknown flags are dotted overrides of a configuration."""

    overrides: Suppress[Mapping[str, str]] = field(default_factory=dict)
    """Collected from the flags that are not the verb's own."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The result of a verb."""

    data: dict[str, Json]
    """The object that `--json` prints."""
    text: str
    """The text that is printed without `--json`."""
    passed: bool = True
    """False where a check failed: exit code 1."""


Arguments = TypeVar("Arguments", bound=VerbArguments)


@dataclass(frozen=True, kw_only=True)
class Verb(Generic[Arguments]):
    """One verb of the command line."""

    example: str
    """A typical command, shown by `--help`."""
    arguments: type[Arguments]
    run: Callable[[Arguments], Reply]
    resume: str = "run the same command again."
    """What to do after Ctrl-C."""

    def prepare(self, words: Sequence[str], name: str, summary: str) -> tuple[VerbArguments, Callable[[], Reply]]:
        """Parse the words after the verb's name; return the arguments and what to call.

        Raises:
            ConfigError: an override without a value.
            SystemExit: bad usage (code 2) or help (code 0), already printed.
        """
        takes_overrides = issubclass(self.arguments, OverridableArguments)
        rest, overrides = split_overrides(self.arguments, words) if takes_overrides else (list(words), {})
        arguments = tyro.cli(
            self.arguments,
            prog=f"counterpoint {name}",
            description=f"{summary}\n\nExample:\n  {self.example}",
            args=rest,
            config=(
                tyro.conf.FlagCreatePairsOff,
                tyro.conf.PositionalMetavarFromFieldName,
                tyro.conf.DisallowNone,
            ),
        )
        if isinstance(arguments, OverridableArguments):
            arguments = replace(arguments, overrides=overrides)
        return arguments, partial(self.run, arguments)


class AnyVerb(Protocol):
    """A verb, whatever its arguments."""

    @property
    def example(self) -> str:
        """A typical command, shown by `--help`."""
        ...

    @property
    def resume(self) -> str:
        """What to do after Ctrl-C."""
        ...

    def prepare(self, words: Sequence[str], name: str, summary: str) -> tuple[VerbArguments, Callable[[], Reply]]:
        """Parse the words after the verb's name; return the arguments and what to call."""
        ...


def split_overrides(arguments: type[VerbArguments], words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Take `--dotted.path VALUE` and `--dotted.path=VALUE` out of a command line.

    Raises:
        ConfigError: an override without a value.
    """
    own = {item.name for item in fields(arguments)} | {"help"}
    rest: list[str] = []
    overrides: dict[str, str] = {}
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        name, sign, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name.replace("-", "_") in own or not name:
            rest.append(word)
            continue
        if not sign:
            if not remaining:
                raise ConfigError(f"{name}: expected a value after --{name}, but the command line ends there")
            value = remaining.pop(0)
        overrides[name.replace("-", "_")] = value
    return rest, overrides


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out rows in columns: numbers to the right, words to the left."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [all(isinstance(row[place], int | float) for row in rows) and bool(rows) for place in range(len(header))]

    def line(values: Sequence[str]) -> str:
        padded = (v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), *map(line, cells)])


def interval(ends: tuple[float, float]) -> str:
    """Return `[low, high]` in four digits."""
    return f"[{ends[0]:.4g}, {ends[1]:.4g}]"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
