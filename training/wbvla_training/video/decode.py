"""Frames of one video file at the rate that learning uses, whatever size, rate and codec the file has."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from wbvla_core.vla_bundle import ImageSection

from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.image import small_pictures

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")
# Half a tick of the finest common time base, so that equal rates pick every frame.
_EPSILON_S = 1e-4


def decode(path: Path, image: ImageSection, rate_hz: float, least: int) -> np.ndarray:
    """Frames uint8 [N, height, width, 3]: at each i / ``rate_hz`` s the newest one of the file, cropped and resized.

    Raises VisionError when the file is no video, breaks off, or gives fewer than ``least`` frames.
    """
    frames: list[np.ndarray] = []
    due = 0
    begin_s = None
    held: av.VideoFrame | None = None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VisionError(f"{path}: has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if frame.time is None:
                    raise VisionError(f"{path}: its frames carry no time")
                begin_s = frame.time if begin_s is None else begin_s
                while held is not None and due / rate_hz < frame.time - begin_s - _EPSILON_S:
                    frames.append(_small(held, image))
                    due += 1
                held = frame
            if held is not None and begin_s is not None and due / rate_hz <= held.time - begin_s + _EPSILON_S:
                frames.append(_small(held, image))
    except (av.FFmpegError, OSError) as error:
        raise VisionError(f"{path}: cannot be decoded ({error})") from None
    if len(frames) < least:
        raise VisionError(
            f"{path}: gives {len(frames)} frames at {rate_hz:g} Hz, at least {least} are needed"
        )
    return np.stack(frames)


def _small(frame: av.VideoFrame, image: ImageSection) -> np.ndarray:
    return small_pictures(frame.to_ndarray(format="rgb24")[None], image)[0]


def video_files(folder: Path) -> list[Path]:
    """Video files below ``folder`` by name. Raises VisionError when it is no folder or has none."""
    if not folder.is_dir():
        raise VisionError(
            f"{folder}: no such folder of videos; make some with 'wbvla lam video --out {folder}'"
        )
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise VisionError(f"{folder}: has no video files ({', '.join(SUFFIXES)})")
    return files
