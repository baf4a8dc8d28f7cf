"""Near-duplicates: a fingerprint of every episode, and clusters of episodes whose fingerprints are alike."""

from counterpoint.catalog.duplicates.clusters import Cluster, describe_clusters
from counterpoint.catalog.duplicates.fingerprint_table import find_clusters, open_fingerprints

__all__ = ["Cluster", "describe_clusters", "find_clusters", "open_fingerprints"]
