"""One value of a configuration: what its type is called, how it is read from JSON, how from text.

    command line text --parse_text--> plain JSON value --read_value--> checked Python value

`config` is the door for users; this module leaves whole configurations and overrides to it.
Types understood: bool, int, float, str, Path, None, Literal, tuple, dict with text keys, dataclasses,
and unions of these. Where a union holds several dataclasses, the key `type` names the class.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeGuard, Union, cast, get_args, get_origin, get_type_hints

from counterpoint.core.errors import ConfigError

TYPE_KEY = "type"
_WORDS: dict[object, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "none",
    object: "anything",
}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def is_config_class(expected: object) -> TypeGuard[type]:
    """Tell whether `expected` is a dataclass, hence a nested configuration."""
    return isinstance(expected, type) and dataclasses.is_dataclass(expected)


def alternatives(expected: object) -> tuple[object, ...]:
    """Return the members of a union, or the type alone."""
    return get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)


def config_choices(expected: object) -> dict[str, type]:
    """Return the dataclasses among the members of a type, by class name."""
    return {option.__name__: option for option in alternatives(expected) if is_config_class(option)}


def describe_type(expected: object) -> str:
    """Return what a person should give, for example `an integer` or `one of 'wsd', 'cosine'`."""
    if expected in _WORDS:
        return _WORDS[expected]
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"a list, each {describe_type(arguments[0])}"
    if origin is tuple:
        return f"{len(arguments)} values ({', '.join(map(describe_type, arguments))})"
    if origin in (dict, Mapping):
        return f"name=value pairs, each value {describe_type(arguments[1])}"
    if len(options := alternatives(expected)) > 1:
        return " or ".join(map(describe_type, options))
    return getattr(expected, "__name__", str(expected))


def _refuse(expected: object, raw: object, path: str) -> ConfigError:
    """Build the error for a value of the wrong type at the dotted `path`."""
    return ConfigError(f"{path}: expected {describe_type(expected)}, got {raw!r} ({type(raw).__name__})")


def unknown_key(path: str, known: Iterable[str]) -> ConfigError:
    """Build the error for a dotted path that does not exist, offering the nearest of `known` paths."""
    names = sorted(known)
    last = path.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(path, names, n=3, cutoff=0.6)
    near += [name for name in names if name.rsplit(".", 1)[-1] == last and name not in near]
    if not near:
        ends = {name.rsplit(".", 1)[-1]: name for name in names}
        near = [ends[end] for end in difflib.get_close_matches(last, list(ends), n=3, cutoff=0.6)]
    offer = f"did you mean {' or '.join(map(repr, near[:3]))}?" if near else f"known: {', '.join(names) or 'none'}"
    return ConfigError(f"{path}: unknown key; {offer}")


def read_value(expected: object, raw: object, path: str) -> object:
    """Check a plain JSON value against a type and return it as that type.

    Raises:
        ConfigError: the message starts with `path`, says what was expected and what arrived.
    """
    options = alternatives(expected)
    if len(options) > 1:
        return _read_union(expected, options, raw, path)
    origin = get_origin(expected)
    if is_config_class(expected):
        if isinstance(raw, Mapping):
            return build(expected, raw, path)
    elif origin is Literal:
        for choice in get_args(expected):
            if raw == choice and type(raw) is type(choice):
                return choice
    elif origin is tuple:
        if isinstance(raw, list | tuple):
            return _read_tuple(expected, raw, path)
    elif origin in (dict, Mapping):
        if isinstance(raw, Mapping):
            inner = get_args(expected)[1]
            return {str(key): read_value(inner, item, f"{path}.{key}") for key, item in raw.items()}
    else:
        return _read_scalar(expected, raw, path)
    raise _refuse(expected, raw, path)


def _read_scalar(expected: object, raw: object, path: str) -> object:
    if expected is float and isinstance(raw, int | float) and not isinstance(raw, bool):
        return float(raw)
    if expected is float and isinstance(raw, str) and raw in ("inf", "-inf", "nan"):
        return float(raw)
    if expected is Path and isinstance(raw, str | Path):
        return Path(raw)
    if expected is object or (isinstance(expected, type) and type(raw) is expected):
        return raw
    raise _refuse(expected, raw, path)


def _read_tuple(expected: object, raw: list[object] | tuple[object, ...], path: str) -> tuple[object, ...]:
    inner = get_args(expected)
    if len(inner) == 2 and inner[1] is Ellipsis:
        inner = (inner[0],) * len(raw)
    if len(inner) != len(raw):
        raise ConfigError(f"{path}: expected {describe_type(expected)}, got {len(raw)} values")
    return tuple(
        read_value(kind, item, f"{path}.{place}") for place, (kind, item) in enumerate(zip(inner, raw, strict=True))
    )


def _read_union(expected: object, options: tuple[object, ...], raw: object, path: str) -> object:
    choices = config_choices(expected)
    if isinstance(raw, Mapping) and len(choices) == 1:
        return build(next(iter(choices.values())), raw, path)
    if isinstance(raw, Mapping) and choices:
        name = raw.get(TYPE_KEY)
        if name not in choices:
            raise ConfigError(f"{path}.{TYPE_KEY}: expected one of {', '.join(map(repr, choices))}, got {name!r}")
        return build(choices[str(name)], {key: item for key, item in raw.items() if key != TYPE_KEY}, path)
    for option in options:
        with contextlib.suppress(ConfigError):
            return read_value(option, raw, path)
    raise _refuse(expected, raw, path)


def build(cls: type, raw: Mapping[str, object], path: str) -> object:
    """Build the dataclass `cls` from plain values, strictly; missing keys take their defaults.

    Raises:
        ConfigError: an unknown or a missing key, a bad value, or a check of the class that failed.
    """
    hints, fields = get_type_hints(cls), {item.name: item for item in dataclasses.fields(cls)}
    for key in raw:
        if key not in fields:
            raise unknown_key(join(path, key), (join(path, name) for name in fields))
    values = {key: read_value(hints[key], item, join(path, key)) for key, item in raw.items()}
    for name, item in fields.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"{join(path, name)}: missing; expected {describe_type(hints[name])}")
    return checked(lambda: cls(**values), path)


def checked(make: Callable[[], object], path: str) -> object:
    """Call `make`; a ConfigError of a nested class gets the dotted path of where it stands."""
    try:
        return make()
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if not path or message.startswith(path) else f"{path}.{message}") from error


def join(path: str, key: str) -> str:
    """Join a dotted path and a key."""
    return f"{path}.{key}" if path else key


def parse_text(expected: object, text: str) -> object:
    """Turn command-line text into the plain value that `read_value` expects.

    Text that does not fit is returned as it is, so that `read_value` refuses it by name.
    """
    options = alternatives(expected)
    if len(options) > 1:
        return _parse_union(expected, options, text)
    origin, word = get_origin(expected), text.strip()
    if expected is bool:
        return _TRUTH.get(word.lower(), text)
    if expected in (int, float):
        return _parse_number(expected, word)
    if expected is type(None):
        return None if word.lower() in ("none", "null") else text
    if origin is Literal:
        return next((choice for choice in get_args(expected) if str(choice) == word), text)
    if is_config_class(expected):
        return {} if word == expected.__name__ else _parse_json(text)
    if origin is tuple:
        return _parse_tuple(expected, word)
    if origin in (dict, Mapping):
        return _parse_pairs(get_args(expected)[1], word)
    return text


def _parse_number(expected: object, word: str) -> object:
    with contextlib.suppress(ValueError):
        return int(word) if expected is int else float(word)
    with contextlib.suppress(ValueError, OverflowError):  # 1e6 steps is an integer to people
        number = float(word)
        return int(number) if number == int(number) else word
    return word


def _parse_union(expected: object, options: tuple[object, ...], text: str) -> object:
    choices = config_choices(expected)
    if text.strip() in choices:
        return {TYPE_KEY: text.strip()} if len(choices) > 1 else {}
    for option in options:
        plain = parse_text(option, text)
        with contextlib.suppress(ConfigError):
            read_value(option, plain, "")
            return plain
    return _parse_json(text) if choices else text


def _parse_tuple(expected: object, word: str) -> object:
    if word.startswith("["):
        return _parse_json(word)
    inner = get_args(expected)
    parts = [part.strip() for part in word.strip("()").split(",") if part.strip()]
    kinds = (inner[0],) * len(parts) if len(inner) == 2 and inner[1] is Ellipsis else inner
    if len(kinds) != len(parts):
        return parts
    return [parse_text(kind, part) for kind, part in zip(kinds, parts, strict=True)]


def _parse_pairs(inner: object, word: str) -> object:
    if word.startswith("{"):
        return _parse_json(word)
    pairs = [part.partition("=") for part in word.split(",") if part.strip()]
    if not all(sign for _, sign, _ in pairs):
        return word
    return {key.strip(): parse_text(inner, item.strip()) for key, _, item in pairs}


def _parse_json(text: str) -> object:
    try:
        return cast(object, json.loads(text))
    except json.JSONDecodeError:
        return text
