"""All errors that Counterpoint raises for causes a user can act on.

    CounterpointError
      ConfigError        a recipe key or value is wrong
      UnknownNameError   a robot, task, stream, ... that does not exist (offers the nearest)
      EmbodimentError    a robot description cannot be used
      StreamError        samples that break the contract of a stream (NaN, time running backwards)
      StoreError         a store that is foreign, damaged or of another version
      IngestError        a source that cannot be read; carries a reason code
      ExportError        data that another format cannot hold, or a target folder that is not empty
      CheckpointError    a checkpoint that is foreign, damaged or of another version
      TrainingError      a run that cannot continue (loss not finite, a folder of another run to resume)
      PolicyError        a policy asked for something it cannot do
      SiteError          sending or receiving episodes between computers failed

A message says what was expected, what arrived, where, and what to try next.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import partial


class CounterpointError(ValueError):
    """Base of all errors that a user can act on."""


class ConfigError(CounterpointError):
    """A recipe key or value is wrong; the message starts with its dotted path."""


class UnknownNameError(CounterpointError):
    """A name that does not exist."""


class EmbodimentError(CounterpointError):
    """A robot description that cannot be used."""


class StreamError(CounterpointError):
    """Samples that break the contract of a stream."""


class StoreError(CounterpointError):
    """A store that is foreign, damaged or of another version."""


class IngestError(CounterpointError):
    """A source that cannot be read.

    `reason` is a stable code such as `truncated` or `wrong_magic`, for quarantine lists.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        """Keep the message for people and `reason` for programs."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[Callable[[str], IngestError], tuple[str], dict[str, object]]:
        """Pickle the reason with the message; the default rebuilds an error from its message alone."""
        return partial(type(self), reason=self.reason), (str(self),), self.__dict__


class ExportError(CounterpointError):
    """Data that another format cannot hold, or a target folder that is not empty."""


class CheckpointError(CounterpointError):
    """A checkpoint that is foreign, damaged or of another version."""


class TrainingError(CounterpointError):
    """A run that cannot continue; the last good checkpoint is kept."""


class PolicyError(CounterpointError):
    """A policy asked for something it cannot do."""


class SiteError(CounterpointError):
    """Sending or receiving episodes between computers failed."""


LISTED_NAMES = 20
"""An error lists at most this many names; `--help`, or the command in its hint, lists all."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> UnknownNameError:
    """Build the error for an unknown name, offering the nearest known ones.

    `kind` is the noun ("robot"), `hint` an optional next step ("see 'counterpoint robots list'").
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    more = f" and {len(names) - LISTED_NAMES} more" if len(names) > LISTED_NAMES else ""
    listed = ", ".join(names[:LISTED_NAMES]) or "none"
    offer = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {listed}{more}."
    return UnknownNameError(f"unknown {kind} {name!r}: {offer}{' ' + hint if hint else ''}")
