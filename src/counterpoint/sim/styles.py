"""Kinds of places and how they look, as data. A site is one place; its colours never change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from counterpoint.core.seeding import generator

Color = tuple[float, float, float]
Environment = Literal["home", "bakery", "laundry", "warehouse", "factory"]
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)
SITES_PER_ENVIRONMENT = 40


@dataclass(frozen=True, kw_only=True)
class Style:
    """Colours (red, green, blue in 0..1) that one kind of place draws from."""

    tables: tuple[Color, ...]
    floors: tuple[Color, ...]
    walls: tuple[Color, ...]
    light: Color
    """Colour of the lamps: warm at home, cold in a warehouse."""
    objects: dict[str, Color]
    """Colour words and what they look like there."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One place: its id and its own colours."""

    site_id: str
    environment: Environment
    table: Color
    floor: Color
    wall: Color
    light: Color
    objects: dict[str, Color]


TARGET_COLORS: dict[str, Color] = {"green": (0.10, 0.85, 0.35), "magenta": (0.90, 0.15, 0.75)}
"""Markers; drawn half transparent."""

STYLES: dict[Environment, Style] = {
    "home": Style(
        tables=((0.62, 0.44, 0.28), (0.76, 0.60, 0.42), (0.45, 0.31, 0.20)),
        floors=((0.55, 0.47, 0.40), (0.68, 0.62, 0.54)),
        walls=((0.93, 0.89, 0.82), (0.82, 0.87, 0.88)),
        light=(1.00, 0.90, 0.76),
        objects={"red": (0.82, 0.20, 0.16), "blue": (0.18, 0.36, 0.74), "yellow": (0.95, 0.78, 0.22)},
    ),
    "bakery": Style(
        tables=((0.88, 0.82, 0.70), (0.80, 0.80, 0.78)),
        floors=((0.74, 0.52, 0.40), (0.84, 0.78, 0.68)),
        walls=((0.98, 0.95, 0.88), (0.92, 0.82, 0.68)),
        light=(1.00, 0.93, 0.82),
        objects={"brown": (0.58, 0.34, 0.14), "golden": (0.88, 0.62, 0.24), "red": (0.74, 0.16, 0.20)},
    ),
    "laundry": Style(
        tables=((0.86, 0.90, 0.93), (0.72, 0.80, 0.84)),
        floors=((0.62, 0.70, 0.74), (0.78, 0.82, 0.84)),
        walls=((0.86, 0.93, 0.97), (0.94, 0.96, 0.97)),
        light=(0.95, 0.98, 1.00),
        objects={"blue": (0.22, 0.42, 0.78), "teal": (0.12, 0.58, 0.60), "purple": (0.52, 0.30, 0.66)},
    ),
    "warehouse": Style(
        tables=((0.48, 0.50, 0.52), (0.66, 0.54, 0.36)),
        floors=((0.46, 0.47, 0.48), (0.56, 0.55, 0.52)),
        walls=((0.70, 0.72, 0.74), (0.60, 0.64, 0.70)),
        light=(0.90, 0.95, 1.00),
        objects={"brown": (0.68, 0.50, 0.32), "orange": (0.94, 0.48, 0.12), "blue": (0.14, 0.34, 0.66)},
    ),
    "factory": Style(
        tables=((0.34, 0.38, 0.42), (0.30, 0.42, 0.40)),
        floors=((0.40, 0.42, 0.40), (0.34, 0.36, 0.40)),
        walls=((0.62, 0.68, 0.68), (0.74, 0.74, 0.70)),
        light=(0.98, 1.00, 0.95),
        objects={"yellow": (0.96, 0.80, 0.10), "orange": (0.94, 0.44, 0.10), "red": (0.80, 0.14, 0.12)},
    ),
}


def draw_site(seed: int) -> Site:
    """Return the site of the episode with this `seed`."""
    random = generator(seed, "site")
    environment = ENVIRONMENTS[int(random.integers(len(ENVIRONMENTS)))]
    return make_site(environment, int(random.integers(SITES_PER_ENVIRONMENT)))


def make_site(environment: Environment, number: int) -> Site:
    """Return site `number` of that kind; it looks the same in every episode."""
    style, random = STYLES[environment], generator("site", environment, number)

    def pick(colors: tuple[Color, ...]) -> Color:
        red, green, blue = (
            min(1.0, max(0.0, shade + float(random.uniform(-0.05, 0.05))))
            for shade in colors[int(random.integers(len(colors)))]
        )
        return red, green, blue

    return Site(
        site_id=f"sim-{environment}-{number:02d}",
        environment=environment,
        table=pick(style.tables),
        floor=pick(style.floors),
        wall=pick(style.walls),
        light=style.light,
        objects=style.objects,
    )
