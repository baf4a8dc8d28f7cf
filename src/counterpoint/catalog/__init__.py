"""Index over stores: what is there, which episodes are alike, which of them make a mixture.

Reading samples is left to `store`, choosing windows to `data`.
"""

from counterpoint.catalog.mixtures.mixture import Mixture, Part, check_mixture, load_mixture, save_mixture
from counterpoint.catalog.summary import Share, Summary, episode_row, list_episodes, summarize

__all__ = [
    "Mixture",
    "Part",
    "Share",
    "Summary",
    "check_mixture",
    "episode_row",
    "list_episodes",
    "load_mixture",
    "save_mixture",
    "summarize",
]
