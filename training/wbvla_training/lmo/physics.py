"""Many robots in MuJoCo at once: the model the policy learns on, and the arrays that go in and out of the engine.

The engine closes the PD law, limits its torque and delays its set-points (an actuator delay of MuJoCo); Python acts once per
control step of 20 ms. Each foot stands on a plane of its own, so that a plane moved while its foot swings makes uneven
ground at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from mjbatch import Batch
from wbvla_core.model import build_mjspec
from wbvla_core.robot_spec import RobotSpec

from .config import PhysicsConfig
from .randomisation import EpisodeDraw

DELAY_SAMPLES = 10
_LEFT_BIT, _RIGHT_BIT = 2, 4


@dataclass(frozen=True)
class Ids:
    """Engine ids. ``joints`` wire indices of the joints that move; the others are welded in the default pose."""

    joints: np.ndarray
    welded: np.ndarray
    links: np.ndarray
    feet: np.ndarray
    hands: np.ndarray
    torso: int
    pelvis: int
    floors: np.ndarray


def build_model(spec: RobotSpec, cfg: PhysicsConfig) -> mujoco.MjModel:
    """The robot on its two planes; joints of ``cfg.welded_groups`` are fixed in the default pose."""
    robot = build_mjspec(spec, feet=cfg.feet, hands=False, visuals=False, bodies_collide=False)
    for items in (robot.sensors, robot.cameras):
        for item in list(items):
            robot.delete(item)
    _keep_only_sole_contacts(robot, spec)
    _weld(robot, spec, cfg)
    for name, bit in (("floor_left", _LEFT_BIT), ("floor_right", _RIGHT_BIT)):
        robot.worldbody.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            size=[0, 0, 1],
            contype=0,
            conaffinity=bit,
            priority=1,
        )
    for actuator in robot.actuators:
        actuator.nsample = DELAY_SAMPLES
        actuator.delay = cfg.timestep_s
    option = robot.option
    option.timestep = cfg.timestep_s
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    option.iterations = cfg.iterations
    option.ls_iterations = cfg.ls_iterations
    return robot.compile()


def _keep_only_sole_contacts(robot: mujoco.MjSpec, spec: RobotSpec) -> None:
    feet = {spec.feet[0].link: _LEFT_BIT, spec.feet[1].link: _RIGHT_BIT}
    for body in robot.bodies:
        for geom in list(body.geoms):
            if body.name not in feet or "_sole_" not in geom.name:
                robot.delete(geom)
                continue
            geom.contype, geom.conaffinity, geom.condim, geom.priority = feet[body.name], 0, 3, 0


def _weld(robot: mujoco.MjSpec, spec: RobotSpec, cfg: PhysicsConfig) -> None:
    """Turn each welded joint's body by its default angle and remove joint and actuator."""
    names = {spec.joint_names[i] for group in cfg.welded_groups for i in spec.index(group)}
    for actuator in list(robot.actuators):
        if actuator.target in names:
            robot.delete(actuator)
    for joint in list(robot.joints):
        if joint.name not in names:
            continue
        turn, quat = np.zeros(4), np.zeros(4)
        angle = spec.default_rad[spec.index((joint.name,))[0]]
        mujoco.mju_axisAngle2Quat(turn, np.asarray(joint.axis, float), float(angle))
        mujoco.mju_mulQuat(quat, np.asarray(joint.parent.quat, float), turn)
        joint.parent.quat = quat
        robot.delete(joint)


