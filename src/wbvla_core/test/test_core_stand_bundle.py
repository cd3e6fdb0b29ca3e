"""The shipped stand bundle holds the whole X2 up in MuJoCo, with latency and sensor noise."""

from collections import deque
from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
import pytest
from wbvla_core.bundle import load_bundle
from wbvla_core.lmo import LmoController
from wbvla_core.model import build_mjspec, joint_addresses
from wbvla_core.paths import models_dir
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import projected_gravity
from wbvla_core.stand_bundle import feedback, linear_models, make_section, network_bytes
from wbvla_core.stand_design import spectral_radius
from wbvla_core.types import LegWaistCommand, LocoCommand, RobotState

from wbvla_core import posture


def floor_model(spec: RobotSpec) -> mujoco.MjModel:
    """The robot with grippers and all contacts on a floor."""
    builder = build_mjspec(spec, feet="full")
    floor = builder.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    floor.contype = floor.conaffinity = 1
    floor.friction = [0.8, 0.005, 1e-4]
    return builder.compile()


@dataclass
class StandingRobot:
    """Runs ``controller`` on ``model`` at 1 kHz; latencies in ms before and after the controller."""

    spec: RobotSpec
    model: mujoco.MjModel
    controller: LmoController
    table: posture.PostureTable
    height_m: float
    latency_in_ms: int = 6
    latency_out_ms: int = 6
    seed: int = 0
    drop_m: float = 0.0
    path: list = field(default_factory=list)

    def __post_init__(self) -> None:
        spec, model = self.spec, self.model
        self.ms = 0
        self.rng = np.random.default_rng(self.seed)
        self.data = mujoco.MjData(model)
        self.qpos, self.dofs = joint_addresses(model, spec)
        at = np.array([self.height_m])
        lean = np.arcsin(posture.trunk_gravity(self.table, at)[0, 0])
        self.target = spec.default_rad.copy()
        self.target[spec.lmo_index] = posture.reference(self.table, at, at)[0]
        base = (0, 0, self.height_m + self.drop_m, np.cos(lean / 2), 0, np.sin(lean / 2), 0)
        self.data.qpos[:7], self.data.qpos[self.qpos] = base, self.target
        mujoco.mj_forward(model, self.data)
        self.kp, self.kd = spec.kp.copy(), spec.kd.copy()
        self.feedforward = np.zeros(spec.n)
        self.seen: deque = deque(maxlen=self.latency_in_ms + 1)
        self.due: deque = deque()
        self.controller.reset(self.state(), self.height_m)

    def run(self, seconds: float, height_m=None, push_n=(0.0, 0.0), arms=None, load_kg: float = 0.0) -> bool:
        """Go on for ``seconds``; the push lasts the first 0.1 s. False when it fell."""
        trunk = self.model.body("torso_link").id
        for ms in range(round(seconds * 1000)):
            self.seen.append(self.state())
            if self.ms % 20 == 0:
                state = self._noisy(self.seen[0])
                command = LocoCommand(height_m=self.height_m if height_m is None else height_m)
                self.due.append((self.ms + self.latency_out_ms, self.controller.step(state, command)))
            while self.due and self.due[0][0] <= self.ms:
                self._apply(self.due.popleft()[1])
            if arms is not None:
                for name, angle in arms(self.ms / 1000).items():
                    self.target[self.spec.index((name,))] = angle
            self.data.ctrl[: self.spec.n] = self.kp * self.target + self.feedforward
            force = (*push_n, 0.0) if ms < 100 else (0.0, 0.0, 0.0)
            self.data.xfrc_applied[trunk, :3] = np.array(force) - (0, 0, 9.81 * load_kg)
            mujoco.mj_step(self.model, self.data)
            self.ms += 1
            self.path.append((*self.data.subtree_com[0], self.data.qpos[2]))
            if self.data.qpos[2] < 0.35 or projected_gravity(self.data.qpos[3:7])[2] > -0.6:
                return False
        return True

    def state(self) -> RobotState:
        """Measured without noise or delay."""
        data = self.data
        return RobotState(
            stamp_ns=self.ms * 1_000_000,
            sequence=0,
            position_rad=data.qpos[self.qpos].copy(),
            velocity_rad_s=data.qvel[self.dofs].copy(),
            effort_nm=data.actuator_force[: self.spec.n].copy(),
            gripper_opening=np.zeros(2),
            base_quaternion_wxyz=data.qpos[3:7].copy(),
            base_angular_velocity_rad_s=data.qvel[3:6].copy(),
            base_linear_acceleration_m_s2=np.zeros(3),
        )

    def _noisy(self, state: RobotState) -> RobotState:
        def noise(scale: float, size: int) -> np.ndarray:
            return self.rng.normal(size=size) * scale

        return replace(
            state,
            position_rad=state.position_rad + noise(0.002, self.spec.n),
            velocity_rad_s=state.velocity_rad_s + noise(0.05, self.spec.n),
            base_quaternion_wxyz=state.base_quaternion_wxyz + noise(0.002, 4),
            base_angular_velocity_rad_s=state.base_angular_velocity_rad_s + noise(0.02, 3),
        )

    def _apply(self, command: LegWaistCommand) -> None:
        index = self.spec.index(command.joint_names)
        self.target[index] = command.position_rad
        self.feedforward[index] = command.effort_feedforward_nm
        self.kp[index], self.kd[index] = command.stiffness, command.damping
        self.model.actuator_biasprm[: self.spec.n, 1] = -self.kp
        self.model.actuator_biasprm[: self.spec.n, 2] = -self.kd


