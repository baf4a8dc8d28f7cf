"""What stores hold, which episodes are alike, how good they are, and which of them make a mixture.

    summary, sql   hours by robot, task, site; SQL over the index       (root modules)
    search/        text search, and a map of the store
    duplicates/    fingerprints and clusters of near-duplicates
    quality/       checks of times, numbers and pictures; their findings are the marks
    mixtures/      splits, weights and statistics of the episodes that a model learns from

`store` reads samples, and `data` chooses windows.
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
