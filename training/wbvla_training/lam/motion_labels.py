"""What made clips show, read from beside the videos. Evaluation only: no training reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from wbvla_sim.video.generate import LABELS_FILE, SETTINGS_FILE, classes, labels_folder

from wbvla_training.video.cache import VideoCache
from wbvla_training.vision.errors import VisionError

NONE = -1


@dataclass(frozen=True)
class MotionLabels:
    """For each frame of a video cache: ``span`` [N] number of the stretch it belongs to, ``primitive`` [N] index into
    ``classes``, ``directed`` [N] index into ``directed_classes`` (with sides), ``domain`` [N] index into ``domains``;
    NONE where nothing is known."""

    span: np.ndarray
    primitive: np.ndarray
    directed: np.ndarray
    domain: np.ndarray
    classes: tuple[str, ...]
    directed_classes: tuple[str, ...]
    domains: tuple[str, ...]

    def labelled(self, pairs: np.ndarray) -> np.ndarray:
        """Those of ``pairs`` [M, 2] of which both frames lie in one stretch."""
        spans = self.span[pairs]
        return pairs[(spans[:, 0] != NONE) & (spans[:, 0] == spans[:, 1])]


def read_labels(videos: Path, cache: VideoCache) -> MotionLabels:
    """Labels of a folder made by ``wbvla lam video``. Raises VisionError when there are none or they are broken."""
    folder = labels_folder(videos)
    try:
        kind = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))["kind"]
        lines = (folder / LABELS_FILE).read_text(encoding="utf-8").splitlines()
        rows = {row["clip"]: row for row in map(json.loads, lines)}
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise VisionError(
            f"{folder}: no motion labels ({error}); probes need clips made by 'wbvla lam video'"
        ) from None
    names = classes(kind)
    spans = [(s["primitive"], s["side"]) for row in rows.values() for s in row["spans"]]
    directed = sorted({_directed(*span) for span in spans})
    domains = sorted({row["domain"] for row in rows.values()})
    count = len(cache.frames)
    out = {key: np.full(count, NONE, np.int64) for key in ("span", "primitive", "directed", "domain")}
    number = 0
    for clip in cache.clips:
        row = rows.get(clip.name)
        if row is None:
            continue
        scale = cache.rate_hz / row["rate_hz"]
        for span in row["spans"]:
            begin = clip.begin + round(span["begin"] * scale)
            end = clip.begin + min(clip.count, round(span["end"] * scale))
            out["span"][begin:end] = number
            out["primitive"][begin:end] = names.index(span["primitive"])
            out["directed"][begin:end] = directed.index(_directed(span["primitive"], span["side"]))
            out["domain"][begin:end] = domains.index(row["domain"])
            number += 1
    return MotionLabels(**out, classes=names, directed_classes=tuple(directed), domains=tuple(domains))


def _directed(primitive: str, side: str) -> str:
    return primitive if side == "none" else f"{primitive}_{side}"
