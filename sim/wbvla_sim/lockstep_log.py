"""What lock-step writes down: one row of float64 per control step, and the events. The same run gives the
same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path

import mujoco
import numpy as np
from wbvla_core.model import joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Event, PlantCommand, State

from wbvla_sim.plant import Plant


class LockStepLog:
    """Collects rows; ``save`` writes ``lockstep.npy`` [rows, columns] and ``lockstep.json`` (columns,
    events).
    """

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel) -> None:
        _, self._dof = joint_addresses(model, spec)
        self._actuators = np.array([model.actuator(name).id for name in spec.joint_names])
        self._set_point = np.full(spec.n, np.nan)
        self._rows: list[np.ndarray] = []
        self._events: list[dict] = []
        self.columns: dict[str, tuple[int, int]] = {}
        start = 0
        for name, width in (
            ("time_s", 1),
            ("driver_state", 1),
            ("plant_state", 1),
            ("fell", 1),
            ("hoisted", 1),
            ("gantry_height_m", 1),
            ("set_point_rad", spec.n),
            ("velocity_rad_s", spec.n),
            ("effort_nm", spec.n),
            ("qpos", model.nq),
        ):
            self.columns[name] = (start, start + width)
            start += width

    def set_points(self, command: PlantCommand) -> None:
        """The driver's newest command."""
        self._set_point = command.position_rad

    def event(self, event: Event) -> None:
        """An event of the driver."""
        self._events.append(
            {
                "time_ns": event.stamp_ns,
                "reason": event.reason.name,
                "state": event.state.name,
                "detail": event.detail,
            }
        )

    def row(self, now_ns: int, plant: Plant, state: State) -> None:
        """Write the present state down."""
        truth, data = plant.truth, plant.data
        head = (now_ns / 1e9, state, plant.state, truth.fell, truth.hoisted, truth.gantry_height_m)
        self._rows.append(
            np.concatenate(
                [
                    head,
                    self._set_point,
                    data.qvel[self._dof],
                    data.actuator_force[self._actuators],
                    data.qpos,
                ]
            )
        )

    def array(self) -> np.ndarray:
        """All rows so far [rows, columns]."""
        return np.array(self._rows)

    def column(self, name: str) -> np.ndarray:
        """One column or block [rows] or [rows, width]; raises KeyError."""
        start, end = self.columns[name]
        block = self.array()[:, start:end]
        return block[:, 0] if end - start == 1 else block

    @property
    def events(self) -> tuple[dict, ...]:
        """Events so far, oldest first."""
        return tuple(self._events)

    def to_bytes(self) -> bytes:
        """Everything, for comparing runs."""
        return self.array().tobytes() + json.dumps(self._events).encode()

    def save(self, folder: Path) -> None:
        """Write both files into ``folder``, which is made when missing."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "lockstep.npy", self.array(), allow_pickle=False)
        text = json.dumps({"columns": self.columns, "events": self._events}, indent=1)
        (folder / "lockstep.json").write_text(text + "\n")
