"""Stores in object storage: publishing and reading."""
