"""RobotSpec: the packaged X2 Ultra is complete and consistent, and a broken file is refused by file and
field."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml
from wbvla_core.robot_spec import RobotSpec, RobotSpecError

import wbvla_core

ROBOTS = Path(wbvla_core.__file__).parent / "robots"


@pytest.fixture(scope="module")
def spec() -> RobotSpec:
    return RobotSpec.load("x2_ultra")


@pytest.fixture
def edited(tmp_path):
    """Write a copy of the robot file after a change of its content; returns the path."""

    def edit(change) -> Path:
        data = yaml.safe_load((ROBOTS / "x2_ultra.yaml").read_text())
        change(data)
        (tmp_path / "x2_ultra_shapes.yaml").write_text((ROBOTS / "x2_ultra_shapes.yaml").read_text())
        path = tmp_path / "robot.yaml"
        path.write_text(yaml.safe_dump(data))
        return path

    return edit


def test_wire_order_is_legs_waist_arms_head(spec):
    assert spec.n == 31
    order = [*spec.groups["legs"], *spec.groups["waist"], *spec.groups["arms"], *spec.groups["head"]]
    assert list(spec.joint_names) == order
    assert spec.joint_names[0] == "left_hip_pitch_joint" and spec.joint_names[12] == "waist_yaw_joint"
    assert spec.joint_names[28] == "right_wrist_roll_joint" and spec.joint_names[30] == "head_pitch_joint"


def test_policy_drives_legs_and_waist_yaw(spec):
    assert spec.lmo_index.tolist() == list(range(13))


def test_masses_add_up_to_the_published_total(spec):
    assert sum(link.mass_kg for link in spec.links) == pytest.approx(41.9665, abs=1e-4)


def test_waist_effort_is_that_of_its_motor(spec):
    assert spec.effort_nm[spec.index(["waist_pitch_joint", "waist_roll_joint"])].tolist() == [24.0, 24.0]


def test_default_pose_lies_within_limits_and_arrays_are_read_only(spec):
    assert np.all(spec.lower_rad <= spec.default_rad) and np.all(spec.default_rad <= spec.upper_rad)
    with pytest.raises(ValueError):
        spec.default_rad[0] = 0.0


def test_mirror_is_its_own_inverse_and_keeps_pose_and_gains(spec):
    permutation, sign = spec.mirror
    pose = np.linspace(-1.0, 1.0, spec.n)
    reflected = sign * pose[permutation]
    np.testing.assert_allclose(sign * reflected[permutation], pose)
    np.testing.assert_allclose(sign * spec.default_rad[permutation], spec.default_rad)
    for gains in (spec.kp, spec.kd, spec.damping_kd, spec.effort_nm, spec.armature_kg_m2):
        np.testing.assert_array_equal(gains[permutation], gains)


def test_mirrored_ranges_agree_except_the_waist_yaw(spec):
    permutation, sign = spec.mirror
    swapped = np.sort(sign[:, None] * np.stack([spec.lower_rad, spec.upper_rad], axis=1)[permutation], axis=1)
    differing = np.abs(swapped - np.stack([spec.lower_rad, spec.upper_rad], axis=1)).max(axis=1) > 1e-3
    assert [spec.joint_names[i] for i in np.flatnonzero(differing)] == ["waist_yaw_joint"]


def test_motor_gives_peak_up_to_the_knee_and_nothing_at_no_load_speed(spec):
    motors = {motor.name: motor for motor in spec.motors}
    knee = np.array([motors[joint.motor].knee_rad_s for joint in spec.joints])
    no_load = np.array([motors[joint.motor].no_load_rad_s for joint in spec.joints])
    lower, upper = spec.torque_limits_nm(knee)
    np.testing.assert_allclose(upper, spec.effort_nm)
    np.testing.assert_allclose(spec.torque_limits_nm(no_load)[1], 0.0, atol=1e-9)
    np.testing.assert_allclose(spec.torque_limits_nm(0.5 * (knee + no_load))[1], 0.5 * spec.effort_nm)
    np.testing.assert_allclose(lower, -spec.effort_nm)
    assert np.all(spec.torque_limits_nm(-no_load)[0] >= -1e-9)


def test_hash_ignores_layout_cameras_and_looks_but_not_limits(spec, edited):
    assert len(spec.hash) == 16
    assert RobotSpec.load(edited(lambda data: None)).hash == spec.hash
    assert RobotSpec.load(edited(lambda data: data["cameras"][0].update(width=320))).hash == spec.hash
    assert RobotSpec.load(edited(lambda data: data["joints"][3].update(range=[0.0, 2.0]))).hash != spec.hash


def test_index_takes_names_and_groups_and_refuses_others(spec):
    assert spec.index("waist").tolist() == [12, 13, 14]
    assert spec.index(["head_yaw_joint"]).tolist() == [29]
    with pytest.raises(RobotSpecError, match="no joint or group tail_joint"):
        spec.index(["tail_joint"])


def test_spec_is_immutable(spec):
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("joints"), r"robot\.yaml\.joints: missing"),
        (lambda d: d["joints"][2].pop("kp"), r"joints\[left_hip_yaw_joint\]\.kp: missing"),
        (
            lambda d: d["joints"][2].update(kp="high"),
            r"joints\[left_hip_yaw_joint\]\.kp: expected a finite number",
        ),
        (lambda d: d["joints"][0].update(range=[1.0, -1.0]), r"\.range: lower limit 1\.0 is not below"),
        (lambda d: d["joints"][0].update(default=9.0), r"left_hip_pitch_joint\]\.default: 9\.0 is outside"),
        (lambda d: d["joints"][0].update(motor="V8"), r"\.motor: 'V8' is not one of the file's motors"),
        (lambda d: d["joints"][0].update(effort=500), r"\.effort: 500 is outside"),
        (lambda d: d["joints"][0].update(axis="w"), r"\.axis: expected x, y or z"),
        (lambda d: d["joints"][1].update(parent="tail"), r"\.parent: tail is not reached"),
        (lambda d: d["joints"][1].update(name="left_hip_pitch_joint"), r"the name appears twice"),
        (lambda d: d["links"].pop(), r"\.links: not the links of the joints: head_pitch_link"),
        (
            lambda d: d["links"][1].update(inertia=[1, 1, 9, 0, 0, 0]),
            r"left_hip_pitch_link\]\.inertia: no body",
        ),
        (lambda d: d["links"][1].update(com=[0, 0]), r"\.com: expected 3 finite numbers"),
        (
            lambda d: d["groups"]["head"].append("nose"),
            r"groups\.head: 'nose' is not one of the file's joints",
        ),
        (lambda d: d["imus"][0].update(link="tail"), r"imus\[pelvis\]\.link: 'tail'"),
        (lambda d: d.update(schema_version=7), r"schema_version: expected 1, got 7"),
        (lambda d: d["stance"].update(nominal_m=0.9), r"stance\.nominal_m: 0\.9 is outside"),
    ],
)
def test_broken_file_is_refused_by_file_and_field(edited, change, message):
    with pytest.raises(RobotSpecError, match=message):
        RobotSpec.load(edited(change))


def test_unknown_robot_and_malformed_yaml_are_refused(tmp_path):
    with pytest.raises(RobotSpecError, match="no such robot file; packaged robots: x2_ultra"):
        RobotSpec.load("x3")
    broken = tmp_path / "broken.yaml"
    broken.write_text("joints: [")
    with pytest.raises(RobotSpecError, match="cannot be read as YAML"):
        RobotSpec.load(broken)
