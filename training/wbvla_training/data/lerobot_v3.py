"""Writes the LeRobot dataset format v3.0: many episodes per file, found through ``meta/episodes``.

Layout and names after https://huggingface.co/docs/lerobot/lerobot-dataset-v3.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wbvla_training.data.dataset_files import (
    CHUNK_SIZE,
    DatasetPlan,
    placed_stats,
    placed_tables,
    places,
    write_json,
    write_own,
)
from wbvla_training.data.piece import Piece
from wbvla_training.data.stats import Stats, merge, to_json
from wbvla_training.data.video import VideoJoiner, video_info

VERSION = "v3.0"
DATA_MB, VIDEO_MB = 100, 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
_MB = 1 << 20


def write(
    folder: Path, plan: DatasetPlan, pieces: Sequence[Piece], report: Callable[[int], None] = lambda _n: None
) -> None:
    """Make the dataset ``folder`` of ``pieces``; ``report`` is told how many episodes are in place.

    Raises OSError when the disk is full.
    """
    where, tasks = places(pieces)
    data = _DataFiles(folder, plan)
    videos = {camera.name: _VideoFiles(folder, camera.name, plan.schema.fps) for camera in plan.schema.cameras}
    rows: list[dict] = []
    all_stats: dict[str, list[Stats]] = {}
    for piece, place in zip(pieces, where, strict=True):
        length = piece.account.length
        row: dict = {"episode_index": place.episode, "tasks": [piece.account.task], "length": length}
        row.update(data.add(piece, place))
        row.update(dataset_from_index=place.begin, dataset_to_index=place.begin + length)
        for video in videos.values():
            row.update(video.add(piece))
        for name, stats in placed_stats(piece, place).items():
            all_stats.setdefault(name, []).append(stats)
            row.update({f"stats/{name}/{key}": value.tolist() for key, value in stats.items()})
        row.update({"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        rows.append(row)
        report(place.episode + 1)
    data.close()
    for video in videos.values():
        video.close()
    episodes = folder / EPISODES_PATH
    episodes.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), episodes, compression="snappy")
    _write_tasks(folder / "meta/tasks.parquet", tasks)
    write_json(folder / "meta/stats.json", to_json({name: merge(parts) for name, parts in all_stats.items()}))
    features = plan.schema.features(with_fps=True)
    for camera in plan.schema.cameras:
        first = folder / VIDEO_PATH.format(video_key=camera.name, chunk_index=0, file_index=0)
        features[camera.name]["info"] = video_info(first, plan.schema.fps)
    info = {
        "codebase_version": VERSION,
        "robot_type": plan.robot,
        "total_episodes": len(pieces),
        "total_frames": sum(piece.account.length for piece in pieces),
        "total_tasks": len(tasks),
        "chunks_size": CHUNK_SIZE,
        "data_files_size_in_mb": DATA_MB,
        "video_files_size_in_mb": VIDEO_MB,
        "fps": plan.schema.fps,
        "splits": {"train": f"0:{len(pieces)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if videos else None,
        "features": features,
    }
    write_json(folder / "meta/info.json", info)
    write_own(folder, plan, pieces)


class _Numbered:
    """Files numbered by chunk and file; a new one begins when the present one would grow too large."""

    def __init__(self, limit_mb: int) -> None:
        self._limit = limit_mb * _MB
        self._count = -1

    @property
    def place(self) -> tuple[int, int]:
        return divmod(self._count, CHUNK_SIZE)

    def needs_new(self, present: int, added: int) -> bool:
        return self._count < 0 or present + added > self._limit

    def advance(self) -> dict[str, int]:
        self._count += 1
        chunk, file = self.place
        return {"chunk_index": chunk, "file_index": file}


class _DataFiles:
    def __init__(self, folder: Path, plan: DatasetPlan) -> None:
        self._folder, self._schema = folder, plan.schema
        self._files = _Numbered(DATA_MB)
        self._writer: pq.ParquetWriter | None = None
        self._size = 0

    def add(self, piece: Piece, place) -> dict[str, int]:
        size = piece.table.stat().st_size
        if self._files.needs_new(self._size, size):
            self.close()
            path = self._folder / DATA_PATH.format(**self._files.advance())
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, self._schema.dataset_schema(), compression="snappy")
            self._size = 0
        for table in placed_tables(piece, place, self._schema):
            self._writer.write_table(table)
        self._size += size
        chunk, file = self._files.place
        return {"data/chunk_index": chunk, "data/file_index": file}

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


class _VideoFiles:
    def __init__(self, folder: Path, camera: str, fps: int) -> None:
        self._folder, self._camera, self._fps = folder, camera, fps
        self._files = _Numbered(VIDEO_MB)
        self._joiner: VideoJoiner | None = None
        self._size = 0

    def add(self, piece: Piece) -> dict[str, float]:
        source = piece.video(self._camera)
        size = source.stat().st_size
        if self._files.needs_new(self._size, size):
            self.close()
            path = self._folder / VIDEO_PATH.format(video_key=self._camera, **self._files.advance())
            path.parent.mkdir(parents=True, exist_ok=True)
            self._joiner = VideoJoiner(path, self._fps)
            self._size = 0
        begin = self._joiner.frames
        end = begin + self._joiner.add(source)
        self._size += size
        chunk, file = self._files.place
        prefix = f"videos/{self._camera}"
        return {
            f"{prefix}/chunk_index": chunk,
            f"{prefix}/file_index": file,
            f"{prefix}/from_timestamp": begin / self._fps,
            f"{prefix}/to_timestamp": end / self._fps,
        }

    def close(self) -> None:
        if self._joiner is not None:
            self._joiner.close()
        self._joiner = None


def _write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """A table that pandas reads with the sentences as its index."""
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(list(tasks))})
    columns = [("task_index", "int64", "int64"), ("task", "unicode", "object")]
    described = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": n, "field_name": n, "pandas_type": p, "numpy_type": t, "metadata": None}
            for n, p, t in columns
        ],
        "pandas_version": "2.0.0",
    }
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(described)}), path)
