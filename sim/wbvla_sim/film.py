"""A film file: pictures in, H.264 out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


class Film:
    """H.264 in MP4, frames [H, W, 3] uint8 at a constant rate."""

    def __init__(self, path: Path, width: int, height: int, rate_hz: int):
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", rate=Fraction(rate_hz))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.options = {"crf": "24", "preset": "veryfast"}

    def add(self, picture: np.ndarray) -> None:
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

    def close(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()
