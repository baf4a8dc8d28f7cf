"""Fitting a law: starting points, solver, intervals, choice of form, held-out checks."""
