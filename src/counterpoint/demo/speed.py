"""How fast this machine trains, beside the machine whose results the README shows."""

from __future__ import annotations

README_TOKENS_PER_S = 16_600
"""Speed of the machine in the README, with two cores."""
SIMILAR = 0.8
"""A machine within this factor of the README's should reach similar success."""


def speed_sentence(tokens_per_s: float, cores: int) -> str:
    """Say how fast this machine trains and what that means for the result."""
    ratio = tokens_per_s / README_TOKENS_PER_S
    words = f"{tokens_per_s:,.0f} tokens/s on {cores} cores: this machine is"
    reference = f"the one in the README ({README_TOKENS_PER_S:,})"
    if ratio < SIMILAR:
        share = f"the model gets {100 * ratio:.0f}% of that training in the same time"
        return f"{words} slower than {reference}; {share}, so expect lower success"
    if ratio > 1 / SIMILAR:
        return f"{words} faster than {reference}; expect similar or higher success"
    return f"{words} about as fast as {reference}; expect similar success"
