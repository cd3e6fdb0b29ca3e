"""The MuJoCo model of a robot, built from its RobotSpec.

Actuators come in wire order, then one per gripper. Each is affine: force = ctrl - kp q - kd qd, clipped to
the effort limit, with ``ctrl = kp q* + kd qd* + tau_ff``, so that the position law is closed inside the
engine at every physics step. kp and kd may be changed per step in ``model.actuator_biasprm[:, 1:3]``. A
gripper's ctrl is its opening 0..1.

Collision bits: everything in the world has contype 1 and conaffinity 1, robot geoms have conaffinity 1 only.
So the robot touches the world but not itself, except for the pairs that the spec lists.
"""

from __future__ import annotations

import mujoco
import numpy as np

from wbvla_core.robot_spec import Hand, Joint, Link, RobotSpec, Shape
from wbvla_core.rotations import matrix_from_rpy, quaternion_from_matrix

ROOT_JOINT = "root"
VISUAL_GROUP = 2
COLLISION_GROUP = 3
_KINDS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
}
# The gripper's own servo [N/m, N s/m]: a full stroke takes about half a second and 30 mm of squeeze gives
# full force.
_CLAW_KP, _CLAW_KD = 4000.0, 800.0
# An optical frame looks along +z with y down, a MuJoCo camera along -z with y up.
_OPTICAL_TO_MUJOCO = np.diag([1.0, -1.0, -1.0])


def build_mjspec(
    spec: RobotSpec,
    *,
    feet: str = "spheres",
    hands: bool = True,
    visuals: bool = True,
    bodies_collide: bool = True,
) -> mujoco.MjSpec:
    """The robot alone, floating at the origin by the free joint ``root`` (pelvis frame).

    feet: "spheres" (the support corners), "full" (all published contact spheres) or "none". ``visuals``
    False drops the look, ``bodies_collide`` False leaves only the feet to touch anything: both make learning
    faster, the dynamics of a robot on its feet are the same. Raises ValueError on another value of ``feet``.
    """
    if feet not in ("spheres", "full", "none"):
        raise ValueError(f"feet={feet!r}: expected spheres, full or none")
    model = mujoco.MjSpec()
    model.modelname = spec.name
    model.compiler.degree = False
    model.compiler.autolimits = True
    model.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    model.option.timestep = 0.001
    bodies = _add_bodies(model, spec)
    for foot in spec.feet:
        centres = {"spheres": foot.support_m, "full": foot.all_m, "none": ()}[feet]
        for i, centre in enumerate(centres):
            geom = bodies[foot.link].add_geom(name=f"{foot.link}_sole_{i}", type=_KINDS["sphere"], pos=centre)
            geom.size = [foot.radius_m, 0.0, 0.0]
            _as_collision(geom)
    for i, shape in enumerate(spec.shapes):
        if bodies_collide if shape.collides else visuals:
            _add_shape(
                bodies[shape.link], f"{shape.link}_{'body' if shape.collides else 'look'}_{i}", shape, spec
            )
    if bodies_collide:
        _add_self_contacts(model, spec)
    _add_sensors(model, spec, bodies)
    for joint in spec.joints:
        _add_actuator(model, joint)
    if hands:
        for hand in spec.hands:
            _add_hand(model, bodies[hand.link], hand, spec, visuals, bodies_collide)
    return model


def opening_to_finger_m(spec: RobotSpec, opening: np.ndarray) -> np.ndarray:
    """Finger displacement [..., hands] in m for gripper openings 0..1."""
    return np.asarray(opening) * np.array([hand.stroke_m for hand in spec.hands])


def joint_addresses(model: mujoco.MjModel, spec: RobotSpec) -> tuple[np.ndarray, np.ndarray]:
    """(qpos, qvel) addresses of the spec's joints [n] in a compiled model that contains the robot."""
    ids = [model.joint(name).id for name in spec.joint_names]
    return model.jnt_qposadr[ids].copy(), model.jnt_dofadr[ids].copy()


def hand_addresses(model: mujoco.MjModel, spec: RobotSpec) -> tuple[np.ndarray, np.ndarray]:
    """(qpos, qvel) addresses of each gripper's driven finger [hands]; its mirror finger follows directly."""
    ids = [model.joint(name).id for name in spec.hand_names]
    return model.jnt_qposadr[ids].copy(), model.jnt_dofadr[ids].copy()


