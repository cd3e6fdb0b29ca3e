"""Judges trials on the running graph by the simulator's own state, with the judge that lock-step uses."""

from __future__ import annotations

import mujoco
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim.sim_mailbox import SimMailbox
from wbvla_sim.tasks.base import Judge, Task, Verdict
from wbvla_sim.world import build_world

OPEN_TIMEOUT_S = 20.0


class Referee:
    """Looks into the plant called ``name``. Raises MailboxError when there is none."""

    def __init__(self, name: str, spec: RobotSpec) -> None:
        self._spec = spec
        self._box = SimMailbox.open(name, spec, OPEN_TIMEOUT_S)
        self._judge: Judge | None = None

    def prepare(self, task: Task, seed: int, sentence: str | None = None) -> str:
        """Get ready for the trial of ``seed``; returns its sentence. ``sentence``: judge by this one instead; raises
        ValueError when it does not belong to the task."""
        world = build_world(self._spec, task.scene, seed)
        sentence = sentence or task.sentence(world.model, seed)
        self._judge = task.judge(world.model, self._spec, sentence)
        self._model, self._data = world.model, mujoco.MjData(world.model)
        self._key = (task.scene, seed)
        return sentence

    def look(self) -> Verdict | None:
        """The verdict by the newest snapshot; None while the plant shows another scene."""
        assert self._judge is not None
        snapshot = self._box.read()
        if snapshot is None or (snapshot.task, snapshot.seed) != self._key:
            return None
        self._data.qpos[:] = snapshot.qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)
        return self._judge.look(self._data, snapshot.sim_time_s, snapshot.fell)

    def gantry_height_m(self) -> float:
        """Where the gantry's bar is; NaN while unhooked or unknown."""
        snapshot = self._box.read()
        return float("nan") if snapshot is None else snapshot.gantry_height_m

    def scene(self) -> tuple[str, int] | None:
        """Scene and seed that the plant shows; None before its first word."""
        snapshot = self._box.read()
        return None if snapshot is None else (snapshot.task, snapshot.seed)

    def shows(self) -> bool:
        """Whether the plant shows the scene that :meth:`prepare` got ready for."""
        snapshot = self._box.read()
        return snapshot is not None and (snapshot.task, snapshot.seed) == self._key

    def close(self) -> None:
        """Leave the plant."""
        self._box.close()
