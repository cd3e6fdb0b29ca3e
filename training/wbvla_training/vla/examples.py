"""Examples on disk: pictures decoded once into a memory-mapped array, with what belongs to each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import VlaError

MANIFEST = "examples.json"
FORMAT = 1


@dataclass(frozen=True)
class Examples:
    """F examples. ``pictures`` uint8 [F, h, w, 3] (shrunk, not scaled); ``sentence`` [F] numbers of ``sentences``;
    ``state`` float32 [F, S] and ``action`` float32 [F, T, A] in units, ``progress`` [F] 0..1, ``scene`` [F, 8]: NaN where
    an example has none; ``codes`` int16 [F, N], -1 where it has none; ``episode`` [F]; ``source`` says what they were
    made of."""

    pictures: np.ndarray
    sentence: np.ndarray
    sentences: tuple[str, ...]
    state: np.ndarray
    action: np.ndarray
    progress: np.ndarray
    scene: np.ndarray
    codes: np.ndarray
    episode: np.ndarray
    source: dict

    def __len__(self) -> int:
        return len(self.sentence)

    def where(self, episodes: Iterable[int]) -> np.ndarray:
        """Numbers of the examples of some episodes."""
        return np.flatnonzero(np.isin(self.episode, list(episodes)))


SCENE_NAMES = ("ball_x", "ball_y", "ball_z", "edge_x", "table_y", "table_yaw", "ball_u", "ball_v")
"""The named ball in the pelvis frame [m]; in the table's frame, distance of the pelvis before its near edge and to the
left of its middle [m]; heading of the table as the robot sees it [rad]; where the ball is in the picture, from its middle
to the right and down, as shares of width and height."""
SCENE_MEAN = np.array([0.7, 0.0, 0.03, 0.6, 0.0, 0.0, 0.0, 0.0], np.float32)
SCENE_STD = np.array([0.3, 0.25, 0.06, 0.3, 0.3, 0.2, 0.25, 0.25], np.float32)
PICTURE = slice(6, 8)
"""The columns of the place in the picture."""


ARRAYS = ("sentence", "state", "action", "progress", "scene", "codes", "episode")


@dataclass(frozen=True)
class Piece:
    """Some examples of one sentence, as Examples but with None for what they lack."""

    pictures: np.ndarray
    sentence: str
    episode: int
    state: np.ndarray | None = None
    action: np.ndarray | None = None
    progress: np.ndarray | None = None
    scene: np.ndarray | None = None
    codes: np.ndarray | None = None


@dataclass(frozen=True)
class Shape:
    """Sizes of the arrays: picture side [px], states, chunk rows, actions, code tokens."""

    side: int
    states: int
    rows: int
    actions: int
    tokens: int
    scene: int = len(SCENE_NAMES)


def write_examples(folder: Path, shape: Shape, pieces: Iterable[Piece], source: dict) -> Examples:
    """Write the pieces one after the other and open the result; an interrupted one leaves nothing behind that could
    be taken for whole."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    sentences: dict[str, int] = {}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ARRAYS}
    with open(part / "pictures.bin", "wb") as file:
        for piece in pieces:
            count = len(piece.pictures)
            if piece.pictures.shape[1:] != (shape.side, shape.side, 3) or piece.pictures.dtype != np.uint8:
                raise VlaError(
                    f"pictures of {piece.pictures.shape[1:]} {piece.pictures.dtype} do not fit {shape.side} px"
                )
            piece.pictures.tofile(file)
            number = sentences.setdefault(piece.sentence, len(sentences))
            columns["sentence"].append(np.full(count, number, np.int32))
            columns["episode"].append(np.full(count, piece.episode, np.int32))
            for name, size, empty, kind in (
                ("state", (shape.states,), np.nan, np.float32),
                ("action", (shape.rows, shape.actions), np.nan, np.float32),
                ("progress", (), np.nan, np.float32),
                ("scene", (shape.scene,), np.nan, np.float32),
                ("codes", (shape.tokens,), -1, np.int16),
            ):
                value = getattr(piece, name)
                column = np.full((count, *size), empty, kind) if value is None else np.asarray(value, kind)
                if column.shape != (count, *size):
                    raise VlaError(f"{name} of shape {column.shape} does not fit {(count, *size)}")
                columns[name].append(column)
    if not columns["sentence"]:
        raise VlaError(f"{folder}: there are no examples to write")
    for name in ARRAYS:
        np.save(part / f"{name}.npy", np.concatenate(columns[name]))
    about = {"format": FORMAT, "side": shape.side, "sentences": list(sentences), "source": source}
    (part / MANIFEST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return open_examples(folder)


def open_examples(folder: Path) -> Examples:
    """Open what :func:`write_examples` wrote; raises VlaError."""
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise VlaError(
                f"{folder}: examples of format {about['format']}, expected {FORMAT}; make them anew"
            )
        columns = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        shape = (len(columns["sentence"]), about["side"], about["side"], 3)
        pictures = np.memmap(folder / "pictures.bin", np.uint8, "r", shape=shape)
    except FileNotFoundError as error:
        raise VlaError(f"{folder}: no examples there ({error.filename} is missing)") from None
    except (OSError, ValueError, KeyError) as error:
        raise VlaError(f"{folder}: examples cannot be read ({error}); make them anew") from None
    return Examples(pictures=pictures, sentences=tuple(about["sentences"]), source=about["source"], **columns)


def cached(folder: Path, source: dict, shape: Shape) -> Examples | None:
    """Examples in ``folder`` when they were made of just this ``source`` and have this ``shape``; else None."""
    if not (folder / MANIFEST).exists():
        return None
    found = open_examples(folder)
    sizes = Shape(
        found.pictures.shape[1], found.state.shape[1], *found.action.shape[1:], found.codes.shape[1], found.scene.shape[1]
    )
    return found if found.source == json.loads(json.dumps(source)) and sizes == shape else None


def mix(
    rng: np.random.Generator, sizes: Sequence[int], shares: Sequence[float], count: int
) -> list[np.ndarray]:
    """Random numbers of examples out of several stores, ``count`` in all, divided by ``shares``."""
    parts = np.asarray(shares, float) / np.sum(shares)
    cut = np.round(np.concatenate(([0.0], np.cumsum(parts))) * count).astype(int)
    return [rng.integers(0, size, b - a) for size, a, b in zip(sizes, cut[:-1], cut[1:], strict=True)]
