"""Pictures of filmed trials: some frames of each from start to end, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from .rows import ResultsError

FRAMES, WIDTH, LABEL = 6, 240, 16
MOST = 4


def film_strips(films: Path, out: Path) -> dict[str, list[Path]]:
    """One picture a task, a row for each of at most MOST films, failed trials first; paths by task. ``films`` holds a
    folder for each task with its MP4 files and, when told with ``--json trials.json``, what came of each.

    Raises ResultsError for a film or an account that cannot be read."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(path for path in films.glob("*") if path.is_dir()):
        files = sorted(folder.glob("*.mp4"))
        if not files:
            continue
        outcomes = _outcomes(folder / "trials.json")
        told = {file: outcomes.get(_seed(file), ("", "")) for file in files}
        chosen = sorted(files, key=lambda file: (told[file][0] == "success", file.name))[:MOST]
        rows = [_row(file, f"seed {_seed(file)}: {' '.join(told[file]).strip()}") for file in chosen]
        height, width = sum(row.shape[0] for row in rows), max(row.shape[1] for row in rows)
        picture, top = np.full((height, width, 3), 255, np.uint8), 0
        for row in rows:
            picture[top : top + row.shape[0], : row.shape[1]] = row
            top += row.shape[0]
        out.mkdir(parents=True, exist_ok=True)
        file = out / f"results_{folder.name}.jpg"
        Image.fromarray(picture).save(file, quality=85)
        found[folder.name] = [file]
    return found


def frames_of(film: Path, count: int) -> list[np.ndarray]:
    """``count`` frames RGB uint8 [H, W, 3], evenly from first to last (fewer when it has fewer). Raises ResultsError."""
    try:
        with av.open(str(film)) as container:
            total = sum(1 for _ in container.decode(video=0))
        if total == 0:
            raise ResultsError(f"{film}: holds no frame; film the trial again")
        wanted = sorted(set(np.linspace(0, total - 1, count).round().astype(int).tolist()))
        with av.open(str(film)) as container:
            return [
                frame.to_ndarray(format="rgb24")
                for number, frame in enumerate(container.decode(video=0))
                if number in wanted
            ]
    except (av.FFmpegError, OSError) as error:
        raise ResultsError(f"{film}: cannot be read ({error}); film the trial again") from None


def _row(film: Path, label: str) -> np.ndarray:
    parts = []
    for frame in frames_of(film, FRAMES):
        height = round(frame.shape[0] * WIDTH / frame.shape[1])
        parts.append(np.asarray(Image.fromarray(frame).resize((WIDTH, height), Image.Resampling.BILINEAR)))
    pictures = np.concatenate(parts, axis=1)
    strip = Image.new("RGB", (pictures.shape[1], LABEL), "white")
    ImageDraw.Draw(strip).text((4, 2), label, fill="black")
    return np.concatenate((pictures, np.asarray(strip)))


def _outcomes(file: Path) -> dict[int, tuple[str, str]]:
    if not file.exists():
        return {}
    try:
        episodes = json.loads(file.read_text(encoding="utf-8"))["episodes"]
        return {int(e["seed"]): (str(e["outcome"]), str(e["reason"])) for e in episodes}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"{file}: is not an account of trials ({error!r}); film the trials again"
        ) from None


def _seed(film: Path) -> int:
    digits = film.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else -1
