"""Learned policies: the self-describing checkpoint folder and the policy that loads it.

This package leaves making checkpoints to `train` and running them in worlds to `evaluate`.
"""
