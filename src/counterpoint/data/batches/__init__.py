"""Which windows there are, in which order they come, and how they are delivered."""
