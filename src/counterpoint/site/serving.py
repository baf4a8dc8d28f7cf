"""Runs the receiver: uvicorn with a time limit on the headers of a request.

uvicorn waits for ever for the headers of a request, so a few thousand silent connections would use up its file
handles. `TimeLimitedProtocol` closes such connections; the receiver itself limits bodies.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from counterpoint.core.errors import SiteError
from counterpoint.site.receiver import Receiver

logger = logging.getLogger(__name__)

BACKLOG = 1024
MAX_HEADER_BYTES = 16 << 10


@dataclass(frozen=True, kw_only=True)
class ListenAddress:
    """The address on which the receiver listens."""

    host: str
    port: int
    """0 for any free port."""
    certificate: Path | None = None
    """TLS certificate chain (PEM); None for plain HTTP."""
    key: Path | None = None
    """Its private key (PEM)."""

    @property
    def is_local(self) -> bool:
        """Whether only this computer can connect."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def parse_listen(text: str) -> tuple[str, int]:
    """Read `HOST:PORT` (`[::1]:8000` for IPv6); raises SiteError."""
    host, sign, port = text.rpartition(":")
    if not sign or not host or not port.isdigit() or int(port) > 65535:
        raise SiteError(f"--listen {text!r}: expected HOST:PORT, for example 127.0.0.1:8080 or 0.0.0.0:8443")
    return host.strip("[]"), int(port)


def serve(receiver: Receiver, listen: ListenAddress, started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests in progress have a few seconds to finish.

    `started` is called with the address once connections are accepted.

    Raises:
        SiteError: the address is in use, or the certificate cannot be used.
    """
    config = uvicorn.Config(
        receiver.app(),
        http=protocol_with(receiver.limits.header_timeout_s),
        ws="none",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=max(1, int(receiver.limits.header_timeout_s)),
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SiteError(f"{listen.certificate}: cannot be used as a TLS certificate ({error})") from error
    with _bound(listen) as bound:
        scheme = "http" if listen.certificate is None else "https"
        host, port = bound.getsockname()[:2]
        started(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        server = uvicorn.Server(config)
        try:
            server.run(sockets=[bound])
        except KeyboardInterrupt:
            logger.debug("stopped by Ctrl-C")


def protocol_with(header_timeout_s: float) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol with a limit on the time until a request's headers are complete."""

    class TimeLimitedProtocol(H11Protocol):
        """Closes connections without a complete request for too long, even where bytes trickle in."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
            super().connection_made(transport)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def _watch(self) -> None:
            is_idle = self.cycle is None or self.cycle.response_complete
            if not is_idle:
                self._unwatch()
            elif self._deadline is None and not self.transport.is_closing():
                self._deadline = self.loop.call_later(header_timeout_s, self._give_up)

        def _unwatch(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _give_up(self) -> None:
            self._deadline = None
            if not self.transport.is_closing():
                self.transport.abort()

    return TimeLimitedProtocol


def _bound(listen: ListenAddress) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        raise SiteError(
            f"{listen.host}:{listen.port}: cannot listen here ({error.strerror}); choose another --listen HOST:PORT"
        ) from error
    return bound
