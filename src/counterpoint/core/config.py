"""Configurations: frozen keyword-only dataclasses of plain values, saved as JSON and overridden by dotted paths.

    @dataclass(frozen=True, kw_only=True)
    class TrainConfig:
        steps: int = 1000
        '''Optimizer steps; more is better until the data are used up.'''

    apply_overrides(RunConfig(), {"train.steps": "1e4"})  -> RunConfig(train=TrainConfig(steps=10000))
    from_dict(RunConfig, to_dict(config)) == config

Loading is strict: an unknown key is an error that offers the nearest. What a field means is the string
under it, which `settings` and `--explain` show. Cross-field checks live in the class's `__post_init__`
and raise `ConfigError` with the path relative to that class; the path above it is added here.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, get_args, get_origin, get_type_hints

from counterpoint.core.config_value import (
    TYPE_KEY,
    alternatives,
    build,
    checked,
    config_choices,
    describe_type,
    join,
    parse_text,
    read_value,
    unknown_key,
)
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value of a configuration, for help and `--explain`."""

    path: str
    """Dotted path, as given on the command line."""
    expects: str
    """What to give, in words."""
    value: str
    """Its present value, in the form the command line takes."""
    doc: str
    """What it means: unit, range and effect; empty where the class says nothing."""


def to_dict(config: DataclassInstance) -> dict[str, Json]:
    """Return plain JSON values: tuples as lists, paths as text, numbers that are not finite as text."""
    hints = get_type_hints(type(config))
    return {item.name: _plain(getattr(config, item.name), hints[item.name]) for item in dataclasses.fields(config)}


def _plain(value: object, expected: object) -> Json:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tag: dict[str, Json] = {TYPE_KEY: type(value).__name__} if len(config_choices(expected)) > 1 else {}
        return tag | to_dict(value)
    if isinstance(value, tuple | list):
        return [_plain(item, inner) for item, inner in zip(value, _inner(expected, len(value)), strict=True)]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, _inner(expected, 1)[0]) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return cast(Json, value)


def _inner(expected: object, count: int) -> tuple[object, ...]:
    """Types of the members of a tuple or of the values of a dict, looking through an optional."""
    for option in alternatives(expected):
        arguments = get_args(option)
        if get_origin(option) is tuple:
            return (arguments[0],) * count if arguments[-1] is Ellipsis else arguments
        if get_origin(option) in (dict, Mapping):
            return (arguments[1],) * count
    return (object,) * count


def from_dict(cls: type[Config], raw: Mapping[str, object]) -> Config:
    """Rebuild what `to_dict` wrote; missing keys take their defaults.

    Raises:
        ConfigError: an unknown key (offers the nearest), a missing key without default, or a bad value;
            the message starts with the dotted path.
    """
    return cast(Config, build(cls, raw, ""))


def apply_overrides(config: Config, overrides: Mapping[str, object]) -> Config:
    """Return `config` with dotted paths replaced, all at once, so that checks see only the final values.

    Values that are text are parsed by the field's type (`"1e4"`, `"a,b"`, `"none"`, JSON for nested
    values); others must have the right type already. A path may go on into a tuple (`robots.0.weight`)
    and a dict (`weights.ur5e`). The name of a class chooses a member of a union of dataclasses.

    Raises:
        ConfigError: an unknown path (offers the nearest) or a value of the wrong type.
    """
    known = [setting.path for setting in settings(config)]
    root = _Node()
    for path, value in overrides.items():
        node = root
        for key in path.split("."):
            node = node.parts.setdefault(key, _Node())
        node.given = (value,)
    return cast(Config, _replace(config, root, "", known))


@dataclass
class _Node:
    """Overrides of one place in the tree: a value for the whole, and for parts of it."""

    given: tuple[object, ...] = ()
    parts: dict[str, _Node] = field(default_factory=dict)


def _replace(config: object, node: _Node, path: str, known: list[str]) -> object:
    """Rebuild one dataclass with the overrides of its subtree."""
    cls = type(config)
    hints, fields = get_type_hints(cls), {item.name for item in dataclasses.fields(cast("DataclassInstance", config))}
    changed: dict[str, object] = {}
    for key, part in node.parts.items():
        where = join(path, key)
        if key not in fields:
            raise unknown_key(where, known)
        changed[key] = _override(hints[key], getattr(config, key), part, where, known)
    return checked(lambda: dataclasses.replace(cast("DataclassInstance", config), **changed), path)


def _override(expected: object, present: object, node: _Node, path: str, known: list[str]) -> object:
    """Return the new value of one field: first what was given for the whole, then for its parts."""
    if node.given:
        (value,) = node.given
        plain = parse_text(expected, value) if isinstance(value, str) else value
        present = plain if type(plain) in config_choices(expected).values() else read_value(expected, plain, path)
    if not node.parts:
        return present
    if present is None and len(choices := config_choices(expected)) == 1:
        present = build(next(iter(choices.values())), {}, path)
    if dataclasses.is_dataclass(present):
        return _replace(present, node, path, known)
    if isinstance(present, tuple):
        return _replace_items(expected, present, node, path, known)
    if isinstance(present, Mapping):
        inner = _inner(expected, 1)[0]
        new = {
            key: _override(inner, present.get(key), part, join(path, key), known) for key, part in node.parts.items()
        }
        return {**present, **new}
    raise unknown_key(join(path, next(iter(node.parts))), known)


def _replace_items(
    expected: object, present: tuple[object, ...], node: _Node, path: str, known: list[str]
) -> tuple[object, ...]:
    items, kinds = list(present), _inner(expected, len(present))
    for key, part in node.parts.items():
        if not key.isdecimal() or int(key) >= len(items):
            raise ConfigError(f"{join(path, key)}: expected a place below {len(items)} in {path}, got {key!r}")
        items[int(key)] = _override(kinds[int(key)], items[int(key)], part, join(path, key), known)
    return tuple(items)


def settings(config: DataclassInstance) -> tuple[Setting, ...]:
    """Return every settable value of `config`, depth first in the order of declaration."""
    return tuple(_settings(config, ""))


def _settings(config: DataclassInstance, path: str) -> Iterator[Setting]:
    hints, docs = get_type_hints(type(config)), field_docs(type(config))
    for item in dataclasses.fields(config):
        value, where, doc = getattr(config, item.name), join(path, item.name), docs.get(item.name, "")
        nested = value if isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)) else ()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            if len(choices := config_choices(hints[item.name])) > 1:
                words = "one of " + ", ".join(map(repr, choices))
                yield Setting(path=where, expects=words, value=type(value).__name__, doc=doc)
            yield from _settings(value, where)
        elif nested:
            for place, part in enumerate(nested):
                yield from _settings(part, join(where, str(place)))
        else:
            yield Setting(path=where, expects=describe_type(hints[item.name]), value=_text(value), doc=doc)


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(_text, value))
        case dict():
            return ",".join(f"{key}={_text(item)}" for key, item in value.items())
        case _:
            return str(value)


@cache
def field_docs(cls: type[DataclassInstance]) -> dict[str, str]:
    """Return the string under each field of a dataclass, by field name; inherited ones included.

    A class without source (typed at a prompt) has none.
    """
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = cast(ast.ClassDef, tree.body[0]).body
        for declared, below in pairwise(body):
            match declared, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(doc))),
                ):
                    docs[name] = inspect.cleandoc(doc).replace("\n", " ")
    return docs
