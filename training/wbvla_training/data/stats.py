"""Statistics of an episode's columns and pictures in bounded memory, and of several episodes together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Stats = dict[str, np.ndarray]
_KEPT_ROWS = 50_000


class VectorStats:
    """Running count, mean, standard deviation, extremes; quantiles over at most 50,000 rows spread evenly."""

    def __init__(self, size: int) -> None:
        self._count = 0
        self._mean = np.zeros(size)
        self._squares = np.zeros(size)
        self._min = np.full(size, np.inf)
        self._max = np.full(size, -np.inf)
        self._stride = 1
        self._rows: list[np.ndarray] = []

    def update(self, batch: np.ndarray) -> None:
        """Add rows [n, size]."""
        rows = np.asarray(batch, np.float64)
        if not len(rows):
            return
        total = self._count + len(rows)
        mean = rows.mean(axis=0)
        shift = mean - self._mean
        # Chan, Golub and LeVeque 1979: two sets' sums of squared deviations become one.
        self._squares += ((rows - mean) ** 2).sum(axis=0) + shift**2 * (self._count * len(rows) / total)
        self._mean = self._mean + shift * (len(rows) / total)
        self._min = np.minimum(self._min, rows.min(axis=0))
        self._max = np.maximum(self._max, rows.max(axis=0))
        self._rows.append(rows[-self._count % self._stride :: self._stride])
        self._count = total
        if sum(map(len, self._rows)) > _KEPT_ROWS:
            self._rows = [np.concatenate(self._rows)[::2]]
            self._stride *= 2

    def result(self) -> Stats:
        """min, max, mean, std, count and q01..q99, each [size] except count [1]."""
        rows = np.concatenate(self._rows)
        quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
        return {
            "min": self._min,
            "max": self._max,
            "mean": self._mean,
            "std": np.sqrt(self._squares / self._count),
            "count": np.array([self._count]),
            **dict(zip(QUANTILES, quantiles, strict=True)),
        }


class PictureStats:
    """The same of pictures per colour channel, as fractions 0..1, shaped [3, 1, 1]; ``count`` pictures."""

    def __init__(self) -> None:
        self._histogram = np.zeros((3, 256), np.int64)
        self._count = 0

    def update(self, rgb: np.ndarray) -> None:
        """Add a picture uint8 [H, W, 3]; every fourth pixel each way is enough."""
        small = rgb[::4, ::4]
        for channel in range(3):
            self._histogram[channel] += np.bincount(small[..., channel].ravel(), minlength=256)
        self._count += 1

    def result(self) -> Stats:
        levels = np.arange(256) / 255.0
        share = self._histogram / self._histogram.sum(axis=1, keepdims=True)
        mean = share @ levels
        sums = share.cumsum(axis=1)
        found = {
            "min": levels[np.argmax(share > 0, axis=1)],
            "max": levels[255 - np.argmax(share[:, ::-1] > 0, axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(share @ levels**2 - mean**2, 0.0)),
            **{name: levels[np.argmax(sums >= q, axis=1)] for name, q in QUANTILES.items()},
        }
        return {**{name: value.reshape(3, 1, 1) for name, value in found.items()}, "count": np.array([self._count])}


def merge(parts: Sequence[Stats]) -> Stats:
    """Statistics of several episodes together; quantiles are means weighted by count, as is usual in
    LeRobot datasets."""
    counts = np.array([float(part["count"][0]) for part in parts])
    share = counts / counts.sum()

    def weighted(values: list[np.ndarray]) -> np.ndarray:
        return np.tensordot(share, np.stack(values), axes=1)

    mean = weighted([part["mean"] for part in parts])
    variance = weighted([part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts])
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(counts.sum())]),
        **{name: weighted([part[name] for part in parts]) for name in QUANTILES},
    }


def to_json(stats: dict[str, Stats]) -> dict:
    """Nested lists."""
    return {name: {key: value.tolist() for key, value in one.items()} for name, one in stats.items()}


def from_json(data: dict) -> dict[str, Stats]:
    """Inverse of :func:`to_json`."""
    return {name: {key: np.asarray(value) for key, value in one.items()} for name, one in data.items()}
