"""What the files of both LeRobot formats have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wbvla_training.data.piece import Piece
from wbvla_training.data.schema import Schema
from wbvla_training.data.stats import Stats, VectorStats

CHUNK_SIZE = 1000
OWN_FOLDER = "meta/wbvla"
PROVENANCE = f"{OWN_FOLDER}/episodes.jsonl"
CONTRACT_COPY = f"{OWN_FOLDER}/contract.yaml"
ROBOT_FILE = "robot.yaml"
ROBOT_COPY = f"{OWN_FOLDER}/{ROBOT_FILE}"


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset is made of besides its episodes. ``robot_files``: the robot's spec as texts by file name,
    empty when it is not at hand."""

    schema: Schema
    robot: str
    contract_text: str
    robot_files: dict[str, str]
    conversion: dict


@dataclass(frozen=True)
class Place:
    """Where an episode stands: its number, the number of its first frame, and its task's number."""

    episode: int
    begin: int
    task: int


def places(pieces: Sequence[Piece]) -> tuple[list[Place], list[str]]:
    """Each piece's place, and the tasks in the order of their numbers."""
    tasks: dict[str, int] = {}
    found, begin = [], 0
    for number, piece in enumerate(pieces):
        task = tasks.setdefault(piece.account.task, len(tasks))
        found.append(Place(number, begin, task))
        begin += piece.account.length
    return found, list(tasks)


def placed_tables(piece: Piece, place: Place, schema: Schema) -> Iterator[pa.Table]:
    """The piece's rows, batch by batch, numbered for its place."""
    begin = place.begin
    with pq.ParquetFile(piece.table) as file:
        for batch in file.iter_batches(batch_size=4096):
            count = batch.num_rows
            table = pa.Table.from_batches([batch])
            for name, values in (
                ("episode_index", np.full(count, place.episode)),
                ("index", np.arange(begin, begin + count)),
                ("task_index", np.full(count, place.task)),
            ):
                table = table.append_column(name, pa.array(values))
            begin += count
            yield table.select(schema.dataset_schema().names).cast(schema.dataset_schema())


def placed_stats(piece: Piece, place: Place) -> dict[str, Stats]:
    """The piece's statistics with those of the numbers that its place gives it."""
    length = piece.account.length
    found = dict(piece.stats)
    for name, values in (
        ("episode_index", np.full(length, place.episode)),
        ("index", np.arange(place.begin, place.begin + length)),
        ("task_index", np.full(length, place.task)),
    ):
        numbers = VectorStats(1)
        numbers.update(values[:, None])
        found[name] = numbers.result()
    return found


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def write_lines(path: Path, rows: Sequence[dict]) -> None:
    """One JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_own(folder: Path, plan: DatasetPlan, pieces: Sequence[Piece]) -> None:
    """Contract, robot spec, where each episode comes from, and how it was converted."""
    write_lines(
        folder / PROVENANCE,
        [{"episode_index": number, **asdict(piece.account)} for number, piece in enumerate(pieces)],
    )
    write_json(folder / OWN_FOLDER / "conversion.json", plan.conversion)
    (folder / CONTRACT_COPY).write_text(plan.contract_text, encoding="utf-8")
    for name, text in plan.robot_files.items():
        (folder / OWN_FOLDER / name).write_text(text, encoding="utf-8")
