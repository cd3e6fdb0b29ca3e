"""The URDF of a robot, for robot_state_publisher, RViz and any tool that reads it.

Joints, limits, inertias and shapes are those of the MuJoCo model. URDF has no capsules and ellipsoids: a
capsule becomes a cylinder with two spheres, an ellipsoid the capsule of its length. A gripper joint takes
its opening 0..1, as ``joint_states`` carries it, and turns nothing visible; the two fingers mimic it in
metres.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable

import numpy as np

from wbvla_core.robot_spec import Hand, Joint, Link, RobotSpec, Shape
from wbvla_core.rotations import matrix_from_rpy, rpy_from_matrix

# A link that moves needs a mass in most tools; this one only carries the gripper's opening.
_OPENING_MASS_KG = 1e-4
# Turns z to the x, y or z axis.
_Z_TO_AXIS_RPY = ((0.0, np.pi / 2, 0.0), (np.pi / 2, 0.0, 0.0), (0.0, 0.0, 0.0))


def urdf(spec: RobotSpec) -> str:
    """The URDF document; its root link is the spec's base link.

    Sensors are fixed links: ``imu_<name>`` and ``<camera>_optical`` (x right, y down, z forward).
    """
    robot = ET.Element("robot", name=spec.name)
    for tone, rgb in spec.tones.items():
        material = ET.SubElement(robot, "material", name=tone)
        ET.SubElement(material, "color", rgba=_text((*rgb, 1.0)))
    shapes: dict[str, list[Shape]] = {}
    for shape in spec.shapes:
        shapes.setdefault(shape.link, []).append(shape)
    for foot in spec.feet:
        for at in foot.support_m:
            sole = Shape(foot.link, "sphere", (foot.radius_m,), at, (0.0, 0.0, 0.0), "dark", True)
            shapes.setdefault(foot.link, []).append(sole)
    for link in spec.links:
        _add_link(robot, link, shapes.get(link.name, []))
    for joint in spec.joints:
        _add_joint(robot, joint)
    for hand in spec.hands:
        _add_hand(robot, hand)
    for imu in spec.imus:
        _add_fixed(robot, f"imu_{imu.name}", imu.link, imu.xyz_m, imu.rpy_rad)
    for camera in spec.cameras:
        _add_fixed(robot, f"{camera.name}_optical", camera.link, camera.xyz_m, camera.rpy_rad)
    ET.indent(robot)
    return '<?xml version="1.0"?>\n' + ET.tostring(robot, encoding="unicode") + "\n"


def _text(values: Iterable[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)


def _origin(parent: ET.Element, xyz: Iterable[float], rpy: Iterable[float] = (0.0, 0.0, 0.0)) -> None:
    ET.SubElement(parent, "origin", xyz=_text(xyz), rpy=_text(rpy))


def _inertial(element: ET.Element, mass_kg: float, com_m: Iterable[float], inertia: Iterable[float]) -> None:
    inertial = ET.SubElement(element, "inertial")
    _origin(inertial, com_m)
    ET.SubElement(inertial, "mass", value=f"{mass_kg:.9g}")
    names = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")
    ET.SubElement(inertial, "inertia", {k: f"{v:.9g}" for k, v in zip(names, inertia, strict=True)})


def _add_link(robot: ET.Element, link: Link, shapes: list[Shape]) -> None:
    element = ET.SubElement(robot, "link", name=link.name)
    _inertial(element, link.mass_kg, link.com_m, link.inertia_com)
    for shape in shapes:
        for xyz, rpy, kind, sizes in _primitives(shape):
            part = ET.SubElement(element, "collision" if shape.collides else "visual")
            _origin(part, xyz, rpy)
            ET.SubElement(ET.SubElement(part, "geometry"), kind, sizes)
            if not shape.collides:
                ET.SubElement(part, "material", name=shape.tone)


def _primitives(shape: Shape) -> list[tuple[np.ndarray, np.ndarray, str, dict[str, str]]]:
    """Origin, rpy, URDF element and its sizes of what a shape becomes."""
    middle, rpy, size = np.array(shape.xyz_m), np.array(shape.rpy_rad), np.array(shape.size_m)
    if shape.kind == "box":
        return [(middle, rpy, "box", {"size": _text(2.0 * size)})]
    if shape.kind == "sphere":
        return [(middle, rpy, "sphere", {"radius": _text(size)})]
    axis = 2
    if shape.kind == "ellipsoid":
        axis = int(np.argmax(size))
        radius = float(np.sqrt(np.prod(np.delete(size, axis))))
        half = float(size[axis]) - radius
    else:
        radius, half = float(size[0]), float(size[1])
    turned = rpy_from_matrix(matrix_from_rpy(rpy) @ matrix_from_rpy(_Z_TO_AXIS_RPY[axis]))
    direction = matrix_from_rpy(turned) @ [0.0, 0.0, half]
    parts = [(middle, turned, "cylinder", {"radius": f"{radius:.9g}", "length": f"{2 * half:.9g}"})]
    if shape.kind != "cylinder":
        ends = {"radius": f"{radius:.9g}"}
        parts += [(middle + direction, turned, "sphere", ends), (middle - direction, turned, "sphere", ends)]
    return parts


def _add_joint(robot: ET.Element, joint: Joint) -> None:
    element = ET.SubElement(robot, "joint", name=joint.name, type="revolute")
    _origin(element, joint.origin_xyz_m, joint.origin_rpy_rad)
    ET.SubElement(element, "parent", link=joint.parent)
    ET.SubElement(element, "child", link=joint.child)
    ET.SubElement(element, "axis", xyz=_text(joint.axis))
    _limit(element, joint.lower_rad, joint.upper_rad, joint.effort_nm, joint.velocity_rad_s)
    ET.SubElement(element, "dynamics", damping="0", friction=f"{joint.friction_nm:.9g}")


def _limit(element: ET.Element, lower: float, upper: float, effort: float, velocity: float) -> None:
    values = {"lower": lower, "upper": upper, "effort": effort, "velocity": velocity}
    ET.SubElement(element, "limit", {key: f"{value:.9g}" for key, value in values.items()})


def _add_hand(robot: ET.Element, hand: Hand) -> None:
    opening = hand.name.replace("_joint", "_opening")
    element = ET.SubElement(robot, "link", name=opening)
    _inertial(element, _OPENING_MASS_KG, (0, 0, 0), (1e-8, 1e-8, 1e-8, 0, 0, 0))
    joint = ET.SubElement(robot, "joint", name=hand.name, type="revolute")
    _origin(joint, hand.xyz_m)
    ET.SubElement(joint, "parent", link=hand.link)
    ET.SubElement(joint, "child", link=opening)
    ET.SubElement(joint, "axis", xyz="0 0 1")
    _limit(joint, 0.0, 1.0, hand.force_n * hand.stroke_m, hand.velocity_m_s / hand.stroke_m)
    half = hand.finger_half_m
    for side, end in ((1.0, "finger"), (-1.0, "finger_mirror")):
        name = hand.name.replace("_joint", f"_{end}")
        finger = ET.SubElement(robot, "link", name=name)
        # The mount's mass contains the fingers; most tools refuse a moving link without any.
        _inertial(finger, _OPENING_MASS_KG, (0, 0, 0), (1e-8, 1e-8, 1e-8, 0, 0, 0))
        for kind in ("visual", "collision"):
            part = ET.SubElement(finger, kind)
            _origin(part, (0.0, side * half[1], -half[2]))
            ET.SubElement(ET.SubElement(part, "geometry"), "box", size=_text(2.0 * half))
            if kind == "visual":
                ET.SubElement(part, "material", name="dark")
        slide = ET.SubElement(robot, "joint", name=f"{name}_joint", type="prismatic")
        _origin(slide, hand.xyz_m)
        ET.SubElement(slide, "parent", link=hand.link)
        ET.SubElement(slide, "child", link=name)
        ET.SubElement(slide, "axis", xyz=_text((0.0, side, 0.0)))
        _limit(slide, 0.0, hand.stroke_m, hand.force_n, hand.velocity_m_s)
        ET.SubElement(slide, "mimic", joint=hand.name, multiplier=f"{hand.stroke_m:.9g}", offset="0")


def _add_fixed(robot: ET.Element, name: str, parent: str, xyz: Iterable[float], rpy: Iterable[float]) -> None:
    ET.SubElement(robot, "link", name=name)
    joint = ET.SubElement(robot, "joint", name=f"{name}_mount", type="fixed")
    _origin(joint, xyz, rpy)
    ET.SubElement(joint, "parent", link=parent)
    ET.SubElement(joint, "child", link=name)
