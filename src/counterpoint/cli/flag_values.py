"""Flags that hold several values: names separated by commas, `name=value` pairs."""

from __future__ import annotations

from collections.abc import Iterable

from counterpoint.core.errors import ConfigError


def split_names(*words: str) -> tuple[str, ...]:
    """Split names at commas."""
    return tuple(name.strip() for word in words for name in word.split(",") if name.strip())


def split_pair(word: str, flag: str, form: str) -> tuple[str, str]:
    """Split `name=value` at the first equals sign.

    Raises:
        ConfigError: a part is missing; names the flag and the `form` it takes.
    """
    name, _, value = word.partition("=")
    if not name.strip() or not value.strip():
        raise ConfigError(f"{flag}: expected {form}, got {word!r}")
    return name.strip(), value.strip()


def split_pairs(words: Iterable[str], flag: str, form: str) -> dict[str, str]:
    """Read `a=x,b=y`, given once or several times.

    Raises:
        ConfigError: something that is no pair, or a name that is given twice.
    """
    found: dict[str, str] = {}
    for part in (part for word in words for part in word.split(",")):
        name, value = split_pair(part, flag, form)
        if name in found:
            raise ConfigError(f"{flag}: {name!r} is given twice")
        found[name] = value
    return found


def read_number(text: str, flag: str) -> float:
    """Read a number.

    Raises:
        ConfigError: the text is no number; names the flag.
    """
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{flag}: expected a number, got {text!r}") from None
