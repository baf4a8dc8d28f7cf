"""The contracts that all other packages share; needs NumPy alone.

    clock      int64 nanoseconds          stream     samples on their own clock
    embodiment robots and channels        episode    streams and their provenance
    descriptor a channel as numbers       batch      what the data package packs and the model reads
    policy     observation in, actions out            config, records, seeding, errors

`store` and `ingest` read files, `model` and `train` learn, `sim` does physics.
"""
