"""Conditions on the columns of a table, as people type them: `size > 1e6 and seed == 2`.

Only names, numbers, texts, arithmetic, comparisons, `and`, `or`, `not`, `in`, and `&`, `|`, `~` between conditions;
columns whose names are no identifiers stand in backticks. Nothing else is evaluated.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError, unknown_name

Column = NDArray[np.generic]
MAX_LENGTH = 2000

_BINARY: dict[type, Callable[[Column, Column], Column]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_COMBINE: dict[type, Callable[[Column, Column], Column]] = {ast.BitAnd: np.logical_and, ast.BitOr: np.logical_or}
_COMPARE: dict[type, Callable[[Column, Column], Column]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def matching(text: str, columns: Mapping[str, Column], rows: int) -> NDArray[np.bool_]:
    """Return which rows fulfil a condition, bool [rows].

    Raises:
        ConfigError: not a condition of the kind above.
        UnknownNameError: a column that is not there; offers the nearest.
    """
    found = _value(text, columns)
    if np.asarray(found).dtype != np.bool_:
        raise ConfigError(f"condition {text!r}: expected a condition, got a value; compare it, for example: data > 100")
    if np.shape(found) not in ((), (rows,)):
        raise ConfigError(
            f"condition {text!r}: gives {np.shape(found)} values for {rows} rows; compare columns with numbers"
        )
    return np.broadcast_to(np.asarray(found, dtype=np.bool_), (rows,)).copy()


def amounts(text: str, columns: Mapping[str, Column], rows: int) -> Column:
    """Return the numbers that arithmetic on columns gives, [rows].

    Raises:
        ConfigError: not arithmetic, or not a number a row.
        UnknownNameError: a column that is not there; offers the nearest.
    """
    found = _value(text, columns)
    if np.asarray(found).dtype.kind not in "fiu" or np.shape(found) != (rows,):
        raise ConfigError(f"expression {text!r}: expected a number a row; write for example: 1 - score")
    return np.asarray(found)


def _value(text: str, columns: Mapping[str, Column]) -> Column:
    quoted: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        name = f"_column_{len(quoted)}"
        quoted[name] = match.group(1)
        return name

    if len(text) > MAX_LENGTH:
        raise ConfigError(f"condition: {len(text)} characters, expected at most {MAX_LENGTH}")
    plain = re.sub(r"`([^`]+)`", stand_in, text)
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
        with np.errstate(all="ignore"):  # a division by 0 is infinite, and compared as such
            return _evaluate(tree, columns, quoted)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigError | LookupError) or type(error).__module__.startswith("counterpoint"):
            raise
        raise ConfigError(
            f"condition {text!r}: cannot be read ({error}); write for example: size > 1e6, and names with spaces in "
            "backticks"
        ) from error


def _evaluate(node: ast.expr, columns: Mapping[str, Column], quoted: Mapping[str, str]) -> Column:
    match node:
        case ast.Name():
            name = quoted.get(node.id, node.id)
            if name not in columns:
                raise unknown_name("column", name, columns)
            return columns[name]
        case ast.Constant() if isinstance(node.value, int | float | str | bool):
            return np.asarray(node.value)
        case ast.UnaryOp(op=ast.USub()):
            return np.negative(_evaluate(node.operand, columns, quoted))
        case ast.UnaryOp(op=ast.Not()):
            return np.logical_not(_evaluate(node.operand, columns, quoted))
        case ast.UnaryOp(op=ast.Invert()):
            return np.logical_not(_condition(node.operand, columns, quoted))
        case ast.BinOp() if type(node.op) in _COMBINE:
            first, second = _condition(node.left, columns, quoted), _condition(node.right, columns, quoted)
            return np.asarray(_COMBINE[type(node.op)](first, second))
        case ast.BinOp() if type(node.op) in _BINARY:
            left, right = _evaluate(node.left, columns, quoted), _evaluate(node.right, columns, quoted)
            return np.asarray(_BINARY[type(node.op)](left, right))
        case ast.BoolOp():
            values = [_evaluate(each, columns, quoted) for each in node.values]
            combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return np.asarray(combine.reduce(np.broadcast_arrays(*values)))
        case ast.Compare():
            return _compare(node, columns, quoted)
        case ast.List() | ast.Tuple():
            return np.asarray([_evaluate(each, columns, quoted) for each in node.elts])
    raise ConfigError(f"condition: {ast.unparse(node)!r} is not allowed; use columns, numbers, texts and comparisons")


def _condition(node: ast.expr, columns: Mapping[str, Column], quoted: Mapping[str, str]) -> Column:
    """Evaluate one side of `&`, `|` or `~`, which bind closer than comparisons: `a > 1 & b > 1` is a mistake."""
    found = _evaluate(node, columns, quoted)
    if found.dtype != np.bool_:
        raise ConfigError(f"condition: {ast.unparse(node)!r} is a value; put each comparison in brackets, or use `and`")
    return found


def _compare(node: ast.Compare, columns: Mapping[str, Column], quoted: Mapping[str, str]) -> Column:
    result: Column = np.asarray(True)
    left = _evaluate(node.left, columns, quoted)
    for operation, other in zip(node.ops, node.comparators, strict=True):
        right = _evaluate(other, columns, quoted)
        if isinstance(operation, ast.In | ast.NotIn):
            found = np.isin(left, right, invert=isinstance(operation, ast.NotIn))
        elif type(operation) in _COMPARE:
            found = np.asarray(_COMPARE[type(operation)](left, right))
        else:
            raise ConfigError(f"condition: {ast.unparse(node)!r} is a comparison that is not supported")
        result, left = np.logical_and(result, found), right
    return result
