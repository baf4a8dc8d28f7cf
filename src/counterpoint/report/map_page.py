"""The map of a store: one self-contained page with its data and its plotting library."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from PIL import Image
from plotly.offline import get_plotlyjs

from counterpoint.catalog.episode_table import UNKNOWN, week_start_ns
from counterpoint.catalog.search.projection import MapPoints
from counterpoint.core.clock import NS_PER_SECOND
from counterpoint.core.errors import CounterpointError
from counterpoint.core.seeding import generator
from counterpoint.report.layout import save_page
from counterpoint.store import Store

KEYS = ("task", "robot", "site", "environment", "source")
THUMBNAIL_PX = 96


def write_map(store: Store, points: MapPoints, path: Path, *, thumbnails: int = 0) -> Path:
    """Write the page and return its path.

    Args:
        store: whose episodes they are.
        points: from `project_store`.
        path: file to write.
        thumbnails: greatest number of episodes that get a small picture.

    Raises:
        CounterpointError: the file cannot be written.
    """
    data = {**_columns(points), "name": store.root.resolve().name, "total": points.total}
    data["pictures"] = _pictures(store, points, thumbnails)
    page = (files("counterpoint.report") / "templates" / "map.html").read_text(encoding="utf-8")
    # A "<" in a text of the data could end the script element early.
    words = json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    # Filled in from the end to the start, so that no text of the data is taken for a placeholder.
    html = page.replace("@DATA@", words, 1).replace("@PLOTLY@", get_plotlyjs(), 1)
    html = html.replace("@TITLE@", escape(store.root.resolve().name), 1)
    return save_page(html, path)


def _columns(points: MapPoints) -> dict[str, object]:
    """Return the columns of the page. Words are numbers into a list, which keeps the page small."""
    table = points.table
    seconds = np.nan_to_num(table["duration_s"].to_numpy())
    coded = {key: _coded(pc.fill_null(table[key], "").to_pylist()) for key in KEYS}
    outcome = {True: "success", False: "failure", None: UNKNOWN}
    coded["success"] = _coded([outcome[value] for value in table["success"].to_pylist()])
    weeks = pc.divide(week_start_ns(table["start_ns"]), 86_400 * NS_PER_SECOND).to_pylist()
    coded["week"] = _coded(["" if day is None else str(np.datetime64(int(day), "D")) for day in weeks])
    return {
        "x": np.round(points.places[:, 0].astype(float), 4).tolist(),
        "y": np.round(points.places[:, 1].astype(float), 4).tolist(),
        "id": table["episode_id"].to_pylist(),
        "instruction": _coded(pc.fill_null(table["instruction"], "").to_pylist()),
        "seconds": np.round(seconds, 2).tolist(),
        "keys": coded,
    }


def _coded(words: list[str]) -> dict[str, object]:
    """Return {names, codes}: the most frequent name first."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word or UNKNOWN] = counts.get(word or UNKNOWN, 0) + 1
    names = sorted(counts, key=lambda name: (-counts[name], name))
    places = {name: place for place, name in enumerate(names)}
    return {"names": names, "codes": [places[word or UNKNOWN] for word in words]}


def _pictures(store: Store, points: MapPoints, most: int) -> dict[str, str]:
    """Return small JPEG pictures as data URLs by row, for at most `most` episodes that have cameras."""
    ids = points.table["episode_id"].to_pylist()
    found: dict[str, str] = {}
    for row in generator(0, "thumbnails").permutation(len(ids)).tolist() if most else []:
        if len(found) == most:
            break
        picture = thumbnail(store, ids[row])
        if picture:
            found[str(row)] = picture
    return found


def thumbnail(store: Store, episode_id: str) -> str:
    """Return the middle frame of an episode's first camera as the data URL of a JPEG, or "" without a camera."""
    for stream in store.info(episode_id).streams:
        if stream.kind == "image" and stream.samples:
            place = np.array([(stream.samples - 1) // 2], np.int64)
            try:
                return data_url(store.frames(episode_id, stream.name, place)[0], THUMBNAIL_PX)
            except CounterpointError:
                return ""  # `check` reports the damaged video; the map leaves the picture out
    return ""


def data_url(pixels: np.typing.NDArray[np.uint8], size: int) -> str:
    """Return uint8 [height, width, 3] as the data URL of a JPEG whose longest side is at most `size`."""
    image = Image.fromarray(pixels)
    image.thumbnail((size, size))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
