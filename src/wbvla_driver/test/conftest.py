"""A lock-step bench: DriverCore against a plant that does what it is told, a locomotion policy and a
source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from wbvla_core.kinematics import Kinematics
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import (
    ArmTarget,
    ImuSample,
    LegWaistCommand,
    LocoCommand,
    PlantReading,
    PlantState,
    Source,
    State,
)
from wbvla_driver.config import DriverConfig
from wbvla_driver.core import DriverCore

MS = 1_000_000
TICK_MS = 5
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


class FakeStand:
    """Stands in the default pose, leaning by nothing; counts its calls."""

    def __init__(self, spec):
        self._spec = spec
        self.steps = 0
        self.height_m = None
        self.broken = False

    def reset(self, state, height_m):
        self.height_m = height_m

    def step(self, state, command):
        self.steps += 1
        position = self._spec.default_rad[self._spec.lmo_index].copy()
        if self.broken:
            position[0] = np.nan
        return leg_waist(self._spec, position)


def leg_waist(spec, position, **changes):
    zeros = np.zeros(len(spec.lmo_joints))
    index = spec.lmo_index
    command = LegWaistCommand(
        joint_names=spec.lmo_joints,
        position_rad=position,
        velocity_rad_s=zeros,
        effort_nm=zeros,
        effort_feedforward_nm=zeros,
        stiffness=spec.kp[index],
        damping=spec.kd[index],
    )
    return replace(command, **changes)


@dataclass
class FakePlant:
    """Joints that are where they are told to be one tick later; load on the feet unless ``hung``."""

    spec: RobotSpec
    stance_effort_nm: np.ndarray
    hanging_effort_nm: np.ndarray
    position_rad: np.ndarray = field(default_factory=lambda: np.zeros(0))
    tilt_rad: float = 0.0
    hung: bool = False
    imu_alive: bool = True
    alive: bool = True
    obedient: bool = True
    trips: int = 0
    state: PlantState = PlantState.DAMPING
    sequence: int = 0
    imu_stamp_ns: int = 0
    frozen_imu: ImuSample | None = None

    def step(self, command, now_ns):
        if command is not None and self.obedient:
            self.state = PlantState.ACTIVE if command.active else PlantState.DAMPING
            if command.active:
                self.position_rad = np.where(command.stiffness > 0, command.position_rad, self.position_rad)
        if not self.alive:
            return None
        self.sequence += 1
        quaternion = np.array([np.cos(self.tilt_rad / 2), 0.0, np.sin(self.tilt_rad / 2), 0.0])
        imus = {}
        if self.imu_alive:
            self.frozen_imu = ImuSample(now_ns, quaternion, np.zeros(3), np.array([0, 0, 9.81]))
        for imu in self.spec.imus:
            if self.frozen_imu is not None:
                imus[imu.name] = self.frozen_imu
        n = self.spec.n
        return PlantReading(
            stamp_ns=now_ns,
            sequence=self.sequence,
            position_rad=self.position_rad.copy(),
            velocity_rad_s=np.zeros(n),
            effort_nm=self.hanging_effort_nm if self.hung else self.stance_effort_nm,
            gripper_opening=np.full(len(self.spec.hands), 0.5),
            imus=imus,
            plant_state=self.state,
            fault=np.zeros(n, np.int64),
            temperature_c=np.full(n, 40.0),
            watchdog_trips=self.trips,
        )


class Bench:
    """Runs everything at 5 ms; the switches say who is alive. All ages and stamps are of one virtual
    clock."""

    def __init__(self, spec, kinematics, stance_effort_nm, config=None):
        self.spec, self.kinematics = spec, kinematics
        self.stand = FakeStand(spec)
        self.config = config or DriverConfig()
        self.core = DriverCore(spec, self.config, kinematics, self.stand)
        rng = np.random.default_rng(0)
        start = spec.default_rad + 0.1 * rng.standard_normal(spec.n)
        hanging = kinematics.gravity_nm(spec.default_rad, UPRIGHT)
        start = np.clip(start, spec.lower_rad, spec.upper_rad)
        self.plant = FakePlant(spec, stance_effort_nm, hanging, start)
        self.now_ns = 0
        self.command = None
        self.lmo_alive = True
        self.lmo_nan = False
        self.source_alive = False
        self.camera_alive = False
        self.wanted_height_m = 0.60
        self.wanted_flags = (1, 0, 0)
        self.arm_value = None
        self.sequence = 0
        self.lmo_sequence = 0
        self.events = []
        self.commands = []
        self.locos = []
        self.states = []

    def tick(self):
        self.now_ns += TICK_MS * MS
        reading = self.plant.step(self.command, self.now_ns)
        ms = self.now_ns // MS
        if self.lmo_alive and ms % 20 == 0:
            self.lmo()
        if self.camera_alive and ms % 65 == 0:
            self.core.camera_seen(self.now_ns)
        if self.source_alive and ms % 50 == 0:
            self.source()
        output = self.core.tick(reading, self.now_ns)
        self.command = output.plant_command
        self.commands.append(output.plant_command)
        self.events += output.events
        self.states.append(output.state)
        if output.loco_command is not None:
            self.locos.append(output.loco_command)
        return output

    def run(self, ms):
        for _ in range(round(ms / TICK_MS)):
            output = self.tick()
        return output

    def until(self, state, limit_ms=3000):
        """Milliseconds until ``state``."""
        start = self.now_ns
        while self.now_ns - start < limit_ms * MS:
            if self.tick().state == state:
                return (self.now_ns - start) / MS
        raise AssertionError(f"{state.name} not reached; now {self.core.state.name}")

    def lmo(self, **changes):
        self.lmo_sequence += 1
        position = self.spec.default_rad[self.spec.lmo_index].copy()
        if self.lmo_nan:
            position[3] = np.nan
        command = leg_waist(
            self.spec, position, sequence=self.lmo_sequence, state_stamp_ns=self.now_ns, stamp_ns=self.now_ns
        )
        return self.core.on_leg_waist_command(replace(command, **changes), self.now_ns)

    def loco(self, **changes):
        self.sequence += 1
        source, session = self.core.authority
        command = LocoCommand(
            height_m=self.wanted_height_m,
            flags=self.wanted_flags,
            source=source,
            session=session,
            sequence=self.sequence,
            stamp_ns=self.now_ns,
            observation_stamp_ns=self.now_ns,
        )
        return self.core.on_loco_command(replace(command, **changes), self.now_ns)

    def arms(self, **changes):
        self.sequence += 1
        source, session = self.core.authority
        names = tuple(np.array(self.spec.joint_names)[self.spec.index("arms")])
        value = self.spec.default_rad[self.spec.index("arms")]
        if self.arm_value is not None:
            value = np.full(len(names), self.arm_value)
        target = ArmTarget(
            joint_names=names,
            positions=np.repeat(value[None, :], 4, axis=0),
            time_from_start_ns=np.array([0, 100, 200, 300]) * MS,
            observation_stamp_ns=self.now_ns,
            source=source,
            session=session,
            sequence=self.sequence,
            stamp_ns=self.now_ns,
        )
        return self.core.on_arm_target(replace(target, **changes), self.now_ns)

    def source(self):
        self.loco()
        self.arms()

    def standing(self):
        self.run(50)
        done, sentence = self.core.release(True, self.now_ns)
        assert done, sentence
        assert self.run(2700).state == State.STANDING
        return self

    def active(self, source=Source.VLA):
        self.standing()
        self.core.set_authority(source, self.now_ns)
        self.source_alive = True
        assert self.run(1000).state == State.ACTIVE
        self.events.clear()
        return self

    def reasons(self):
        return [event.reason for event in self.events]


@pytest.fixture(scope="session")
def spec():
    return RobotSpec.load("x2_ultra")


@pytest.fixture(scope="session")
def kinematics(spec):
    return Kinematics(spec)


@pytest.fixture(scope="session")
def stance_effort_nm(spec, kinematics):
    """Leg torques of a robot that stands on both feet, from the foot load model turned round."""
    hanging = kinematics.gravity_nm(spec.default_rad, UPRIGHT)
    weight = 9.81 * sum(link.mass_kg for link in spec.links)

    def load(effort):
        return kinematics.foot_forces_n(spec.default_rad, effort, UPRIGHT).sum()

    # The estimate is linear in the torques where it is positive: from a little load on, find its slope.
    slope = np.zeros(spec.n)
    bent = hanging.copy()
    bent[spec.index(("left_knee_joint", "right_knee_joint"))] -= 5.0
    for i in spec.index("legs"):
        probe = bent.copy()
        probe[i] += 1e-3
        slope[i] = (load(probe) - load(bent)) / 1e-3
    return hanging + slope * (weight / float(slope @ slope))


@pytest.fixture
def bench(spec, kinematics, stance_effort_nm):
    return Bench(spec, kinematics, stance_effort_nm)


@pytest.fixture
def make_bench(spec, kinematics, stance_effort_nm):
    return lambda config: Bench(spec, kinematics, stance_effort_nm, config)
