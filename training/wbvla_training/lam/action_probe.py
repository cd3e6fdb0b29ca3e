"""Linear probe from latents to the robot's own actions, on datasets made from its bags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wbvla_training.data.errors import DataError
from wbvla_training.data.reader import EpisodeReader, split_episodes
from wbvla_training.lam.files import Lam
from wbvla_training.lam.linear_probe import explained, one_hot, regress
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.image import small_pictures

_EPISODES, _EVERY_S = 60, 0.2
_LOCO_ACTIONS = 4


def action_probe(lam: Lam, dataset: Path, seed: int = 0) -> dict:
    """How much of the actions within ``gap_s`` a linear map reads (R^2, unseen episodes) from the codes, from the
    latents before quantisation, and from o_t's features alone.

    ``arms`` are changes of the arm joints' targets over the gap [rad], ``locomotion`` the mean command. Raises
    VisionError when the dataset cannot be read or has fewer than four episodes.
    """
    try:
        reader = EpisodeReader(dataset)
    except DataError as error:
        raise VisionError(f"{dataset}: {error}") from None
    if len(reader.episodes) < 4 or not reader.cameras:
        raise VisionError(
            f"{dataset}: {len(reader.episodes)} episodes, cameras {reader.cameras}; 4 and one are needed"
        )
    train, test = split_episodes(min(len(reader.episodes), _EPISODES), 0.25, seed)
    fit, held = (_collect(lam, reader, episodes) for episodes in (train, test))
    inputs = {"codes": 0, "before_quantisation": 1, "o_t": 2}
    result: dict = {"episodes": {"fitted": len(train), "tested": len(test)}, "pairs": len(held[0])}
    for name, target in (("arms", 3), ("locomotion", 4)):
        scores = {}
        for kind, i in inputs.items():
            predicted = regress(fit[i], fit[target], held[i], ridge=10.0)
            scores[kind] = explained(held[target], predicted, fit[target])
        result[f"{name}_r2"] = scores
    return result


def _collect(lam: Lam, reader: EpisodeReader, episodes: list[int]) -> tuple[torch.Tensor, ...]:
    """One-hot codes, latents, pooled features of o_t, change of arm targets, mean locomotion command of pairs."""
    rate = reader.index.fps
    gap, every = max(1, round(lam.model.config.gap_s * rate)), max(1, round(_EVERY_S * rate))
    parts: list[tuple[torch.Tensor, ...]] = []
    for number in episodes:
        entry = reader.episodes[number]
        if entry.length <= gap:
            continue
        starts = np.arange(0, entry.length - gap, every)
        needed = np.unique(np.concatenate((starts, starts + gap)))
        camera = reader.cameras[0]
        pictures = np.concatenate(
            [small_pictures(reader.picture(entry, int(f), camera)[None], lam.processor.image) for f in needed]
        )
        with torch.no_grad():
            features = lam.processor.features(pictures)
            first = features[np.searchsorted(needed, starts)]
            later = features[np.searchsorted(needed, starts + gap)]
            latents = lam.model.latents(first, later)
            codes = one_hot(lam.model.quantizer.nearest(latents), lam.model.config.codes)
        action = np.stack([reader.actions(entry, frame)[0][0] for frame in range(entry.length)])
        if action.shape[1] <= _LOCO_ACTIONS:
            raise VisionError(
                f"{reader.index.root}: actions of {action.shape[1]} values are not those of a whole body"
            )
        arms = action[starts + gap, :-_LOCO_ACTIONS] - action[starts, :-_LOCO_ACTIONS]
        mean = np.stack([action[s : s + gap, -_LOCO_ACTIONS:].mean(0) for s in starts])
        pooled = first.mean(1)
        parts.append(
            (codes, latents.flatten(1), pooled, torch.from_numpy(arms), torch.from_numpy(mean).float())
        )
    if not parts:
        raise VisionError(
            f"{reader.index.root}: no episode is longer than the gap of {lam.model.config.gap_s:g} s"
        )
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))
