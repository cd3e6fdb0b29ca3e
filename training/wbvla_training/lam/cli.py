"""``wbvla lam video|backbone|train|probe``: action-free video, feature backbone, latent action models, what they know."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from wbvla_training.vision.errors import VisionError

if TYPE_CHECKING:
    from wbvla_core.vla_bundle import ImageSection

    from wbvla_training.lam.pairs import Source
    from wbvla_training.video.cache import VideoCache


@dataclass
class Video:
    """Make egocentric video without action labels: a head camera that walks (loco), or arms at a table (mani).

    OUT holds ordinary .mp4 files; what they show is written to OUT_labels, for evaluation only. A run that was
    stopped goes on when the same command is given again.

      wbvla lam video --kind loco --clips 1200 --out runs/video_loco
    """

    out: Path
    """Folder for the videos."""
    kind: Literal["loco", "mani"] = "loco"
    """What they show."""
    clips: int = 600
    """How many there shall be; 4 to 6 s each."""
    seed: int = 0
    """Seed of everything random."""
    robot: str = "x2_ultra"
    """Robot name or YAML file."""


@dataclass
class Backbone:
    """Train a small DINOv2 from scratch on video frames by masked pixel reconstruction (no weights at hand).

    wbvla lam backbone --videos runs/video_loco runs/video_mani --out models/lam/backbone
    """

    videos: tuple[Path, ...]
    """Folders of video files."""
    out: Path
    """Folder of the run: checkpoint and log."""
    model: Path | None = None
    """Folder for the finished backbone, in Hugging Face's layout; default OUT/model."""
    steps: int = 3000
    """Training steps."""
    batch: int = 64
    """Frames a step."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    resume: bool = False
    """Go on after the last checkpoint."""
    cache: Path | None = None
    """Folder for decoded frames; default NAME_cache beside the first video folder."""
    seed: int = 0
    """Seed of everything random."""
    threads: int = 0
    """Torch threads; 0 leaves torch's choice."""
    device: str = "cpu"
    """Torch device."""


@dataclass
class Train:
    """Train a latent action model on pairs of frames. Several processes: torchrun --nproc-per-node N -m
    wbvla_training.lam.cli -- train ... --resume goes on after the last checkpoint to the same losses.

      wbvla lam train --config tiny --variant loco --videos runs/video_loco --backbone models/lam/backbone
          --out runs/lam/loco --model models/lam/loco
    """

    variant: Literal["loco", "mani", "shared"]
    """What it shall describe; for shared give the folders of both, each batch takes the same number from each."""
    videos: tuple[Path, ...]
    """Folders of video files."""
    backbone: str
    """Backbone folder, or a hub name such as facebook/dinov2-base."""
    out: Path
    """Folder of the run: checkpoint, losses and log."""
    model: Path | None = None
    """Folder for the finished model; default OUT/model."""
    config: Literal["tiny", "paper"] = "tiny"
    """Sizes and schedule; in tiny, codes move features; paper has UniVLA's values."""
    steps: int | None = None
    """Training steps."""
    batch: int | None = None
    """Pairs a step, of all processes together."""
    accumulate: int | None = None
    """Parts that a step's batch is worked off in."""
    learning_rate: float | None = None
    """Peak learning rate."""
    gap_s: float | None = None
    """Time between the two frames of a pair."""
    amp: Literal["none", "bfloat16", "float16"] | None = None
    """Mixed precision."""
    seed: int | None = None
    """Seed of everything random."""
    checkpoint_every: int | None = None
    """Steps between checkpoints."""
    resume: bool = False
    """Go on after the last checkpoint in OUT."""
    live_features: bool = False
    """Compute features anew for each batch instead of once into a file (for video too long for the disk)."""
    cache: Path | None = None
    """Folder for decoded frames and features; default NAME_cache beside each video folder."""
    threads: int = 0
    """Torch threads; 0 leaves torch's choice."""
    device: str = "cpu"
    """Torch device, for example cuda."""


@dataclass
class Probe:
    """Measure a latent action model on held-out clips: codes in use, reconstruction gain, linear probes, retrieval.

    Top-level figures are those of --lam on --videos; other models come under variants.NAME.

      wbvla lam probe --lam models/lam/loco --videos runs/video_loco --mani-videos runs/video_mani
          --variants mani=models/lam/mani shared=runs/lam/shared/model --json probe.json --picture codes.jpg
    """

    lam: Path
    """Model folder."""
    videos: Path
    """Folder of walking clips, its labels beside it."""
    mani_videos: Path | None = None
    """Folder of arm clips, its labels beside it."""
    variants: tuple[str, ...] = ()
    """Further models as NAME=FOLDER."""
    datasets: tuple[Path, ...] = field(default=())
    """LeRobot datasets made from bags, for the probe from latents to actions."""
    json: Path | None = None
    """Write all figures here."""
    picture: Path | None = None
    """Write a picture of clips that share a code here (.jpg or .png)."""
    cache: Path | None = None
    """Folder for decoded frames and features; default NAME_cache beside each video folder."""
    seed: int = 0
    """Seed of shuffling and probes."""
    threads: int = 0
    """Torch threads; 0 leaves torch's choice."""


