"""Looks for what makes episodes useless or doubtful: against the contract, in the numbers, in the pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec, RobotSpecError

from wbvla_training.data import dataset_files
from wbvla_training.data.check_pictures import check_pictures
from wbvla_training.data.check_rules import EpisodeData, check_episode
from wbvla_training.data.dataset_index import DatasetIndex, EpisodeEntry
from wbvla_training.data.errors import DataError
from wbvla_training.data.findings import Finding
from wbvla_training.data.schema import NUMBERING, Schema


@dataclass
class CheckReport:
    """``findings`` in the order of the episodes; those without an episode concern the whole dataset."""

    episodes: int
    frames: int
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_error]

    @property
    def bad_episodes(self) -> list[int]:
        """Episodes with at least one error, which ``--fix`` drops."""
        return sorted({f.episode for f in self.errors if f.episode is not None})


def check_dataset(
    index: DatasetIndex, pictures: bool = True, report: Callable[[int], None] = lambda _n: None
) -> CheckReport:
    """Check a dataset; ``report`` is told how many episodes are done. Raises DataError when it cannot be read."""
    result = CheckReport(len(index.episodes), index.frames)
    contract = index.contract()
    result.findings += _whole(index, contract)
    spec = _spec(index)
    stats = index.episode_stats()
    for episode in index.episodes:
        result.findings += _one(index, episode, contract, spec, pictures)
        found = stats[episode.number] if episode.number < len(stats) else {}
        result.findings += _stats(found, index, episode.number)
        report(episode.number + 1)
    return result


def _one(
    index: DatasetIndex, episode: EpisodeEntry, contract: Contract | None, spec: RobotSpec | None, pictures: bool
) -> list[Finding]:
    number = episode.number
    try:
        columns = index.episode_columns(episode)
        rows = len(next(iter(columns.values())))
        if rows != episode.length:
            return [Finding("counts", f"{rows} rows of {episode.length} in '{episode.table.name}'", number)]
        data = EpisodeData(number, index, contract, spec, columns)
        findings = check_episode(data)
        if pictures:
            for camera in index.cameras:
                findings += check_pictures(index, episode, camera)
        return findings
    except DataError as error:
        return [Finding("files", str(error), number)]


def _whole(index: DatasetIndex, contract: Contract | None) -> list[Finding]:
    info, found = index.info, []
    for name, expected in (
        ("total_episodes", len(index.episodes)),
        ("total_frames", index.frames),
        ("total_tasks", len(index.tasks)),
    ):
        if info.get(name) != expected:
            found.append(Finding("counts", f"info.json says {name} {info.get(name)}, there are {expected}"))
    if [e.number for e in index.episodes] != list(range(len(index.episodes))):
        found.append(Finding("counts", "episodes are not numbered 0, 1, 2, ..."))
    for name in NUMBERING:
        if name not in index.features:
            found.append(Finding("contract", f"info.json has no feature {name}"))
    if contract is None:
        text = f"no {dataset_files.CONTRACT_COPY}: the contract cannot be checked"
        found.append(Finding("contract", text, is_error=False))
        return found
    split = any(name in index.features for name in contract.splits)
    wanted = Schema.of(contract, split).features(with_fps=False)
    for name, feature in wanted.items():
        if name not in index.features:
            found.append(Finding("contract", f"feature {name} of the contract is missing"))
            continue
        for key, value in feature.items():
            have = index.features[name].get(key)
            if have != value:
                text = f"feature {name}: {key} is {_short(have)}, the contract says {_short(value)}"
                found.append(Finding("contract", text))
    for name in sorted(set(index.features) - set(wanted)):
        found.append(Finding("contract", f"feature {name} is not in the contract"))
    if index.fps != contract.frame_rate_hz:
        found.append(Finding("contract", f"fps is {index.fps}, the contract says {contract.frame_rate_hz:g}"))
    if info.get("robot_type") != contract.robot:
        found.append(Finding("contract", f"robot_type is {info.get('robot_type')}, the contract is for {contract.robot}"))
    return found


def _stats(stats: dict, index: DatasetIndex, number: int) -> list[Finding]:
    missing = [name for name in index.features if name not in stats]
    if missing:
        return [Finding("statistics", f"none of {', '.join(missing)}", number)]
    wrong = [n for n, one in stats.items() if not all(np.isfinite(np.asarray(v, float)).all() for v in one.values())]
    return [Finding("statistics", f"{name} has values that are not finite", number) for name in wrong]


def _spec(index: DatasetIndex) -> RobotSpec | None:
    copy: Path = index.root / dataset_files.ROBOT_COPY
    try:
        return RobotSpec.load(copy if copy.exists() else str(index.info.get("robot_type")))
    except RobotSpecError:
        return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
