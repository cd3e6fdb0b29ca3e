"""Open loop on unseen episodes: how well codes are foretold, and how far the decoded actions are from what was done."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from wbvla_core.robot_spec import RobotSpec

from .batches import Batches, Part
from .demos import Labeller, check_labellers, check_names, demo_cache, demo_examples
from .errors import VlaError
from .examples import Examples
from .files import Vla
from .finetune import split
from .processing import ProcessorFile

ROWS = 64


def evaluate(
    vla: Vla,
    dataset: Path,
    cache: Path,
    labellers: dict[str, Labeller],
    held_out: float = 0.1,
    pause_s: float = 0.8,
    device: str = "cpu",
    trained: Collection[int] = (),
) -> dict:
    """Figures on the held-out episodes of ``dataset``; with ``held_out`` 1.0 on all of them. Those in ``trained``, which the
    model has learned, are left out. Raises VlaError."""
    check_labellers(vla.config, labellers)
    check_names(dataset, vla.processor.about)
    examples = demo_examples(dataset, vla.config, demo_cache(cache, dataset), labellers, pause_s)
    if held_out >= 1.0:
        learned, kept = [], sorted(int(n) for n in np.unique(examples.episode))
    else:
        learned, kept = split(examples, held_out)
    kept = [number for number in kept if number not in trained]
    rows = examples.where(kept)
    if len(rows) == 0:
        raise VlaError(f"{dataset}: no episodes are held out that the model has not learned; give --held-out")
    known = examples.where(learned) if learned else rows
    return {
        "episodes": len(kept),
        "examples": len(rows),
        **figures(vla, examples, rows, device, known),
        **_codes(vla, examples, rows, known, device),
    }


def figures(
    vla: Vla, examples: Examples, rows: np.ndarray, device: str = "cpu", learned: np.ndarray | None = None
) -> dict:
    """Errors of the decoded chunk: mean absolute error of arm joints [rad] and of the height [m] over the whole chunk,
    share of right flags, error of the progress; and how good "the commonest flags" (of ``learned`` rows; None: of these)
    and "stay as you are" would be."""
    batches = Batches([Part(examples, rows, 1.0)], vla.processor, ROWS, 0, None)
    model = vla.model.to(device).eval()
    arms, height, flags, progress, still = [], [], [], [], []
    names = vla.processor.about.action_names
    columns = arm_columns(vla.processor.about)
    joints = [vla.processor.about.state_names.index(names[column]) for column in columns]
    for begin in range(0, len(rows), ROWS):
        numbers = rows[begin : begin + ROWS]
        batch = batches.take(numbers).to(device)
        with torch.inference_mode():
            reading = model.choose(model.features(batch.image), batch.tokens)
            decoded = model.act(reading, batch.state)
        found = vla.processor.action_units(decoded.action.float().cpu().numpy())
        true = np.asarray(examples.action[numbers])
        arms.append(np.abs(found[..., columns] - true[..., columns]).mean(axis=(1, 2)))
        begun = np.asarray(examples.state[numbers])[:, None, joints]
        still.append(np.abs(begun - true[..., columns]).mean(axis=(1, 2)))
        height.append(np.abs(found[..., -1] - true[..., -1]).mean(axis=1))
        progress.append(np.abs(decoded.progress[:, 0].float().cpu().numpy() - examples.progress[numbers]))
        if decoded.flags is not None:
            flags.append(decoded.flags.argmax(-1).cpu().numpy() == batch.flags.cpu().numpy())
    result = {
        "arm_error_rad": _mean(arms),
        "arm_error_if_still_rad": _mean(still),
        "height_error_m": _mean(height),
        "progress_error": _mean(progress),
    }
    if flags:
        wanted, known = (
            np.rint(np.asarray(examples.action[which])[..., -4:-1])
            for which in (rows, rows if learned is None else learned)
        )
        triples, counts = np.unique(known.reshape(-1, 3), axis=0, return_counts=True)
        right = np.concatenate(flags)
        result["flag_accuracy"] = float(right.all(axis=-1).mean())
        result["flag_accuracy_by_axis"] = {n: float(right[..., i].mean()) for i, n in enumerate(names[-4:-1])}
        result["majority_flag_accuracy"] = float((wanted == triples[counts.argmax()]).all(axis=-1).mean())
    return result


def _codes(vla: Vla, examples: Examples, rows: np.ndarray, learned: np.ndarray, device: str) -> dict:
    """Share of rightly foretold codes by codebook, and of the commonest code of each token; chance is 1 / codes."""
    true: dict[str, np.ndarray] = {}
    common: dict[str, list[int]] = {}
    begin = 0
    for name, book in vla.config.codebooks.items():
        columns = slice(begin, begin + book.tokens)
        begin += book.tokens
        codes = np.asarray(examples.codes[rows])[:, columns]
        if (codes >= 0).all():
            true[name] = codes
            known = np.asarray(examples.codes[learned])[:, columns].T
            common[name] = [int(np.bincount(column).argmax()) for column in known]
    found: dict[str, list[np.ndarray]] = {name: [] for name in true}
    batches = Batches([Part(examples, rows, 1.0)], vla.processor, ROWS, 0, None)
    for start in range(0, len(rows) if true else 0, ROWS):
        batch = batches.take(rows[start : start + ROWS]).to(device)
        with torch.inference_mode():
            reading = vla.model.choose(vla.model.features(batch.image), batch.tokens)
        for name in true:
            found[name].append(reading.logits[name].argmax(-1).cpu().numpy())
    accuracy = {name: float((np.concatenate(found[name]) == true[name]).mean()) for name in true}
    majority = {name: float((true[name] == np.array(common[name])).mean()) for name in true}
    chance = {name: 1.0 / vla.config.codebooks[name].codes for name in true}
    return {"code_accuracy": accuracy, "majority_accuracy": majority, "chance_accuracy": chance}


def arm_columns(about: ProcessorFile) -> list[int]:
    """Where in an action the arm joints are, by the names of the robot that the model was trained for."""
    arms = RobotSpec.load(about.robot).groups["arms"]
    return [column for column, name in enumerate(about.action_names) if name in arms]


def _mean(parts: list[np.ndarray]) -> float:
    return float(np.concatenate(parts).mean())
