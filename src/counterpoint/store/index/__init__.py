"""The index: one row per episode, kept in sorted segments and searched without reading manifests."""
