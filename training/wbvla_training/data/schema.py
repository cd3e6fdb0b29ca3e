"""The columns of a dataset: those that the contract names, and what LeRobot and an honest account need besides."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from wbvla_core.contract import Contract, Feature

from wbvla_training.data.errors import DataError

INTERVENTION = "complementary_info.is_intervention"
STAMPS = "complementary_info.stamps_ns"
# Columns that number frames and episodes; LeRobot's names and types.
NUMBERING = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
_ARROW = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}


@dataclass(frozen=True)
class Column:
    """One column of numbers: ``size`` values of ``dtype`` per frame."""

    name: str
    dtype: str
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.names)

    @property
    def arrow_type(self) -> pa.DataType:
        kind = _ARROW[self.dtype]
        return kind if self.size == 1 else pa.list_(kind, self.size)

    def array(self, rows: np.ndarray) -> pa.Array:
        """Arrow array of values [n, size]."""
        flat = pa.array(np.ascontiguousarray(rows, self.dtype).ravel())
        return flat if self.size == 1 else pa.FixedSizeListArray.from_arrays(flat, self.size)


@dataclass(frozen=True)
class Schema:
    """Columns of numbers in order, cameras, and which topics' stamps are kept."""

    fps: int
    columns: tuple[Column, ...]
    cameras: tuple[Feature, ...]
    stamp_keys: tuple[str, ...]
    received_keys: tuple[str, ...]
    splits: tuple[tuple[str, str, int, int], ...]

    @staticmethod
    def of(contract: Contract, split_keys: bool) -> Schema:
        """Raises DataError when the contract's rate is no whole number: LeRobot's ``fps`` is one."""
        fps = round(contract.frame_rate_hz)
        if fps != contract.frame_rate_hz:
            raise DataError(f"contract {contract.name}: frame_rate_hz {contract.frame_rate_hz} must be a whole number")
        vectors = [f for f in contract.features.values() if not f.is_video]
        cameras = tuple(f for f in contract.features.values() if f.is_video)
        topics = dict.fromkeys(p.topic for f in (*cameras, *vectors) for p in f.parts)
        received = tuple(dict.fromkeys(p.topic for f in cameras for p in f.parts))
        stamps = Column(STAMPS, "int64", ("frame", *topics, *(f"{key}_received" for key in received)))
        splits = tuple((s.name, s.feature, s.start, s.stop) for s in contract.splits.values()) if split_keys else ()
        columns = [Column(f.name, f.dtype, f.names) for f in vectors]
        for name, feature, start, stop in splits:
            whole = contract.features[feature]
            columns.append(Column(name, whole.dtype, whole.names[start:stop]))
        return Schema(
            fps,
            (*columns, Column(INTERVENTION, "bool", ("is_intervention",)), stamps),
            cameras,
            tuple(topics),
            received,
            splits,
        )

    def piece_schema(self) -> pa.Schema:
        """Columns of one episode's table before it has its place in a dataset."""
        fields = [pa.field(c.name, c.arrow_type) for c in self.columns]
        return pa.schema(
            [*fields, pa.field("timestamp", pa.float32()), pa.field("frame_index", pa.int64())]
        )

    def dataset_schema(self) -> pa.Schema:
        """Columns of a dataset's tables."""
        fields = [pa.field(c.name, c.arrow_type) for c in self.columns]
        return pa.schema([*fields, *(pa.field(name, _ARROW[kind]) for name, kind in NUMBERING.items())])

    def features(self, with_fps: bool) -> dict[str, dict]:
        """The ``features`` of ``info.json``, without the videos' ``info``."""
        found: dict[str, dict] = {}
        for camera in self.cameras:
            found[camera.name] = {"dtype": "video", "shape": list(camera.shape), "names": list(camera.names)}
        for column in self.columns:
            found[column.name] = {"dtype": column.dtype, "shape": [column.size], "names": list(column.names)}
        for name, kind in NUMBERING.items():
            found[name] = {"dtype": kind, "shape": [1], "names": None}
        if with_fps:
            for feature in found.values():
                if feature["dtype"] != "video":
                    feature["fps"] = self.fps
        return found

    def describe(self) -> str:
        """Text that two runs share exactly when their pieces fit together."""
        content = [self.fps, [[c.name, c.dtype, c.names] for c in self.columns], [[c.name, c.shape] for c in self.cameras]]
        return json.dumps(content)
