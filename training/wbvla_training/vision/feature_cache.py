"""Backbone features of cached frames: computed once into a memory-mapped array, or anew for every batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from wbvla_training.video.cache import VideoCache, written_beside
from wbvla_training.vision.backbone import Dinov2Backbone

_BATCH = 64
_SAMPLE = 2000
_LEAST_STD = 1e-4


class FrameFeatures(Protocol):
    """Backbone features by frame number."""

    def rows(self, frames: np.ndarray) -> torch.Tensor:
        """float32 [B, P, D] on the CPU of frame numbers [B]."""


class LiveFeatures:
    """Computes features of a video cache as they are asked for."""

    def __init__(self, videos: VideoCache, backbone: Dinov2Backbone) -> None:
        self._videos, self._backbone = videos, backbone

    def rows(self, frames: np.ndarray) -> torch.Tensor:
        return self._backbone.of_pictures(np.asarray(self._videos.frames[frames])).cpu()


class CachedFeatures:
    """Features float16 [N, P, D] of all frames of a video cache, in a file beside them."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @classmethod
    def open(
        cls, videos: VideoCache, backbone: Dinov2Backbone, report: Callable[[int, int], None] | None = None
    ) -> CachedFeatures:
        """Open the file, after computing it when it is missing or of other frames. ``report`` gets (frames done,
        of how many)."""
        path = videos.folder / f"features_{backbone.hash}_{videos.preparation}.f16"
        note = path.with_suffix(".json")
        shape = (len(videos.frames), backbone.tokens, backbone.width)
        wanted = {"key": videos.key, "shape": list(shape)}
        if _note(note) != wanted or not path.exists() or path.stat().st_size != 2 * int(np.prod(shape)):
            with written_beside(path) as part:
                with part.open("wb") as out:
                    for begin in range(0, shape[0], _BATCH):
                        rows = backbone.of_pictures(np.asarray(videos.frames[begin : begin + _BATCH]), _BATCH)
                        out.write(rows.cpu().half().numpy().tobytes())
                        if report is not None:
                            report(min(begin + _BATCH, shape[0]), shape[0])
                note.unlink(missing_ok=True)
            with written_beside(note) as part:
                part.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
        return cls(np.memmap(path, np.float16, "r", shape=shape))

    def rows(self, frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(self.array[frames])).float()


def _note(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None


def statistics(
    sources: list[tuple[FrameFeatures, np.ndarray]], seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation [D] of features over a sample of each source's frame numbers, each source
    weighing the same."""
    generator = np.random.default_rng(seed)
    size = min(_SAMPLE, *(len(frames) for _, frames in sources))
    parts = []
    for features, frames in sources:
        chosen = np.sort(generator.permutation(frames)[:size])
        parts.append(
            torch.cat([features.rows(chosen[i : i + _BATCH]).cpu() for i in range(0, len(chosen), _BATCH)])
        )
    flat = torch.cat(parts).flatten(0, 1).double()
    return flat.mean(0).float(), flat.std(0).clamp(min=_LEAST_STD).float()
