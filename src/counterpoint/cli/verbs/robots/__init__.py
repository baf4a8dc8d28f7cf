"""Verbs that begin with `robots`."""
