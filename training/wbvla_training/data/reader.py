"""Reads a dataset for training: observations and action chunks by index, pictures decoded on demand.

Pictures pass through the very functions that the VLA node uses on the robot. Items are dicts of numpy arrays,
which torch's DataLoader turns into tensors; torch itself is not needed here.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from wbvla_core.vla_bundle import ImageSection
from wbvla_core.vla_input import prepare_image

from wbvla_training.data.dataset_index import DatasetIndex, EpisodeEntry
from wbvla_training.data.errors import DataError
from wbvla_training.data.frames import VideoFrames
from wbvla_training.data.schema import STAMPS

STATE, ACTION = "observation.state", "action"
_OPEN_VIDEOS = 8


class EpisodeReader:
    """Frames of a dataset, or of some of its episodes, by index 0 .. len - 1.

    Each item holds ``observation.state`` float32 [S]; ``action`` float32 [chunk, A], row k being the action
    ``k * stride`` frames later, the last one of the episode repeated; ``action_is_pad`` bool [chunk], True for
    those; each camera's picture, uint8 [H, W, 3], or float32 [3, h, w] with ``image``; ``task``; ``episode`` and
    ``frame`` numbers.
    """

    def __init__(
        self,
        root: Path,
        *,
        chunk: int = 1,
        stride: int = 1,
        image: ImageSection | None = None,
        cameras: Sequence[str] | None = None,
        episodes: Sequence[int] | None = None,
        fresh_only: bool = False,
    ) -> None:
        """``image``: how a bundle's model wants its pictures. ``fresh_only`` leaves out frames whose picture
        was shown before, as happens when the camera is slower than the dataset; the live path knows none.

        Raises:
            DataError: no dataset, or it lacks a feature, camera or episode.
        """
        if chunk < 1 or stride < 1:
            raise DataError(f"chunk {chunk} and stride {stride} must be 1 or more")
        self.index = DatasetIndex.open(root)
        self.chunk, self.stride, self.image = chunk, stride, image
        self.cameras = tuple(self.index.cameras if cameras is None else cameras)
        unknown = set(self.cameras) - set(self.index.cameras)
        if unknown:
            raise DataError(f"'{root}' has no camera {sorted(unknown)[0]}; it has {', '.join(self.index.cameras)}")
        numbers = range(len(self.index.episodes)) if episodes is None else episodes
        if any(not 0 <= n < len(self.index.episodes) for n in numbers):
            raise DataError(f"'{root}' has episodes 0 to {len(self.index.episodes) - 1}, asked for {list(numbers)}")
        self.episodes = tuple(self.index.episodes[n] for n in numbers)
        for name in (STATE, ACTION):
            if name not in self.index.features:
                raise DataError(f"'{root}' has no feature {name}")
        wanted = [STATE, ACTION, "task_index"] + ([STAMPS] if fresh_only else [])
        self._columns = self.index.columns(wanted)
        self._frames = np.concatenate([self._fresh(e) if fresh_only else np.arange(e.length) for e in self.episodes])
        counts = [len(self._fresh(e)) if fresh_only else e.length for e in self.episodes]
        self._of = np.repeat(np.arange(len(self.episodes)), counts)
        self._begins = np.concatenate(([0], np.cumsum(counts)))
        self._videos: OrderedDict[Path, VideoFrames] = OrderedDict()
        self._inherited: OrderedDict[Path, VideoFrames] | None = None
        self._process = os.getpid()

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, i: int) -> dict:
        if not -len(self) <= i < len(self):
            raise IndexError(f"index {i} is outside of {len(self)} frames")
        episode, frame = self.episodes[self._of[i]], int(self._frames[i])
        row = episode.begin + frame
        action, is_pad = self.actions(episode, frame)
        item = {
            STATE: self._columns[STATE][row].astype(np.float32, copy=False),
            ACTION: action,
            "action_is_pad": is_pad,
            "task": self.task(episode, frame),
            "episode": episode.number,
            "frame": frame,
        }
        for camera in self.cameras:
            rgb = self.picture(episode, frame, camera)
            item[camera] = rgb if self.image is None else prepare_image(rgb, self.image)[0]
        return item

    def actions(self, episode: EpisodeEntry, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Chunk float32 [chunk, A] from ``frame`` on, and which of its rows lie behind the episode's end."""
        wanted = frame + self.stride * np.arange(self.chunk)
        is_pad = wanted >= episode.length
        rows = episode.begin + np.minimum(wanted, episode.length - 1)
        return self._columns[ACTION][rows].astype(np.float32, copy=False), is_pad

    def picture(self, episode: EpisodeEntry, frame: int, camera: str) -> np.ndarray:
        """RGB uint8 [H, W, 3] of one frame."""
        path, first = episode.videos[camera]
        return self._video(path).read(first + frame)

    def frames(self, episode: int) -> np.ndarray:
        """Frame numbers within the reader's episode number ``episode``, in the order of :meth:`indices`."""
        return self._frames[self._begins[episode] : self._begins[episode + 1]]

    def task(self, episode: EpisodeEntry, frame: int = 0) -> str:
        """The sentence of a frame."""
        return self.index.tasks[int(self._columns["task_index"][episode.begin + frame, 0])]

    def indices(self, episode: int) -> range:
        """Items of the reader's episode number ``episode``."""
        return range(int(self._begins[episode]), int(self._begins[episode + 1]))

    def walk(self, episode: int) -> Iterator[dict]:
        """One episode's items in the order of time."""
        return (self[i] for i in self.indices(episode))

    def _fresh(self, episode: EpisodeEntry) -> np.ndarray:
        """Frames whose picture is new."""
        names = self.index.names(STAMPS)
        contract = self.index.contract()
        if contract is None or not self.cameras:
            raise DataError(f"'{self.index.root}' does not tell when its pictures were taken")
        place = names.index(contract.features[self.cameras[0]].parts[0].topic)
        stamps = self._columns[STAMPS][episode.begin : episode.begin + episode.length, place]
        return np.flatnonzero(np.diff(stamps, prepend=stamps[0] - 1))

    def _video(self, path: Path) -> VideoFrames:
        if self._process != os.getpid():
            # A forked worker must not use its parent's open files, and closing them would wait for threads that
            # did not survive the fork.
            self._inherited, self._videos, self._process = self._videos, OrderedDict(), os.getpid()
        if path in self._videos:
            self._videos.move_to_end(path)
            return self._videos[path]
        if len(self._videos) >= _OPEN_VIDEOS:
            self._videos.popitem(last=False)[1].close()
        return self._videos.setdefault(path, VideoFrames(path, self.index.fps))

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_videos": OrderedDict(), "_inherited": None}


