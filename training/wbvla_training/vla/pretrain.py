"""Pretraining: latent codes of action-free video, and what sentences speak of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from wbvla_core.typed_json import to_json

from wbvla_training.processes import Processes

from .batches import Augmentation, Batches, Part
from .configuration import preset
from .demos import Labeller, check_labellers
from .errors import VlaError, check_share
from .examples import Examples
from .files import Vla, load_vla, new_vla, save_vla
from .grounding import grounding_examples
from .losses import LossWeights, losses, total
from .trainer import Schedule, Trainer, run_about
from .video_examples import GENERIC, video_examples


@dataclass(frozen=True)
class PretrainOptions:
    """``videos``: folders, each with the sentence of its clips; ``pictures``: grounding pictures to draw (0: none), their
    ``pictures_share`` of each batch; ``sources``: folder or hub name of published parts by ``dinov2``, ``siglip``,
    ``language``; ``start``: go on from a trained VLA instead of a new one."""

    out: Path
    config: str = "tiny"
    start: Path | None = None
    videos: tuple[tuple[Path, str], ...] = ()
    pictures: int = 0
    pictures_share: float = 0.5
    cache: Path | None = None
    sources: dict[str, str] = field(default_factory=dict)
    weights: LossWeights = field(default_factory=LossWeights)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        check_share("--pictures-share", self.pictures_share)


def pretrain(
    options: PretrainOptions,
    schedule: Schedule,
    labellers: dict[str, Labeller],
    console: Console | None = None,
) -> dict[str, float]:
    """Train, or go on with what lies in ``out``; leaves the model there. Returns the last losses. Raises VlaError."""
    say = sayer(console)
    vla = _begin(options, schedule, labellers)
    cache = options.cache or options.out / "cache"
    if not options.videos and not options.pictures:
        raise VlaError("nothing to pretrain on: give --videos, or --pictures, or both")
    pictures_share = options.pictures_share if options.videos else 1.0
    video_share = 1.0 - pictures_share if options.pictures else 1.0
    parts = []
    with Processes.start(schedule.device).leader_first():
        for number, (folder, sentence) in enumerate(options.videos):
            place = cache / f"video{number}_{folder.name}"
            examples = video_examples(folder, vla.config, place, labellers, sentence or GENERIC, say=say)
            parts.append(Part(examples, all_rows(examples), video_share / len(options.videos)))
        if options.pictures:
            examples = grounding_examples(vla.config, cache / "grounding", options.pictures, say=say)
            parts.append(Part(examples, all_rows(examples), pictures_share))
    batches = Batches(parts, vla.processor, schedule.batch, schedule.seed, options.augmentation)
    trainer = Trainer(
        vla.model,
        batches.draw,
        code_losses(options.weights),
        schedule,
        options.out,
        run_about(schedule, what="pretrain", config=vla.config.name, start=str(options.start or ""),
                  sources=[part.examples.source for part in parts], augmentation=asdict(options.augmentation),
                  weights=asdict(options.weights), shares=[part.share for part in parts], model=to_json(vla.config),
                  tokenizer=vla.processor.about.tokenizer_hash),
    )  # fmt: skip
    resumed = trainer.resume()
    if resumed:
        say(f"goes on at step {trainer.step} of {schedule.steps}")
    try:
        return trainer.run(console)
    finally:
        # Of a run that was stopped the model so far is of use too.
        if trainer.processes.leads:
            save_vla(options.out, vla, trainer.averaged())


def code_losses(weights: LossWeights, classes=None):
    """The loss function of a batch for the trainer."""

    def of(module, batch):
        reading, decoded = module(batch.image, batch.tokens, batch.state, batch.codes)
        parts = losses(reading, decoded, batch, classes)
        return {**parts, "total": total(parts, weights)}

    return of


def _begin(options: PretrainOptions, schedule: Schedule, labellers: dict[str, Labeller]) -> Vla:
    hashes = {name: labeller.codebook_hash for name, labeller in labellers.items()}
    if options.start is not None:
        vla = load_vla(options.start)
    else:
        config = preset(options.config)
        for name, source in options.sources.items():
            config = replace(config, **{name: replace(getattr(config, name), source=source)})
        vla = new_vla(config, schedule.seed)
    check_labellers(vla.config, labellers)
    return replace(vla, config=vla.config.with_hashes(hashes))


def sayer(console: Console | None):
    """What prints progress on ``console``, when there is one."""
    return (lambda text: None) if console is None else (lambda text: console.print(text, highlight=False))


def all_rows(examples: Examples) -> np.ndarray:
    """Numbers of all examples."""
    return np.arange(len(examples))
