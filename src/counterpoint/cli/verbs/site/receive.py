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
    """Store to commit into; made where it does not exist."""
    tokens: Path
    """File of tokens that `counterpoint site token` keeps; read again whenever it changes."""
    listen: str = "127.0.0.1:8470"
    """HOST:PORT to listen on; port 0 takes any free one. Use 0.0.0.0:PORT for other computers."""
    tls_cert: Path | None = None
    """Certificate chain (PEM) for https."""
    tls_key: Path | None = None
    """Private key (PEM) of the certificate."""
    max_sites: int = 1_000
    """Sites with a request in progress at once; others are told to come back."""
    requests_per_site: int = 8
    """Requests of one site in progress at once."""
    max_bytes_in_flight: int = 256 * GIB
    """Bytes of episodes on their way and not yet committed, all sites together."""
    site_bytes_in_flight: int = 64 * GIB
    """The same for one site; also the largest episode that is taken."""
    expire_hours: float = 72.0
    """Uploads that have not grown for this long are given up."""
    body_timeout_s: float = 20.0
    """An upload that brings nothing for this long is cut; it goes on where it was confirmed."""
    header_timeout_s: float = 10.0
    """A connection that sends no whole request header for this long is closed."""


def run_receive(arguments: ReceiveArguments) -> Reply:
    """Receive until Ctrl-C or SIGTERM."""
    from counterpoint.site.admission import Limits
    from counterpoint.site.receiver import Receiver
    from counterpoint.site.serving import ListenAddress, parse_listen, serve
    from counterpoint.site.tokens import Tokens

    host, port = parse_listen(arguments.listen)
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        raise SiteError("--tls-cert and --tls-key belong together: give both for https, or none for http")
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
        logger.warning("plain http for other computers: tokens can be read on the way; see --tls-cert and --tls-key")

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
    resume="what was confirmed is on the disk; start it again and the sites go on.",
)
