"""``wbvla lam probe``: one model's figures and its variants' on the same held-out clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wbvla_training.lam import files
from wbvla_training.lam.action_probe import action_probe
from wbvla_training.lam.evaluate import encode, evaluate
from wbvla_training.lam.files import Lam
from wbvla_training.lam.motion_labels import MotionLabels, read_labels
from wbvla_training.lam.pairs import Source, open_source
from wbvla_training.lam.picture import draw_shared_codes
from wbvla_training.video.cache import VideoCache
from wbvla_training.vision.errors import VisionError

OpenCache = Callable[[Path, Lam], VideoCache]


@dataclass(frozen=True)
class ProbePlan:
    """Folders of walking and (optional) arm clips, datasets for the action probe, where the picture goes."""

    videos: Path
    mani_videos: Path | None
    datasets: tuple[Path, ...]
    picture: Path | None
    seed: int


def parse_variants(texts: tuple[str, ...]) -> dict[str, Path]:
    """``NAME=FOLDER`` each. Raises VisionError."""
    out = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise VisionError(f"variant {text!r}: give NAME=FOLDER, for example shared=runs/lam/shared/model")
        out[name] = Path(folder)
    return out


def probe(folder: Path, variants: dict[str, Path], plan: ProbePlan, open_cache: OpenCache) -> dict:
    """Top level: the model in ``folder`` on the walking clips. ``variants.<name>``: the others on the same clips.
    ``on_mani`` in each: the same figures on the arm clips. Raises VisionError."""
    result = _figures(files.load(folder), plan, open_cache, plan.picture)
    result["variants"] = {
        name: _figures(files.load(path), plan, open_cache, None) for name, path in variants.items()
    }
    return result


def _figures(lam: Lam, plan: ProbePlan, open_cache: OpenCache, picture: Path | None) -> dict:
    source, labels = _open(lam, plan.videos, open_cache)
    result = {"model": lam.variant, "codebook_hash": lam.hash, "gap_s": lam.model.config.gap_s}
    result |= evaluate(lam, source, labels, plan.seed)
    if picture is not None:
        encoded = encode(lam, source, labels.labelled(source.held_out))
        draw_shared_codes(picture, source.videos, labels, encoded)
    if plan.mani_videos is not None:
        result["on_mani"] = evaluate(lam, *_open(lam, plan.mani_videos, open_cache), plan.seed)
    if plan.datasets:
        result["actions"] = {path.name: action_probe(lam, path, plan.seed) for path in plan.datasets}
    return result


def _open(lam: Lam, videos: Path, open_cache: OpenCache) -> tuple[Source, MotionLabels]:
    cache = open_cache(videos, lam)
    source = open_source(cache, lam.processor.backbone, lam.model.config.gap_s)
    if not len(source.held_out):
        raise VisionError(f"{videos}: no held-out clip; about one in seven is held out, so make more clips")
    return source, read_labels(videos, cache)


def table(result: dict) -> str:
    """The main figures as lines of text."""
    head = f"{'':<22}{'rrg':>7}{'shuffled':>10}{'use':>6}{'primitive':>11}{'o_t alone':>11}  perplexity"
    rows = [head, _line(f"{result['model']} on loco", result)]
    if "on_mani" in result:
        rows.append(_line(f"{result['model']} on mani", result["on_mani"]))
    for name, other in result["variants"].items():
        rows.append(_line(f"{name} on loco", other))
        if "on_mani" in other:
            rows.append(_line(f"{name} on mani", other["on_mani"]))
    return "\n".join(rows)


def _line(name: str, r: dict) -> str:
    perplexity = " ".join(f"{p:.1f}" for p in r["perplexity"])
    return (
        f"{name:<22}{r['rrg']:>7.3f}{r['rrg_shuffled']:>10.3f}{r['codebook_use']:>6.2f}{r['primitive_accuracy']:>11.3f}"
        f"{r['primitive_accuracy_o_t']:>11.3f}  {perplexity}"
    )
