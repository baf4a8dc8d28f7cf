"""Counterpoint: train and run embodied foundation models, one policy for many robots."""

from __future__ import annotations

__version__ = "0.1.0"
