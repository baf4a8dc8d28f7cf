"""Verbs that begin with `scale`."""
