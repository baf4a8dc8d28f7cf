"""Index over stores: what is there, by robot, task, site, environment and source.

Reading samples is left to `store`, choosing windows to `data`.
"""

from counterpoint.catalog.summary import Share, Summary, episode_row, list_episodes, summarize

__all__ = ["Share", "Summary", "episode_row", "list_episodes", "summarize"]
