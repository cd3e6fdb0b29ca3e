"""A dataset without some of its episodes: what ``check --fix`` does, and all it does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import pyarrow.parquet as pq

from wbvla_training.data import dataset_files
from wbvla_training.data.convert import FORMATS
from wbvla_training.data.dataset_files import DatasetPlan
from wbvla_training.data.dataset_index import DatasetIndex, EpisodeEntry
from wbvla_training.data.errors import DataError, disk_full, is_disk_full
from wbvla_training.data.piece import TABLE, Account, Piece
from wbvla_training.data.schema import Schema
from wbvla_training.data.stats import Stats
from wbvla_training.data.video import VideoJoiner


def drop_episodes(index: DatasetIndex, numbers: Collection[int]) -> Path:
    """Put a dataset without the episodes ``numbers`` in the place of the old one, which stays as
    ``NAME.unfixed``; returns that path. Nothing is encoded anew.

    Raises:
        DataError: nothing would be left, the dataset is foreign, or there is no room.
    """
    kept = [episode for episode in index.episodes if episode.number not in set(numbers)]
    if not kept:
        raise DataError(f"every episode of '{index.root}' has errors; nothing would be left")
    contract = index.contract()
    if contract is None or len(index.provenance) != len(index.episodes):
        raise DataError(f"'{index.root}' was not made by wbvla data convert; it cannot be fixed here")
    before = index.root.with_name(index.root.name + ".unfixed")
    work = index.root.with_name(index.root.name + ".fixing")
    if before.exists():
        raise DataError(f"'{before}' of an earlier fix is still there; move it away first")
    shutil.rmtree(work, ignore_errors=True)
    schema = Schema.of(contract, any(name in index.features for name in contract.splits))
    try:
        stats = index.episode_stats()
        pieces = [
            _piece(index, e, index.provenance[e.number], stats[e.number], work / f"pieces/{e.number:06d}", schema)
            for e in kept
        ]
        contract_copy = index.root / dataset_files.CONTRACT_COPY
        copies = [f for f in contract_copy.parent.glob("*.yaml") if f != contract_copy]
        plan = DatasetPlan(
            schema,
            str(index.info["robot_type"]),
            contract.text,
            {file.name: file.read_text(encoding="utf-8") for file in copies},
            {**_conversion(index.root), "dropped_episodes": sorted(numbers)},
        )
        folder = work / "dataset"
        folder.mkdir()
        FORMATS[index.version].write(folder, plan, pieces)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        if is_disk_full(error):
            raise disk_full(work, "the dataset is as it was") from error
        raise
    index.root.rename(before)
    folder.rename(index.root)
    shutil.rmtree(work)
    return before


def _piece(
    index: DatasetIndex, episode: EpisodeEntry, account: dict, stats: dict[str, Stats], folder: Path, schema: Schema
) -> Piece:
    """An episode taken out of its dataset."""
    folder.mkdir(parents=True)
    table = pq.read_table(episode.table).slice(episode.row, episode.length)
    wanted = schema.piece_schema()
    pq.write_table(table.select(wanted.names).cast(wanted), folder / TABLE, compression="snappy")
    piece = Piece(
        folder,
        Account(**{**{k: v for k, v in account.items() if k != "episode_index"}, "warnings": tuple(account["warnings"])}),
        {name: one for name, one in stats.items() if name not in ("episode_index", "index", "task_index")},
    )
    for camera, (path, first) in episode.videos.items():
        joiner = VideoJoiner(piece.video(camera), index.fps)
        joiner.add(path, first, episode.length)
        joiner.close()
    return piece


def _conversion(root: Path) -> dict:
    file = root / dataset_files.OWN_FOLDER / "conversion.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
