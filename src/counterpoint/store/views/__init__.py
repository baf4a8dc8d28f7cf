"""Training views, derived from the episodes and memory-mapped: low-dimensional streams, and small pictures."""
