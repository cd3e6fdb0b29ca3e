"""Fine-tuning on demonstrations: codes and actions together; all weights, a frozen backbone, or LoRA."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from wbvla_core.typed_json import to_json
from wbvla_core.vla_bundle import StatisticsSection

from wbvla_training.data.reader import split_episodes
from wbvla_training.processes import Processes

from .batches import Augmentation, Batches, Part
from .configuration import preset
from .demos import Labeller, check_labellers, check_names, demo_cache, demo_examples
from .errors import VlaError, check_share
from .examples import Examples
from .files import Vla, load_vla, new_vla, save_vla
from .grounding import grounding_examples
from .lora import LoraOptions, merged, with_lora
from .losses import LossWeights, class_weights
from .pretrain import all_rows, code_losses, sayer
from .processing import statistics_of
from .trainer import STATE_JSON, Schedule, Trainer, run_about

MODES = ("all", "frozen", "lora")
SPLIT_SEED = 0
TUNING_WEIGHTS = LossWeights(codes=0.3, action=4.0, flags=1.0)
"""Two cross-entropies over eight tokens would drown an L1 that is ten times smaller."""


@dataclass(frozen=True)
class FinetuneOptions:
    """``datasets``: their episodes are learned together. ``mode``: train "all" weights, "frozen" encoders and language
    model (only the decoder learns), or "lora". ``held_out``: share of each dataset's episodes kept for evaluation;
    ``episodes``: use only so many of its others (0: all). ``shares``: how often each dataset is drawn, in relation to
    each other (empty: by their numbers of examples). ``pictures``: grounding pictures that stay in
    ``pictures_share`` of each batch, lest what sentences speak of is forgotten."""

    datasets: tuple[Path, ...]
    out: Path
    start: Path | None = None
    config: str = "tiny"
    mode: str = "all"
    held_out: float = 0.1
    episodes: int = 0
    shares: tuple[float, ...] = ()
    pause_s: float = 0.8
    pictures: int = 0
    pictures_share: float = 0.25
    cache: Path | None = None
    weights: LossWeights = TUNING_WEIGHTS
    augmentation: Augmentation = field(default_factory=Augmentation)
    lora: LoraOptions = field(default_factory=LoraOptions)

    def __post_init__(self) -> None:
        check_share("--pictures-share", self.pictures_share)
        check_share("--held-out", self.held_out)
        if self.shares and (len(self.shares) != len(self.datasets) or min(self.shares) <= 0.0):
            raise VlaError(
                f"--shares {' '.join(map(str, self.shares))}: give one number above 0 for each of the "
                f"{len(self.datasets)} datasets"
            )


def finetune(
    options: FinetuneOptions,
    schedule: Schedule,
    labellers: dict[str, Labeller],
    console: Console | None = None,
) -> dict[str, float]:
    """Train, or go on with what lies in ``out``; leaves the model there. Returns the last losses. Raises VlaError."""
    if options.mode not in MODES:
        raise VlaError(f"mode '{options.mode}' is unknown; choose {', '.join(MODES)}")
    say = sayer(console)
    vla = (
        load_vla(options.start)
        if options.start is not None
        else new_vla(preset(options.config), schedule.seed)
    )
    check_labellers(vla.config, labellers)
    cache = options.cache or options.out / "cache"
    found = []
    episodes: dict[str, list[int]] = {}
    with Processes.start(schedule.device).leader_first():
        for dataset in options.datasets:
            check_names(dataset, vla.processor.about)
            place = demo_cache(cache, dataset)
            examples = demo_examples(dataset, vla.config, place, labellers, options.pause_s, say)
            learned, _ = split(examples, options.held_out, options.episodes)
            episodes[str(dataset)] = sorted(learned)
            found.append((examples, examples.where(learned)))
        pictures = None
        if options.pictures:
            pictures = grounding_examples(vla.config, cache / "grounding", options.pictures, say=say)
    vla = with_statistics(vla, found, {n: labeller.codebook_hash for n, labeller in labellers.items()})
    count = sum(len(rows) for _, rows in found)
    share = 1.0 - (0.0 if pictures is None else options.pictures_share)
    shares = options.shares or tuple(float(len(rows)) for _, rows in found)
    parts = [
        Part(examples, rows, share * part / sum(shares))
        for (examples, rows), part in zip(found, shares, strict=True)
    ]
    if pictures is not None:
        parts.append(Part(pictures, all_rows(pictures), options.pictures_share))
    batches = Batches(parts, vla.processor, schedule.batch, schedule.seed, options.augmentation)
    classes = None
    if vla.config.decoder.flags:
        flags = torch.from_numpy(np.rint(_actions(found)[..., -4:-1]) + 1)
        classes = class_weights(flags)
    module: torch.nn.Module = vla.model
    if options.mode == "lora":
        module = with_lora(vla.model, options.lora)
    elif options.mode == "frozen":
        freeze(vla.model)
    about = run_about(schedule, what="finetune", mode=options.mode, config=vla.config.name, start=str(options.start or ""),
                      sources=[part.examples.source for part in parts], episodes=episodes,
                      augmentation=asdict(options.augmentation), weights=asdict(options.weights),
                      shares=[part.share for part in parts], model=to_json(vla.config),
                      lora=asdict(options.lora) if options.mode == "lora" else None,
                      tokenizer=vla.processor.about.tokenizer_hash)  # fmt: skip
    trainer = Trainer(
        module, batches.draw, code_losses(options.weights, classes), schedule, options.out, about
    )
    if trainer.resume():
        say(f"goes on at step {trainer.step} of {schedule.steps}")
    say(f"{sum(map(len, episodes.values()))} episodes, {count} examples; mode {options.mode}")
    try:
        return trainer.run(console)
    finally:
        # Of a run that was stopped the model so far is of use too.
        if trainer.processes.leads:
            weights = trainer.averaged()
            save_vla(options.out, vla, merged(module, weights) if options.mode == "lora" else weights)


def split(examples: Examples, held_out: float, episodes: int = 0) -> tuple[list[int], list[int]]:
    """Episode numbers to learn from (at most ``episodes``, 0: all) and those held out; the same for every run."""
    numbers = np.unique(examples.episode)
    learned, kept = split_episodes(len(numbers), held_out, SPLIT_SEED)
    order = np.random.default_rng(SPLIT_SEED + 1).permutation(learned)
    if episodes:
        if episodes > len(order):
            raise VlaError(f"--episodes {episodes}: only {len(order)} are there to learn from")
        order = order[:episodes]
    return sorted(int(numbers[i]) for i in order), [int(numbers[i]) for i in kept]


def learned_before(folder: Path, dataset: Path) -> set[int]:
    """Episodes of ``dataset`` that the model in ``folder`` learned, or one that it started from, as far as the states of
    their runs are still there: as a dataset grows, another share of it is held out. Raises VlaError."""
    found: set[int] = set()
    seen: set[Path] = set()
    while folder not in seen and (folder / STATE_JSON).exists():
        seen.add(folder)
        try:
            run = json.loads((folder / STATE_JSON).read_text(encoding="utf-8"))["run"]
        except (OSError, ValueError, KeyError) as error:
            raise VlaError(f"{folder / STATE_JSON}: what was learned cannot be read ({error!r})") from None
        for name, numbers in run.get("episodes", {}).items():
            if Path(name).resolve() == dataset.resolve():
                found |= set(numbers)
        if not run.get("start"):
            break
        folder = Path(run["start"])
    return found


def with_statistics(vla: Vla, demos: list[tuple[Examples, np.ndarray]], hashes: dict[str, str]) -> Vla:
    """The model with statistics of its training data (examples and which of them are learned), and the hashes of the
    codes that it learns now. A model that has learned demonstrations keeps its statistics: with those of a few episodes
    all that it knows would be scaled anew."""
    config = vla.config.with_hashes(hashes)
    if vla.processor.about.has_statistics:
        return replace(vla, config=config)
    state = statistics_of(np.concatenate([examples.state[rows] for examples, rows in demos]))
    action = _actions(demos)
    found = statistics_of(action.reshape(-1, action.shape[-1]))
    if vla.config.decoder.flags:
        # Flags are classified, not scaled.
        mean, std = list(found.mean), list(found.std)
        mean[-4:-1], std[-4:-1] = [0.0] * 3, [1.0] * 3
        found = StatisticsSection(tuple(mean), tuple(std))
    about = replace(vla.processor.about, state_statistics=state, action_statistics=found)
    return replace(vla, config=config, processor=replace(vla.processor, about=about))


def _actions(demos: list[tuple[Examples, np.ndarray]]) -> np.ndarray:
    """All chunks that are learned [F, T, A]."""
    return np.concatenate([examples.action[rows] for examples, rows in demos])


def freeze(model: torch.nn.Module) -> None:
    """Only the execution decoder wants gradients."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("decoder."))
