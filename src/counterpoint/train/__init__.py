"""Training: from stores and a recipe to a checkpoint.

    trainer.train        runs a `config.TrainConfig` to its end, or resumes it
    recipes.resolve      returns the configuration of a recipe with overrides
    explain.explain      says what a run would read, build and cost
    episodes.open_data   opens the stores of a run; `open_batches` yields its batches

This package leaves reading windows to `data`, mathematics to `model`, the checkpoint folder to
`policy`, and judging the result to `evaluate`; it never imports a simulator.
"""