Command = (
    Annotated[Video, tyro.conf.subcommand("video")]
    | Annotated[Backbone, tyro.conf.subcommand("backbone")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Probe, tyro.conf.subcommand("probe")]
)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit code (2 for something that cannot be used)."""
    command = tyro.cli(Command, prog="wbvla lam", description=__doc__, args=argv)  # type: ignore[call-overload]
    handlers = {Video: _video, Backbone: _backbone, Train: _train, Probe: _probe}
    try:
        return handlers[type(command)](command)
    except VisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _video(a: Video) -> int:
    from wbvla_sim.gl import NoOpenGLError
    from wbvla_sim.video.generate import generate

    with _progress(f"{a.kind} clips") as report:
        try:
            made = generate(a.out, a.kind, a.clips, a.seed, a.robot, report)
        except (ValueError, NoOpenGLError) as error:
            raise VisionError(str(error)) from None
    print(f"{a.out}: {a.clips} clips, {made} of them new")
    return 0


def _backbone(a: Backbone) -> int:
    from wbvla_training.vision.image import whole_picture
    from wbvla_training.vision.train_backbone import BackboneTraining, train_backbone

    _threads(a.threads)
    image = whole_picture(112)
    caches = [_open_cache(videos, image, a.cache) for videos in a.videos]
    training = BackboneTraining(steps=a.steps, batch=a.batch, learning_rate=a.learning_rate, seed=a.seed)
    model = a.model or a.out / "model"
    figures = train_backbone(caches, a.out, model, training, a.resume, a.device)
    print(f"{model}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return 0


def _train(a: Train) -> int:
    from wbvla_training.lam.configuration import preset
    from wbvla_training.lam.pairs import open_source
    from wbvla_training.lam.train import Trainer
    from wbvla_training.processes import Processes
    from wbvla_training.vision.backbone import Dinov2Backbone

    _threads(a.threads)
    processes = Processes.start(a.device)
    backbone = Dinov2Backbone.load(a.backbone).to(a.device)
    chosen = preset(a.config, backbone.grid, backbone.width)
    names = ("steps", "batch", "accumulate", "learning_rate", "amp", "seed", "checkpoint_every")
    changes = {name: value for name in names if (value := getattr(a, name)) is not None}
    model = chosen.model if a.gap_s is None else dataclasses.replace(chosen.model, gap_s=a.gap_s)
    chosen = dataclasses.replace(
        chosen, model=model, training=dataclasses.replace(chosen.training, **changes)
    )

    def sources() -> list[Source]:
        opened = []
        for videos in a.videos:
            cache = _open_cache(videos, backbone.image, a.cache)
            with _progress(f"features of {videos}") as report:
                opened.append(open_source(cache, backbone, chosen.model.gap_s, a.live_features, report))
        return opened

    with processes.leader_first():
        found = sources()
    trainer = Trainer(chosen, a.variant, found, backbone, a.out, a.device, processes)
    if a.resume:
        trainer.resume()
    try:
        lam = trainer.run()
    except KeyboardInterrupt:
        if processes.leads:
            print(
                f"\n{a.out}: stopped and saved at step {trainer.step}; the same command with --resume goes on",
                file=sys.stderr,
            )
        return 130
    if processes.leads:
        folder = trainer.save(lam, a.backbone, a.model or a.out / "model")
        print(f"{folder}: {a.variant} model {lam.hash}, {trainer.step} steps")
    processes.end()
    return 0


def _probe(a: Probe) -> int:
    from wbvla_training.lam.probe import ProbePlan, parse_variants, probe, table

    _threads(a.threads)
    plan = ProbePlan(a.videos, a.mani_videos, a.datasets, a.picture, a.seed)
    variants = parse_variants(a.variants)
    result = probe(
        a.lam, variants, plan, lambda videos, lam: _open_cache(videos, lam.processor.image, a.cache)
    )
    print(table(result))
    if a.json:
        a.json.parent.mkdir(parents=True, exist_ok=True)
        a.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _threads(count: int) -> None:
    if count:
        import torch

        torch.set_num_threads(count)


def _open_cache(videos: Path, image: ImageSection, cache: Path | None) -> VideoCache:
    """Decode what is not decoded yet, with progress; names files that cannot be used."""
    from wbvla_training.video.cache import open_cache

    with _progress(f"decoding {videos}") as report:
        opened = open_cache(videos, image, cache, report=report)
    for reason in opened.skipped.values():
        print(f"skipped: {reason}", file=sys.stderr)
    return opened


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    sys.exit(main())
