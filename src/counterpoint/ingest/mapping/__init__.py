"""Which column of a log is which channel of a robot, and in what unit: guessed from names, or read from a file."""
