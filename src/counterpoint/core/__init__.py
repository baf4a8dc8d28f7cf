"""Contracts that every other package speaks; needs numpy alone.

This package leaves reading files to `store` and `ingest`, learning to `model` and `train`,
and physics to `sim`.
"""
