"""Where the episodes of a collection lie, and which of them are there already."""

from __future__ import annotations

from pathlib import Path

import yaml
from wbvla_teleop.recorder_core import EPISODE_FILE

_DONE = ("finished", "discarded")
INTERRUPTED = "interrupted"


def episode_folder(out: Path, task: str, seed: int) -> Path | None:
    """A folder that does not exist yet for the episode of ``seed``; None when it is recorded already.

    What an interrupted run left behind stays, and the episode is recorded anew beside it."""
    folder, number = out / f"{task}_{seed:05d}", 1
    while folder.exists():
        if _recorded(folder):
            return None
        number += 1
        folder = out / f"{task}_{seed:05d}_{number}"
    return folder


def _recorded(folder: Path) -> bool:
    try:
        episode = yaml.safe_load((folder / EPISODE_FILE).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    if not isinstance(episode, dict) or episode.get("state") not in _DONE:
        return False
    return (episode.get("outcome") or {}).get("discard_reason") != INTERRUPTED
