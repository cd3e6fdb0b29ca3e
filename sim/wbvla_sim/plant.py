"""The MuJoCo twin as a plant: takes PlantCommands, gives PlantReadings, and knows the truth for judges.

No ROS, no clock, no files: the caller says when a step is taken, and the same seed and calls give the same
bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import mujoco
import numpy as np
from wbvla_core.model import ROOT_JOINT, joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import PlantCommand, PlantReading, PlantState

from wbvla_sim.actuation import Actuation, ActuationConfig, JointFault
from wbvla_sim.fall import FallDetector
from wbvla_sim.gantry import Gantry, bar_height_m
from wbvla_sim.pushes import Pushes
from wbvla_sim.sensors import HOT_C, SensorConfig, Sensors

BuildModel = Callable[[str, int], mujoco.MjModel]
"""Makes the model of (task, seed): robot, scene and gantry (``gantry.add_gantry``)."""


class SimulationError(RuntimeError):
    """The physics diverged; the text says when."""


@dataclass(frozen=True)
class PlantConfig:
    """How the twin behaves. ``hung`` starts in the gantry, feet ``clearance_m`` off the floor; else on the
    floor.

    Joints start in the default pose plus a seeded normal error of ``start_noise_rad``.
    """

    actuation: ActuationConfig = field(default_factory=ActuationConfig)
    sensors: SensorConfig = field(default_factory=SensorConfig)
    sample_period_s: float = 0.002
    hung: bool = True
    clearance_m: float = 0.10
    start_noise_rad: float = 0.01


@dataclass(frozen=True)
class Truth:
    """What only a simulator knows, after the newest step; arrays in the world frame."""

    sim_time_s: float
    fell: bool
    fall_reason: str
    hoisted: bool
    gantry_height_m: float
    pelvis_position_m: np.ndarray
    pelvis_quaternion_wxyz: np.ndarray


class Plant:
    """One robot in one scene, stepped by the caller at the model's time step (1 ms).

    ``model`` must hold the robot of ``spec`` and a gantry; it is changed in place (gains, force ranges).
    ``build`` is needed to reset to another task.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        spec: RobotSpec,
        config: PlantConfig | None = None,
        seed: int = 0,
        *,
        task: str = "",
        build: BuildModel | None = None,
    ) -> None:
        self.spec, self.config = spec, config or PlantConfig()
        self._build, self.task, self.seed = build, task, seed
        self._adopt(model)
        self.reset(task, seed)

    def _adopt(self, model: mujoco.MjModel) -> None:
        # A reset by the engine would hide that the physics diverged.
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        self.model, self.data = model, mujoco.MjData(model)
        self.gantry = Gantry(model, self.data, self.spec)
        self.actuation = Actuation(model, self.spec, self.config.actuation)
        self.sensors = Sensors(model, self.spec, self.config.sensors)
        self._fall = FallDetector(model, self.spec)
        self._pushes = Pushes(model, self.spec)
        self._sample_steps = max(1, round(self.config.sample_period_s / model.opt.timestep))
        self._joints, _ = joint_addresses(model, self.spec)
        self._root = int(model.joint(ROOT_JOINT).qposadr[0])

    def reset(self, task: str = "", seed: int = 0) -> None:
        """Back to the start of ``task`` (empty: the present one) that ``seed`` decides; drives damp, faults
        heal.

        Raises ValueError when ``task`` is another one and the plant cannot build it.
        """
        if self._build is not None and (task or self.task, seed) != (self.task, self.seed):
            self._adopt(self._build(task or self.task, seed))
        elif task not in ("", self.task):
            raise ValueError(f"task {task!r}: this plant only has {self.task or 'its one scene'!r}")
        self.task, self.seed = task or self.task, seed
        mujoco.mj_resetData(self.model, self.data)
        self._place(np.random.default_rng([seed, 0]))
        for part in (self._pushes, self._fall):
            part.reset()
        self.actuation.fault[:] = 0
        for name in self.spec.joint_names:
            self.actuation.set_fault(name, 0)
        self.actuation.reset()
        self.sensors.reset(seed)
        self.steps = 0
        self._readings = 0
        self._reading: PlantReading | None = None
        self._stamps: tuple[int, int] | None = None

    def _place(self, random: np.random.Generator) -> None:
        spec, qpos = self.spec, self.data.qpos
        error = self.config.start_noise_rad * random.standard_normal(spec.n)
        qpos[self._joints] = np.clip(spec.default_rad + error, spec.lower_rad, spec.upper_rad)
        qpos[self._root + 2] = spec.nominal_height_m
        mujoco.mj_kinematics(self.model, self.data)
        clearance = self.config.clearance_m if self.config.hung else 0.0
        qpos[self._root + 2] += clearance - self._fall.lowest_sole_m(self.data)
        mujoco.mj_forward(self.model, self.data)
        self.gantry.unhook()
        if self.config.hung:
            self.gantry.hook(bar_height_m(spec, qpos[self._root + 2]))

    def apply(self, command: PlantCommand) -> None:
        """Hand over a command; it counts as fresh once, however often the same sequence is applied."""
        self.actuation.receive(command)

    def step(self, now_ns: int, stamp_ns: int | None = None) -> bool:
        """Advance one physics step; True when ``reading()`` changed.

        ``now_ns`` is any monotonic clock (the command watchdog's), ``stamp_ns`` goes into readings (default
        ``now_ns``). Raises SimulationError when the physics diverged.
        """
        self.actuation.update(self.data, now_ns)
        elapsed = self._sample_steps * self.model.opt.timestep
        sampling = self.steps % self._sample_steps == 0
        if sampling:
            self.data.xfrc_applied[:] = 0.0
            self.gantry.update(elapsed)
            self._pushes.update(self.data, elapsed)
        mujoco.mj_step(self.model, self.data)
        self.steps += 1
        if self.steps % self._sample_steps == 0:
            if not np.isfinite(self.data.qvel.sum()):
                raise SimulationError(f"physics diverged at {self.data.time:.3f} s")
            self.sensors.sample(self.data, self.steps, now_ns if stamp_ns is None else stamp_ns, elapsed)
            self._fall.update(self.data, self.gantry.hoisted)
        if not self.sensors.deliver(self.steps):
            return False
        self._reading = self._compose()
        return True

    def reading(self) -> PlantReading | None:
        """Newest reading that the latency has let through; None at first."""
        return self._reading

    def _compose(self) -> PlantReading:
        sample, drives = self.sensors.newest, self.actuation
        assert sample is not None
        self._readings += 1
        return PlantReading(
            stamp_ns=sample.stamp_ns,
            sequence=self._readings,
            position_rad=sample.position_rad,
            velocity_rad_s=sample.velocity_rad_s,
            effort_nm=sample.effort_nm,
            gripper_opening=sample.gripper_opening,
            imus=sample.imus,
            plant_state=drives.state,
            fault=drives.fault | (sample.temperature_c > HOT_C) * int(JointFault.HOT),
            temperature_c=sample.temperature_c,
            watchdog_trips=drives.watchdog_trips,
            set_points=drives.set_points,
            last_command_sequence=drives.last_sequence,
        )

    def push(self, body: str, force_n: np.ndarray | tuple[float, float, float], duration_s: float) -> None:
        """Push ``body`` with ``force_n`` [3] (pelvis yaw frame: x forward, y left, z up) for ``duration_s``.

        Raises ValueError for an unknown body, a force that is not finite, or a duration outside 0..10 s.
        """
        self._pushes.add(self.data, body, np.asarray(force_n, dtype=np.float64), duration_s)

    def lose_imu(self, name: str, lost: bool = True) -> None:
        """Freeze (or give back) one IMU: readings keep its last sample with its old stamp. Raises
        ValueError.
        """
        if name not in {imu.name for imu in self.spec.imus}:
            raise ValueError(
                f"no IMU {name!r}; the robot has {', '.join(imu.name for imu in self.spec.imus)}"
            )
        (self.sensors.lost_imus.add if lost else self.sensors.lost_imus.discard)(name)

    def lose_state(self, lost: bool = True) -> None:
        """Stop (or resume) giving new readings."""
        self.sensors.lost = lost

    @property
    def state(self) -> PlantState:
        """What the drives do now."""
        return self.actuation.state

    @property
    def pelvis_height_m(self) -> float:
        """Height of the base link's origin above the floor."""
        return float(self.data.qpos[self._root + 2])

    @property
    def truth(self) -> Truth:
        """Ground truth after the newest step."""
        root = self._root
        return Truth(
            sim_time_s=float(self.data.time),
            fell=self._fall.fell,
            fall_reason=self._fall.reason,
            hoisted=self.gantry.hoisted,
            gantry_height_m=self.gantry.height_m,
            pelvis_position_m=self.data.qpos[root : root + 3].copy(),
            pelvis_quaternion_wxyz=self.data.qpos[root + 3 : root + 7].copy(),
        )
