"""Training, evaluation and the robot's controller run the same control: symmetric network, export, batched path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from wbvla_core.lmo import LmoController
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import LocoCommand, RobotState
from wbvla_training.lmo.commands import Commands
from wbvla_training.lmo.config import NoiseConfig, TerminationConfig
from wbvla_training.lmo.env import LmoEnv
from wbvla_training.lmo.export import export
from wbvla_training.lmo.networks import SymmetricMlp
from wbvla_training.lmo.policy import BundlePolicy
from wbvla_training.lmo.presets import preset
from wbvla_training.lmo.scenarios import NOMINAL, Scenario, build_env
from wbvla_training.lmo.task import lmo_section

SPEC = RobotSpec.load("x2_ultra")


@pytest.fixture(scope="module")
def env() -> LmoEnv:
    return LmoEnv(replace(preset("x2_stage1"), num_envs=4))


def _network(env: LmoEnv) -> SymmetricMlp:
    torch.manual_seed(0)
    network = SymmetricMlp((32, 16), env.observation_mirror(), env.action_mirror())
    torch.nn.init.normal_(network.head.weight, std=0.3)
    torch.nn.init.normal_(network.head.bias, std=0.3)
    return network


@pytest.fixture(scope="module")
def bundle(env, tmp_path_factory):
    network = _network(env)
    section = lmo_section("x2_ultra", SPEC, env.cfg.command)
    weights = {f"mlp.{name}": value for name, value in network.state_dict().items()}
    state = {"hidden": [32, 16], "algorithm": {"actor_state_dict": weights}}
    folder = tmp_path_factory.mktemp("bundle")
    _, difference = export(state, section, SPEC, folder, "test")
    return folder, difference, network


def test_mirroring_twice_is_the_identity(env):
    for order, sign in (env.observation_mirror(), env.action_mirror(), env.privileged_mirror()):
        value = np.random.default_rng(0).normal(size=len(order))
        np.testing.assert_allclose(sign * (sign * value[order])[order], value)


def test_privileged_layout_has_the_width_of_the_observation(env):
    assert env.get_observations()["privileged"].shape[1] == len(env.privileged_mirror()[0])


def test_actor_is_exactly_symmetric(env):
    network = _network(env)
    (order, sign), (a_order, a_sign) = env.observation_mirror(), env.action_mirror()
    observation = torch.randn(16, len(order))
    mirrored = observation[:, order] * torch.tensor(sign, dtype=torch.float32)
    expected = network(observation)[:, a_order] * torch.tensor(a_sign, dtype=torch.float32)
    torch.testing.assert_close(network(mirrored), expected, atol=1e-5, rtol=1e-5)
    assert network(observation).std() > 0.05


def test_exported_network_equals_torch(bundle):
    folder, difference, network = bundle
    assert difference < 1e-5
    policy = BundlePolicy(folder, SPEC)
    observation = torch.randn(7, network.layers[0].in_features)
    with torch.no_grad():
        torch.testing.assert_close(policy(observation), network(observation), atol=1e-5, rtol=0)


def test_batched_control_equals_the_controller_step_by_step(bundle):
    """The environment that evaluates a bundle and the node's LmoController give the same set-points at every step, with
    commands that start, change and stop a gait. The network is random, so the robots float without gravity: a fall would
    blow the rounding of single precision up."""
    policy = BundlePolicy(bundle[0], SPEC)
    still = replace(NOMINAL, joint_delay_s=(0.0, 0.0), imu_delay_s=(0.0, 0.0))
    env = build_env(Scenario("equal", 4.0, 2, still), policy, SPEC, None, 3)
    never = TerminationConfig(
        tilt_rad=4.0, height_m=-9.0, height_drop_m=99.0, foot_spacing_m=-99.0, episode_s=1e6
    )
    env.cfg = replace(env.cfg, noise=NoiseConfig(0.0, 0.0, 0.0, 0.0), termination=never)
    env.robot.batch.expand("gravity")[:] = 0.0
    env.commands = _command(2, (0, 0, 0), 0.64)
    env.restart()
    starts = env.start_height_m.tolist()
    controllers = [LmoController(policy.bundle, SPEC) for _ in range(2)]
    moved = torch.zeros(2, 13)
    for k in range(160):
        flags, height = _SCRIPT[k // 40]
        found = []
        for i, controller in enumerate(controllers):
            state = _state(env, i)
            if k == 0:
                controller.reset(state, starts[i])
            found.append(controller.step(state, LocoCommand(height, flags)).position_rad)
        actions = policy(env.get_observations()["policy"])
        targets = env.targets(actions)
        np.testing.assert_allclose(targets.numpy(), np.array(found), atol=2e-3, err_msg=f"step {k}")
        moved = torch.maximum(moved, (targets - torch.tensor(SPEC.default_rad[SPEC.lmo_index]).float()).abs())
        env.commands = _command(2, *_SCRIPT[min((k + 1) // 40, 3)])
        env.step(actions)
    assert moved.max() > 0.2 and all(
        controller.stepping == on for controller, on in zip(controllers, env.intent.gait.on, strict=True)
    )


_SCRIPT = (((0, 0, 0), 0.64), ((1, 0, 0), 0.62), ((0, -1, 0), 0.62), ((0, 0, 0), 0.55))


def _command(n: int, flags: tuple[int, int, int], height: float) -> Commands:
    return Commands(torch.tensor([flags] * n).float(), torch.full((n,), height), torch.full((n,), 10**6))


def _state(env: LmoEnv, i: int) -> RobotState:
    n = SPEC.n
    return RobotState(
        stamp_ns=0,
        sequence=0,
        position_rad=env.position[i].double().numpy(),
        velocity_rad_s=env.speed[i].double().numpy(),
        effort_nm=np.zeros(n),
        gripper_opening=np.ones(2),
        base_quaternion_wxyz=env.robot.qpos[i, 3:7].astype(np.float64),
        base_angular_velocity_rad_s=env.gyro[i].double().numpy(),
        base_linear_acceleration_m_s2=np.zeros(3),
    )
