"""What the robot's sensors say about the simulated body: noise, bias, temperatures, latency, injected
losses.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import mujoco
import numpy as np
from wbvla_core.model import hand_addresses, joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import ImuSample

AMBIENT_C = 30.0
RISE_AT_PEAK_C = 250.0
"""Steady rise of a winding at continuous peak torque, an assumption: peak torque is several times the rated
one.
"""
HOT_C = 90.0
"""Winding temperature from which a joint reports HOT, as the drives of this robot warn."""
THERMAL_TIME_CONSTANT_S = 600.0
"""Of winding and housing taken as one, an assumption typical of joint modules of this size."""


@dataclass(frozen=True)
class SensorConfig:
    """Standard deviations of white noise per sample, of constant biases per seed, and the latency.

    ``position_rad`` is the step of the X2's joint protocol (1.9e-4 rad); the others are nominal MEMS and
    drive figures. ``latency_s``: from the sample to the moment the driver can read it; the sample keeps its
    own stamp.
    """

    position_rad: float = 1.9e-4
    velocity_rad_s: float = 0.02
    effort_nm: float = 0.2
    gyro_rad_s: float = 0.01
    gyro_bias_rad_s: float = 0.003
    accelerometer_m_s2: float = 0.1
    accelerometer_bias_m_s2: float = 0.03
    attitude_rad: float = 0.001
    attitude_bias_rad: float = 0.003
    latency_s: float = 0.002

    @staticmethod
    def ideal() -> SensorConfig:
        """No noise, no bias, no latency."""
        return SensorConfig(*(0.0,) * 10)


@dataclass(frozen=True)
class Sample:
    """Measured values at one physics step; arrays as in PlantReading."""

    stamp_ns: int
    position_rad: np.ndarray
    velocity_rad_s: np.ndarray
    effort_nm: np.ndarray
    gripper_opening: np.ndarray
    imus: dict[str, ImuSample]
    temperature_c: np.ndarray


class Sensors:
    """Sensors of one robot in one MuJoCo model. Deterministic for a seed and a sequence of calls."""

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec, config: SensorConfig) -> None:
        self._spec, self._config = spec, config
        self._qpos, self._dof = joint_addresses(model, spec)
        self._act = np.array([model.actuator(name).id for name in spec.joint_names])
        self._grip_qpos, _ = hand_addresses(model, spec)
        self._grip_scale = np.array([hand.stroke_m for hand in spec.hands])
        self._imu_columns = {
            imu.name: np.concatenate(
                [_columns(model, f"imu_{imu.name}_{kind}") for kind in ("quat", "gyro", "acc")]
            )
            for imu in spec.imus
        }
        self._latency_steps = round(config.latency_s / model.opt.timestep)
        self._timestep = model.opt.timestep
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Start anew: cold motors, biases drawn from ``seed``, injected losses healed."""
        n, config = self._spec.n, self._config
        self._random = np.random.default_rng([seed, 1])
        self._sigma = np.concatenate(
            [np.full(n, config.position_rad), np.full(n, config.velocity_rad_s), np.full(n, config.effort_nm)]
            + [
                np.repeat((config.attitude_rad, config.gyro_rad_s, config.accelerometer_m_s2), 3)
                for _ in self._spec.imus
            ]
        )
        bias = np.repeat(
            (config.attitude_bias_rad, config.gyro_bias_rad_s, config.accelerometer_bias_m_s2), 3
        )
        self._bias = np.concatenate(
            [np.zeros(3 * n)] + [bias * self._random.standard_normal(9) for _ in self._spec.imus]
        )
        self.temperature_c = np.full(n, AMBIENT_C)
        self.lost_imus: set[str] = set()
        self.lost = False
        self._last_imus: dict[str, ImuSample] = {}
        self._queue: deque[tuple[int, Sample]] = deque()
        self.newest: Sample | None = None

    def sample(self, data: mujoco.MjData, step: int, stamp_ns: int, elapsed_s: float) -> None:
        """Measure after physics step ``step`` (IMUs describe its start, joints its end), ``elapsed_s`` since
        the last.
        """
        n = self._spec.n
        noise = self._random.standard_normal(self._sigma.size) * self._sigma + self._bias
        effort = data.actuator_force[self._act]
        load = np.square(effort / self._spec.effort_nm) * RISE_AT_PEAK_C
        cooling = self.temperature_c - AMBIENT_C
        self.temperature_c = self.temperature_c + (load - cooling) * (elapsed_s / THERMAL_TIME_CONSTANT_S)
        sensordata = data.sensordata
        for index, (name, columns) in enumerate(self._imu_columns.items()):
            if name in self.lost_imus:
                continue
            values = sensordata[columns]
            offset = noise[3 * n + 9 * index : 3 * n + 9 * index + 9]
            self._last_imus[name] = ImuSample(
                stamp_ns,
                _rotated(values[:4], offset[:3]),
                values[4:7] + offset[3:6],
                values[7:10] + offset[6:9],
            )
        self._queue.append(
            (
                step + self._latency_steps,
                Sample(
                    stamp_ns=stamp_ns,
                    position_rad=data.qpos[self._qpos] + noise[:n],
                    velocity_rad_s=data.qvel[self._dof] + noise[n : 2 * n],
                    effort_nm=effort + noise[2 * n : 3 * n],
                    gripper_opening=np.minimum(
                        np.maximum(data.qpos[self._grip_qpos] / self._grip_scale, 0.0), 1.0
                    ),
                    imus=dict(self._last_imus),
                    temperature_c=self.temperature_c,
                ),
            )
        )

    def deliver(self, step: int) -> bool:
        """Make the newest sample whose latency is over ``newest``; True when it changed."""
        changed = False
        while self._queue and self._queue[0][0] <= step:
            sample = self._queue.popleft()[1]
            if not self.lost:
                self.newest, changed = sample, True
        return changed


def _columns(model: mujoco.MjModel, sensor: str) -> np.ndarray:
    start, size = model.sensor(sensor).adr[0], model.sensor(sensor).dim[0]
    return np.arange(start, start + size)


def _rotated(quaternion_wxyz: np.ndarray, angle_rad: np.ndarray) -> np.ndarray:
    """``quaternion_wxyz`` turned by the small rotation vector ``angle_rad`` in its own frame."""
    w, x, y, z = quaternion_wxyz.tolist()
    a, b, c = (0.5 * angle_rad).tolist()
    turned = np.array([w - x * a - y * b - z * c, x + w * a + y * c - z * b, y + w * b + z * a - x * c,
                       z + w * c + x * b - y * a])  # fmt: skip
    return turned / math.sqrt(1.0 + a * a + b * b + c * c)
