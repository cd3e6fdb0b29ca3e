"""Inverse kinematics of both arms: wrist targets in, joint positions out, within limits and clear of the
body.
 The pelvis is the fixed base; legs, waist and head are posed as measured. Each call takes one step of a
differential inverse kinematics (a small quadratic program, by mink) from the arm pose that was commanded
last, so that the motion is continuous and no faster than the joints may go.
"""

from __future__ import annotations

from dataclasses import dataclass

import mink
import mujoco
import numpy as np
from wbvla_core.model import COLLISION_GROUP, ROOT_JOINT, build_mjspec
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_axis_angle, matrix_from_rpy, quaternion_from_matrix

from wbvla_teleop.frame import WristPose

SIDES = ("left", "right")


class IkError(RuntimeError):
    """The quadratic program has no solution; the arms should hold."""


@dataclass(frozen=True)
class IkConfig:
    """Weights and limits.

    Costs weigh errors in m and rad against each other; ``posture_cost`` pulls towards the default arm pose,
    ``damping_cost`` against motion. ``speed_rad_s`` caps all joints below their own limit. ``clearance_m``
    is kept between hands, forearms and body, ``detection_m`` is where avoidance begins.
    ``limit_margin_rad`` is kept from the ends of the joints.
    """

    position_cost: float = 10.0
    orientation_cost: float = 1.0
    posture_cost: float = 0.08
    damping_cost: float = 0.05
    lm_damping: float = 1e-4
    speed_rad_s: float = 2.0
    clearance_m: float = 0.015
    detection_m: float = 0.08
    limit_margin_rad: float = 0.02
    solver: str = "daqp"


class DualArmIk:
    """Both arms of one robot. Not thread safe; a call to :meth:`solve` takes about a millisecond."""

    def __init__(self, spec: RobotSpec, config: IkConfig | None = None) -> None:
        self.spec, self.config = spec, config or IkConfig()
        self.joint_names = spec.groups["arms"]
        self._wire = spec.index("arms")
        self._model = _arm_model(spec)
        names = [self._model.joint(i).name for i in range(self._model.njnt)]
        self._order = np.array([names.index(name) for name in self.joint_names])
        self._posed = [_Posed(spec, self._model, i) for i in range(spec.n) if i not in set(self._wire)]
        self.hand_links = tuple(hand.link for hand in spec.hands)
        self.torso = spec.joints[int(self._wire[0])].parent
        self._configuration = mink.Configuration(self._model)
        self._home = np.empty(self._model.nq)
        self._home[self._order] = spec.default_rad[self._wire]
        cfg = self.config
        self._reach = {
            link: mink.FrameTask(link, "body", 0.0, 0.0, lm_damping=cfg.lm_damping)
            for link in self.hand_links
        }
        self._posture = mink.PostureTask(self._model, cost=cfg.posture_cost)
        self._tasks = [*self._reach.values(), self._posture, mink.DampingTask(self._model, cfg.damping_cost)]
        speeds = {
            name: min(cfg.speed_rad_s, spec.velocity_rad_s[i])
            for name, i in zip(self.joint_names, self._wire, strict=True)
        }
        self._collisions = mink.CollisionAvoidanceLimit(
            self._model,
            _pairs(self._model, spec, self.hand_links),
            minimum_distance_from_collisions=cfg.clearance_m,
            collision_detection_distance=cfg.detection_m,
        )
        self._limits = [
            mink.ConfigurationLimit(self._model, min_distance_from_limits=cfg.limit_margin_rad),
            mink.VelocityLimit(self._model, speeds),
            self._collisions,
        ]
        self.reset(spec.default_rad)

    def reset(self, position_rad: np.ndarray) -> None:
        """Start from the arm pose in ``position_rad`` [n] (measured or last commanded)."""
        self._pose_body(position_rad)
        q = np.empty(self._model.nq)
        q[self._order] = position_rad[self._wire]
        low, high = self._model.jnt_range.T
        self._configuration.update(np.clip(q, low, high))

    def wrist(self, side: int, frame: str) -> WristPose:
        """Pose of the hand mount ``side`` (0 left, 1 right) in ``frame`` at the arm pose of the last call."""
        data = self._configuration.data
        base, hand = data.body(frame), data.body(self.hand_links[side])
        turn = base.xmat.reshape(3, 3).T
        return WristPose(
            turn @ (hand.xpos - base.xpos),
            quaternion_from_matrix(turn @ hand.xmat.reshape(3, 3)),
            frame,
        )

    def solve(
        self, position_rad: np.ndarray, left: WristPose | None, right: WristPose | None, dt_s: float
    ) -> dict[str, float]:
        """One step of ``dt_s`` towards the targets, other joints as in ``position_rad`` [n]; arm joints
        [rad].

        An arm without target holds still. Raises :class:`IkError` when there is no step that keeps all
        limits; the arm pose is then unchanged.
        """
        self._pose_body(position_rad)
        self._configuration.update()
        posture = self._home.copy()
        for link, target, side in zip(self.hand_links, (left, right), SIDES, strict=True):
            self._aim(link, target)
            if target is None:
                held = [
                    i for i, name in zip(self._order, self.joint_names, strict=True) if name.startswith(side)
                ]
                posture[held] = self._configuration.q[held]
        self._posture.set_target(posture)
        try:
            velocity = mink.solve_ik(
                self._configuration, self._tasks, dt_s, self.config.solver, limits=self._limits
            )
        except mink.NoSolutionFound:
            raise IkError("no arm motion keeps joint limits and clearances; the arms hold") from None
        self._configuration.integrate_inplace(velocity, dt_s)
        return self.joints()

    def collision_model(self) -> tuple[mujoco.MjModel, list[tuple[int, int]]]:
        """The model (joints in the arms only) and the pairs of geoms that are kept apart."""
        return self._model, list(self._collisions.geom_id_pairs)

    def joints(self) -> dict[str, float]:
        """The arm pose of the last call, by joint name [rad]."""
        return {
            name: float(self._configuration.q[i])
            for name, i in zip(self.joint_names, self._order, strict=True)
        }

    def _aim(self, link: str, target: WristPose | None) -> None:
        task = self._reach[link]
        if target is None:
            task.set_position_cost(0.0)
            task.set_orientation_cost(0.0)
            task.set_target_from_configuration(self._configuration)
            return
        base = self._configuration.data.body(target.frame)
        turn = base.xmat.reshape(3, 3)
        position = base.xpos + turn @ target.position_m
        task.set_position_cost(self.config.position_cost)
        task.set_orientation_cost(0.0 if target.quaternion_wxyz is None else self.config.orientation_cost)
        rotation = mink.SO3.identity()
        if target.quaternion_wxyz is not None:
            q = np.asarray(target.quaternion_wxyz, float)
            rotation = mink.SO3.from_matrix(turn) @ mink.SO3(q / np.linalg.norm(q))
        task.set_target(mink.SE3.from_rotation_and_translation(rotation, position))

    def _pose_body(self, position_rad: np.ndarray) -> None:
        for part in self._posed:
            part.turn(self._model, float(position_rad[part.wire]))


