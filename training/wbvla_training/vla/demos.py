"""From a LeRobot dataset of demonstrations to examples for fine-tuning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from wbvla_core.vla_input import shrink_picture

from wbvla_training.data.dataset_index import DatasetIndex
from wbvla_training.data.errors import DataError
from wbvla_training.data.reader import ACTION, STATE, EpisodeReader

from .configuration import VlaConfig
from .errors import VlaError
from .examples import Examples, Piece, Shape, cached, write_examples
from .processing import ProcessorFile

FLAG_NAMES = ("s_x", "s_y", "s_yaw")
CAMERA = "observation.images.head_cam"
_REST_S = 0.2
"""What did not change for so long rests."""
_END_S = 0.5
_SAME_RAD, _SAME_HEIGHT_M, _SAME_STATE = 0.02, 0.004, 0.05
"""Changes below these are none: of what is asked of joints and grippers (rad, share of the opening), of the stance height,
and of what joints and grippers do; a robot that stands sways a little."""


class Labeller(Protocol):
    """What labels of a latent action model come from (see wbvla_training.lam.labels.LatentLabeller)."""

    tokens: int
    codes: int
    gap_s: float
    codebook_hash: str

    def label_sequence(self, frames_rgb: np.ndarray, rate_hz: float) -> np.ndarray: ...


def demo_examples(
    dataset: Path,
    config: VlaConfig,
    folder: Path,
    labellers: dict[str, Labeller] | None = None,
    pause_s: float = 0.8,
    say: Callable[[str], None] = lambda _text: None,
) -> Examples:
    """Examples of every new picture in ``dataset``, in ``folder``; made once, opened again when nothing changed.

    ``pause_s``: as much of the standing still after each walk is cut out of the timeline, and all the time in which nothing
    moves and nothing new is asked for. A demonstrator waits there to see whether he arrived or holds a thing; a model
    without memory, which sees the same picture before and after, would wait for ever. Raises VlaError, DataError."""
    labellers = check_labellers(config, labellers or {})
    reader = EpisodeReader(dataset, cameras=(CAMERA,), fresh_only=True)
    _stride(dataset, config, reader.index.fps)
    info = dataset / "meta/info.json"
    source = {
        "dataset": str(dataset.resolve()),
        "changed_ns": info.stat().st_mtime_ns,
        "frames": reader.index.frames,
        "image": [*config.image.crop, config.image.width, config.image.height],
        "chunk": [config.decoder.chunk, config.decoder.step_s],
        "pause_s": pause_s,
        "rest_s": _REST_S if pause_s else 0.0,
        "codebooks": {name: labeller.codebook_hash for name, labeller in labellers.items()},
    }
    shape = Shape(
        config.image.width,
        len(reader.index.names(STATE)),
        config.decoder.chunk,
        len(reader.index.names(ACTION)),
        config.code_tokens,
    )
    found = cached(folder, source, shape)
    if found is not None:
        return found
    return write_examples(folder, shape, _pieces(reader, config, labellers, pause_s, say), source)


def _stride(dataset: Path, config: VlaConfig, fps: int) -> int:
    """Frames from one row of a chunk to the next; raises VlaError when they are not whole."""
    frames = config.decoder.step_s * fps
    stride = round(frames)
    if stride < 1 or abs(frames - stride) > 1e-6:
        raise VlaError(
            f"{dataset}: rows of a chunk are {config.decoder.step_s:g} s apart, which is {frames:g} frames at {fps} fps; "
            "set decoder.step_s to a whole number of them"
        )
    return stride


def demo_cache(cache: Path, dataset: Path) -> Path:
    """Where under ``cache`` the examples of a dataset lie."""
    return cache / f"demos_{hashlib.sha256(str(dataset.resolve()).encode()).hexdigest()[:12]}"


def check_names(dataset: Path, about: ProcessorFile) -> None:
    """Raises VlaError when states or actions of ``dataset`` are not those of the model, by name and order."""
    index = DatasetIndex.open(dataset)
    for feature, wanted in ((STATE, about.state_names), (ACTION, about.action_names)):
        names = tuple(index.names(feature))
        if names == wanted:
            continue
        lacks = [name for name in wanted if name not in names]
        what = f"no {lacks[0]}" if lacks else "more values or another order"
        raise VlaError(
            f"{dataset}: {feature} has {what}; the model was made for {len(wanted)} values that end with {wanted[-4:]}"
        )


def check_labellers(config: VlaConfig, labellers: dict[str, Labeller]) -> dict[str, Labeller]:
    """The labellers, once they fit the model's codebooks; raises VlaError."""
    for name, labeller in labellers.items():
        if name not in config.codebooks:
            raise VlaError(
                f"configuration {config.name} has no codebook '{name}'; it has {', '.join(config.codebooks)}"
            )
        book = config.codebooks[name]
        if (labeller.tokens, labeller.codes) != (book.tokens, book.codes):
            raise VlaError(
                f"latent action model '{name}' gives {labeller.tokens} tokens of {labeller.codes} codes, configuration "
                f"{config.name} has {book.tokens} of {book.codes}"
            )
        if book.hash and book.hash != labeller.codebook_hash:
            raise VlaError(
                f"the model learned the codes of '{name}' codebook {book.hash}; {labeller.codebook_hash} is another one, "
                "whose codes mean something else: pretrain with it first, or give the one it learned"
            )
    return labellers


