"""Recordings: what a reader gives, before it becomes an episode."""
