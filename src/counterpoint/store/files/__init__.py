"""Files of a store: durable writes, layout, manifests, Arrow blocks, memory maps."""
