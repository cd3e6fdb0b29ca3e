"""Finds episodes, tables and videos of a LeRobot dataset, v3.0 or v2.1, by its meta data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from wbvla_core.contract import Contract, ContractError

from wbvla_training.data import dataset_files, lerobot_v3, lerobot_v21
from wbvla_training.data.errors import DataError
from wbvla_training.data.stats import Stats, from_json


@dataclass(frozen=True)
class EpisodeEntry:
    """``length`` rows from ``row`` of ``table`` on; ``videos``: (file, first frame) by camera; ``begin`` is the
    number of its first frame in the dataset."""

    number: int
    length: int
    begin: int
    tasks: tuple[str, ...]
    table: Path
    row: int
    videos: dict[str, tuple[Path, int]]


@dataclass(frozen=True)
class DatasetIndex:
    """A dataset's meta data. ``provenance``: one account per episode, empty in a foreign dataset."""

    root: Path
    info: dict
    episodes: tuple[EpisodeEntry, ...]
    tasks: tuple[str, ...]
    provenance: tuple[dict, ...]

    @staticmethod
    def open(root: Path) -> DatasetIndex:
        """Read the meta data of the dataset folder ``root``; raises DataError."""
        file = root / "meta/info.json"
        if not file.exists():
            raise DataError(f"'{root}' is no LeRobot dataset: it has no meta/info.json")
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
            version = info["codebase_version"]
            if version == lerobot_v3.VERSION:
                episodes, tasks = _read_v3(root, info)
            elif version == lerobot_v21.VERSION:
                episodes, tasks = _read_v21(root, info)
            else:
                raise DataError(f"'{root}' is a dataset of format {version}; v3.0 and v2.1 can be read")
            accounts = root / dataset_files.PROVENANCE
            provenance = tuple(_lines(accounts)) if accounts.exists() else ()
        except (OSError, KeyError, TypeError, pa.ArrowInvalid, json.JSONDecodeError) as error:
            raise DataError(
                f"meta data of '{root}' cannot be read: {type(error).__name__}: {error}; convert the bags anew"
            ) from None
        return DatasetIndex(root, info, tuple(episodes), tuple(tasks), provenance)

    @property
    def version(self) -> str:
        return self.info["codebase_version"]

    @property
    def fps(self) -> int:
        return int(self.info["fps"])

    @property
    def features(self) -> dict[str, dict]:
        return self.info["features"]

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(name for name, feature in self.features.items() if feature["dtype"] == "video")

    @property
    def frames(self) -> int:
        return sum(episode.length for episode in self.episodes)

    def names(self, feature: str) -> list[str]:
        """Names of a feature's values."""
        found = self.features[feature]
        names = found["names"]
        if isinstance(names, dict):  # LeRobot allows {axis: names}
            names = next(iter(names.values()))
        return list(names) if names else [str(i) for i in range(found["shape"][0])]

    def contract(self) -> Contract | None:
        """The contract under which it was recorded; None in a foreign dataset. Raises DataError."""
        file = self.root / dataset_files.CONTRACT_COPY
        if not file.exists():
            return None
        try:
            return Contract.load(file)
        except ContractError as error:
            raise DataError(str(error)) from None

    def columns(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Whole columns, [frames, size] each, in the order of the episodes. Raises DataError."""
        wanted = list(names)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        for episode in self.episodes:
            table = self._rows(episode, wanted)
            for name in wanted:
                parts[name].append(column_values(table, name))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def episode_columns(self, episode: EpisodeEntry, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Columns of one episode, [length, size] each; all of them without ``names``. Raises DataError."""
        table = self._rows(episode, None if names is None else list(names))
        return {name: column_values(table, name) for name in table.column_names}

    def _rows(self, episode: EpisodeEntry, names: list[str] | None) -> pa.Table:
        table = _table(episode.table, None if names is None else tuple(names))
        return table.slice(episode.row, episode.length)

    def stats(self) -> dict[str, Stats]:
        """Statistics of the whole dataset; empty when it has none."""
        file = self.root / "meta/stats.json"
        return from_json(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}

    def episode_stats(self) -> list[dict[str, Stats]]:
        """Statistics of each episode."""
        if self.version == lerobot_v21.VERSION:
            return [from_json(row["stats"]) for row in _lines(self.root / "meta/episodes_stats.jsonl")]
        found = []
        for row in _episode_rows(self.root, stats=True):
            stats: dict[str, Stats] = {}
            for key, value in row.items():
                if key.startswith("stats/"):
                    name, _, figure = key[len("stats/") :].rpartition("/")
                    stats.setdefault(name, {})[figure] = np.asarray(value)
            found.append(stats)
        return found


def column_values(table: pa.Table, name: str) -> np.ndarray:
    """A column as [rows, size]."""
    column = table.column(name).combine_chunks()
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return column.to_numpy(zero_copy_only=False).reshape(len(column), 1)


_last: tuple[tuple, pa.Table] | None = None


def _table(path: Path, names: tuple[str, ...] | None) -> pa.Table:
    """A table file; the last one read is kept, since episodes of one file are read one after the other."""
    global _last
    try:
        key = (path, path.stat().st_mtime_ns, path.stat().st_ino, names)
        if _last is not None and _last[0] == key:
            return _last[1]
        table = pq.read_table(path, columns=None if names is None else list(names))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"table '{path}' cannot be read: {error}") from None
    missing = set(names or ()) - set(table.column_names)
    if missing:
        raise DataError(f"table '{path}' has no column {', '.join(sorted(missing))}")
    _last = (key, table)
    return table


