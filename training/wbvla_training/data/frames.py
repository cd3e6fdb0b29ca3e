"""Any picture of a video file by its number, decoded on demand."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from wbvla_training.data.errors import DataError


class VideoFrames:
    """One open video file. Going on to a next frame decodes on; anything else jumps to the key frame before
    it. Not thread-safe; open one per process."""

    def __init__(self, path: Path, fps: int) -> None:
        """Raises DataError when the file cannot be opened."""
        self.path = path
        try:
            self._container = av.open(str(path))
        except (OSError, av.FFmpegError) as error:
            raise DataError(f"video '{path}' cannot be opened: {error}") from None
        self._stream = self._container.streams.video[0]
        # Threads pay off for long runs only; data loaders run several processes instead.
        self._stream.thread_count = 1
        self._step = round(1 / (fps * self._stream.time_base))
        self._decoded = self._container.decode(self._stream)
        self._next = 0
        self._number, self._picture = -1, None
        self.frames = self._stream.frames

    # Decoding on is cheaper than jumping up to this distance.
    _NEAR = 4

    def read(self, number: int) -> np.ndarray:
        """Picture ``number`` as RGB uint8 [H, W, 3]; raises DataError when the video ends before it."""
        if number == self._number:
            return self._picture
        if not self._next <= number < self._next + self._NEAR:
            self._container.seek(number * self._step, stream=self._stream, backward=True)
            self._decoded = self._container.decode(self._stream)
        try:
            for frame in self._decoded:
                found = round(frame.pts / self._step)
                self._next = found + 1
                if found >= number:
                    break
            else:
                found = -1
        except av.FFmpegError as error:
            raise DataError(f"video '{self.path}' cannot be decoded at frame {number}: {error}") from None
        if found != number:
            self._next = -self._NEAR
            raise DataError(f"video '{self.path}' has no frame {number}; it holds {self.frames}")
        self._number, self._picture = number, frame.to_ndarray(format="rgb24")
        return self._picture

    def close(self) -> None:
        self._container.close()
