"""How much demonstrations and pretraining are worth: decoders trained on cached hidden states of frozen models, at several
numbers of episodes; equal data, steps and tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from .batches import Batches, Part
from .decoders import ExecutionDecoder
from .demos import Labeller, check_labellers, check_names, demo_cache, demo_examples
from .errors import VlaError
from .evaluate import figures
from .examples import Examples
from .files import Vla, load_vla
from .finetune import split, with_statistics
from .losses import LossWeights, class_weights, losses, total
from .modeling import Reading

_CHUNK = 64


@dataclass(frozen=True)
class ScalingOptions:
    """``models``: folders of pretrained VLAs by name; ``counts``: numbers of episodes; ``steps`` of ``batch`` at ``lr``
    for each decoder."""

    dataset: Path
    models: dict[str, Path]
    counts: tuple[int, ...] = (25, 50, 135)
    steps: int = 1500
    batch: int = 64
    lr: float = 1e-3
    held_out: float = 0.1
    pause_s: float = 0.8
    seed: int = 0


@dataclass(frozen=True)
class _Cached:
    hidden: np.ndarray
    visual: np.ndarray


def scaling(
    options: ScalingOptions, cache: Path, labellers: dict[str, Labeller], say: Callable[[str], None]
) -> dict[str, dict[str, dict]]:
    """Figures on the held-out episodes by model and number of episodes. Raises VlaError."""
    found: dict[str, dict[str, dict]] = {}
    for name, folder in options.models.items():
        vla = load_vla(folder)
        check_labellers(vla.config, labellers)
        check_names(options.dataset, vla.processor.about)
        examples = demo_examples(
            options.dataset, vla.config, demo_cache(cache, options.dataset), labellers, options.pause_s, say
        )
        _, kept = split(examples, options.held_out)
        say(f"{name}: hidden states of {len(examples)} examples")
        states = read_all(vla, examples)
        found[name] = {}
        for count in options.counts:
            learned, _ = split(examples, options.held_out, count)
            rows = examples.where(learned)
            trained = train_decoder(with_statistics(vla, [(examples, rows)], {}), examples, rows, states, options)
            result = figures(trained, examples, examples.where(kept), learned=rows)
            found[name][str(count)] = result
            say(
                f"{name}, {count} episodes: arm error {result['arm_error_rad']:.4f} rad, "
                f"flags right {result.get('flag_accuracy', 0):.3f}"
            )
    return found


def plot(found: dict[str, dict[str, dict]], file: Path) -> None:
    """Curves of arm error and flag accuracy over the number of episodes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6))
    for axis, key, label in (
        (axes[0], "arm_error_rad", "arm error [rad]"),
        (axes[1], "flag_accuracy", "flags right"),
    ):
        for name, rows in found.items():
            counts = sorted(int(count) for count in rows)
            axis.plot(counts, [rows[str(c)].get(key, float("nan")) for c in counts], marker="o", label=name)
        axis.set_xlabel("episodes")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def read_all(vla: Vla, examples: Examples) -> _Cached:
    """Hidden states of every example's code and picture tokens, as the frozen model reads them."""
    batches = Batches([Part(examples, np.arange(len(examples)), 1.0)], vla.processor, _CHUNK, 0, None)
    hidden, visual = [], []
    for begin in range(0, len(examples), _CHUNK):
        batch = batches.take(np.arange(begin, min(begin + _CHUNK, len(examples))))
        with torch.inference_mode():
            reading = vla.model.choose(vla.model.features(batch.image), batch.tokens)
        hidden.append(reading.hidden.half().numpy())
        visual.append(reading.visual.half().numpy())
    return _Cached(np.concatenate(hidden), np.concatenate(visual))


def train_decoder(
    vla: Vla, examples: Examples, rows: np.ndarray, states: _Cached, options: ScalingOptions
) -> Vla:
    """The model with a new decoder, trained on ``rows``."""
    if len(rows) == 0:
        raise VlaError("no examples to learn from")
    torch.manual_seed(options.seed)
    old, config = vla.model.decoder, vla.config
    about = vla.processor.about
    width = vla.model.language.config.hidden_size
    decoder = ExecutionDecoder(
        config.decoder, width, len(about.state_names), len(about.action_names), old.seen
    ).train()
    flags = torch.from_numpy(np.rint(examples.action[rows][:, :, -4:-1]) + 1)
    classes = class_weights(flags) if config.decoder.flags else None
    batches = Batches([Part(examples, rows, 1.0)], vla.processor, options.batch, options.seed, None)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=options.lr, weight_decay=0.01)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
    weights = replace(LossWeights(), codes=0.0, scene=0.0)
    for step in range(options.steps):
        rng = np.random.default_rng((options.seed, step))
        numbers = np.sort(rows[rng.integers(0, len(rows), options.batch)])
        batch = batches.take(numbers, pictures=False)
        hidden = torch.from_numpy(states.hidden[numbers]).float()
        visual = torch.from_numpy(states.visual[numbers]).float()
        parts = losses(Reading(hidden, visual, {}), decoder(hidden, visual, batch.state), batch, classes)
        loss = total(parts, weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    vla.model.decoder = decoder.eval()
    return vla
