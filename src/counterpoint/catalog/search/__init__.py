"""Finding episodes: by the words of their instructions, and on a map of the whole store."""

from counterpoint.catalog.search.projection import MapPoints, project_store
from counterpoint.catalog.search.text_search import Hit, search

__all__ = ["Hit", "MapPoints", "project_store", "search"]