class BatchedRobot:
    """``num_envs`` robots. Arrays are float32 [N, ...]; joint arrays of ``joints`` (the moving ones, in wire order)."""

    def __init__(self, spec: RobotSpec, cfg: PhysicsConfig, num_envs: int) -> None:
        self.spec, self.cfg, self.num_envs = spec, cfg, num_envs
        self.model = model = build_model(spec, cfg)
        self.batch = Batch(model, num_envs, cfg.threads)
        self.ids = _ids(model, spec)
        f32 = np.float32
        bind, expand = self.batch.bind, self.batch.expand
        self.qpos, self.qvel, self.ctrl = bind("qpos", f32), bind("qvel", f32), bind("ctrl", f32)
        self.force, self.xfrc = bind("actuator_force", f32), bind("xfrc_applied", f32)
        self.xpos, self.xmat, self.xipos = bind("xpos", f32), bind("xmat", f32), bind("xipos", f32)
        self.geom_friction, self.geom_pos = expand("geom_friction"), expand("geom_pos")
        self.geom_quat = expand("geom_quat")
        self.mass, self.ipos, self.inertia = expand("body_mass"), expand("body_ipos"), expand("body_inertia")
        self.gain, self.bias = expand("actuator_gainprm"), expand("actuator_biasprm")
        self.force_range, self.delay = expand("actuator_forcerange"), expand("actuator_delay")
        self.armature, self.frictionloss = expand("dof_armature"), expand("dof_frictionloss")
        moving = self.ids.joints
        rubbing = [i for group in cfg.friction_groups for i in spec.index(group)]
        self.frictionloss[:, 6:] *= np.isin(moving, rubbing)
        self._frictionloss = self.frictionloss[0].copy()
        self.effort = spec.effort_nm[moving]
        self._scale = np.ones((num_envs, len(moving)))
        self._delay_s = np.zeros(num_envs)
        self.gain[:, :, 0] = spec.kp[moving]
        self.bias[:, :, 1] = -spec.kp[moving]
        self.bias[:, :, 2] = -spec.kd[moving]
        self.bias[:, :, 0] = 0.0

    def reset(self, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        """Place the environments ``ids`` (sorted) at ``qpos``, ``qvel``; forces zero, set-points at the present pose."""
        self.xfrc[ids] = 0.0
        self.batch.reset(ids)
        self.qpos[ids], self.qvel[ids] = qpos, qvel
        self.ctrl[ids] = qpos[:, 7:]
        self.delay[ids] = 0.0
        self.batch.forward(ids)

    def randomise(self, ids: np.ndarray, draw: EpisodeDraw) -> None:
        """Write the rows ``ids`` of ``draw`` into the engine's models."""
        model, spec, at = self.model, self.spec, self.ids
        d = {name: getattr(draw, name)[ids].numpy() for name in _ENGINE_FIELDS}
        self.geom_friction[np.ix_(ids, at.floors, [0])] = d["friction"][:, None, None]
        mass, ipos = (
            np.repeat(model.body_mass[None], len(ids), 0),
            np.repeat(model.body_ipos[None], len(ids), 0),
        )
        mass[:, at.links] *= d["link_mass_scale"]
        ipos[:, at.pelvis] += d["com_shift_m"][:, 0]
        ipos[:, at.torso] += d["com_shift_m"][:, 1]
        _add_point_mass(mass, ipos, at.torso, d["torso_payload_kg"], d["torso_payload_at_m"])
        for side, body in enumerate(at.hands):
            place = np.tile(np.asarray(spec.hands[side].xyz_m), (len(ids), 1))
            _add_point_mass(mass, ipos, body, d["hand_payload_kg"][:, side], place)
        self.mass[ids], self.ipos[ids] = mass, ipos
        ratio = np.ones_like(mass)
        ratio[:, 1:] = mass[:, 1:] / model.body_mass[1:]
        self.inertia[ids] = model.body_inertia * ratio[..., None] * d["inertia_scale"][:, None, None]
        moving = at.joints
        kp, kd = spec.kp[moving] * d["kp_scale"][:, moving], spec.kd[moving] * d["kd_scale"][:, moving]
        self.gain[ids, :, 0], self.bias[ids, :, 1], self.bias[ids, :, 2] = kp, -kp, -kd
        self._scale[ids] = d["torque_scale"][:, moving]
        self._delay_s[ids] = d["action_delay_s"]
        self.armature[ids, 6:] = model.dof_armature[6:] * d["armature_scale"][:, None]
        self.frictionloss[ids] = self._frictionloss * d["joint_friction_scale"][:, None]

    def centre_of_mass(self, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        """[n, 3] of the robots ``ids`` in the world, with each one's own masses (MuJoCo's subtree_com assumes the
        template's)."""
        mass = self.mass[ids]
        weights = mass / mass.sum(1, keepdims=True)
        return np.einsum("nb,nbx->nx", weights.astype(np.float32), self.xipos[ids])

    def weight_n(self) -> np.ndarray:
        """[N] weight of each robot with its own masses, N."""
        return (self.mass.sum(1) * -self.model.opt.gravity[2]).astype(np.float32)

    def step(self, targets_rad: np.ndarray) -> None:
        """One control step with position set-points [N, joints]; motor limits follow the torque-speed line."""
        wide = np.zeros((self.num_envs, self.spec.n))
        wide[:, self.ids.joints] = self.qvel[:, 6:]
        low, high = self.spec.torque_limits_nm(wide)
        moving = self.ids.joints
        self.force_range[:, :, 0] = low[:, moving] * self._scale
        self.force_range[:, :, 1] = high[:, moving] * self._scale
        self.ctrl[:] = targets_rad
        self.batch.step(nstep=self.cfg.substeps)
        self.delay[:] = self._delay_s[:, None]


_ENGINE_FIELDS = (
    "friction", "link_mass_scale", "torso_payload_kg", "torso_payload_at_m", "hand_payload_kg", "inertia_scale",
    "com_shift_m", "kp_scale", "kd_scale", "torque_scale", "armature_scale", "joint_friction_scale", "action_delay_s",
)  # fmt: skip


def _add_point_mass(
    mass: np.ndarray, ipos: np.ndarray, body: int, added: np.ndarray, place: np.ndarray
) -> None:
    """Add (or take away) ``added`` [n] kg at ``place`` [n, 3] of ``body``; keeps at least a third of the link."""
    before = mass[:, body].copy()
    after = np.maximum(before + added, before / 3.0)
    ipos[:, body] += (after - before)[:, None] / after[:, None] * (place - ipos[:, body])
    mass[:, body] = after


def _ids(model: mujoco.MjModel, spec: RobotSpec) -> Ids:
    def body(name: str) -> int:
        return mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)

    moving = [
        i
        for i, n in enumerate(spec.joint_names)
        if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, n) >= 0
    ]
    names = [model.joint(j).name for j in range(1, model.njnt)]
    if names != [spec.joint_names[i] for i in moving] or model.nu != len(moving):
        raise RuntimeError(f"{spec.name}: the compiled model's joints or actuators are not in wire order")
    welded = sorted(set(range(spec.n)) - set(moving))
    return Ids(
        joints=np.array(moving),
        welded=np.array(welded, dtype=int),
        links=np.array([body(link.name) for link in spec.links]),
        feet=np.array([body(foot.link) for foot in spec.feet]),
        hands=np.array([body(hand.link) for hand in spec.hands]),
        torso=body("torso_link"),
        pelvis=body(spec.base_link),
        floors=np.array([model.geom("floor_left").id, model.geom("floor_right").id]),
    )
