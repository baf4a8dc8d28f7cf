"""The verb `show`: one episode in a viewer or as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from counterpoint.cli.verb import Reply, Verb, VerbArguments
from counterpoint.core.errors import ConfigError
from counterpoint.core.records import Json


@dataclass(frozen=True, kw_only=True)
class ShowArguments(VerbArguments):
    """Arguments of `show`."""

    store: Positional[Path]
    """Store that holds the episode."""
    episode: Positional[str]
    """Episode id; `counterpoint catalog STORE list` shows them."""
    save: Path | None = None
    """Write a .rrd file for the rerun viewer instead of opening the viewer."""
    html: Path | None = None
    """Write an HTML page with frames and plots."""
    image_rate_hz: float = 10.0
    """Maximum frames per second of each camera in the viewer."""


def run_show(arguments: ShowArguments) -> Reply:
    """Show an episode: in a viewer, as a file for it, or as a page."""
    from counterpoint.store import Store

    if not arguments.image_rate_hz > 0:
        raise ConfigError(f"--image-rate-hz: expected more than 0, got {arguments.image_rate_hz}")
    store = Store.open(arguments.store)
    info = store.info(arguments.episode)
    written: list[str] = []
    if arguments.html is not None:
        from counterpoint.report.show_page import write_episode_page

        written.append(str(write_episode_page(store, arguments.episode, arguments.html)))
    if arguments.save is not None:
        from counterpoint.report.show_rerun import save_episode

        save_episode(store, arguments.episode, arguments.save, image_rate_hz=arguments.image_rate_hz)
        written.append(str(arguments.save))
    if not written:
        from counterpoint.report.show_rerun import open_episode

        open_episode(store, arguments.episode, image_rate_hz=arguments.image_rate_hz)
    data: dict[str, Json] = {
        "episode_id": info.episode_id,
        "duration_s": info.duration_s,
        "streams": {stream.name: stream.samples for stream in info.streams},
        "written": [*written],
    }
    hint = f"; open it with: rerun {arguments.save}" if arguments.save is not None else ""
    return Reply(data=data, text=f"{', '.join(written) or 'opened a viewer'}{hint}")


VERB = Verb(
    example="counterpoint show data/ur5e ur5e-reach-s0-000000 --save episode.rrd",
    arguments=ShowArguments,
    run=run_show,
)
