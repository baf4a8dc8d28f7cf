"""Writing episodes: streams, encoded video, and episodes adopted from another store."""