def pauses(flags: np.ndarray, most: int) -> np.ndarray:
    """Which frames to leave out [F]: the first ``most`` of each standing still that follows a walk. ``flags`` [F, 3]."""
    walking = np.abs(flags).max(axis=1) > 0.5
    left_out = np.zeros(len(flags), bool)
    since = most
    for i, walks in enumerate(walking):
        since = 0 if walks else since + 1
        left_out[i] = 0 < since <= most
    return left_out


def rests(action: np.ndarray, state: np.ndarray, frames: int) -> np.ndarray:
    """Which frames show a demonstrator who waits [F]: over the last ``frames`` frames neither what he asks for ``action``
    [F, A] (its last column the height) nor arms and grippers ``state`` [F, B] changed."""

    before = np.maximum(np.arange(len(action)) - frames, 0)
    same = np.full(action.shape[1], _SAME_RAD)
    same[-1] = _SAME_HEIGHT_M
    waiting = (np.abs(action - action[before]) < same).all(axis=1)
    waiting &= (np.abs(state - state[before]) < _SAME_STATE).all(axis=1)
    waiting[:frames] = False
    return waiting


def _pieces(
    reader: EpisodeReader, config: VlaConfig, labellers: dict[str, Labeller], pause_s: float, say: Callable
) -> Iterator[Piece]:
    names = reader.index.names(ACTION)
    missing = [name for name in FLAG_NAMES if name not in names]
    if missing:
        raise DataError(f"'{reader.index.root}': action has no {missing[0]}")
    flag_columns = [names.index(name) for name in FLAG_NAMES]
    state_names = reader.index.names(STATE)
    upper_columns = [state_names.index(name) for name in names if name in state_names]
    columns = reader.index.columns((STATE, ACTION))
    fps = reader.index.fps
    stride = _stride(reader.index.root, config, fps)
    for number, episode in enumerate(reader.episodes):
        say(f"episode {number + 1} of {len(reader.episodes)}")
        rows = slice(episode.begin, episode.begin + episode.length)
        action, state = columns[ACTION][rows], columns[STATE][rows]
        cut = np.zeros(episode.length, bool)
        if pause_s:
            flags = action[:, flag_columns]
            cut = pauses(flags, round(pause_s * fps))
            standing = np.abs(flags).max(axis=1) < 0.5
            cut |= standing & rests(action, state[:, upper_columns], round(_REST_S * fps))
            # The end of an episode stays, whatever it is.
            cut[-max(1, round(_END_S * fps)) :] = False
        kept = np.flatnonzero(~cut)
        place = np.full(episode.length, -1)
        place[kept] = np.arange(len(kept))
        fresh = reader.frames(number)
        pictures, codes = _look(reader, episode, fresh, config, labellers, fps)
        used = np.flatnonzero(place[fresh] >= 0)
        at = place[fresh[used]]
        wanted = np.minimum(at[:, None] + stride * np.arange(config.decoder.chunk), len(kept) - 1)
        yield Piece(
            pictures=pictures[used],
            sentence=reader.task(episode),
            episode=episode.number,
            state=state[fresh[used]],
            action=action[kept[wanted]],
            progress=at / max(1, len(kept) - 1),
            codes=codes[used],
        )


def _look(
    reader: EpisodeReader,
    episode,
    fresh: np.ndarray,
    config: VlaConfig,
    labellers: dict[str, Labeller],
    fps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Shrunk pictures [F, h, w, 3] of the fresh frames, and their codes [F, N]."""
    small, whole = [], []
    raw = any(getattr(labeller, "image", config.image) != config.image for labeller in labellers.values())
    for frame in fresh:
        rgb = reader.picture(episode, int(frame), CAMERA)
        small.append(shrink_picture(rgb, config.image))
        if raw:
            whole.append(rgb)
    pictures = np.stack(small)
    codes = np.full((len(fresh), config.code_tokens), -1, np.int16)
    # Pictures come at the camera's rate, which the frames they were new in tell.
    rate_hz = fps * (len(fresh) - 1) / max(1, int(fresh[-1] - fresh[0]))
    begin = 0
    for name, book in config.codebooks.items():
        if name in labellers:
            seen = np.stack(whole) if raw else pictures
            codes[:, begin : begin + book.tokens] = labellers[name].label_sequence(seen, rate_hz)
        begin += book.tokens
    return pictures, codes
