"""Laws: formulas of error against size, data, and repetition, with gradients."""
