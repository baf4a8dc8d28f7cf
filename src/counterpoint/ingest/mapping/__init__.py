"""Mappings: which feature of a log is which stream, in which unit."""
