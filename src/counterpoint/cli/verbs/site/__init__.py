"""Verbs that begin with `site`."""
