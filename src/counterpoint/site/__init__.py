"""From data-collection sites to a store over the network: resumable, checksummed uploads.

    spool (a store) --push--> tus 1.0.0 over HTTP(S) --Receiver--> store

Sending     push, sender (requests), spool (disk), pace
Receiving   serving, receiver (HTTP), uploads and tus (protocol), commits (commits), incoming (disk), admission (limits)
Both        journal (what survives a power cut), tokens (who may send)
"""

from counterpoint.site.admission import Limits
from counterpoint.site.push import PushConfig, PushReport, push
from counterpoint.site.receiver import Receiver
from counterpoint.site.serving import ListenAddress, serve
from counterpoint.site.tokens import Tokens, add_token, read_token, revoke_tokens

__all__ = [
    "Limits",
    "ListenAddress",
    "PushConfig",
    "PushReport",
    "Receiver",
    "Tokens",
    "add_token",
    "push",
    "read_token",
    "revoke_tokens",
    "serve",
]
