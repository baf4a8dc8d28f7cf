"""Progress of long work on standard error: a bar on a terminal, elsewhere a plain line every few seconds.

    with Progress("collect", total=200, unit="episode") as progress:
        for episode in episodes:
            ...
            progress.update()

In a log file: `collect: 120/200 episodes (60%), 65 s elapsed, 1.85 episodes/s, about 43 s left`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")
LINE_S = 5.0
"""Least time between two lines, where standard error is not a terminal."""
_BAR = "{l_bar}{bar}| {elapsed} elapsed, {remaining} left{postfix}"


class Progress:
    """How far one piece of work is; a context manager."""

    def __init__(
        self,
        label: str,
        *,
        total: float | None = None,
        unit: str = "",
        done: float = 0,
        shown: bool = True,
        leave: bool = True,
    ) -> None:
        """Start at `done` of `total`.

        Args:
            label: what is being done, for example `train`.
            total: how much there is to do; None while it is not known.
            unit: singular noun for what is counted. `s` counts seconds, `B` bytes; without a unit only the
                percentage is shown.
            done: what an earlier run did already; not part of the rate.
            shown: False keeps silent.
            leave: keep the finished bar; where there is no terminal, end with a line if the work took a second.
        """
        self.total, self.done, self.status = total, done, ""
        self._label, self._unit, self._shown, self._leave = label, unit, shown, leave
        self._first, self._started_s = done, time.monotonic()
        self._line_s = self._started_s
        self._written: tuple[float, float | None, str] | None = None
        self._bar = self._open_bar() if shown and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        """Start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.close()

    def update(self, count: float = 1) -> None:
        """Say that `count` more are done."""
        self.reach(self.done + count)

    def reach(self, done: float, total: float | None = None) -> None:
        """Say that `done` are done in all, of a total that may have become known."""
        step, self.done = done - self.done, done
        self.total = self.total if total is None else total
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.set_postfix_str(self.status, refresh=False)
            self._bar.update(step)
        elif self._shown and time.monotonic() >= self._line_s + LINE_S:
            self._write()

    def close(self) -> None:
        """End the bar, or write the last line."""
        if self._bar is not None:
            self._bar.close()
        elif self._shown and (self._line_s > self._started_s or (self._leave and self._is_worth_a_line())):
            self._write()
        self._bar, self._shown = None, False

    def _is_worth_a_line(self) -> bool:
        return time.monotonic() >= self._started_s + 1

    def _open_bar(self) -> tqdm[NoReturn]:
        from tqdm import tqdm

        return tqdm(
            total=self.total,
            initial=self.done,
            desc=self._label,
            unit=self._unit or "it",
            unit_scale=self._unit == "B",
            leave=self._leave,
            bar_format=_BAR if self._unit in ("", "s") else None,
            dynamic_ncols=True,
        )

    def line(self, elapsed_s: float) -> str:
        """Return one line: how much is done, the time it took, the rate, and how long the rest will take."""
        rate = (self.done - self._first) / elapsed_s if elapsed_s > 0 else 0.0
        amount = _amount(self.done, self.total, self._unit) if self._unit else ""
        share = f"{100 * self.done / self.total:.0f}%" if self.total else ""
        parts = [f"{amount} ({share})" if amount and share else amount or share, f"{duration_text(elapsed_s)} elapsed"]
        if rate > 0 and self._unit not in ("", "s"):
            parts.append(f"{_megabytes(rate)}/s" if self._unit == "B" else f"{rate:.3g} {self._unit}s/s")
        if rate > 0 and self.total is not None and self.done < self.total:
            parts.append(f"about {duration_text((self.total - self.done) / rate)} left")
        return f"{self._label}: {', '.join(filter(None, parts))}{'; ' if self.status else ''}{self.status}"

    def _write(self) -> None:
        if self._written == (self.done, self.total, self.status):
            return  # the last line already says so
        self._written = self.done, self.total, self.status
        self._line_s = time.monotonic()
        write_line(self.line(self._line_s - self._started_s))


def _amount(done: float, total: float | None, unit: str) -> str:
    if unit == "B":
        return _megabytes(done) if total is None else f"{done / 1e6:.1f}/{_megabytes(total)}"
    plural = unit if unit == "s" else f"{unit}s"
    return f"{done:.0f} {plural}" if total is None else f"{done:.0f}/{total:.0f} {plural}"


def _megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def track(items: Iterable[Item], label: str, *, total: int, unit: str, shown: bool = True) -> Iterator[Item]:
    """Yield `items` and show how many are done."""
    with Progress(label, total=total, unit=unit, shown=shown) as progress:
        for item in items:
            yield item
            progress.update()


def write_line(text: str) -> None:
    """Write a line to standard error, above a bar that may stand there."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
        return
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
