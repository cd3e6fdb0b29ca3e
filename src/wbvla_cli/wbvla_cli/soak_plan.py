"""What happens in a long run, decided beforehand: tasks, scenes and faults by seed. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

TASKS = ("box_loading", "cart_pushing")
SCENE_SEEDS = (100_000, 1_000_000)
"""Neither those of collections (from 0 on) nor those of evaluations (from 1000 on)."""
QUIET_SHARE = 0.25
"""Of the trials have no fault: the rest of the run is measured against them."""
MOST_FAULTS = 2
FIRST_S, LAST_S = 2.0, 22.0
"""When faults begin, since the sentence was given; trials take 16 to 40 s."""
APART_S = 8.0
"""From one fault to the next, so that each reaction can be told apart."""
STALL_S, CAMERA_S = (0.5, 3.0), (0.5, 2.5)
PUSH_N_S, PUSH_S = (4.0, 12.0), 0.1
"""Half of what the demo pushes a robot with that only stands: here it walks, and carries."""


class Kind(enum.Enum):
    """``ACTOR_STALLED``: the process that commands the robot (VLA, or teleoperation with the scripted operator) is
    stopped and continued; ``CAMERA_LOST``: the process that renders and publishes what is seen is; ``PUSH``: a force on
    the torso."""

    ACTOR_STALLED = "actor_stalled"
    CAMERA_LOST = "camera_lost"
    PUSH = "push"


@dataclass(frozen=True)
class Fault:
    """``at_s`` since the sentence was given, for ``duration_s``; ``force_n`` in the pelvis' yaw frame (pushes)."""

    kind: Kind
    at_s: float
    duration_s: float
    force_n: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def impulse_n_s(self) -> float:
        """Of a push; 0 else."""
        return float(np.hypot(self.force_n[0], self.force_n[1]) * self.duration_s)


@dataclass(frozen=True)
class TrialPlan:
    """Trial ``number``: which task in which scene, and what goes wrong meanwhile."""

    number: int
    task: str
    seed: int
    faults: tuple[Fault, ...]


def plan_trial(seed: int, number: int) -> TrialPlan:
    """The same for the same ``seed`` and ``number``, whatever came before."""
    rng = np.random.default_rng([seed, number])
    task = TASKS[int(rng.integers(len(TASKS)))]
    scene = int(rng.integers(*SCENE_SEEDS))
    count = 0 if rng.random() < QUIET_SHARE else int(rng.integers(1, MOST_FAULTS + 1))
    return TrialPlan(number, task, scene, tuple(_fault(rng, at_s) for at_s in _times(rng, count)))


def _times(rng: np.random.Generator, count: int) -> list[float]:
    """``count`` times within FIRST_S..LAST_S, at least APART_S apart."""
    free_s = LAST_S - FIRST_S - APART_S * max(0, count - 1)
    starts = np.sort(rng.uniform(0.0, free_s, count))
    return [float(FIRST_S + start + k * APART_S) for k, start in enumerate(starts)]


def _fault(rng: np.random.Generator, at_s: float) -> Fault:
    kind = list(Kind)[int(rng.integers(len(Kind)))]
    if kind is Kind.PUSH:
        force_n = rng.uniform(*PUSH_N_S) / PUSH_S
        angle = rng.uniform(-np.pi, np.pi)
        return Fault(
            kind, at_s, PUSH_S, (float(force_n * np.cos(angle)), float(force_n * np.sin(angle)), 0.0)
        )
    return Fault(kind, at_s, float(rng.uniform(*(STALL_S if kind is Kind.ACTOR_STALLED else CAMERA_S))))
