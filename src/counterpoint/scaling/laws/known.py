"""The table of laws, by name."""

from __future__ import annotations

from counterpoint.core.errors import unknown_name
from counterpoint.scaling.laws.forms import CLOSED_FORMS, Form
from counterpoint.scaling.laws.repetition import REPETITION

FORMS: dict[str, Form] = {**CLOSED_FORMS, REPETITION.name: REPETITION}


def form(name: str) -> Form:
    """Return the law of that name; raises UnknownNameError offering the nearest."""
    if name not in FORMS:
        raise unknown_name("law", name, FORMS)
    return FORMS[name]
