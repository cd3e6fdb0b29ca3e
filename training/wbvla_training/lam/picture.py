"""A picture of clips that share a code: each row one code word, pairs of frames from both domains side by side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from wbvla_training.lam.evaluate import Encoded
from wbvla_training.lam.motion_labels import MotionLabels
from wbvla_training.video.cache import VideoCache

_ROWS, _PER_DOMAIN, _MARGIN, _TEXT = 8, 3, 4, 16


def draw_shared_codes(path: Path, videos: VideoCache, labels: MotionLabels, encoded: Encoded) -> int:
    """Write the picture to ``path``; how many rows it has.

    A row shows pairs o_t, o_{t+k} (left, right) of different clips: first of one domain, then of the other, all with
    the same codes. Its caption has the codes and what most pairs with them show. Nothing is picked by hand: of each
    primitive the word that most clips of the rarer domain share.
    """
    words = [tuple(row) for row in encoded.codes.tolist()]
    chosen = _words(words, encoded, labels, videos)
    height, width = videos.frames.shape[1:3]
    across = len(labels.domains) * _PER_DOMAIN * (2 * width + _MARGIN)
    sheet = Image.new("RGB", (across, max(1, len(chosen)) * (height + _TEXT + _MARGIN)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (word, members) in enumerate(chosen):
        top = row * (height + _TEXT + _MARGIN)
        shown = Counter(labels.classes[int(labels.primitive[encoded.pairs[m, 0]])] for m in members)
        caption = ", ".join(f"{name} {100 * n // len(members)} %" for name, n in shown.most_common(3))
        draw.text(
            (2, top + 2), f"codes {' '.join(map(str, word))}: {caption} of {len(members)} pairs", fill="black"
        )
        left = 0
        for domain in range(len(labels.domains)):
            for m in _spread(members, domain, encoded, labels, videos)[:_PER_DOMAIN]:
                for frame in encoded.pairs[m]:
                    sheet.paste(Image.fromarray(np.asarray(videos.frames[frame])), (left, top + _TEXT))
                    left += width
                left += _MARGIN
            left = (domain + 1) * _PER_DOMAIN * (2 * width + _MARGIN)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=80)
    return len(chosen)


def _words(
    words: list[tuple[int, ...]], encoded: Encoded, labels: MotionLabels, videos: VideoCache
) -> list[tuple[tuple[int, ...], list[int]]]:
    """For each primitive the word with most different clips in the domain where it has fewest."""
    members: dict[tuple[int, ...], list[int]] = {}
    for i, word in enumerate(words):
        members.setdefault(word, []).append(i)
    best: dict[int, tuple[int, tuple[int, ...]]] = {}
    for word, rows in members.items():
        frames = encoded.pairs[rows, 0]
        primitive = int(np.bincount(labels.primitive[frames]).argmax())
        clips = videos.clip_of(frames)
        fewest = min(len(set(clips[labels.domain[frames] == d])) for d in range(len(labels.domains)))
        best[primitive] = max(best.get(primitive, (0, word)), (fewest, word))
    return [(word, members[word]) for _, (fewest, word) in sorted(best.items()) if fewest > 0][:_ROWS]


def _spread(
    members: list[int], domain: int, encoded: Encoded, labels: MotionLabels, videos: VideoCache
) -> list[int]:
    """Members of a domain, one per clip."""
    seen: dict[int, int] = {}
    for m in members:
        frame = int(encoded.pairs[m, 0])
        if labels.domain[frame] == domain:
            seen.setdefault(int(videos.clip_of(np.array([frame]))[0]), m)
    return list(seen.values())
