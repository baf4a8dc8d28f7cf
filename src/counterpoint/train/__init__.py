"""Training: from stores and a recipe to a checkpoint.

This package leaves reading windows to `data`, mathematics to `model`, the checkpoint folder to
`policy`, and judging the result to `evaluate`; it never imports a simulator.
"""
