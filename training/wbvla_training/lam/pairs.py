"""Batches of feature pairs, the same ones for the same step whatever happened before it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wbvla_training.lam.processing import LamProcessor
from wbvla_training.video.cache import VideoCache
from wbvla_training.vision.backbone import Dinov2Backbone
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.feature_cache import CachedFeatures, FrameFeatures, LiveFeatures, statistics

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Source:
    """One folder of videos: its frames, their features, and its pairs of frame numbers [M, 2]."""

    videos: VideoCache
    features: FrameFeatures
    training: np.ndarray
    held_out: np.ndarray


def open_source(
    videos: VideoCache,
    backbone: Dinov2Backbone,
    gap_s: float,
    live: bool = False,
    report: Report | None = None,
) -> Source:
    """Features (computed once unless ``live``) and pairs of a folder. Raises VisionError when no clip is long
    enough for a pair."""
    features = LiveFeatures(videos, backbone) if live else CachedFeatures.open(videos, backbone, report)
    pairs = videos.pairs(gap_s, held_out=False)
    if not len(pairs):
        raise VisionError(
            f"{videos.folder}: no training clip is longer than the gap of {gap_s:g} s between two frames"
        )
    return Source(videos, features, pairs, videos.pairs(gap_s, held_out=True))


def fit_processor(backbone: Dinov2Backbone, sources: list[Source]) -> LamProcessor:
    """The processor with statistics of the training frames, each folder weighing the same."""
    mean, std = statistics([(source.features, np.unique(source.training)) for source in sources])
    return LamProcessor(backbone, mean, std)


@dataclass(frozen=True)
class Sampler:
    """Draws training pairs: each batch takes the same number from every folder."""

    sources: list[Source]
    processor: LamProcessor
    seed: int

    def batch(self, step: int, part: int, rank: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised features [count, P, D] of o_t and of o_{t+k} for accumulation ``part`` of ``step``."""
        generator = np.random.default_rng((self.seed, step, part, rank))
        first, later = [], []
        for number, source in enumerate(self.sources):
            share = (count + number) // len(self.sources)
            rows = source.training[generator.integers(len(source.training), size=share)]
            both = self.processor.standardise(source.features.rows(rows.reshape(-1)))
            pairs = both.reshape(share, 2, *both.shape[1:])
            first.append(pairs[:, 0])
            later.append(pairs[:, 1])
        return torch.cat(first), torch.cat(later)


def held_out_batches(
    source: Source, processor: LamProcessor, count: int, batch: int = 64, seed: int = 0
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Up to ``count`` held-out pairs of a folder, spread over its clips."""
    rows = np.random.default_rng(seed).permutation(source.held_out)[:count]
    out = []
    for i in range(0, len(rows), batch):
        part = rows[i : i + batch]
        both = processor.standardise(source.features.rows(part.reshape(-1)))
        pairs = both.reshape(len(part), 2, *both.shape[1:])
        out.append((pairs[:, 0], pairs[:, 1]))
    return out


def backbone_reference(backbone: str, model_folder: Path) -> str:
    """How a model in ``model_folder`` names its backbone: relative when it is a folder here, else as given."""
    path = Path(backbone)
    if not path.exists():
        return backbone
    return Path(os.path.relpath(path.resolve(), model_folder.resolve())).as_posix()
