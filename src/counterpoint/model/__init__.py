"""The harmonic model: mathematics only; no ranks, no logging, no files.

One transformer over two streams (see `harmonic`). It reads a `core.Batch`; `data` makes batches,
`train` updates the weights and `policy` stores them.
"""
