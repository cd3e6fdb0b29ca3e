"""Reading and checking of robot files (``robots/*.yaml``) into a RobotSpec."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from wbvla_core.robot_spec import (
    Camera,
    Foot,
    Hand,
    Imu,
    Joint,
    Link,
    Motor,
    RobotSpec,
    RobotSpecError,
    Shape,
)

SCHEMA_VERSION = 1
_ROBOTS = Path(__file__).parent / "robots"
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
_SIZES = {"box": 3, "ellipsoid": 3, "capsule": 2, "cylinder": 2, "sphere": 1}
# What policies and logs depend on. Looks, cameras and finger sizes may change without making a bundle void.
_HASHED = ("name", "base_link", "stance", "groups", "lmo_joints", "motors", "joints", "links", "feet", "imus")


class _Row:
    """One mapping of the file with typed getters whose errors name file and field."""

    def __init__(self, where: str, data: Any) -> None:
        if not isinstance(data, dict):
            raise RobotSpecError(f"{where}: expected a mapping, got {data!r}")
        self.where, self.data = where, data

    def fail(self, key: str, wrong: str) -> RobotSpecError:
        return RobotSpecError(f"{self.where}.{key}: {wrong}")

    def get(self, key: str) -> Any:
        if key not in self.data:
            raise self.fail(key, "missing; add it (robots/x2_ultra.yaml shows every field)")
        return self.data[key]

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, f"expected a name, got {value!r}")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.fail(key, f"expected a finite number, got {value!r}")
        if not low <= value <= high:
            raise self.fail(key, f"{value} is outside [{low}, {high}]")
        return float(value)

    def integer(self, key: str) -> int:
        value = self.number(key, 1)
        if value != int(value):
            raise self.fail(key, f"expected a whole number, got {value}")
        return int(value)

    def vector(self, key: str, length: int) -> Any:
        return self._vector(key, self.get(key), length)

    def vectors(self, key: str) -> tuple[tuple[float, float, float], ...]:
        return tuple(self._vector(f"{key}[{i}]", v, 3) for i, v in enumerate(self.sequence(key)))

    def sequence(self, key: str) -> list[Any]:
        value = self.get(key)
        if not isinstance(value, list) or not value:
            raise self.fail(key, "expected a list that is not empty")
        return value

    def rows(self, key: str) -> list[_Row]:
        return [
            _Row(f"{self.where}.{key}[{row.get('name', i) if isinstance(row, dict) else i}]", row)
            for i, row in enumerate(self.sequence(key))
        ]

    def names(self, key: str, known: set[str]) -> tuple[str, ...]:
        names = tuple(self.sequence(key))
        for name in names:
            if name not in known:
                raise self.fail(key, f"{name!r} is not one of the file's joints")
        if len(set(names)) != len(names):
            raise self.fail(key, "a name appears twice")
        return names

    def _vector(self, key: str, value: Any, length: int) -> tuple[float, ...]:
        numbers = isinstance(value, list) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in value
        )
        if not numbers or len(value) != length:
            raise self.fail(key, f"expected {length} finite numbers, got {value!r}")
        return tuple(float(v) for v in value)


def robot_files(name_or_path: str | Path) -> dict[str, str]:
    """Text of a robot's files by file name, for bags and datasets: ``robot.yaml`` and the file of shapes that it
    names. Raises RobotSpecError."""
    path = _path(name_or_path)
    shapes = _read(path).text("shapes")
    return {
        "robot.yaml": path.read_text(encoding="utf-8"),
        shapes: (path.parent / shapes).read_text(encoding="utf-8"),
    }


def load_robot_spec(name_or_path: str | Path) -> RobotSpec:
    """Read a packaged robot by name, or a YAML file by path, and validate it. Raises RobotSpecError."""
    path = _path(name_or_path)
    top = _read(path)
    if top.get("schema_version") != SCHEMA_VERSION:
        raise top.fail("schema_version", f"expected {SCHEMA_VERSION}, got {top.get('schema_version')!r}")
    motors = {row.text("name"): _motor(row) for row in top.rows("motors")}
    joints = tuple(_joint(row, motors) for row in top.rows("joints"))
    links = tuple(_link(row) for row in top.rows("links"))
    _check_tree(path.name, top.text("base_link"), joints, {link.name for link in links})
    link_names = {link.name for link in links}
    joint_names = {joint.name for joint in joints}
    groups_row = _Row(f"{path.name}.groups", top.get("groups"))
    groups = {key: groups_row.names(key, joint_names) for key in groups_row.data}
    stance = _Row(f"{path.name}.stance", top.get("stance"))
    low = stance.number("min_m", 0.0)
    high = stance.number("max_m", low)
    looks = _read(path.parent / top.text("shapes"))
    tones_row = _Row(f"{looks.where}.tones", looks.get("tones"))
    tones = {key: tones_row.vector(key, 3) for key in tones_row.data}
    shapes = tuple(_shape(row, link_names, set(tones)) for row in looks.rows("shapes"))
    return RobotSpec(
        name=top.text("name"),
        base_link=top.text("base_link"),
        joints=joints,
        links=links,
        motors=tuple(motors.values()),
        groups=groups,
        lmo_joints=top.names("lmo_joints", joint_names),
        feet=tuple(_foot(row, link_names) for row in top.rows("feet")),
        hands=tuple(_hand(row, link_names) for row in top.rows("hands")),
        imus=tuple(_imu(row, link_names) for row in top.rows("imus")),
        cameras=tuple(_camera(row, link_names) for row in top.rows("cameras")),
        shapes=shapes,
        self_contacts=_self_contacts(looks, {shape.link for shape in shapes if shape.collides}),
        tones=tones,
        nominal_height_m=stance.number("nominal_m", low, high),
        stance_height_m=(low, high),
        hash=_content_hash(top.data),
    )


def _path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    return path if path.suffix in (".yaml", ".yml") else _ROBOTS / f"{name_or_path}.yaml"


def _read(path: Path) -> _Row:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        have = ", ".join(sorted(p.stem for p in _ROBOTS.glob("*.yaml") if not p.stem.endswith("_shapes")))
        raise RobotSpecError(f"{path}: no such robot file; packaged robots: {have}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RobotSpecError(f"{path}: cannot be read as YAML: {error}") from error
    return _Row(path.name, data)


def _content_hash(data: dict[str, Any]) -> str:
    """16 hex digits of the control-relevant content, independent of layout and comments (1 equals 1.0)."""

    def canonical(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: canonical(item) for key, item in value.items()}
        if isinstance(value, list):
            return [canonical(item) for item in value]
        return float(value) if isinstance(value, (int, float)) else value

    text = json.dumps({key: canonical(data[key]) for key in _HASHED}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _motor(row: _Row) -> Motor:
    no_load = row.number("no_load", 0.0)
    return Motor(
        row.text("name"),
        row.number("peak", 0.0),
        row.number("knee", 0.0, no_load * 0.999),
        no_load,
        row.number("armature", 0.0),
        row.number("friction", 0.0),
    )


def _joint(row: _Row, motors: dict[str, Motor]) -> Joint:
    if row.text("axis") not in _AXES:
        raise row.fail("axis", f"expected x, y or z, got {row.get('axis')!r}")
    if row.text("motor") not in motors:
        raise row.fail("motor", f"{row.get('motor')!r} is not one of the file's motors: {', '.join(motors)}")
    motor = motors[row.text("motor")]
    lower, upper = row.vector("range", 2)
    if lower >= upper:
        raise row.fail("range", f"lower limit {lower} is not below upper limit {upper}")
    return Joint(
        name=row.text("name"),
        parent=row.text("parent"),
        child=row.text("child"),
        origin_xyz_m=row.vector("xyz", 3),
        origin_rpy_rad=row.vector("rpy", 3),
        axis=_AXES[row.text("axis")],
        lower_rad=lower,
        upper_rad=upper,
        effort_nm=row.number("effort", 0.0, motor.peak_nm),
        velocity_rad_s=row.number("velocity", 0.0, motor.no_load_rad_s),
        armature_kg_m2=motor.armature_kg_m2,
        friction_nm=motor.friction_nm,
        motor=motor.name,
        default_rad=row.number("default", lower, upper),
        kp=row.number("kp", 0.0),
        kd=row.number("kd", 0.0),
        damping_kd=row.number("damping_kd", 0.0),
    )


def _link(row: _Row) -> Link:
    link = Link(row.text("name"), row.number("mass", 1e-6), row.vector("com", 3), row.vector("inertia", 6))
    moments = np.linalg.eigvalsh(link.inertia_matrix)
    if moments[0] <= 0.0 or moments[0] + moments[1] < moments[2]:
        raise row.fail(
            "inertia", f"no body has principal moments {moments}; give it about the centre of mass"
        )
    return link


def _check_tree(file: str, base: str, joints: tuple[Joint, ...], links: set[str]) -> None:
    reached = {base}
    names: set[str] = set()
    for joint in joints:
        where = f"{file}.joints[{joint.name}]"
        if joint.name in names:
            raise RobotSpecError(f"{where}: the name appears twice")
        if joint.parent not in reached:
            raise RobotSpecError(
                f"{where}.parent: {joint.parent} is not reached from {base} by an earlier joint"
            )
        if joint.child in reached:
            raise RobotSpecError(f"{where}.child: {joint.child} already has a joint above it")
        names.add(joint.name)
        reached.add(joint.child)
    if reached != links:
        raise RobotSpecError(
            f"{file}.links: not the links of the joints: {', '.join(sorted(reached ^ links))}"
        )


def _on_link(row: _Row, links: set[str]) -> str:
    if row.text("link") not in links:
        raise row.fail("link", f"{row.get('link')!r} is not one of the file's links")
    return row.text("link")


def _foot(row: _Row, links: set[str]) -> Foot:
    return Foot(_on_link(row, links), row.number("radius", 1e-4), row.vectors("support"), row.vectors("all"))


def _hand(row: _Row, links: set[str]) -> Hand:
    return Hand(
        row.text("name"),
        _on_link(row, links),
        row.vector("xyz", 3),
        row.number("finger_length", 0.01),
        row.number("finger_mass", 1e-3),
        row.number("stroke", 0.005),
        row.number("force", 0.0),
        row.number("velocity", 0.0),
    )


def _imu(row: _Row, links: set[str]) -> Imu:
    return Imu(row.text("name"), _on_link(row, links), row.vector("xyz", 3), row.vector("rpy", 3))


def _camera(row: _Row, links: set[str]) -> Camera:
    return Camera(
        row.text("name"),
        _on_link(row, links),
        row.vector("xyz", 3),
        row.vector("rpy", 3),
        row.integer("width"),
        row.integer("height"),
        row.number("fov_y", 0.05, 3.0),
        bool(row.get("depth")),
    )


def _shape(row: _Row, links: set[str], tones: set[str]) -> Shape:
    kind = row.text("kind")
    if kind not in _SIZES:
        raise row.fail("kind", f"expected one of {', '.join(_SIZES)}, got {kind!r}")
    if row.text("tone") not in tones:
        raise row.fail(
            "tone", f"{row.get('tone')!r} is not one of the file's tones: {', '.join(sorted(tones))}"
        )
    return Shape(
        _on_link(row, links),
        kind,
        row.vector("size", _SIZES[kind]),
        row.vector("xyz", 3),
        row.vector("rpy", 3) if "rpy" in row.data else (0.0, 0.0, 0.0),
        row.text("tone"),
        bool(row.data.get("collides", False)),
    )


def _self_contacts(looks: _Row, solid_links: set[str]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for i, pair in enumerate(looks.sequence("self_contacts")):
        if not isinstance(pair, list) or len(pair) != 2 or not set(pair) <= solid_links:
            raise looks.fail(f"self_contacts[{i}]", f"expected two links with colliding shapes, got {pair!r}")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)
