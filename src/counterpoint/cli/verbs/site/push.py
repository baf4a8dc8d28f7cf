"""The verb `site push`: episodes from a site to a receiver."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments


@dataclass(frozen=True, kw_only=True)
class PushArguments(VerbArguments):
    """Arguments of `site push`."""

    spool: Positional[Path]
    """Store on this computer whose finished episodes are sent."""
    to: str
    """Address of the receiver, for example https://data.example.org:8443."""
    token_file: Path
    """File with this site's token, as `counterpoint site token` printed it."""
    limit_mbps: float | None = None
    """Maximum megabits per second of all uploads together. Default: no limit."""
    parallel: int = 2
    """Episodes to upload at the same time."""
    watch: bool = False
    """Keep running and send new episodes as they are finished; never give up on the receiver."""
    interval_s: float = 5.0
    """Seconds between looking for new episodes, with --watch."""
    delete_after: bool = False
    """Delete each episode here once the receiver has confirmed that it is in its store."""
    patience_s: float = 600.0
    """Give up after this many seconds without success; unused with --watch."""
    timeout_s: float = 30.0
    """Reconnect after this many seconds without data."""
    authority: Path | None = None
    """PEM certificate of the private authority that signed the receiver's certificate."""
    plain_http: bool = False
    """Allow http:// to other computers. Anyone on the network path can then read the token."""


def run_push(arguments: PushArguments) -> Reply:
    """Send the episodes; exit code 1 if one was refused or is damaged."""
    from counterpoint.site.push import PushConfig, push
    from counterpoint.site.tokens import read_token

    config = PushConfig(
        target=arguments.to,
        token=read_token(arguments.token_file),
        limit_mbps=arguments.limit_mbps,
        parallel=arguments.parallel,
        watch=arguments.watch,
        interval_s=arguments.interval_s,
        delete_after=arguments.delete_after,
        patience_s=arguments.patience_s,
        timeout_s=arguments.timeout_s,
        authority=arguments.authority,
        plain_http=arguments.plain_http,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    report = push(arguments.spool, config, progress=not arguments.json)
    stats = report.stats
    parts = [
        f"{report.committed} episodes committed by {arguments.to}",
        f"{report.already} were there already",
        f"{report.confirmed_before} confirmed earlier",
    ]
    lines = [", ".join(parts)]
    lines.append(
        f"sent {stats.sent_bytes / 1e6:.3f} MB for {stats.needed_bytes / 1e6:.3f} MB needed (ratio "
        f"{stats.sent_ratio:.3f}), {stats.retries} retries, {report.seconds:.1f} s"
    )
    if report.deleted:
        lines.append(f"{report.deleted} deleted from {arguments.spool}")
    lines += [f"not sent: {episode or 'an episode'}: {message}" for episode, message in report.failed]
    return Reply(data=report.to_dict(), text="\n".join(lines), passed=not report.failed)


VERB = Verb(
    example="counterpoint site push data/spool --to https://data.example.org:8443 --token-file token --watch",
    arguments=PushArguments,
    run=run_push,
    resume="what the receiver confirmed is kept; run the same command again to resume.",
)
