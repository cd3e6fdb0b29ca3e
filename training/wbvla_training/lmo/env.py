"""The vectorised environment: commands, control functions of wbvla_core, engine, rewards; rsl-rl's VecEnv interface."""

from __future__ import annotations

import numpy as np
import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict
from wbvla_core.lmo_bundle import LmoSection, action_config, observation_config
from wbvla_core.robot_spec import RobotSpec

from wbvla_core import action as core_action
from wbvla_core import intent as core_intent
from wbvla_core import observation as core_observation
from wbvla_core import posture as core_posture
from wbvla_core import ramp as core_ramp

from . import commands, randomisation, rewards, sensing, terminations, tracking
from .config import TrainConfig
from .disturbances import Disturbances
from .ground import UnevenGround
from .physics import BatchedRobot
from .privileged import privileged, privileged_mirror
from .task import lmo_section
from .threads import few_threads
from .tracking import Tracking
from .upper_body import UpperBodyMotion

Tensor = torch.Tensor
DT_S = 0.02


class LmoEnv(VecEnv):
    """N robots that follow locomotion commands while their arms move. Tensors live on the CPU; observations are handed
    to ``device``.

    Observation groups: ``policy`` [N, O], exactly what ``LmoController`` would compute, and ``privileged`` [N, P], what
    only the critic sees.

    As read last: ``base`` [N, 3] m in the world, ``yaw`` [N] rad, ``gravity`` and ``gyro`` [N, 3] in the base frame,
    ``velocity`` [N, 3] m/s in the heading frame, ``position`` and ``speed`` [N, n] in wire order, ``foot`` and
    ``foot_normal`` [N, 2, 3] in the world, ``foot_height`` [N, 2], ``lowest_sole`` and ``height`` [N] m, ``com`` [N, 3]."""

    base: Tensor
    yaw: Tensor
    gravity: Tensor
    gyro: Tensor
    velocity: Tensor
    position: Tensor
    speed: Tensor
    foot: Tensor
    foot_normal: Tensor
    foot_height: Tensor
    lowest_sole: Tensor
    height: Tensor
    com: Tensor

    def __init__(
        self,
        cfg: TrainConfig,
        clips: np.ndarray | None = None,
        device: str = "cpu",
        section: LmoSection | None = None,
    ) -> None:
        """``clips`` [C, T, arm joints] rad to replay; ``section`` of a bundle to run instead of the task trained here."""
        self.cfg, self.device = cfg, device
        self.spec = RobotSpec.load(cfg.robot)
        self.section = lmo_section(cfg.robot, self.spec, cfg.command) if section is None else section
        self.observation_config = observation_config(self.section, self.spec)
        self.action_config = action_config(self.section, self.spec)
        self.num_envs, self.num_actions = cfg.num_envs, len(self.section.joints)
        self.max_episode_length = int(cfg.termination.episode_s / DT_S)
        self.generator = torch.Generator().manual_seed(cfg.seed)
        self.robot = BatchedRobot(self.spec, cfg.physics, cfg.num_envs)
        self.level = cfg.curriculum.start
        n = self.num_envs
        self._map_joints()
        self.upper = UpperBodyMotion(
            self.spec, self.observation_config.upper, cfg.upper_body, clips, n, self.generator
        )
        self.disturbances = Disturbances(self.robot, cfg.randomisation, self.generator)
        self.ground = UnevenGround(self.robot, cfg.randomisation, self.generator)
        self.tracking = Tracking(n)
        self.draw = self._sample_draw(n)
        self.commands = commands.sample(n, cfg.command, self.generator)
        self.episode_length_buf = torch.randint(0, self.max_episode_length, (n,), generator=self.generator)
        zeros = torch.zeros(n, self.num_actions)
        self.action, self.last_action, self.older_action = zeros, zeros, zeros
        self.intent = core_intent.Intent.standing(self.commands.height_m.clone())
        self.extras: dict = {}
        self._history: Tensor | None = None
        ages = self.episode_length_buf.clone()
        self.restart()
        self.episode_length_buf = ages  # robots of all ages, so that not all episodes end together

    def _map_joints(self) -> None:
        spec, moving = self.spec, self.robot.ids.joints
        self._moving = torch.tensor(moving)
        self._driven = torch.tensor(self.observation_config.driven)
        place = {int(j): i for i, j in enumerate(moving)}
        self._driven_columns = torch.tensor([place[j] for j in self.observation_config.driven])
        self._default = torch.tensor(spec.default_rad, dtype=torch.float32)
        self._effort = torch.tensor(
            spec.effort_nm[np.asarray(self.observation_config.driven)], dtype=torch.float32
        )
        self._lower = torch.tensor(self.action_config.lower_rad, dtype=torch.float32)
        self._upper = torch.tensor(self.action_config.upper_rad, dtype=torch.float32)
        corners = np.array([foot.support_m for foot in spec.feet])
        corners[..., 2] -= spec.feet[0].radius_m
        self._corners = torch.tensor(corners, dtype=torch.float32)
        self._feet = torch.tensor(self.robot.ids.feet)

    def restart(self) -> None:
        """Start a new episode everywhere; with the commands that are set."""
        commands_set = self.commands
        self._reset(torch.arange(self.num_envs))
        self.commands = commands_set
        self._read()
        self._previous = (self.position, self.speed, self.gravity, self.gyro)
        self._foot_before = self.foot.clone()
        self._observe(torch.ones(self.num_envs, dtype=torch.bool))

    # -- VecEnv ---------------------------------------------------------------------------------------------------------

    def get_observations(self) -> TensorDict:
        """Observations of the present step."""
        return self._tensors

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict]:
        """Apply ``actions`` [N, m]; returns observations, rewards [N], dones [N] and extras (``time_outs``, ``log``)."""
        with few_threads(self.num_envs):
            return self._step(actions)

    def _step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict]:
        self.older_action, self.last_action = self.last_action, self.action
        self.action = core_action.clip_action(actions.to("cpu").float(), self.action_config)
        driven = self.targets(self.action)
        wide = self._default.repeat(self.num_envs, 1)
        wide[:, list(self.observation_config.upper)] = self.upper.step(self.arm_level)
        wide[:, self._driven] = driven
        self._previous = (self.position, self.speed, self.gravity, self.gyro)
        self.robot.step(wide[:, self._moving].numpy())
        self.episode_length_buf += 1

        self._foot_before, self._com_before = self.foot, self.com
        self._read()
        record = self._record()
        fell = record.fell
        done = fell | terminations.timed_out(self.episode_length_buf, self.cfg.termination)
        reward, means = rewards.total(record, self.cfg.reward)
        self.extras = {
            "time_outs": (done & ~fell).float().to(self.device),
            "log": means,
            "lengths": self.episode_length_buf[done],
            "falls": int(fell.sum()),
            "velocity_error": record.velocity_error.norm(dim=-1).mean(),
            "yaw_rate_error": record.yaw_rate_error.abs().mean(),
            "height_error": (record.height - record.height_command).abs().mean(),
        }

        ids = done.nonzero()[:, 0]
        self.disturbances.step(self.level, self.yaw)
        self.ground.step(self.foot, self.foot_height, self.intent.gait.on, self.level)
        self._next_commands()
        if len(ids):
            self._reset(ids)
            self._read(ids)
            self._foot_before = torch.where(done[:, None, None], self.foot, self._foot_before)
        self._observe(done)
        return self._tensors, reward.to(self.device), done.to(self.device), self.extras

    def targets(self, actions: Tensor) -> Tensor:
        """Set-points [N, m] rad that ``actions`` [N, m] mean at the present step."""
        clipped = core_action.clip_action(actions, self.action_config)
        return core_action.joint_targets(clipped, self.reference, self.action_config)

    # -- one step -------------------------------------------------------------------------------------------------------

    def _read(self, ids: Tensor | None = None) -> None:
        """Engine arrays into tensors: base, joints, feet; of all robots, or over the rows ``ids`` of what was read."""
        robot, rows = self.robot, slice(None) if ids is None else ids.numpy()
        qpos, qvel = torch.from_numpy(robot.qpos[rows].copy()), torch.from_numpy(robot.qvel[rows].copy())
        quat, base = qpos[:, 3:7], qpos[:, :3]
        yaw = sensing.heading(quat)
        position = self._default.repeat(len(qpos), 1)
        speed = torch.zeros_like(position)
        position[:, self._moving], speed[:, self._moving] = qpos[:, 7:], qvel[:, 6:]
        foot = torch.from_numpy(robot.xpos[rows][:, robot.ids.feet].copy())
        matrix = torch.from_numpy(robot.xmat[rows][:, robot.ids.feet].copy())
        points = sensing.sole_points(foot, matrix, self._corners)
        lowest = points[..., 2].amin((1, 2))
        found = {
            "gravity": sensing.gravity_in_base(quat), "gyro": qvel[:, 3:6], "yaw": yaw, "base": base,
            "velocity": sensing.to_heading(qvel[:, :3], yaw), "position": position, "speed": speed, "foot": foot,
            "foot_normal": matrix[:, :, [2, 5, 8]], "lowest_sole": lowest, "height": base[:, 2] - lowest,
            "foot_height": self.ground.height_above(points.mean(2), slice(None) if ids is None else ids),
            "com": torch.from_numpy(robot.centre_of_mass(rows)),
        }  # fmt: skip
        for name, value in found.items():
            if ids is None:
                setattr(self, name, value)
            else:
                getattr(self, name)[ids] = value

    def _record(self) -> rewards.StepRecord:
        reference = core_ramp.reference_velocity(self.intent.ramp, self.intent.request, self.section.ramp)
        resting = ~core_intent.gait.moving(self.intent.request, self.intent.ramp, self.section.gait)
        self.tracking.rest(self.base, resting)
        place = sensing.to_heading(self.tracking.place, self.yaw)[:, :2]
        back = tracking.return_velocity(place) * (resting & self.intent.gait.on)[:, None]
        reference = torch.cat([reference[:, :2] + back, reference[:, 2:]], -1)
        self.tracking.step(self.velocity, self.gyro[:, 2], self.yaw, reference)
        feet = sensing.to_heading(self.foot - self.base[:, None], self.yaw)
        spacing = feet[:, 0, 1] - feet[:, 1, 1]
        fell = terminations.fell(
            self.gravity, self.height, self.intent.height_m, spacing, self.cfg.termination
        )
        torque = torch.from_numpy(self.robot.force[:, self._driven_columns.numpy()].copy())
        point = self.com + (self.com - self._com_before) / (DT_S * 3.8)
        point[:, :2] += self._load_shift()
        self.foot_velocity = (self.foot - self._foot_before) / DT_S
        return rewards.StepRecord(
            velocity=self.velocity,
            angular_velocity=self.gyro,
            reference=reference,
            velocity_error=self.tracking.velocity_error,
            yaw_rate_error=self.tracking.yaw_rate_error,
            slow_error=self.tracking.slow_error,
            yaw_drift=self.tracking.yaw_drift,
            gravity=self.gravity,
            gravity_reference=core_posture.trunk_gravity(self.section.posture, self.intent.height_m),
            height=self.height,
            height_command=self.intent.height_m,
            foot_height=self.foot_height,
            foot_lift=core_observation.gait.foot_lift(
                self.intent.gait.phase, self.intent.gait.on, self.section.gait
            ),
            foot_velocity=self.foot_velocity,
            foot_tilt=self.foot_normal[..., 0] ** 2 + self.foot_normal[..., 1] ** 2,
            balance=sensing.to_heading(point - self.foot.mean(1), self.yaw)[:, :2],
            foot_spacing=spacing,
            stance_offset=feet[:, 0, 0] - feet[:, 1, 0],
            position=self.position[:, self._driven],
            speed=self.speed[:, self._driven],
            torque=torque,
            torque_limit=self._effort,
            reference_pose=self.reference,
            lower=self._lower,
            upper=self._upper,
            action=self.action,
            last_action=self.last_action,
            older_action=self.older_action,
            walking=self.intent.gait.on,
            asked_to_stand=resting,
            place=place,
            fell=fell,
        )

    def _load_shift(self) -> Tensor:
        """[N, 2] m, world: what the hand forces of this step add to the capture point."""
        at = torch.from_numpy(self.robot.xipos[:, self.robot.ids.hands].copy())
        at[..., 2] -= self.lowest_sole[:, None]
        return sensing.load_shift(
            self.disturbances.hand_force, at, self.com, torch.from_numpy(self.robot.weight_n())
        )

    def _next_commands(self) -> None:
        left = self.commands.steps - 1
        self.commands = commands.Commands(self.commands.request, self.commands.height_m, left)
        due = left <= 0
        if due.any():
            fresh = commands.sample(self.num_envs, self.cfg.command, self.generator)
            self.commands = self.commands.where(due, fresh)

    def _observe(self, fresh: Tensor) -> None:
        """Sensors, intent, posture reference, observation: the order of ``LmoController.step``."""
        noise, d, g = self.cfg.noise, self.draw, self.generator
        position, speed, gravity, gyro = (
            torch.where(fresh[:, None], now, before)
            for now, before in zip(
                (self.position, self.speed, self.gravity, self.gyro), self._previous, strict=True
            )
        )
        position = sensing.delayed(self.position, position, d.joint_delay_s) + d.joint_offset_rad
        speed = sensing.delayed(self.speed, speed, d.joint_delay_s)
        gravity = sensing.tilted(sensing.delayed(self.gravity, gravity, d.imu_delay_s), d.imu_tilt_rad)
        gyro = sensing.delayed(self.gyro, gyro, d.imu_delay_s)
        measured = core_observation.measured(
            position + noise.position_rad * torch.randn(position.shape, generator=g),
            speed + noise.velocity_rad_s * torch.randn(speed.shape, generator=g),
            gravity + noise.gravity * torch.randn(gravity.shape, generator=g),
            gyro + noise.gyro_rad_s * torch.randn(gyro.shape, generator=g),
            self.observation_config,
        )
        section, c = self.section, self.commands
        self.intent = core_intent.advance(
            self.intent,
            c.request,
            c.height_m,
            measured.gravity,
            measured.angular_velocity,
            measured.velocity,
            section.ramp,
            section.gait,
        )
        self.reference = core_observation.reference(self.intent, section.posture, section.gait)
        previous = None if self._history is None else core_observation.begin(self._history[:, 0], fresh)
        frame = core_observation.frame(
            measured,
            self.intent,
            self.reference,
            self.action,
            section.posture,
            self.observation_config,
            previous,
        )
        if self._history is None:
            self._history = core_observation.empty_history(frame, self.observation_config)
        self._history = core_observation.push(self._history, frame, fresh)
        policy = core_observation.stack(self._history, self.observation_config)
        self._tensors = TensorDict(
            {"policy": policy.to(self.device), "privileged": privileged(self).to(self.device)},
            batch_size=[self.num_envs],
            device=self.device,
        )

    @property
    def arm_level(self) -> float:
        """Share of the configured arm motion at the curriculum's level."""
        return min(1.0, self.level * self.cfg.upper_body.level_gain)

    def upper_slice(self) -> slice:
        """Where the joints that the policy does not drive lie in the observation ``policy``; they are its last term."""
        last = self.observation_config.terms[-1]
        if last.name != "upper_position":
            return slice(0)
        return slice(self.observation_config.size - last.history * len(self.observation_config.upper), None)

    def still_inputs(self) -> list[int]:
        """Columns of the observation ``policy`` that never change here: positions of joints that are welded."""
        part, upper = self.upper_slice(), self.observation_config.upper
        if part == slice(0):
            return []
        welded = {int(j) for j in self.robot.ids.welded}
        return [part.start + i for i, joint in enumerate(upper) if joint in welded]

    def observation_mirror(self) -> tuple[np.ndarray, np.ndarray]:
        """Permutation and sign of the observation ``policy`` under exchange of left and right."""
        return core_observation.mirror(self.observation_config, *self.spec.mirror)

    def action_mirror(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of the action."""
        return core_observation.mirror_joints(self.observation_config.driven, *self.spec.mirror)

    def privileged_mirror(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of the observation ``privileged``."""
        return privileged_mirror()

    # -- resets ---------------------------------------------------------------------------------------------------------

    def _sample_draw(self, n: int) -> randomisation.EpisodeDraw:
        return randomisation.sample(
            n, len(self.spec.links), self.spec.n, self.cfg.randomisation, self.level, self.generator
        )

    def _reset(self, ids: Tensor) -> None:
        """New episodes for ``ids`` (sorted): standing near a posture of the table, standing command first."""
        n, g, rows = len(ids), self.generator, ids.numpy()
        self.draw.assign(ids, self._sample_draw(n))
        self.robot.randomise(rows, self.draw)
        self.upper.reset(ids, self.arm_level)
        self.disturbances.reset(ids)
        self.ground.reset(ids)
        self.tracking.reset(ids)
        fresh = commands.sample(self.num_envs, self.cfg.command, g)
        mask = torch.zeros(self.num_envs, dtype=torch.bool)
        mask[ids] = True
        self.commands = self.commands.where(mask, fresh)
        height = self.start_height_m = commands.uniform(self.num_envs, *self.cfg.command.walk_height_m, g)
        self.intent = self.intent.where(mask, core_intent.Intent.standing(height))
        height = height[ids]
        wide = self._default.repeat(n, 1)
        wide[:, list(self.observation_config.upper)] = self.upper.target[ids]
        reference = core_posture.reference(self.section.posture, height, height)
        wide[:, self._driven] = reference + 0.03 * torch.randn(reference.shape, generator=g)
        yaw = commands.uniform(n, -np.pi, np.pi, g)
        qpos = torch.zeros(n, 7 + len(self._moving))
        qpos[:, 2] = height + 0.003
        qpos[:, 3], qpos[:, 6] = torch.cos(0.5 * yaw), torch.sin(0.5 * yaw)
        qpos[:, 7:] = wide[:, self._moving]
        qvel = torch.zeros(n, 6 + len(self._moving))
        qvel[:, :2] = 0.15 * torch.randn(n, 2, generator=g)
        self.robot.reset(rows, qpos.numpy(), qvel.numpy())
        self.episode_length_buf[ids] = 0
        for name in ("action", "last_action", "older_action"):
            value = getattr(self, name).clone()
            value[ids] = 0.0
            setattr(self, name, value)
