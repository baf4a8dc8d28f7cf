"""What a page is made of: sections, tables, films and headline cards; and how a page is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from counterpoint.core.errors import CounterpointError
from counterpoint.report.style import Picture
from counterpoint.report.template import page_template

Grade = Literal["good", "mixed", "bad", "plain"]
NARROW_COLUMNS = 5
"""A table with more columns takes the whole width of its section."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A headline number."""

    value: str
    label: str
    mark: Grade = "plain"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; `note` says in one sentence what its numbers mean."""

    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    note: str
    summary: str = ""
    """If given, the table is folded away under these words."""

    @property
    def is_wide(self) -> bool:
        """Whether it needs the whole width of its section."""
        return len(self.header) > NARROW_COLUMNS


@dataclass(frozen=True, kw_only=True)
class Film:
    """A video inside the page."""

    source: str
    """Data URI."""
    caption: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the report."""

    anchor: str
    title: str
    words: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """Short points, shown as a list."""
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    films: tuple[Film, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.pictures or self.tables or self.films or self.commands)

    @property
    def is_half(self) -> bool:
        """Whether two such sections fit side by side on a wide screen."""
        is_wide = any(picture.is_wide for picture in self.pictures) or any(
            table.is_wide and not table.summary for table in self.tables
        )
        return not (is_wide or self.films) and len(self.pictures) < 2


def render_page(
    *,
    title: str,
    headline: str,
    lead: Sequence[str],
    cards: Sequence[Card],
    sections: Sequence[Section],
    overview: Table | None = None,
) -> str:
    """Return the HTML of a page: verdict, first sentences, headline numbers, then the sections."""
    return page_template("report.html").render(
        title=title, headline=headline, lead=list(lead), cards=cards, overview=overview, sections=sections
    )


def save_page(html: str, path: Path, *, option: str = "--out") -> Path:
    """Write a page to `path` and return the path; `option` is the flag that chooses another place.

    Raises:
        CounterpointError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise CounterpointError(f"{path}: the page cannot be written: {error}; choose another {option}") from error
    return path
