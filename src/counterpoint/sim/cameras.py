"""Cameras by name, and rendering without a screen.

    "front"  "front:96x96@20"  "wrist:64x64"      name, optional size (pixels) and rate (Hz)

Creating a graphics context takes tens of milliseconds. Each process therefore shares one among all worlds
whose models upload nothing (no meshes, no textures); the models of `scene` are built that way.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from counterpoint.core.errors import ConfigError, CounterpointError

Frame = NDArray[np.uint8]
MAX_GEOMS = 400
BUFFER_LADDER = (96, 224, 480, 720, 1280, 1920)
"""Sizes of offscreen buffers; the smallest that holds a frame is used."""


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """One camera of a world."""

    name: str = "front"
    """`front`, `side`, or `wrist` (`left/wrist` and `right/wrist` on two-armed robots)."""
    height: int = 64
    """Pixels, 16 to 480."""
    width: int = 64
    """Pixels, 16 to 640."""
    rate_hz: float = 15.0
    """Frames a second, 1 to 60."""

    def __post_init__(self) -> None:
        """Check sizes and rate."""
        if not (16 <= self.height <= 480 and 16 <= self.width <= 640):
            raise ConfigError(f"camera {self.name!r}: expected 16x16 to 640x480 pixels, got {self.width}x{self.height}")
        if not 1 <= self.rate_hz <= 60:
            raise ConfigError(f"camera {self.name!r}: expected 1 to 60 frames a second, got {self.rate_hz}")


def parse_camera(text: str) -> CameraConfig:
    """Read `name[:WIDTHxHEIGHT][@RATE]`; raises ConfigError."""
    match = re.fullmatch(r"([a-z_/]+)(?::(\d+)x(\d+))?(?:@([\d.]+))?", text)
    if match is None:
        raise ConfigError(f"camera {text!r}: expected NAME, NAME:WIDTHxHEIGHT or NAME:WIDTHxHEIGHT@RATE")
    name, width, height, rate = match.groups()
    default = CameraConfig()
    return CameraConfig(
        name=name,
        width=int(width or default.width),
        height=int(height or default.height),
        rate_hz=float(rate or default.rate_hz),
    )


def render_frame(model: mujoco.MjModel, data: mujoco.MjData, camera: str, *, height: int, width: int) -> Frame:
    """Return what the model's camera of that name sees, uint8 [height, width, 3], shadows off.

    Raises:
        CounterpointError: no off-screen graphics driver can be started.
    """
    size = next((size for size in BUFFER_LADDER if size >= max(height, width)), 0)
    if not size:
        raise ConfigError(
            f"camera {camera!r}: expected at most {BUFFER_LADDER[-1]} pixels a side, got {width}x{height}"
        )
    context = _context(size) if _uploads_nothing(model) else _new_context(model, size)
    scene = _scene_of(model)
    view = mujoco.MjvCamera()
    view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera(camera).id
    mujoco.mjv_updateScene(model, data, _OPTION, None, view, mujoco.mjtCatBit.mjCAT_ALL, scene)
    rectangle = mujoco.MjrRect(0, 0, width, height)
    frame = np.empty((height, width, 3), dtype=np.uint8)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    mujoco.mjr_render(rectangle, scene, context)
    mujoco.mjr_readPixels(frame, None, rectangle, context)
    return np.ascontiguousarray(frame[::-1])


_OPTION = mujoco.MjvOption()
_OPTION.sitegroup[:] = 0


@functools.lru_cache(maxsize=2)
def _scene_of(model: mujoco.MjModel) -> mujoco.MjvScene:
    scene = mujoco.MjvScene(model, MAX_GEOMS)
    scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
    scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
    return scene


def _uploads_nothing(model: mujoco.MjModel) -> bool:
    return not (model.nmesh or model.ntex or model.nhfield or model.nskin)


@functools.lru_cache(maxsize=len(BUFFER_LADDER))
def _context(size: int) -> mujoco.MjrContext:
    return _make_context(mujoco.MjModel.from_xml_string("<mujoco/>"), size)


@functools.lru_cache(maxsize=1)
def _new_context(model: mujoco.MjModel, size: int) -> mujoco.MjrContext:
    return _make_context(model, size)


def _make_context(model: mujoco.MjModel, size: int) -> mujoco.MjrContext:
    _start_driver()
    model.vis.global_.offwidth = model.vis.global_.offheight = size
    model.vis.quality.offsamples = 0 if size <= BUFFER_LADDER[1] else 4
    model.vis.quality.shadowsize = 0
    return mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)


@functools.lru_cache(maxsize=1)
def _start_driver() -> object:
    """Make this process's graphics context current; kept until the process ends."""
    try:
        if sys.platform == "linux" and os.environ.get("MUJOCO_GL", "egl") == "egl":
            os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
            from mujoco.egl import GLContext  # deferred: needs the system's EGL library
        else:
            from mujoco.gl_context import GLContext  # deferred: needs a graphics driver
        context = GLContext(64, 64)
        context.make_current()
    except Exception as error:  # drivers raise errors of their own
        raise CounterpointError(
            f"Off-screen rendering cannot start ({error!r}). Install libegl1, libegl-mesa0 and libgl1-mesa-dri, "
            "or run without cameras"
        ) from error
    return context
