"""Draw the README's picture from a finished demo: the simulated robots, and success against inference delay.

    python tools/readme_picture.py demo-out docs/images/demo.png [--films FOLDER]

The films are those of the demo's task `lift` (or of FOLDER, for example of `counterpoint rollout expert --video`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import av
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from counterpoint.report.style import FAINT, PALETTE, RC

NAMES = {"ur5e": "UR5e", "panda": "Panda", "bimanual_panda": "two Pandas"}
MOMENT = 0.55
"""Which part of a film is shown: 0 is its start, 1 its end."""


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--films", type=Path)
    arguments = parser.parse_args()
    rows = json.loads((arguments.demo / "rollout.json").read_text(encoding="utf-8"))["results"]
    with matplotlib.rc_context(RC):  # type: ignore[arg-type]  # the stubs list keys as literals
        figure = Figure(figsize=(12, 2.7), layout="constrained")
        axes = figure.subplots(1, len(NAMES) + 1, width_ratios=[1.0] * len(NAMES) + [1.35])
        for place, (robot, name) in zip(axes, NAMES.items(), strict=False):
            film = next((arguments.films or arguments.demo / "videos").glob(f"{robot}-lift-*.mp4"))
            place.imshow(frame(film))
            place.set_title(name, fontweight="normal")
            place.set_axis_off()
        draw_success(axes[-1], rows)
        arguments.picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(arguments.picture, dpi=100, pil_kwargs={"optimize": True})


def frame(film: Path) -> NDArray[np.uint8]:
    """Return one picture of a film, uint8 [height, width, 3]."""
    with av.open(str(film)) as container:
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    return np.asarray(pictures[int(MOMENT * (len(pictures) - 1))], np.uint8)


def draw_success(axes: Axes, rows: Sequence[dict[str, object]]) -> None:
    """Draw success against delay, averaged over tasks, a line for each robot."""
    for colour, (robot, name) in zip(PALETTE, NAMES.items(), strict=False):
        by_delay: dict[float, list[float]] = {}
        for row in rows:
            if (row["robot"], row["policy"], row["delay_mode"]) == (robot, "model", "simulated"):
                rate = row["success_rate"]
                if rate is not None:
                    by_delay.setdefault(float(str(row["delay_ms"])), []).append(100 * float(str(rate)))
        delays = sorted(by_delay)
        axes.plot(delays, [float(np.mean(by_delay[delay])) for delay in delays], "o-", color=colour, lw=2, label=name)
    still = [100 * float(str(row["success_rate"])) for row in rows if row["policy"] == "hold"]
    axes.axhline(float(np.mean(still)), color=FAINT, ls="--", lw=1.4, label="hold still")
    axes.set(ylim=(-4, 104), xlabel="inference delay (ms)", ylabel="unseen worlds solved (%)")
    axes.set_xticks([0, 100, 200])
    axes.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 0.04))


if __name__ == "__main__":
    main()
