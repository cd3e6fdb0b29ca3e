"""Ground truth of a compiled scene as the graph shows it: the message, and the view of a scripted operator."""

from __future__ import annotations

import mujoco
import numpy as np
from geometry_msgs.msg import Pose
from wbvla_core.model import ROOT_JOINT
from wbvla_core.robot_spec import RobotSpec
from wbvla_ros.conversions import to_time
from wbvla_teleop.devices.scripted import ObjectPose, View

from wbvla_msgs.msg import NamedPose, SimState
from wbvla_sim.plant import Plant


def view_of(plant: Plant, objects: tuple[str, ...], stamp_ns: int) -> View:
    """What a scripted operator sees of a plant."""
    return View(
        stamp_ns,
        _pose(plant.data, plant.spec.base_link),
        {name: _pose(plant.data, name) for name in objects},
        plant.truth.fell,
    )


def view_from_msg(message: SimState, stamp_ns: int) -> View:
    """What a scripted operator sees by ``sim/state``."""
    objects = {body.name: _from_msg(body.pose) for body in message.objects}
    return View(stamp_ns, _from_msg(message.pelvis), objects, message.fell)


def sim_state(plant: Plant, objects: tuple[str, ...], stamp_ns: int, real_time_factor: float) -> SimState:
    """The message that the simulator's node would publish."""
    truth, view = plant.truth, view_of(plant, objects, stamp_ns)
    message = SimState(
        sim_time=truth.sim_time_s,
        real_time_factor=real_time_factor,
        fell=truth.fell,
        hoisted=truth.hoisted,
        gantry_height=truth.gantry_height_m,
        pelvis=_to_msg(view.pelvis),
        objects=[NamedPose(name=name, pose=_to_msg(pose)) for name, pose in view.objects.items()],
    )
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = "world"
    linear, angular = base_twist(plant.model, plant.data, plant.spec)
    for field, values in (
        (message.pelvis_twist.linear, linear),
        (message.pelvis_twist.angular, angular),
        (message.centre_of_mass, plant.data.subtree_com[plant.model.body(plant.spec.base_link).id]),
    ):
        field.x, field.y, field.z = (float(value) for value in values)
    return message


def base_twist(model: mujoco.MjModel, data: mujoco.MjData, spec: RobotSpec) -> tuple[np.ndarray, np.ndarray]:
    """Linear [m/s] and angular [rad/s] velocity of the base in the world frame."""
    dof = int(model.joint(ROOT_JOINT).dofadr[0])
    turn = data.body(spec.base_link).xmat.reshape(3, 3)
    return data.qvel[dof : dof + 3].copy(), turn @ data.qvel[dof + 3 : dof + 6]


def _pose(data: mujoco.MjData, name: str) -> ObjectPose:
    body = data.body(name)
    return ObjectPose(body.xpos.copy(), body.xquat.copy())


def _to_msg(pose: ObjectPose) -> Pose:
    message = Pose()
    p, q = message.position, message.orientation
    p.x, p.y, p.z = (float(value) for value in pose.position_m)
    q.w, q.x, q.y, q.z = (float(value) for value in pose.quaternion_wxyz)
    return message


def _from_msg(pose: Pose) -> ObjectPose:
    p, q = pose.position, pose.orientation
    return ObjectPose(np.array([p.x, p.y, p.z]), np.array([q.w, q.x, q.y, q.z]))
