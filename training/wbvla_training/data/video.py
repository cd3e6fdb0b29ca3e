"""Pictures to video files, exact to the frame, and video files joined or cut without encoding anew."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from wbvla_core.vla_input import InputError, decode_jpeg

from wbvla_training.data.stats import PictureStats, Stats

CODEC = "libx264"
CODEC_NAME = "h264"
PIXEL_FORMAT = "yuv420p"
# Every fourth picture stands alone, so that any picture is at most three decodes away.
KEY_EVERY = 4
# Quality: the quantiser's ceiling keeps what the codec adds to a JPEG's own error small on any content.
_OPTIONS = {
    "preset": "ultrafast",
    "crf": "22",
    "qmax": "28",
    "g": str(KEY_EVERY),
    "bf": "0",
    "sc_threshold": "0",
}
_STATS_EVERY = 10
_AHEAD = 24


@dataclass(frozen=True)
class VideoResult:
    """``frames`` in the file, its statistics, and how many pictures could not be read (their predecessor stands in)."""

    frames: int
    stats: Stats
    unreadable: int


class VideoWriter:
    """Encodes JPEG pictures in threads of its own: one decodes, one encodes. Frame i is shown at i / fps."""

    def __init__(self, path: Path, height: int, width: int, fps: int, threads: int = 2) -> None:
        self._size = (height, width)
        self._fps = fps
        self._jpegs: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._frames: queue.Queue[av.VideoFrame | None] = queue.Queue(_AHEAD)
        self._stats = PictureStats()
        self._unreadable = self._count = self._shown = 0
        self._last_jpeg: bytes | None = None
        self._last_frame: av.VideoFrame | None = None
        self._error: BaseException | None = None
        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream(CODEC, rate=fps, options={**_OPTIONS, "threads": str(threads)})
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, PIXEL_FORMAT
        self._stream.codec_context.time_base = Fraction(1, fps)
        self._workers = [
            threading.Thread(target=self._run, args=(work, source), name=name, daemon=True)
            for work, source, name in (
                (self._decode, self._jpegs, "video-decode"),
                (self._encode, self._frames, "video-encode"),
            )
        ]
        for worker in self._workers:
            worker.start()

    def add(self, jpeg: bytes) -> None:
        """The next picture; the same object as before is not decoded again. Raises what the threads raised."""
        self._jpegs.put(jpeg)
        self._check()

    def close(self) -> VideoResult:
        """Finish the file. Raises OSError, for example when the disk is full."""
        self._jpegs.put(None)
        for worker in self._workers:
            worker.join()
        self._check()
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return VideoResult(self._count, self._stats.result(), self._unreadable)

    def abort(self) -> None:
        """Stop at once; the file is of no use."""
        self._error = self._error or InterruptedError("stopped")
        self._jpegs.put(None)
        for worker in self._workers:
            worker.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self, work, source: queue.Queue) -> None:
        """Hand on until the end; after a failure only empty the queue, so that nobody waits for ever."""
        try:
            for item in _until_none(source):
                work(item)
        except (OSError, ValueError, MemoryError, av.FFmpegError) as error:
            self._error = self._error or error
            for _ in _until_none(source):
                pass
        if source is self._jpegs:
            self._frames.put(None)

    def _decode(self, jpeg: bytes) -> None:
        if self._error is not None:
            return
        if jpeg is not self._last_jpeg:
            try:
                rgb = decode_jpeg(jpeg)
            except InputError:
                self._unreadable += 1
                rgb = np.full((*self._size, 3), 127, np.uint8) if self._last_frame is None else None
            if rgb is not None:
                self._last_frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=PIXEL_FORMAT)
                if self._count % _STATS_EVERY == 0:
                    self._stats.update(rgb)
            self._last_jpeg = jpeg
        elif self._count % _STATS_EVERY == 0:
            self._stats.update(decode_jpeg(jpeg))
        self._count += 1
        self._frames.put(self._last_frame)

    def _encode(self, frame: av.VideoFrame) -> None:
        frame.pts, frame.time_base = self._shown, Fraction(1, self._fps)
        self._shown += 1
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _until_none(source: queue.Queue) -> Iterator:
    while (item := source.get()) is not None:
        yield item


class VideoJoiner:
    """Puts the packets of many files into one, each beginning where the one before ended."""

    def __init__(self, path: Path, fps: int) -> None:
        self._path = path
        self._fps = fps
        self._output = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = None
        self.frames = 0

    def add(self, path: Path, begin: int = 0, count: int | None = None) -> int:
        """Append ``count`` frames of ``path`` from frame ``begin``, which must be a key frame; returns how many."""
        before = self.frames
        with av.open(str(path)) as source:
            stream = source.streams.video[0]
            if self._stream is None:
                self._stream = self._output.add_stream_from_template(stream)
                self._stream.time_base = stream.time_base
            step = round(1 / (self._fps * stream.time_base))
            source.seek(begin * step, stream=stream, backward=True)
            for packet in source.demux(stream):
                if packet.pts is None:
                    continue
                number = round(packet.pts / step)
                if number < begin:
                    continue
                if count is not None and number >= begin + count:
                    break
                packet.pts = packet.dts = (number - begin + before) * step
                packet.duration = step
                packet.stream = self._stream
                self._output.mux(packet)
                self.frames += 1
        return self.frames - before

    @property
    def size_bytes(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def close(self) -> None:
        self._output.close()


def video_info(path: Path, fps: int) -> dict:
    """What LeRobot notes of a video under ``info`` in ``info.json``."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec_context.name,
            "video.pix_fmt": stream.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        }
