"""What a clip is: frames, and beside them what was done in them, which only evaluation reads."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import mujoco
import numpy as np

WIDTH_PX, HEIGHT_PX = 160, 120
RATE_HZ = 10


@dataclass(frozen=True)
class Span:
    """Frames ``begin`` .. ``end`` - 1 show one ``primitive``; ``side`` left, right or none."""

    begin: int
    end: int
    primitive: str
    side: str


@dataclass(frozen=True)
class Clip:
    """``frames`` uint8 [N, H, W, 3] at RATE_HZ, the ``domain`` they come from, and what happens when."""

    frames: np.ndarray
    domain: str
    spans: tuple[Span, ...]


def spans_of(segment: np.ndarray, names: list[tuple[str, str]]) -> tuple[Span, ...]:
    """Spans of a per-frame index [N] into ``names`` (primitive, side)."""
    edges = np.flatnonzero(np.diff(segment)) + 1
    begins, ends = [0, *edges.tolist()], [*edges.tolist(), len(segment)]
    return tuple(Span(b, e, *names[int(segment[b])]) for b, e in zip(begins, ends, strict=True))


def new_scene(scene: mujoco.MjSpec | None = None) -> mujoco.MjSpec:
    """``scene`` or an empty one, with buffers and clipping planes for small pictures from close up."""
    scene = scene or mujoco.MjSpec()
    scene.compiler.degree = False
    scene.visual.global_.offwidth, scene.visual.global_.offheight = WIDTH_PX, HEIGHT_PX
    scene.visual.map.znear, scene.visual.map.zfar = 0.02, 30.0
    scene.stat.extent, scene.stat.center = 1.0, [0.0, 0.0, 0.7]
    return scene


def write_video(path: Path, frames: np.ndarray, rate_hz: int = RATE_HZ) -> None:
    """An H.264 file of ``frames`` uint8 [N, H, W, 3]; complete or absent, never half."""
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=rate_hz, options={"crf": "18", "preset": "veryfast", "threads": "1"}
        )
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate_hz)
        for i, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    part.replace(path)
