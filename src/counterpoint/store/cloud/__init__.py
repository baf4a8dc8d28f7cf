"""Stores in object storage: training views are published in blocks and read through a local cache.

Needs obstore, the extra `cloud`, once a folder is opened.
"""

from counterpoint.store.cloud.publish import Published, publish_views
from counterpoint.store.cloud.remote import RemoteStore

__all__ = ["Published", "RemoteStore", "publish_views"]
