"""Pictures that show nothing."""

from __future__ import annotations

import numpy as np

from wbvla_training.data.dataset_index import DatasetIndex, EpisodeEntry
from wbvla_training.data.findings import Finding
from wbvla_training.data.frames import VideoFrames

# Mean brightness (0..255) below which a picture is black, and spread below which it shows nothing.
_BLACK, _FLAT = 10.0, 2.0
_BAD_SHARE = 0.05
_EVERY_S = 0.5


def check_pictures(index: DatasetIndex, episode: EpisodeEntry, camera: str) -> list[Finding]:
    """Look at a picture every half second, and at the first and the last. Raises DataError when one is missing."""
    path, first = episode.videos[camera]
    step = max(1, round(_EVERY_S * index.fps))
    numbers = sorted({*range(0, episode.length, step), episode.length - 1})
    frames = VideoFrames(path, index.fps)
    black = flat = 0
    try:
        for number in numbers:
            grey = frames.read(first + number)[::8, ::8].astype(np.float32).mean(axis=2)
            black += bool(grey.mean() < _BLACK)
            flat += bool(grey.mean() >= _BLACK and grey.std() < _FLAT)
    finally:
        frames.close()
    found = []
    for count, what in ((black, "black"), (flat, "of one colour")):
        if count:
            is_error = count > _BAD_SHARE * len(numbers)
            text = f"{count} of {len(numbers)} pictures looked at are {what}"
            found.append(Finding("black frames", f"{camera}: {text}", episode.number, is_error))
    return found