def _add_bodies(model: mujoco.MjSpec, spec: RobotSpec) -> dict[str, mujoco.MjsBody]:
    base = model.worldbody.add_body(name=spec.base_link)
    base.add_freejoint(name=ROOT_JOINT)
    bodies = {spec.base_link: base}
    for joint in spec.joints:
        body = bodies[joint.parent].add_body(name=joint.child, pos=joint.origin_xyz_m)
        body.quat = quaternion_from_matrix(matrix_from_rpy(joint.origin_rpy_rad))
        body.add_joint(
            name=joint.name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=joint.axis,
            range=[joint.lower_rad, joint.upper_rad],
            armature=joint.armature_kg_m2,
            frictionloss=joint.friction_nm,
        )
        bodies[joint.child] = body
    for link in spec.links:
        _set_inertia(bodies[link.name], link)
    return bodies


def _set_inertia(body: mujoco.MjsBody, link: Link) -> None:
    body.explicitinertial = True
    body.mass = link.mass_kg
    body.ipos = link.com_m
    body.fullinertia = link.inertia_com


def _as_collision(geom: mujoco.MjsGeom) -> None:
    geom.group = COLLISION_GROUP
    geom.contype = 0
    geom.conaffinity = 1
    geom.mass = 0.0
    geom.rgba = [0.4, 0.7, 0.4, 0.4]


def _add_shape(body: mujoco.MjsBody, name: str, shape: Shape, spec: RobotSpec) -> None:
    geom = body.add_geom(name=name, type=_KINDS[shape.kind], pos=shape.xyz_m)
    geom.quat = quaternion_from_matrix(matrix_from_rpy(shape.rpy_rad))
    geom.size = [*shape.size_m, 0.0, 0.0][:3]
    if shape.collides:
        _as_collision(geom)
    else:
        _as_visual(geom, spec.tones[shape.tone])


def _as_visual(geom: mujoco.MjsGeom, tone: tuple[float, float, float]) -> None:
    geom.group = VISUAL_GROUP
    geom.contype = 0
    geom.conaffinity = 0
    geom.mass = 0.0
    geom.rgba = [*tone, 1.0]


def _add_self_contacts(model: mujoco.MjSpec, spec: RobotSpec) -> None:
    bodies_of: dict[str, list[str]] = {}
    for i, shape in enumerate(spec.shapes):
        if shape.collides:
            bodies_of.setdefault(shape.link, []).append(f"{shape.link}_body_{i}")
    for first, second in spec.self_contacts:
        for geom1 in bodies_of[first]:
            for geom2 in bodies_of[second]:
                model.add_pair(
                    geomname1=geom1, geomname2=geom2, condim=3, friction=[0.6, 0.6, 0.005, 1e-4, 1e-4]
                )


def _add_sensors(model: mujoco.MjSpec, spec: RobotSpec, bodies: dict[str, mujoco.MjsBody]) -> None:
    for imu in spec.imus:
        site = bodies[imu.link].add_site(name=f"imu_{imu.name}", pos=imu.xyz_m, group=4)
        site.quat = quaternion_from_matrix(matrix_from_rpy(imu.rpy_rad))
        for suffix, kind in (
            ("gyro", mujoco.mjtSensor.mjSENS_GYRO),
            ("acc", mujoco.mjtSensor.mjSENS_ACCELEROMETER),
            ("quat", mujoco.mjtSensor.mjSENS_FRAMEQUAT),
        ):
            sensor = model.add_sensor(name=f"imu_{imu.name}_{suffix}", type=kind)
            sensor.objtype = mujoco.mjtObj.mjOBJ_SITE
            sensor.objname = site.name
    for camera in spec.cameras:
        eye = bodies[camera.link].add_camera(name=camera.name, pos=camera.xyz_m)
        eye.quat = quaternion_from_matrix(matrix_from_rpy(camera.rpy_rad) @ _OPTICAL_TO_MUJOCO)
        eye.fovy = np.degrees(camera.fov_y_rad)
    for foot in spec.feet:
        sole_z = min(point[2] for point in foot.support_m) - foot.radius_m
        middle = np.mean(foot.support_m, axis=0)
        bodies[foot.link].add_site(name=f"{foot.link}_sole", pos=[middle[0], middle[1], sole_z], group=4)


