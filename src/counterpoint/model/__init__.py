"""The harmonic model: mathematics only, no ranks, no logging, no files.

One transformer over two streams (see `harmonic`). It reads `core.Batch` and knows nothing of where
batches come from (`data`) or how weights are updated and kept (`train`, `policy`).
"""