class _Posed:
    """A link outside the arms: it has no joint in the model, its place in its parent is set instead."""

    def __init__(self, spec: RobotSpec, model: mujoco.MjModel, wire: int) -> None:
        joint = spec.joints[wire]
        self.wire = wire
        self._axis = joint.axis
        self._origin = matrix_from_rpy(joint.origin_rpy_rad)
        self._body = model.body(joint.child).id

    def turn(self, model: mujoco.MjModel, angle_rad: float) -> None:
        turned = self._origin @ matrix_from_axis_angle(self._axis, angle_rad)
        model.body_quat[self._body] = quaternion_from_matrix(turned)


def _arm_model(spec: RobotSpec) -> mujoco.MjModel:
    """The robot with joints in its arms only, its collision bodies able to see each other."""
    robot = build_mjspec(spec, feet="none", visuals=False)
    arms = set(spec.groups["arms"])
    for part in (*robot.actuators, *robot.sensors, *robot.equalities, *robot.pairs):
        robot.delete(part)
    for joint in list(robot.joints):
        if joint.name not in arms:
            robot.delete(joint)
    for geom in robot.geoms:
        if geom.group == COLLISION_GROUP:
            geom.contype = 1
    assert ROOT_JOINT not in arms
    return robot.compile()


def _pairs(model: mujoco.MjModel, spec: RobotSpec, hand_links: tuple[str, ...]) -> list:
    """Which collision bodies the arms must keep clear of: hands (fingers included) and forearms against the
    trunk, the thighs, the head and each other."""
    below = {link: _geoms(model, link, deep=True) for link in hand_links}
    forearms = []
    for link in hand_links:
        joint = next(joint for joint in spec.joints if joint.child == link)
        while not _geoms(model, joint.parent, deep=False):
            joint = next(above for above in spec.joints if above.child == joint.parent)
        forearms.append(_geoms(model, joint.parent, deep=False))
    arm_links = {spec.joints[i].child for i in spec.index("arms")}
    body = [
        geom
        for link in spec.links
        if link.name not in arm_links and link.name not in {foot.link for foot in spec.feet}
        for geom in _geoms(model, link.name, deep=False)
    ]
    first, second = (below[link] for link in hand_links)
    trunk = _geoms(model, spec.joints[int(spec.index("arms")[0])].parent, deep=False)
    return [
        (first, body),
        (second, body),
        (first, second),
        (first, forearms[1]),
        (second, forearms[0]),
        (forearms[0], forearms[1]),
        (forearms[0], trunk),
        (forearms[1], trunk),
    ]


def _geoms(model: mujoco.MjModel, link: str, *, deep: bool) -> list[int]:
    """Ids of the collision geoms of a link; ``deep`` adds those of the bodies fixed below it (fingers)."""
    wanted = {model.body(link).id}
    if deep:
        for body in range(model.nbody):
            if int(model.body_parentid[body]) in wanted:
                wanted.add(body)
    return [i for i in range(model.ngeom) if int(model.geom_bodyid[i]) in wanted and model.geom_contype[i]]
