"""The table of runs that laws are fitted to: one row a measurement, checked before anything is fitted."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError
from counterpoint.scaling.laws.forms import Axes, Float, axes
from counterpoint.scaling.runs.derived import ARITHMETIC, derivable, derived, error_of, is_arithmetic, is_score
from counterpoint.scaling.runs.expression import Column, matching
from counterpoint.scaling.runs.roles import KINDS, NAMES, counted, known_as, like, plain

_UNIT = re.compile(r"^\s*[-+0-9.eE]+\s*([A-Za-z%]+)\s*$")


@dataclass(frozen=True, kw_only=True, eq=False)
class RunTable:
    """Measurements, checked: positive finite amounts and errors, no run twice."""

    path: str
    data: Float
    """[rows] amount of data."""
    loss: Float
    """[rows] error."""
    size: Float | None
    """[rows] size of the model; None where the law does not use it."""
    unique: Float | None
    """[rows] data without repetitions; None where nothing is said of it."""
    run: NDArray[np.str_]
    """[rows] name of the run: checkpoints of one run share it, and are never drawn apart."""
    columns: dict[str, str]
    """Which column of the file is what."""
    others: dict[str, Column]
    """All columns of the file, for conditions and for splitting."""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.loss)

    @property
    def log_loss(self) -> Float:
        """Natural logarithms of the errors, [rows]."""
        return np.log(self.loss)

    def axes(self) -> Axes:
        """Return where the errors were measured."""
        return axes(self.data, self.size, self.unique)

    def take(self, rows: NDArray[np.bool_]) -> RunTable:
        """Return the rows that are true."""
        return RunTable(
            path=self.path,
            data=self.data[rows],
            loss=self.loss[rows],
            size=None if self.size is None else self.size[rows],
            unique=None if self.unique is None else self.unique[rows],
            run=self.run[rows],
            columns=self.columns,
            others={name: column[rows] for name, column in self.others.items()},
            warnings=self.warnings,
        )

    def where(self, condition: str) -> NDArray[np.bool_]:
        """Return which rows fulfil a condition on the file's columns; raises ConfigError, UnknownNameError."""
        return matching(condition, self.others, len(self))


def read_runs(
    path: Path,
    *,
    needs_size: bool = False,
    needs_unique: bool = False,
    size: str | None = None,
    data: str | None = None,
    loss: str | None = None,
    unique: str | None = None,
    seed: str | None = None,
    run: str | None = None,
    drop: str | None = None,
    apart: str | None = None,
    to_fit: bool = True,
) -> RunTable:
    """Read runs from CSV, Parquet or JSON lines; columns are found by name where they are not given.

    Args:
        path: the file.
        needs_size: whether the law depends on the size of the model.
        needs_unique: whether the law counts repetitions.
        size: column of the model's size.
        data: column of the amount of data.
        loss: column of the error.
        unique: column of the amount of data without repetitions.
        seed: column of the seed.
        run: column of the run's name; where there is none, every row is a run of its own.
        drop: condition of rows to leave out, for example `size < 1e6`.
        apart: column that tells runs apart beside seed and name, such as what they were pretrained on.
        to_fit: whether a law is to be fitted to them, so that what it depends on must vary.

    Raises:
        ConfigError: the file or a column cannot be used: missing (offers the nearest), not numbers, mixed units,
            not positive, NaN, a run twice.
    """
    table = read_columns(path)
    wanted = {"size": size, "data": data, "loss": loss, "unique": unique, "seed": seed, "run": run}
    table |= derived(table, wanted.values(), _rows(table))
    if drop is not None:
        kept = ~matching(drop, _with_roles(table, wanted), _rows(table))
        table = {name: column[kept] for name, column in table.items()}
    if not _rows(table):
        raise ConfigError(f"{path}: no rows{f' are left without {drop!r}' if drop else ''}; expected one a run")
    needed = {"data", "loss", *(["size"] if needs_size else []), *(["unique"] if needs_unique else [])}
    found = _checked(path, table, wanted, needed, apart)
    if to_fit:
        _check_varies(found)
    return found