def _read_v3(root: Path, info: dict) -> tuple[list[EpisodeEntry], list[str]]:
    cameras = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    first_of: dict[Path, int] = {}
    episodes = []
    for row in sorted(_episode_rows(root, stats=False), key=lambda row: row["episode_index"]):
        table = root / info["data_path"].format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        begin = row["dataset_from_index"]
        videos = {}
        for camera in cameras:
            path = root / info["video_path"].format(
                video_key=camera,
                chunk_index=row[f"videos/{camera}/chunk_index"],
                file_index=row[f"videos/{camera}/file_index"],
            )
            videos[camera] = (path, round(row[f"videos/{camera}/from_timestamp"] * info["fps"]))
        episodes.append(
            EpisodeEntry(
                row["episode_index"], row["length"], begin, tuple(row["tasks"]), table,
                begin - first_of.setdefault(table, begin), videos,
            )
        )  # fmt: skip
    table = pq.read_table(root / "meta/tasks.parquet").to_pydict()
    sentences = next(values for name, values in table.items() if name != "task_index")
    return episodes, [task for _, task in sorted(zip(table["task_index"], sentences, strict=True))]


def _episode_rows(root: Path, stats: bool) -> list[dict]:
    rows: list[dict] = []
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        names = [n for n in pq.read_schema(path).names if stats or not n.startswith("stats/")]
        rows += pq.read_table(path, columns=names).to_pylist()
    return rows


def _read_v21(root: Path, info: dict) -> tuple[list[EpisodeEntry], list[str]]:
    cameras = [name for name, feature in info["features"].items() if feature["dtype"] == "video"]
    episodes, begin = [], 0
    for row in sorted(_lines(root / "meta/episodes.jsonl"), key=lambda row: row["episode_index"]):
        number = row["episode_index"]
        name = {"episode_chunk": number // info["chunks_size"], "episode_index": number}
        videos = {c: (root / info["video_path"].format(video_key=c, **name), 0) for c in cameras}
        table = root / info["data_path"].format(**name)
        episodes.append(EpisodeEntry(number, row["length"], begin, tuple(row["tasks"]), table, 0, videos))
        begin += row["length"]
    tasks = sorted(_lines(root / "meta/tasks.jsonl"), key=lambda row: row["task_index"])
    return episodes, [row["task"] for row in tasks]


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
