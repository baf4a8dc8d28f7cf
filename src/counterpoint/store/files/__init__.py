"""The files of a store: durable writes, layout of folders, manifests, sample blocks, memory maps."""