def _checked(
    path: Path, table: dict[str, Column], wanted: dict[str, str | None], needed: set[str], apart: str | None
) -> RunTable:
    """Find each column, check its numbers, and build the table."""
    names = {
        role: found
        for role, name in wanted.items()
        if (found := _find(path, role, name, table, needed=role in needed)) is not None
    }
    for role, other in (("data", "loss"), ("size", "loss"), ("size", "data")):
        asked = all(each in needed or wanted[each] is not None for each in (role, other))
        if asked and names[role] == names[other]:
            raise ConfigError(f"{path}: column {names[role]!r} is used for both {role} and {other}; name two columns")
    _one_unit(path, table, names["data"])
    measured: tuple[str, ...] = ("data", "loss", "size", "unique")
    numbers = {
        role: _positive(path, names[role], table[names[role]])
        for role in measured
        if role in names and (role in needed or wanted[role] is not None)
    }
    if "unique" in numbers and (more := np.flatnonzero(numbers["unique"] > numbers["data"] * (1 + 1e-9))).size:
        raise ConfigError(
            f"{path}: row {more[0] + 1} and {more.size - 1} more have more unique data ({names['unique']!r}) than data "
            f"({names['data']!r}), repetitions counted; give both in one unit"
        )
    runs, warnings = _runs(path, table, names, numbers, apart)
    if is_score(names["loss"]):
        warnings.append(
            f"{names['loss']!r} sounds like a score, where more is better, but laws describe errors; give "
            f"--loss '{error_of(names['loss'], table[names['loss']])}'"
        )
    return RunTable(
        path=str(path),
        data=numbers["data"],
        loss=numbers["loss"],
        size=numbers.get("size"),
        unique=numbers.get("unique"),
        run=runs,
        columns=names,
        others=table,
        warnings=tuple(warnings),
    )


def _check_varies(table: RunTable) -> None:
    """Raise ConfigError where an axis of the law is the same in every row."""
    for role, values in (("data", table.data), ("size", table.size), ("unique", table.unique)):
        if values is not None and len(values) > 1 and np.ptp(np.log(values)) == 0:
            raise ConfigError(
                f"{table.path}: column {table.columns[role]!r} ({role}) is {values[0]:g} in every row; a law needs it "
                "to vary"
            )


def read_columns(path: Path) -> dict[str, Column]:
    """Return the columns of a CSV, Parquet or JSON lines file; raises ConfigError."""
    if path.is_dir():
        inside = sorted(each.name for each in path.iterdir() if each.name in ("runs.csv", "runs.parquet"))
        hint = f"; give {path / inside[0]}" if inside else ""
        raise ConfigError(f"{path}: is a folder; expected a table of runs (CSV, Parquet or JSON lines){hint}")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected a table of runs (CSV, Parquet or JSON lines)")
    try:
        with path.open("rb") as file:
            head = file.read(2**16)
        if head.startswith(b"PAR1"):
            table = pq.read_table(path)
        elif head.lstrip().startswith(b"{"):
            table = pa_json.read_json(path)
        elif head.lstrip().startswith(b"["):
            raise ConfigError(f"{path}: starts like a JSON list; write JSON lines, one object a line")
        else:
            encoding = "utf16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf8"
            table = pa_csv.read_csv(
                path,
                read_options=pa_csv.ReadOptions(encoding=encoding),
                parse_options=pa_csv.ParseOptions(delimiter=_delimiter(head.decode(encoding, errors="ignore"))),
            )
            if odd := [field.name for field in table.schema if pa.types.is_binary(field.type)]:
                raise ConfigError(f"{path}: column {odd[0]!r} is not text in UTF-8; write the table again as UTF-8")
        names = [name.strip() for name in table.column_names]
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 ({error}); write it again as UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: expected a table of runs (CSV, Parquet or JSON lines): {error}") from error
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{path}: more than one column is called {twice[0]!r}; give each a name of its own")
    table = table.rename_columns(names)
    flat = {name: table[name] for name in names if not pa.types.is_nested(table[name].type)}
    return {name: column.to_numpy(zero_copy_only=False) for name, column in flat.items()}


def _delimiter(text: str) -> str:
    """Return what stands between the names of a CSV: a comma, or where there is none a semicolon or a tab."""
    names = next(iter(text.splitlines()), "")
    return next((each for each in ",;\t" if each in names), ",")


def _rows(table: dict[str, Column]) -> int:
    return len(next(iter(table.values()), ()))


def _with_roles(table: dict[str, Column], wanted: dict[str, str | None]) -> dict[str, Column]:
    """Return the columns, and `size`, `data`, `loss` for those that have these roles, as for a hold-out."""
    roles = {role: known_as(role, list(table)) if name is None else name for role, name in wanted.items()}
    return {**{role: table[name] for role, name in roles.items() if name is not None and name in table}, **table}


def _one_unit(path: Path, table: dict[str, Column], data: str) -> None:
    """Raise ConfigError where a column beside the data says that they are counted in several units."""
    amounts = ("", *(f"{name}_" for name in (*NAMES["data"], plain(data))))  # also the name before `scale ingest`
    beside = {f"{name}{word}" for name in amounts for word in ("unit", "units")}
    for name, column in table.items():
        units = np.unique(column.astype(str)) if plain(name) in beside else np.empty(0, dtype=np.str_)
        if len(units) > 1:
            raise ConfigError(
                f"{path}: mixed units: column {name!r} says {', '.join(units[:4])} for {data!r}; convert the rows to "
                "one unit, or leave the others out with --drop"
            )


