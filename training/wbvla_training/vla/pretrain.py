"""Pretraining: latent codes of action-free video, and what sentences speak of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from .batches import Augmentation, Batches, Part
from .configuration import preset
from .demos import Labeller
from .errors import VlaError
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


def pretrain(
    options: PretrainOptions,
    schedule: Schedule,
    labellers: dict[str, Labeller],
    console: Console | None = None,
) -> dict[str, float]:
    """Train, or go on with what lies in ``out``; leaves the model there. Returns the last losses. Raises VlaError."""
    say = _say(console)
    vla = _begin(options, schedule, labellers)
    cache = options.cache or options.out / "cache"
    parts = []
    for number, (folder, sentence) in enumerate(options.videos):
        examples = video_examples(
            folder,
            vla.config,
            cache / f"video{number}_{folder.name}",
            labellers,
            sentence or GENERIC,
            say=say,
        )
        parts.append(
            (examples, (1.0 - options.pictures_share if options.pictures else 1.0) / len(options.videos))
        )
    if options.pictures:
        examples = grounding_examples(vla.config, cache / "grounding", options.pictures, say=say)
        parts.append((examples, options.pictures_share if options.videos else 1.0))
    if not parts:
        raise VlaError("nothing to pretrain on: give --videos, or --pictures, or both")
    rows = [Part(examples, np.arange(len(examples)), share) for examples, share in parts]
    batches = Batches(rows, vla.processor, schedule.batch, schedule.seed, options.augmentation)
    trainer = Trainer(
        vla.model,
        batches.draw,
        code_losses(options.weights),
        schedule,
        options.out,
        run_about(schedule, what="pretrain", config=vla.config.name, start=str(options.start or ""),
                  sources=[e.source for e, _ in parts], augmentation=asdict(options.augmentation),
                  weights=asdict(options.weights)),
    )  # fmt: skip
    resumed = trainer.resume()
    if resumed:
        say(f"goes on at step {trainer.step} of {schedule.steps}")
    try:
        return trainer.run(console)
    finally:
        # Of a run that was stopped the model so far is of use too.
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
    from .demos import check_labellers

    check_labellers(vla.config, labellers)
    return replace(vla, config=vla.config.with_hashes(hashes))


def _say(console: Console | None):
    return (lambda text: None) if console is None else (lambda text: console.print(text, highlight=False))


def all_rows(examples: Examples) -> np.ndarray:
    """Numbers of all examples."""
    return np.arange(len(examples))
