"""What a task is: a scene by seed, a sentence that says what to do, a judge who says whether it was done, and an
operator who can show it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import mujoco
from wbvla_core.robot_spec import RobotSpec


class Outcome(enum.Enum):
    """Where a trial stands."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """``subgoals`` in order, True once met; ``reason`` says in words why it is over; ``time_s`` since its start."""

    outcome: Outcome
    reason: str
    time_s: float
    subgoals: dict[str, bool] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Nothing can change it any more."""
        return self.outcome is not Outcome.RUNNING

    @property
    def success(self) -> bool:
        """The task was done."""
        return self.outcome is Outcome.SUCCESS


class Judge(Protocol):
    """Watches one trial. ``look`` may be called with every state or with a few hundred a second; the first call
    starts the time. ``data`` is of the model that the judge was made for, its contacts up to date."""

    def look(self, data: mujoco.MjData, time_s: float, fell: bool) -> Verdict: ...


@dataclass(frozen=True)
class Task:
    """One task.

    ``sentence`` of (compiled scene, seed), ``judge`` of (compiled scene, robot, sentence): both raise ValueError
    for what is not theirs. ``operator`` is ``module:Class`` of the scripted operator, ``lmo`` the locomotion bundle
    it needs. ``swapped`` of (compiled scene, sentence) asks for another thing in the same scene: a policy that listens
    must fail by it.
    """

    name: str
    scene: str
    summary: str
    time_limit_s: float
    sentence: Callable[[mujoco.MjModel, int], str]
    judge: Callable[[mujoco.MjModel, RobotSpec, str], Judge]
    operator: str
    lmo: str = "lmo/x2"
    swapped: Callable[[mujoco.MjModel, str], str] | None = None


def tasks() -> dict[str, Task]:
    """All tasks by name."""
    from wbvla_sim.tasks import box_loading, cart_pushing, reach_table

    return {task.name: task for part in (reach_table, box_loading, cart_pushing) for task in part.TASKS}


def find_task(name: str) -> Task:
    """The task of that name. Raises ValueError that lists the others."""
    known = tasks()
    if name not in known:
        raise ValueError(f"there is no task '{name}'; choose one of {', '.join(known)}")
    return known[name]


def tasks_of(scene: str) -> list[Task]:
    """All tasks that are done in ``scene``."""
    return [task for task in tasks().values() if task.scene == scene]
