"""From folders of action-free video to examples for pretraining: a frame, a sentence, and the codes that latent action
models give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from wbvla_training.video.cache import VideoCache, open_cache
from wbvla_training.vision.errors import VisionError

from .configuration import VlaConfig
from .demos import Labeller, check_labellers
from .errors import VlaError
from .examples import Examples, Piece, Shape, cached, write_examples

GENERIC = "go on"
"""Sentence of clips that nobody described: what is learned from them is what may come next, not what was asked."""


def video_examples(
    videos: Path,
    config: VlaConfig,
    folder: Path,
    labellers: dict[str, Labeller],
    sentence: str = GENERIC,
    states: int = 36,
    actions: int = 20,
    say: Callable[[str], None] = lambda _text: None,
) -> Examples:
    """Examples of the training clips in ``videos`` (held-out clips are left out), in ``folder``; made once. Raises
    VlaError."""
    labellers = check_labellers(config, labellers)
    if not labellers:
        raise VlaError(
            "pretraining on video needs the codes of a latent action model; give --lam-mani or --lam-loco"
        )
    try:
        frames = open_cache(videos, config.image)
        # Each latent action model sees its pictures as it was trained to.
        seen = {
            name: open_cache(videos, getattr(lam, "image", config.image)) for name, lam in labellers.items()
        }
    except VisionError as error:
        raise VlaError(str(error)) from None
    source = {
        "videos": str(videos.resolve()), "key": frames.key, "sentence": sentence,
        "codebooks": {name: labeller.codebook_hash for name, labeller in labellers.items()},
    }  # fmt: skip
    shape = Shape(config.image.width, states, config.decoder.chunk, actions, config.code_tokens)
    found = cached(folder, source, shape)
    if found is not None:
        return found
    return write_examples(folder, shape, _pieces(frames, seen, config, labellers, sentence, say), source)


def _pieces(
    frames: VideoCache,
    seen: dict[str, VideoCache],
    config: VlaConfig,
    labellers: dict[str, Labeller],
    sentence: str,
    say: Callable,
) -> Iterator[Piece]:
    """``seen``: the same frames as each labeller takes them."""
    clips = [clip for clip in frames.clips if not clip.held_out]
    gap = max(round(labeller.gap_s * frames.rate_hz) for labeller in labellers.values())
    for number, clip in enumerate(clips):
        # Towards its end a clip has no later frame to tell the code by.
        count = clip.count - gap
        if count < 1:
            continue
        rows = slice(clip.begin, clip.begin + clip.count)
        codes = np.full((count, config.code_tokens), -1, np.int16)
        begin = 0
        for name, book in config.codebooks.items():
            if name in labellers:
                found = labellers[name].label_sequence(np.asarray(seen[name].frames[rows]), frames.rate_hz)
                codes[:, begin : begin + book.tokens] = found[:count]
            begin += book.tokens
        yield Piece(np.asarray(frames.frames[rows])[:count], sentence, number, codes=codes)
        if number % 20 == 19:
            say(f"clip {number + 1} of {len(clips)}")
