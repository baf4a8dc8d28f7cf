"""From the streams of an episode to a normalised window, and back from values to commands."""