@pytest.fixture(scope="module")
def spec():
    return RobotSpec.load("x2_ultra")


@pytest.fixture(scope="module")
def bundle(spec):
    return load_bundle(models_dir() / "lmo" / "stand", "lmo", spec)


@pytest.fixture(scope="module")
def model(spec):
    return floor_model(spec)


@pytest.fixture
def robot(spec, bundle, model):
    def make(height_m, **options):
        controller = LmoController(bundle, spec)
        return StandingRobot(spec, model, controller, bundle.section.posture, height_m, **options)

    return make


@pytest.mark.parametrize("height_m", [0.50, 0.66])
def test_stands_still_under_noise_and_latency(robot, height_m):
    standing = robot(height_m)
    assert standing.run(6.0)
    com = np.array(standing.path)[2000:, :2]
    assert np.sqrt(((com - com.mean(0)) ** 2).sum(1).mean()) < 0.005
    assert np.abs(com.mean(0) - np.array(standing.path)[0, :2]).max() < 0.02


@pytest.mark.parametrize("latency_ms", [4, 10])
def test_follows_the_height_from_stand_to_squat_and_up_again(robot, latency_ms):
    standing = robot(0.64, latency_in_ms=latency_ms, latency_out_ms=latency_ms)
    for height in (0.50, 0.66, 0.60):
        assert standing.run(2.5, height_m=height)
        assert standing.path[-1][3] == pytest.approx(height, abs=0.015)


@pytest.mark.parametrize("height_m", [0.64, 0.50])
@pytest.mark.parametrize("impulse_n_s", [(9, 0), (-10, 0), (0, 15), (0, -15), (5, 8)])
def test_takes_a_push_at_the_trunk(robot, height_m, impulse_n_s):
    standing = robot(height_m)
    assert standing.run(1.0)
    assert standing.run(3.0, push_n=tuple(10.0 * part for part in impulse_n_s))
    assert np.abs(standing.data.qvel[:3]).max() < 0.05


@pytest.mark.parametrize("height_m", [0.64, 0.50])
def test_arms_may_swing(robot, height_m):
    swing = {"shoulder_pitch": -1.2, "elbow": -1.3, "shoulder_roll": 0.5}

    def arms(time_s):
        part = 0.5 - 0.5 * np.cos(2 * np.pi * 0.7 * time_s)
        angles = {}
        for name, angle in swing.items():
            angles[f"left_{name}_joint"] = part * angle
            angles[f"right_{name}_joint"] = part * angle * (-1.0 if "roll" in name else 1.0)
        return angles

    assert robot(height_m).run(5.0, arms=arms)


def test_is_dropped_from_ten_centimetres_and_stands(robot):
    for drop in (0.03, 0.10):
        standing = robot(0.64, drop_m=drop)
        assert standing.run(4.0)
        assert standing.path[-1][3] == pytest.approx(0.64, abs=0.01)


def test_carries_three_kilograms(robot):
    assert robot(0.60).run(4.0, load_kg=3.0)


@pytest.mark.parametrize("latency_ms", [(0, 4), (4, 4), (11, 11)])
@pytest.mark.parametrize("impulse_n_s", [(8, 0), (-8, 0), (0, 12)])
def test_takes_a_push_with_latency_from_4_to_22_ms(robot, latency_ms, impulse_n_s):
    standing = robot(0.56, latency_in_ms=latency_ms[0], latency_out_ms=latency_ms[1])
    assert standing.run(0.6)
    assert standing.run(2.5, push_n=tuple(10.0 * part for part in impulse_n_s))


def test_stands_with_30_ms_of_latency(robot):
    assert robot(0.52, latency_in_ms=15, latency_out_ms=15).run(4.0)


def test_posture_falls_without_the_feedback(spec, bundle, model, robot):
    """The bench is not what holds the robot up."""
    standing = robot(0.64)
    held = LmoController(bundle, spec).step(standing.state(), LocoCommand(height_m=0.64))
    standing.controller.step = lambda state, command: held
    assert not standing.run(5.0)


def test_shipped_section_is_what_the_generator_makes_for_this_robot(spec, bundle):
    assert bundle.section == make_section(spec)


def test_shipped_network_holds_every_design_point_and_is_symmetric(spec, bundle):
    onnx = pytest.importorskip("onnx")
    network = onnx.load(str(bundle.file("policy.onnx")))
    gain = onnx.numpy_helper.to_array(network.graph.initializer[0]).astype(float)
    models = linear_models(spec, bundle.section.posture)
    assert max(spectral_radius(model, gain) for model in models) < 1.0
    assert max(spectral_radius(model, 0.0 * gain) for model in models) > 1.0
    found = feedback(spec, bundle.section, models[:1])
    assert spectral_radius(models[0], found) < 1.0
    assert len(network_bytes(found)) < 20_000


def test_model_of_the_bench_is_the_whole_robot(spec, model):
    assert model.nu == spec.n + len(spec.hands)
    assert mujoco.mj_getTotalmass(model) == pytest.approx(41.97, abs=0.05)
