"""The verb `site receive`: episodes from many sites into one store."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments
from counterpoint.core.errors import SiteError
from counterpoint.core.records import Json

logger = logging.getLogger(__name__)


GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class ReceiveArguments(VerbArguments):
    """Arguments of `site receive`."""

    store: Positional[Path]
    """Store to write to. It is created if it does not exist."""
    tokens: Path
    """Token file written by `counterpoint site token`; reloaded when it changes."""
    listen: str = "127.0.0.1:8470"
    """HOST:PORT to listen on; port 0 picks a free one. Use 0.0.0.0:PORT to accept other computers."""
    tls_cert: Path | None = None
    """Certificate chain (PEM) for https."""
    tls_key: Path | None = None
    """Private key (PEM) of the certificate."""
    max_sites: int = 1_000
    """Maximum number of sites with a request in progress; others are told to retry."""
    requests_per_site: int = 8
    """Maximum number of requests in progress per site."""
    max_bytes_in_flight: int = 256 * GIB
    """Maximum bytes of unfinished episodes, all sites together."""
    site_bytes_in_flight: int = 64 * GIB
    """The same per site; also the largest episode that is accepted."""
    expire_hours: float = 72.0
    """Discard an upload after this many hours without new data."""
    body_timeout_s: float = 20.0
    """Disconnect an upload after this many seconds without data; it resumes later."""
    header_timeout_s: float = 10.0
    """Close a connection that has not sent its request header after this many seconds."""


def run_receive(arguments: ReceiveArguments) -> Reply:
    """Receive until Ctrl-C or SIGTERM."""
    from counterpoint.site.admission import Limits
    from counterpoint.site.receiver import Receiver
    from counterpoint.site.serving import ListenAddress, parse_listen, serve
    from counterpoint.site.tokens import Tokens

    host, port = parse_listen(arguments.listen)
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        raise SiteError("--tls-cert and --tls-key: expected both (https) or neither (http), got one")
    listen = ListenAddress(host=host, port=port, certificate=arguments.tls_cert, key=arguments.tls_key)
    limits = Limits(
        max_sites=arguments.max_sites,
        requests_per_site=arguments.requests_per_site,
        max_bytes_in_flight=arguments.max_bytes_in_flight,
        site_bytes_in_flight=arguments.site_bytes_in_flight,
        expire_s=arguments.expire_hours * 3600,
        body_timeout_s=arguments.body_timeout_s,
        header_timeout_s=arguments.header_timeout_s,
    )
    tokens = Tokens(arguments.tokens)
    receiver = Receiver(arguments.store, tokens, limits)
    if listen.certificate is None and not listen.is_local:
        logger.warning("plain http to other computers: tokens can be read on the network; use --tls-cert and --tls-key")

    def started(address: str) -> None:
        logger.info("receiving into %s on %s, %d tokens; Ctrl-C stops", arguments.store, address, len(tokens))

    serve(receiver, listen, started)
    counted = receiver.counters.to_dict()
    data: dict[str, Json] = {name.removesuffix("_total"): value for name, value in counted.items()}
    text = (
        f"stopped: {counted.get('episodes_committed_total', 0)} episodes committed, "
        f"{counted.get('episodes_already_total', 0)} were there already, "
        f"{counted.get('episodes_refused_total', 0)} refused (see {arguments.store / 'refused.jsonl'}), "
        f"{counted.get('bytes_confirmed_total', 0) / 1e6:.3f} MB received"
    )
    return Reply(data=data, text=text)


VERB = Verb(
    example="counterpoint site receive data/all --listen 0.0.0.0:8443 --tokens tokens.json "
    "--tls-cert cert.pem --tls-key key.pem",
    arguments=ReceiveArguments,
    run=run_receive,
    resume="confirmed data is on disk; start it again and the sites resume.",
)
