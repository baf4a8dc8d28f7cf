"""Laws of data mixtures, and the weights they recommend."""
