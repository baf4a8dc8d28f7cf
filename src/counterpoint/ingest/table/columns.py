"""Classifies the columns of a table: commands, state, clock, pictures, instruction, bookkeeping."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from counterpoint.core.errors import IngestError
from counterpoint.ingest.mapping.robot_mapping import RobotMapping
from counterpoint.ingest.recording.features import LogFeature, Role

MAX_WIDTH = 4096
EPISODE = ("episode_index", "episode_id", "episode")
ROW = ("frame_index", "step_index", "frame", "step")
BOOKKEEPING = frozenset({*EPISODE, *ROW, "index", "row", "task_index", "done", "reward", "next.done", "next.reward"})
SUCCESS = ("next.success", "success", "is_success")
LANGUAGE = ("language_instruction", "instruction", "task", "prompt", "language")
ACTIONS = ("action", "actions")
STATES = ("observation.state", "state", "observation/state")
_TIME = re.compile(
    r"(?:time|timestamp|stamp|t|sec|secs|seconds)(?:[_ (\[]+(s|sec|seconds|ms|us|ns)[)\]]?)?$", re.IGNORECASE
)
_COMMAND = re.compile(
    r"(?:actions?|act|cmd|command|target|desired)[_./ ]+(.+)$|(.+)[_./ ](?:cmd|command|target|desired)$", re.IGNORECASE
)
_GROUPS = (
    ("velocity", re.compile(r"(?:^|[_./ ])(?:vel|velocity|dq|qd|qvel)(?:[_./ ]|\d|$)", re.IGNORECASE)),
    ("effort", re.compile(r"(?:^|[_./ ])(?:effort|torque|tau|current)(?:[_./ ]|\d|$)", re.IGNORECASE)),
)


@dataclass(frozen=True, kw_only=True)
class TableColumns:
    """The columns of a table by meaning."""

    features: tuple[LogFeature, ...] = ()
    made_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns of each feature that is made of several."""
    pictures: tuple[str, ...] = ()
    time: str = ""
    """The clock; empty where there is none."""
    time_unit: str = ""
    """As the column's name says; empty otherwise."""
    episode: str = ""
    row: str = ""
    success: str = ""
    language: str = ""
    left_out: tuple[str, ...] = ()


def sort_columns(schema: pa.Schema, widths: dict[str, int], mapping: RobotMapping | None, where: str) -> TableColumns:
    """Classify the columns; `widths` are those of the list columns, from the first row.

    Raises:
        IngestError: `absurd_size` for rows of more than MAX_WIDTH numbers, `robot_not_fitting` where a
            mapping names columns that the table does not have.
    """
    names = list(schema.names)
    plain = [each.name for each in schema if _is_number(each.type)]
    lists = [name for name in names if name in widths]
    pictures = [each.name for each in schema if _is_picture(each)]
    texts = [each.name for each in schema if pa.types.is_string(each.type) or pa.types.is_large_string(each.type)]
    clocks = [
        name
        for name in names
        if _TIME.match(name) and (name in plain or pa.types.is_timestamp(schema.field(name).type))
    ]
    time = mapping.time.column if mapping is not None and mapping.time is not None else next(iter(clocks), "")
    if time and time not in names:
        raise IngestError(
            f"{where}: the mapping's clock is column {time!r}, but {_has(names)}", reason="robot_not_fitting"
        )
    if lists and max(widths.values()) > MAX_WIDTH:
        raise IngestError(f"{where}: rows of {max(widths.values())} numbers, at most {MAX_WIDTH}", reason="absurd_size")
    groups = _groups([name for name in plain if name not in BOOKKEEPING and name != time and not _TIME.match(name)])
    if mapping is not None:
        groups = _mapped_groups(mapping, plain, where)
    features = [_list_feature(name, widths[name]) for name in lists]
    features += [_group_feature(name, columns, lists) for name, columns in groups.items()]
    success = _first(SUCCESS, names)
    language = _first(LANGUAGE, texts)
    used = {
        *pictures,
        *lists,
        time,
        success,
        language,
        *BOOKKEEPING,
        *(c for each in groups.values() for c in each.values()),
    }
    unit = _TIME.match(time)
    return TableColumns(
        features=tuple(features),
        made_of={feature.name: tuple(groups[feature.name].values()) for feature in features if feature.name in groups},
        pictures=tuple(pictures),
        time=time,
        time_unit={"sec": "s", "seconds": "s"}.get(found := ((unit.group(1) or "") if unit else "").lower(), found),
        episode=_first(EPISODE, names),
        row=_first(ROW, plain),
        success=success,
        language=language,
        left_out=tuple(name for name in names if name not in used),
    )


def with_columns(mapping: RobotMapping, made_of: dict[str, tuple[str, ...]]) -> RobotMapping:
    """Return a guessed mapping with the columns of each feature filled in."""
    features = [
        replace(each, columns=made_of[each.feature]) if each.feature in made_of and not each.columns else each
        for each in mapping.features
    ]
    return replace(mapping, features=tuple(features))


def _groups(plain: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return feature -> channel name -> column, by the words in the column names."""
    groups: dict[str, dict[str, str]] = {}
    for name in plain:
        if command := _COMMAND.match(name):
            groups.setdefault("action", {})[command.group(1) or command.group(2)] = name
            continue
        kind = next((kind for kind, words in _GROUPS if words.search(name)), "state")
        groups.setdefault(kind, {})[name] = name
    return groups


def _mapped_groups(mapping: RobotMapping, plain: Sequence[str], where: str) -> dict[str, dict[str, str]]:
    groups = {}
    for each in mapping.features:
        missing = [name for name in each.columns if name not in plain]
        if missing:
            raise IngestError(
                f"{where}: the mapping of {each.feature!r} expects a numeric column {missing[0]!r}, but {_has(plain)}",
                reason="robot_not_fitting",
            )
        if each.columns:
            groups[each.feature] = {f"{index}:{name}": name for index, name in enumerate(each.columns)}
        elif each.feature in plain:
            groups[each.feature] = {each.feature: each.feature}
    return groups


def _list_feature(name: str, width: int) -> LogFeature:
    role: Role = "action" if name in ACTIONS else "state" if name in STATES else "other"
    return LogFeature(name=name, width=width, role=role)


def _group_feature(name: str, columns: dict[str, str], lists: Sequence[str]) -> LogFeature:
    role: Role = "other"
    if name == "action" and not set(ACTIONS) & set(lists):
        role = "action"
    elif name == "state" and not set(STATES) & set(lists):
        role = "state"
    return LogFeature(name=name, width=len(columns), names=tuple(columns), role=role)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_picture(column: pa.Field) -> bool:
    kind = column.type
    if pa.types.is_struct(kind):
        return {kind.field(index).name for index in range(kind.num_fields)} == {"bytes", "path"}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _first(wanted: Sequence[str], names: Sequence[str]) -> str:
    return next((name for name in wanted if name in names), "")


def _has(names: Sequence[str]) -> str:
    return f"the table has {', '.join(names[:20]) or 'none'}"