def _add_actuator(model: mujoco.MjSpec, joint: Joint) -> None:
    actuator = model.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
    actuator.gainprm = [1.0] + [0.0] * 9
    actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    actuator.biasprm = [0.0, -joint.kp, -joint.kd] + [0.0] * 7
    actuator.forcerange = [-joint.effort_nm, joint.effort_nm]


def _add_hand(
    model: mujoco.MjSpec, mount: mujoco.MjsBody, hand: Hand, spec: RobotSpec, visuals: bool, collide: bool
) -> None:
    half = hand.finger_half_m
    moments = (
        hand.finger_mass_kg
        / 3.0
        * np.array([half[1:] @ half[1:], half[::2] @ half[::2], half[:2] @ half[:2]])
    )
    names = (hand.name, f"{hand.name}_mirror")
    centres = []
    for name, side in zip(names, (1.0, -1.0), strict=True):
        finger = mount.add_body(name=name.replace("_joint", "_finger"), pos=hand.xyz_m)
        finger.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[0.0, side, 0.0],
            range=[0.0, hand.stroke_m],
            armature=0.02,
        )
        centre = np.array([0.0, side * half[1], -half[2]])
        finger.explicitinertial = True
        finger.mass = hand.finger_mass_kg
        finger.ipos = centre
        finger.inertia = moments
        centres.append(np.array(hand.xyz_m) + centre)
        if collide:
            geom = finger.add_geom(name=f"{name}_body", type=_KINDS["box"], size=half, pos=centre)
            _as_collision(geom)
            geom.condim = 4
            geom.friction = [1.2, 0.02, 1e-4]
            # Stiff: a light thing between strong fingers would sink into them at the engine's default.
            geom.priority = 1
            geom.solref = [0.004, 1.0]
            geom.solimp = [0.95, 0.99, 0.001, 0.5, 2.0]
        if visuals:
            look = finger.add_geom(name=f"{name}_look", type=_KINDS["box"], size=half, pos=centre)
            _as_visual(look, spec.tones["dark"])
            pad = finger.add_geom(
                name=f"{name}_pad", type=_KINDS["box"], pos=centre - [0, side * half[1], half[2] / 3]
            )
            pad.size = [half[0] * 0.9, 0.001, half[2] * 0.6]
            _as_visual(pad, spec.tones["accent"])
    _take_out(mount, spec.link(hand.link), centres, hand.finger_mass_kg, moments)
    mount.add_site(
        name=hand.name.replace("_joint", "_grasp"),
        pos=np.array(hand.xyz_m) - [0.0, 0.0, 0.7 * hand.finger_length_m],
        group=4,
    )
    twin = model.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1=names[1], name2=names[0])
    twin.objtype = mujoco.mjtObj.mjOBJ_JOINT
    twin.solref = [0.005, 1.0]
    twin.data[:5] = [0.0, 1.0, 0.0, 0.0, 0.0]
    actuator = model.add_actuator(name=hand.name, target=hand.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.gaintype = mujoco.mjtGain.mjGAIN_FIXED
    actuator.gainprm = [_CLAW_KP * hand.stroke_m] + [0.0] * 9
    actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    actuator.biasprm = [0.0, -_CLAW_KP, -_CLAW_KD] + [0.0] * 7
    actuator.ctrlrange = [0.0, 1.0]
    # One motor moves both fingers, so that each can press with the published force.
    actuator.forcerange = [-2.0 * hand.force_n, 2.0 * hand.force_n]


def _take_out(
    body: mujoco.MjsBody, link: Link, centres: list[np.ndarray], mass_kg: float, moments: np.ndarray
) -> None:
    """Leave in ``body`` what remains of ``link`` without the closed fingers, so that the sum is the
    published link."""
    com = np.array(link.com_m)
    rest_kg = link.mass_kg - len(centres) * mass_kg
    rest_com = (link.mass_kg * com - mass_kg * np.sum(centres, axis=0)) / rest_kg
    about_com = link.inertia_matrix - _steiner(rest_kg, rest_com - com)
    for centre in centres:
        about_com = about_com - np.diag(moments) - _steiner(mass_kg, centre - com)
    body.mass = rest_kg
    body.ipos = rest_com
    body.fullinertia = [about_com[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]


def _steiner(mass_kg: float, offset_m: np.ndarray) -> np.ndarray:
    return mass_kg * (offset_m @ offset_m * np.eye(3) - np.outer(offset_m, offset_m))