class EpisodeShuffle:
    """Order of a reader's items for training, new in every epoch: episodes are shuffled, and the frames of
    ``together`` episodes at a time are mixed, so that few videos are open at once. A sampler for torch."""

    def __init__(self, reader: EpisodeReader, seed: int = 0, together: int = _OPEN_VIDEOS) -> None:
        self._reader, self._seed, self._together = reader, seed, together
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._reader)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self._seed, self.epoch))
        order = generator.permutation(len(self._reader.episodes))
        self.epoch += 1
        for begin in range(0, len(order), self._together):
            group = [np.asarray(self._reader.indices(e)) for e in order[begin : begin + self._together]]
            yield from (int(i) for i in generator.permutation(np.concatenate(group)))


def split_episodes(count: int, held_out: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Episode numbers for training and for validation; ``held_out`` is the share of the latter, at least one
    episode unless it is 0."""
    order = np.random.default_rng(seed).permutation(count)
    kept_back = min(count - 1, max(1, round(held_out * count))) if held_out > 0 else 0
    return sorted(order[kept_back:].tolist()), sorted(order[:kept_back].tolist())


def torch_loader(reader: EpisodeReader, batch: int, workers: int = 0, seed: int = 0):
    """A torch DataLoader over the reader, shuffled by episodes; needs torch. Workers start as processes of
    their own, since forking a process that runs threads may hang."""
    from torch.utils.data import DataLoader

    return DataLoader(
        reader, batch_size=batch, sampler=EpisodeShuffle(reader, seed), num_workers=workers,
        persistent_workers=workers > 0, drop_last=True, multiprocessing_context="spawn" if workers else None,
    )  # fmt: skip
