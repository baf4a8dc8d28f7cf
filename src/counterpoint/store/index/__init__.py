"""The index: rows of episodes in segments, looked up without reading manifests."""
