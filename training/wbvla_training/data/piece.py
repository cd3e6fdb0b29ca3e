"""An episode on its own, before it has its place in a dataset: a table, its videos and an account of it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wbvla_training.data.align import Frame
from wbvla_training.data.schema import INTERVENTION, STAMPS, Schema
from wbvla_training.data.stats import Stats, VectorStats, from_json, to_json
from wbvla_training.data.video import VideoWriter

TABLE = "data.parquet"
ACCOUNT = "piece.json"
_BATCH_ROWS = 1024


@dataclass(frozen=True)
class Account:
    """Where an episode comes from. ``task_succeeded`` None: nobody said. Times in ns of the recorder's clock."""

    bag: str
    part: int
    task: str
    length: int
    start_ns: int
    operator: str = ""
    task_succeeded: bool | None = None
    note: str = ""
    software: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A finished episode in ``folder``."""

    folder: Path
    account: Account
    stats: dict[str, Stats] = field(repr=False)

    @staticmethod
    def load(folder: Path) -> Piece:
        content = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
        account = content["account"]
        account["warnings"] = tuple(account["warnings"])
        return Piece(folder, Account(**account), from_json(content["stats"]))

    def save(self) -> None:
        """Write the account; the piece counts from now on."""
        content = {"account": asdict(self.account), "stats": to_json(self.stats)}
        temporary = self.folder / (ACCOUNT + ".new")
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        os.replace(temporary, self.folder / ACCOUNT)

    @property
    def table(self) -> Path:
        return self.folder / TABLE

    def video(self, camera: str) -> Path:
        return self.folder / f"{camera}.mp4"


class PieceWriter:
    """Collects an episode's frames; tables and videos grow on disk, not in memory."""

    def __init__(self, folder: Path, schema: Schema, threads: int = 2) -> None:
        self._folder = folder
        self._schema = schema
        self._rows: dict[str, list] = {column.name: [] for column in schema.columns}
        self._stats = {c.name: VectorStats(c.size) for c in schema.columns}
        self._time_stats = {name: VectorStats(1) for name in ("timestamp", "frame_index")}
        self.length = self._written = 0
        self.first_ns = 0
        folder.mkdir(parents=True)
        self._table = pq.ParquetWriter(folder / TABLE, schema.piece_schema(), compression="snappy")
        self._videos = {
            camera.name: VideoWriter(folder / f"{camera.name}.mp4", *camera.shape[:2], schema.fps, threads)
            for camera in schema.cameras
        }

    def add(self, frame: Frame, intervention: bool) -> None:
        """The next frame. Raises OSError when the disk is full."""
        if self.length == 0:
            self.first_ns = frame.time_ns
        for name, jpeg in frame.pictures.items():
            self._videos[name].add(jpeg)
        for name, values in frame.vectors.items():
            self._rows[name].append(values)
        for name, feature, start, stop in self._schema.splits:
            self._rows[name].append(frame.vectors[feature][start:stop])
        self._rows[INTERVENTION].append([intervention])
        self._rows[STAMPS].append(
            [frame.time_ns, *(frame.stamps_ns[k] for k in self._schema.stamp_keys),
             *(frame.received_ns[k] for k in self._schema.received_keys)]
        )  # fmt: skip
        self.length += 1
        if self.length - self._written == _BATCH_ROWS:
            self._flush()

    def close(self, account: Account) -> Piece:
        """Finish the files; raises OSError when the disk is full."""
        self._flush()
        self._table.close()
        results = {name: video.close() for name, video in self._videos.items()}
        unreadable = sum(result.unreadable for result in results.values())
        if unreadable:
            text = f"{unreadable} pictures could not be decoded; each shows its predecessor"
            account = Account(**{**asdict(account), "warnings": (*account.warnings, text)})
        stats = {name: result.stats for name, result in results.items()}
        stats.update({name: one.result() for name, one in {**self._stats, **self._time_stats}.items()})
        piece = Piece(self._folder, account, stats)
        piece.save()
        return piece

    def abort(self) -> None:
        """Leave nothing."""
        for video in self._videos.values():
            video.abort()
        self._table.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _flush(self) -> None:
        count = self.length - self._written
        if not count:
            return
        arrays = []
        for column in self._schema.columns:
            rows = np.asarray(self._rows[column.name], column.dtype).reshape(count, column.size)
            self._stats[column.name].update(rows)
            arrays.append(column.array(rows))
            self._rows[column.name].clear()
        numbers = np.arange(self._written, self.length)
        times = numbers / self._schema.fps
        self._time_stats["timestamp"].update(times[:, None])
        self._time_stats["frame_index"].update(numbers[:, None])
        arrays += [pa.array(times.astype(np.float32)), pa.array(numbers)]
        self._table.write_table(pa.Table.from_arrays(arrays, schema=self._schema.piece_schema()))
        self._written = self.length
