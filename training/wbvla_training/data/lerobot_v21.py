"""Writes the LeRobot dataset format v2.1: a table and a video per episode, meta data as JSON lines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from wbvla_training.data.dataset_files import (
    CHUNK_SIZE,
    DatasetPlan,
    placed_stats,
    placed_tables,
    places,
    write_json,
    write_lines,
    write_own,
)
from wbvla_training.data.piece import Piece
from wbvla_training.data.stats import Stats, merge, to_json
from wbvla_training.data.video import video_info

VERSION = "v2.1"
DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


def write(
    folder: Path, plan: DatasetPlan, pieces: Sequence[Piece], report: Callable[[int], None] = lambda _n: None
) -> None:
    """Make the dataset ``folder`` of ``pieces``; ``report`` is told how many episodes are in place.

    Raises OSError when the disk is full.
    """
    where, tasks = places(pieces)
    episodes, episode_stats = [], []
    all_stats: dict[str, list[Stats]] = {}
    for piece, place in zip(pieces, where, strict=True):
        name = {"episode_chunk": place.episode // CHUNK_SIZE, "episode_index": place.episode}
        path = folder / DATA_PATH.format(**name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, plan.schema.dataset_schema(), compression="snappy") as writer:
            for table in placed_tables(piece, place, plan.schema):
                writer.write_table(table)
        for camera in plan.schema.cameras:
            video = folder / VIDEO_PATH.format(video_key=camera.name, **name)
            video.parent.mkdir(parents=True, exist_ok=True)
            _link(piece.video(camera.name), video)
        stats = placed_stats(piece, place)
        for key, value in stats.items():
            all_stats.setdefault(key, []).append(value)
        episodes.append(
            {"episode_index": place.episode, "tasks": [piece.account.task], "length": piece.account.length}
        )
        episode_stats.append({"episode_index": place.episode, "stats": to_json(stats)})
        report(place.episode + 1)
    features = plan.schema.features(with_fps=False)
    for camera in plan.schema.cameras:
        first = folder / VIDEO_PATH.format(video_key=camera.name, episode_chunk=0, episode_index=0)
        features[camera.name]["info"] = video_info(first, plan.schema.fps)
    chunks = -(-len(pieces) // CHUNK_SIZE)
    info = {
        "codebase_version": VERSION,
        "robot_type": plan.robot,
        "total_episodes": len(pieces),
        "total_frames": sum(piece.account.length for piece in pieces),
        "total_tasks": len(tasks),
        "total_videos": len(pieces) * len(plan.schema.cameras),
        "total_chunks": chunks,
        "chunks_size": CHUNK_SIZE,
        "fps": plan.schema.fps,
        "splits": {"train": f"0:{len(pieces)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if plan.schema.cameras else None,
        "features": features,
    }
    write_json(folder / "meta/info.json", info)
    write_lines(folder / "meta/tasks.jsonl", [{"task_index": i, "task": t} for i, t in enumerate(tasks)])
    write_lines(folder / "meta/episodes.jsonl", episodes)
    write_lines(folder / "meta/episodes_stats.jsonl", episode_stats)
    write_json(folder / "meta/stats.json", to_json({name: merge(parts) for name, parts in all_stats.items()}))
    write_own(folder, plan, pieces)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name where the file system can, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