def _find(path: Path, role: str, name: str | None, table: dict[str, Column], *, needed: bool) -> str | None:
    known = list(table)
    if name is not None:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            offer = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(known)}."
            raise ConfigError(
                f"{path}: no column {name!r} for {role}; {offer}{ARITHMETIC if is_arithmetic(name) else ''}"
            )
        return name
    found = known_as(role, known)
    if found is None and needed:
        others = like(role, known)
        offer = f"; did you mean {' or '.join(map(repr, others[:3]))}?" if others else ""
        raise ConfigError(
            f"{path}: no column for {role} (looked for {', '.join(NAMES[role][:4])}, ...); it has {', '.join(known)}. "
            f"Name it with --{role}{derivable(role, table) or offer}"
        )
    return found


def _positive(path: Path, name: str, column: Column) -> Float:
    """Return a column as positive finite numbers."""
    if column.dtype.kind in "OUS":
        units = {match.group(1) for value in column if (match := _UNIT.match(str(value)))}
        if units:
            raise ConfigError(
                f"{path}: column {name!r} has units in its cells ({', '.join(sorted(units))}); give plain numbers of "
                "one unit, and the unit in the column's name"
            )
    if column.dtype.kind in "bmM":
        raise ConfigError(f"{path}: column {name!r} holds {column.dtype} values, expected numbers; name another column")
    try:
        numbers = column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: column {name!r} is not numbers ({_first_text(column)}); correct the cells, or name another column"
        ) from error
    bad = np.flatnonzero(~(np.isfinite(numbers) & (numbers > 0)))
    if bad.size:
        rows = ", ".join(f"row {row + 1}: {numbers[row]:g}" for row in bad[:3])
        raise ConfigError(
            f"{path}: column {name!r} has {bad.size} values that are not positive and finite ({rows}); correct "
            "them, or "
            f"leave the rows out with --drop"
        )
    return numbers


def _first_text(column: Column) -> str:
    """Return the first cell that is no number, and its row."""
    for row, value in enumerate(column.tolist()):
        try:
            float(value)
        except (TypeError, ValueError):
            return f"row {row + 1}: {value!r}"
    return str(column.dtype)


def _runs(
    path: Path, table: dict[str, Column], names: dict[str, str], numbers: dict[str, Float], apart: str | None
) -> tuple[NDArray[np.str_], list[str]]:
    rows, warnings = _rows(table), []
    kinds = np.full(rows, "") if apart is None else table[apart].astype(str)
    keys = [numbers[role] for role in ("size", "data", "unique") if role in numbers]
    sizes = table[names["size"]] if "size" in names and "size" not in numbers else np.full(rows, "")  # a law without it
    seeds = table[names["seed"]].astype(str) if "seed" in names else np.full(rows, "")
    kinds_of_data = [table[name].astype(str) for name in table if counted(name) in KINDS and name not in names.values()]
    numbered = np.asarray([f"row {row + 1}" for row in range(rows)])
    runs = table[names["run"]].astype(str) if "run" in names else numbered
    seen: dict[tuple[str, ...], int] = {}
    copies: list[str] = []
    labelled = "run" in names or "seed" in names
    for row in range(rows):
        amounts = (repr(float(column[row])) for column in keys)
        place = (str(kinds[row]), seeds[row], str(sizes[row]), *amounts, *(str(each[row]) for each in kinds_of_data))
        error = numbers["loss"][row]
        key = (runs[row] if "run" in names else "", *place)
        if labelled and key in seen and error != numbers["loss"][seen[key]]:
            raise ConfigError(
                f"{path}: rows {seen[key] + 1} and {row + 1} are the same run ({', '.join(filter(None, key))}) with "
                f"errors {numbers['loss'][seen[key]]:g} and {error:g}{_difference(table, names, seen[key], row)}"
            )
        measured = ("", *place, repr(float(error)))  # whatever its name: logged twice
        if measured in seen:
            copies.append(f"{seen[measured] + 1} and {row + 1}")
        seen.setdefault(key, row)
        seen.setdefault(measured, row)
    if copies:
        more = f" and {len(copies) - 3} more pairs" if len(copies) > 3 else ""
        warnings.append(f"rows {', '.join(copies[:3])}{more} are the same run with the same error; both count")
    if "seed" in names and len(set(seeds.tolist())) == 1:
        warnings.append("With one seed only, intervals show scatter about the law, not between seeds.")
    places = np.unique(np.stack([column for column in keys], axis=1), axis=0)
    if "seed" not in names and len(places) == rows:
        warnings.append("There is no seed column and no repeated run, so intervals show scatter about the law only.")
    return np.asarray(runs, dtype=np.str_), warnings


def _difference(table: dict[str, Column], names: dict[str, str], first: int, second: int) -> str:
    """Return what to do about two rows that seem to be one run."""
    used = {names[role] for role in ("loss", "seed", "run") if role in names}
    differ = [name for name, column in table.items() if name not in used and str(column[first]) != str(column[second])]
    if not differ:
        return "; keep one, or tell them apart by seed or run"
    return (
        f". They differ in {', '.join(map(repr, differ[:4]))}{', ...' if len(differ) > 4 else ''}: keep one value with "
        "--drop, or give each row a name of its own in a column run"
    )
