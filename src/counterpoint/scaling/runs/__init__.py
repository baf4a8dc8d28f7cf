"""Tables of runs: columns, roles, units, derived columns, and what a run cost."""
