"""All frames of a folder of videos in one memory-mapped array, decoded once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from wbvla_core.vla_bundle import ImageSection

from wbvla_training.video.decode import decode, video_files
from wbvla_training.vision.errors import VisionError

FORMAT = 1
RATE_HZ = 10.0
HELD_OUT_PERCENT = 15
_LEAST_FRAMES = 4


@dataclass(frozen=True)
class ClipEntry:
    """Clip ``name`` (path below its folder) is frames ``begin`` .. ``begin + count`` - 1."""

    name: str
    begin: int
    count: int

    @property
    def held_out(self) -> bool:
        """Whether no model may learn from it: decided by its name alone, so that it stays so as a folder grows."""
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % 100 < HELD_OUT_PERCENT


@dataclass(frozen=True)
class VideoCache:
    """``frames`` uint8 [N, height, width, 3] at ``rate_hz``, read from disk as they are used. ``skipped`` are files
    that could not be used, with the reason; ``key`` stands for files, their state, and how they were prepared.

    A folder holds one for each way to prepare frames. Files are written beside and renamed, so that a training that reads
    the frames of before is not disturbed."""

    folder: Path
    frames: np.ndarray
    clips: tuple[ClipEntry, ...]
    skipped: dict[str, str]
    rate_hz: float
    image: ImageSection
    key: str

    @property
    def preparation(self) -> str:
        """Stands for how frames were prepared, in the names of files."""
        return _preparation(self.image, self.rate_hz)

    def pairs(self, gap_s: float, held_out: bool) -> np.ndarray:
        """Frame numbers int64 [M, 2] of all pairs ``gap_s`` apart within training or held-out clips."""
        gap = max(1, round(gap_s * self.rate_hz))
        rows = [
            np.arange(clip.begin, clip.begin + clip.count - gap)
            for clip in self.clips
            if clip.held_out == held_out and clip.count > gap
        ]
        first = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return np.stack((first, first + gap), 1).astype(np.int64)

    def clip_of(self, frames: np.ndarray) -> np.ndarray:
        """Index into ``clips`` of frame numbers [...]."""
        begins = np.array([clip.begin for clip in self.clips])
        return np.searchsorted(begins, frames, side="right") - 1


def default_cache(videos: Path) -> Path:
    """Where the cache of a video folder lies unless told otherwise: beside it."""
    return videos.with_name(videos.name + "_cache")


def open_cache(
    videos: Path,
    image: ImageSection,
    cache: Path | None = None,
    rate_hz: float = RATE_HZ,
    report: Callable[[int, int], None] | None = None,
) -> VideoCache:
    """The cache of ``videos``, made or made anew where files, ``image`` or ``rate_hz`` have changed.

    ``report`` gets (files done, of how many). Raises VisionError when no file can be used.
    """
    files = video_files(videos)
    folder = default_cache(videos) if cache is None else cache / videos.name
    key = _key(videos, files, image, rate_hz)
    found = _read(folder, image, rate_hz)
    if found is not None and found.key == key:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    index_file, frames_file = _files(folder, image, rate_hz)
    clips, skipped, begin = [], {}, 0
    with written_beside(frames_file) as part:
        with part.open("wb") as out:
            for number, path in enumerate(files):
                name = path.relative_to(videos).as_posix()
                try:
                    frames = decode(path, image, rate_hz, _LEAST_FRAMES)
                except VisionError as error:
                    skipped[name] = str(error)
                else:
                    out.write(frames.tobytes())
                    clips.append(ClipEntry(name, begin, len(frames)))
                    begin += len(frames)
                if report is not None:
                    report(number + 1, len(files))
        if not clips:
            raise VisionError(
                f"{videos}: none of {len(files)} files can be used, first: {next(iter(skipped.values()))}"
            )
        # Between the two files nobody shall take them for a pair.
        index_file.unlink(missing_ok=True)
    index = {
        "format": FORMAT, "key": key, "rate_hz": rate_hz, "frames": begin, "skipped": skipped,
        "image": dataclasses.asdict(image), "clips": [dataclasses.asdict(clip) for clip in clips],
    }  # fmt: skip
    with written_beside(index_file) as part:
        part.write_text(json.dumps(index) + "\n", encoding="utf-8")
    made = _read(folder, image, rate_hz)
    if made is None:
        raise VisionError(f"{folder}: cannot be read back; is the disk full?")
    return made


@contextmanager
def written_beside(file: Path) -> Iterator[Path]:
    """A file of this process to write, which then takes the place of ``file``; with an exception it is removed."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _preparation(image: ImageSection, rate_hz: float) -> str:
    return hashlib.sha256(f"{FORMAT} {image} {rate_hz}".encode()).hexdigest()[:8]


def _files(folder: Path, image: ImageSection, rate_hz: float) -> tuple[Path, Path]:
    """Index and frames."""
    prepared = _preparation(image, rate_hz)
    return folder / f"index_{prepared}.json", folder / f"frames_{prepared}.u8"


def _key(videos: Path, files: list[Path], image: ImageSection, rate_hz: float) -> str:
    digest = hashlib.sha256(f"{FORMAT} {image} {rate_hz}".encode())
    for path in files:
        state = path.stat()
        digest.update(f"{path.relative_to(videos).as_posix()} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read(folder: Path, image: ImageSection, rate_hz: float) -> VideoCache | None:
    """The cache in ``folder``; None when there is none or it is incomplete."""
    index_file, frames_file = _files(folder, image, rate_hz)
    try:
        index = json.loads(index_file.read_text(encoding="utf-8"))
        shape = (index["frames"], image.height, image.width, 3)
        if frames_file.stat().st_size != int(np.prod(shape)):
            return None
        frames = np.memmap(frames_file, np.uint8, "r", shape=shape)
        clips = tuple(ClipEntry(**clip) for clip in index["clips"])
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        return None
    return VideoCache(folder, frames, clips, index["skipped"], rate_hz, image, index["key"])
