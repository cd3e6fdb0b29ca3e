"""Folders of clips: videos in one folder, what they show in another, so that a learner cannot read it by mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim.video.arms import Arms
from wbvla_sim.video.clip import RATE_HZ, Clip, write_video
from wbvla_sim.video.handling import HANDLING
from wbvla_sim.video.loco_clip import LocoFilm
from wbvla_sim.video.mani_clip import ManiFilm
from wbvla_sim.video.primitives import PRIMITIVES

KINDS = ("loco", "mani")
LABELS_FILE, SETTINGS_FILE = "labels.jsonl", "settings.json"
_READY_POSES = 12


def labels_folder(videos: Path) -> Path:
    """Where the labels of a video folder lie: beside it, never in it."""
    return videos.with_name(videos.name + "_labels")


def classes(kind: str) -> tuple[str, ...]:
    """The motion classes of a kind of clip."""
    return PRIMITIVES if kind == "loco" else HANDLING


def generate(
    out: Path,
    kind: str,
    clips: int,
    seed: int,
    robot: str = "x2_ultra",
    report: Callable[[int, int], None] | None = None,
) -> int:
    """Make ``clips`` clips of ``kind`` in ``out``, those that are missing; returns how many were made.

    Clip i depends on seed, kind and i alone, so that a run that was stopped goes on where it was. ``report`` gets
    (clips there, of how many). Raises ValueError for an unknown kind, or when ``out`` holds clips
    of other settings.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: choose one of {', '.join(KINDS)}")
    labels = labels_folder(out)
    _same_settings(
        labels / SETTINGS_FILE, {"kind": kind, "seed": seed, "robot": robot, "rate_hz": RATE_HZ}, out
    )
    out.mkdir(parents=True, exist_ok=True)
    known = _read_labels(labels / LABELS_FILE)
    missing = [i for i in range(clips) if clip_name(i) not in known or not (out / clip_name(i)).exists()]
    if not missing:
        return 0
    film = _film(RobotSpec.load(robot), kind, seed)
    with (labels / LABELS_FILE).open("a", encoding="utf-8") as file:
        for done, i in enumerate(missing):
            clip = film(np.random.default_rng((seed, KINDS.index(kind), i)))
            write_video(out / clip_name(i), clip.frames)
            if clip_name(i) not in known:
                file.write(json.dumps(_row(clip_name(i), clip)) + "\n")
                file.flush()
            if report is not None:
                report(clips - len(missing) + done + 1, clips)
    return len(missing)


def clip_name(number: int) -> str:
    """File name of a clip; it says nothing about what the clip shows."""
    return f"clip_{number:05d}.mp4"


def _film(spec: RobotSpec, kind: str, seed: int) -> Callable[[np.random.Generator], Clip]:
    arms = Arms(spec)
    if kind == "mani":
        return ManiFilm(spec, arms).film
    return LocoFilm(spec, arms.ready_poses(np.random.default_rng(seed), _READY_POSES)).film


def _row(name: str, clip: Clip) -> dict:
    return {
        "clip": name,
        "domain": clip.domain,
        "rate_hz": RATE_HZ,
        "spans": [asdict(span) for span in clip.spans],
    }


def _same_settings(path: Path, wanted: dict, out: Path) -> None:
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != wanted:
            raise ValueError(
                f"{out} holds clips of {found}, asked for {wanted}; give another folder or the same settings"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def _read_labels(path: Path) -> set[str]:
    """Clips that are labelled; a line cut off by a kill is taken out of the file."""
    if not path.exists():
        return set()
    whole = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            whole.append((json.loads(line)["clip"], line))
        except (json.JSONDecodeError, KeyError):
            break
    path.write_text("".join(f"{line}\n" for _, line in whole), encoding="utf-8")
    return {name for name, _ in whole}
