"""Training views: low-dimensional streams and re-encoded video, read memory-mapped."""
