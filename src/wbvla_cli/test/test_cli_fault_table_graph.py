"""The fault table on the running graph: real processes, real time, one launch.

Limits are the table's. On top of them come the age that the last good message may have had (a period), and
``SCHEDULING_MS``: what a machine shared with others may need to let the processes run.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from wbvla_core.types import PlantState, Reason, Source, State
from wbvla_sim.script import Push

from wbvla_msgs import msg, srv

sys.path.insert(0, str(Path(__file__).parent))
from graph_rig import BACK_S, Rig, once_more_after_a_stall

SCHEDULING_MS = 60.0
CYCLE_MS = 5.0
CAMERA_PERIOD_MS = 67.0
REQUEST_MS = 10.0
"""The plant looks for requests of tests and services this often."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("ROS_DOMAIN_ID", os.environ.get("ROS_DOMAIN_ID", str(60 + os.getpid() % 40)))
    if "CYCLONEDDS_URI" not in os.environ:
        patch.setenv("ROS_LOCALHOST_ONLY", "1")
    rig = Rig(tmp_path_factory.mktemp("faults"), f"faults{os.getpid()}")
    yield rig
    print("\n".join(f"{what}: {after_ms:.1f} ms" for what, after_ms in rig.measured))
    rig.close()
    patch.undo()


def lost_vla(rig, since_ns, resume):
    """Stops by itself within 200 ms, stands, and follows again after ``resume``."""
    operator = rig.operator
    change, after_ms = rig.reaction(Reason.VLA_LOST, since_ns)
    assert after_ms <= 200.0 + CYCLE_MS + SCHEDULING_MS
    assert change.state is State.STANDING
    resume()
    operator.wait_for_state(State.ACTIVE, timeout_s=BACK_S)


@once_more_after_a_stall
def test_vla_hung_stands_and_resumes(rig):
    operator = rig.stand(Source.VLA)
    vla = rig.process("vla_node")
    since_ns = operator.now_ns()
    vla.suspend()
    lost_vla(rig, since_ns, vla.resume)


@once_more_after_a_stall
def test_camera_lost_counts_as_vla_lost(rig):
    operator = rig.stand(Source.VLA)
    camera = rig.process("sim_node")
    since_ns = operator.now_ns()
    camera.suspend()
    try:
        change, after_ms = rig.reaction(Reason.CAMERA_LOST, since_ns)
        assert after_ms <= 300.0 + CAMERA_PERIOD_MS + CYCLE_MS + SCHEDULING_MS
        assert change.state is State.STANDING
    finally:
        camera.resume()
    operator.wait_for_state(State.ACTIVE)


@once_more_after_a_stall
def test_vla_killed_stands_and_its_successor_is_followed(rig):
    rig.stand(Source.VLA)
    since_ns, _, _ = rig.kill("vla_node")
    lost_vla(rig, since_ns, lambda: None)  # the launch file brings the VLA back


def nan_arms(operator):
    operator.arms({"head_yaw_joint": float("nan")})


def wrong_names(operator):
    operator.arms({"third_arm_joint": 0.1})


def late_stamps(operator):
    operator.clock_error_ns = -int(0.5e9)


def future_stamps(operator):
    operator.clock_error_ns = int(0.5e9)


@pytest.mark.parametrize("spoil", [nan_arms, wrong_names, late_stamps, future_stamps])
@once_more_after_a_stall
def test_bad_messages_of_a_source_are_dropped_and_it_counts_as_lost(rig, spoil):
    operator = rig.stand(Source.TELEOP)
    dropped, since_ns = rig.dropped(), operator.now_ns()
    spoil(operator)
    change, after_ms = rig.reaction(Reason.TELEOP_LOST, since_ns)
    assert after_ms <= 200.0 + CYCLE_MS + SCHEDULING_MS
    assert change.state is State.STANDING
    operator.wait_for("the refused messages to be counted", lambda: rig.dropped() > dropped, 2.0)
    assert np.isfinite(rig.reading.position_rad).all()
    operator.clock_error_ns = 0
    operator.arms({"head_yaw_joint": 0.2})
    operator.wait_for_state(State.ACTIVE, timeout_s=2.0)


@once_more_after_a_stall
def test_targets_beyond_limits_are_clamped_told_and_followed(rig):
    operator = rig.stand(Source.TELEOP)
    operator.arms({"head_yaw_joint": 3.0, "left_elbow_joint": -9.0})
    operator.loco(2.0)
    elbow = rig.spec.index(("left_elbow_joint",))[0]
    operator.wait_for(
        "the driver to tell of the limit", lambda: "; last: " in operator.statuses["driver"].detail, 3.0
    )
    operator.wait(1.0)
    assert operator.driver_state() is State.ACTIVE
    assert rig.joint_rad("left_elbow_joint") >= rig.spec.lower_rad[elbow] - 0.03
    assert (
        rig.joint_rad("head_yaw_joint") <= rig.spec.upper_rad[rig.spec.index(("head_yaw_joint",))[0]] + 0.03
    )
    operator.arms({"left_elbow_joint": -0.3, "head_yaw_joint": 0.0})
    operator.wait(0.5)


@once_more_after_a_stall
def test_a_second_publisher_on_the_source_in_charge_renews_the_session(rig):
    operator = rig.stand(Source.TELEOP)
    session = operator.authority.session
    begin_s = time.monotonic()
    guest = rig.second_publisher(msg.LocoCommand, "teleop/loco_command")
    operator.wait_for("a new session", lambda: operator.authority.session > session, 3.0)
    assert time.monotonic() - begin_s <= 1.0 + SCHEDULING_MS / 1e3
    assert operator.authority.source == int(Source.TELEOP)
    operator.wait_for_state(State.ACTIVE)
    rig.stranger.destroy_publisher(guest)


@once_more_after_a_stall
def test_another_robot_is_refused_at_configure(rig, tmp_path):
    rig.stand()
    import wbvla_core.robot_spec as robots

    shipped = Path(robots.__file__).parent / "robots"
    (tmp_path / "x2_ultra_shapes.yaml").write_text((shipped / "x2_ultra_shapes.yaml").read_text())
    other = tmp_path / "other.yaml"
    other.write_text((shipped / "x2_ultra.yaml").read_text().replace("nominal_m: 0.64", "nominal_m: 0.63"))
    code, output = rig.run_stranger("driver_node", {"robot": other, "mailbox": rig.namespace})
    assert code == 2 and "refuses to configure" in output
    code, output = rig.run_stranger("lmo_node", {"robot": other, "bundle": "lmo/stand"})
    assert code == 2 and "refuses to configure" in output
    assert rig.operator.driver_state() is State.STANDING and rig.reading.plant_state is PlantState.ACTIVE


def bridged_ms(rig):
    """Ages of the last set-point, by the driver's own account, when it began to bridge."""
    return [int(age) for age in rig.logged(r"HOLDING_LAST \(LMO_LOST\): no set-point \((\d+) ms old\)")]


def lost_lmo(rig, since_ns):
    """Noticed within 60 ms, bridged until 100 ms, and balanced by the driver from then on."""
    rig.reaction(Reason.LMO_LOST, since_ns)
    rig.operator.wait_for_state(State.LAST_RESORT, timeout_s=1.0)
    change = rig.operator.changes[-1]
    after_ms = rig.note("last resort", (change.time_ns - since_ns) / 1e6)
    assert change.reason is Reason.LMO_LOST
    assert after_ms <= 100.0 + CYCLE_MS + SCHEDULING_MS
    rig.operator.wait_for("the log", lambda: len(bridged_ms(rig)) > 0, 2.0)
    assert rig.note("age of the last set-point", bridged_ms(rig)[-1]) <= 60.0 + CYCLE_MS + SCHEDULING_MS
    rig.operator.wait(1.5)
    assert rig.operator.driver_state() is State.LAST_RESORT
    assert not rig.operator.sim.fell and not rig.operator.hoisted(), "it stands by itself, not in its rope"


@once_more_after_a_stall
def test_lmo_hung_is_bridged_and_balanced_by_the_driver_until_released(rig):
    operator = rig.stand()
    lmo = rig.process("lmo_node")
    since_ns = operator.now_ns()
    lmo.suspend()
    try:
        lost_lmo(rig, since_ns)
    finally:
        lmo.resume()
    rig.stand()


@once_more_after_a_stall
def test_lmo_not_finite_is_rejected_at_once_and_ends_as_lost(rig):
    operator = rig.stand()
    guest = rig.second_publisher(msg.LegWaistCommand, "leg_waist_command")
    operator.wait_for(
        "the driver to tell of the second publisher",
        lambda: bool(rig.logged(r"\(SECOND_PUBLISHER\): leg_waist_command")),
        3.0,
    )
    lmo = rig.process("lmo_node")
    lmo.suspend()
    since_ns = operator.now_ns()
    try:
        for _ in range(3):
            rig.bad_set_points(guest)
            operator.wait(0.005)
        _, after_ms = rig.reaction(Reason.LMO_NOT_FINITE, since_ns)
        operator.wait_for_state(State.LAST_RESORT, timeout_s=1.0)
        assert operator.changes[-1].reason is Reason.LMO_NOT_FINITE
        assert (operator.changes[-1].time_ns - since_ns) / 1e6 <= 4 * CYCLE_MS + SCHEDULING_MS
        assert after_ms <= 4 * CYCLE_MS + SCHEDULING_MS
        operator.wait(1.0)
        assert not operator.sim.fell and not operator.hoisted()
    finally:
        lmo.resume()
        rig.stranger.destroy_publisher(guest)
    rig.stand()


@pytest.mark.parametrize(
    ("kind", "name", "reason", "limit_ms"),
    [("state", "", Reason.STATE_LOST, 20.0), ("imu", "pelvis", Reason.IMU_LOST, 40.0)],
)
@once_more_after_a_stall
def test_state_and_imu_lost_damp_and_stay_damped(rig, kind, name, reason, limit_ms):
    operator = rig.stand()
    since_ns = operator.now_ns()
    rig.inject(kind, name)
    try:
        change, after_ms = rig.reaction(reason, since_ns)
        assert after_ms <= limit_ms + REQUEST_MS + CYCLE_MS + SCHEDULING_MS
        assert change.state is State.DAMPING
    finally:
        rig.inject(kind, name, 0)
    operator.wait_for("the rope to catch it", operator.hoisted, 4.0)
    assert operator.driver_state() is State.DAMPING and rig.reading.plant_state is PlantState.DAMPING


@once_more_after_a_stall
def test_emergency_stop_damps_at_once_and_leaves_only_by_release_in_the_hoist(rig):
    operator = rig.stand(Source.TELEOP)
    since_ns = operator.now_ns()
    operator.estop("test")
    change, after_ms = rig.reaction(Reason.ESTOP, since_ns)
    assert change.state is State.DAMPING and after_ms <= 2 * CYCLE_MS + SCHEDULING_MS
    assert rig.plant_damps_within_ms(since_ns) <= 2 * CYCLE_MS + SCHEDULING_MS + 20.0
    operator.wait(0.3)
    assert operator.driver_state() is State.DAMPING
    with pytest.raises(RuntimeError, match="refused"):
        operator.call("release", srv.Release.Request(hoisted=False))


@once_more_after_a_stall
def test_a_hung_driver_is_damped_by_the_plant(rig):
    rig.stand()
    driver, trips = rig.process("driver_node"), rig.reading.watchdog_trips
    since_ns = time.time_ns()
    driver.suspend()
    try:
        assert rig.plant_damps_within_ms(since_ns) <= 20.0 + CYCLE_MS + SCHEDULING_MS
        assert rig.reading.watchdog_trips == trips + 1
    finally:
        driver.resume()
    change, _ = rig.reaction(Reason.DRIVER_LOST, since_ns)
    assert change.state is State.DAMPING


@once_more_after_a_stall
def test_a_killed_driver_is_damped_by_the_plant_and_its_successor_refuses_a_crowd(rig):
    operator = rig.stand()
    trips = rig.reading.watchdog_trips
    since_ns, command, environment = rig.kill("driver_node")
    assert rig.plant_damps_within_ms(since_ns) <= 20.0 + CYCLE_MS + SCHEDULING_MS
    assert rig.reading.watchdog_trips == trips + 1
    guest = rig.second_publisher(msg.ArmTarget, "teleop/arm_target")
    rig.begin("driver_node", command, environment)

    def refusal():
        status = operator.statuses["driver"]
        found = re.search(r"more than one publisher.*teleop/arm_target", status.detail)
        return status.state == int(State.INACTIVE) and found is not None

    operator.wait_for("the new driver to refuse to become active", refusal, BACK_S)
    rig.stranger.destroy_publisher(guest)
    operator.wait_for_state(State.DAMPING, timeout_s=BACK_S)


@once_more_after_a_stall
def test_lmo_killed_is_bridged_and_balanced_by_the_driver(rig):
    rig.stand()
    since_ns, command, environment = rig.kill("lmo_node")
    lost_lmo(rig, since_ns)
    rig.begin("lmo_node", command, environment)
    rig.stand()


@once_more_after_a_stall
def test_a_falling_robot_is_damped_at_60_degrees(rig):
    operator = rig.stand()
    operator.gantry(0.0, hooked=False)
    since_ns = operator.now_ns()
    Push((150.0, 0.0, 0.0), 0.5).perform(operator)
    change, _ = rig.reaction(Reason.TILT, since_ns, within_s=4.0)
    operator.wait(0.3)
    assert change.state is State.DAMPING
    crossed_ns = next(at_ns for at_ns, tilt in operator.tilts if at_ns > since_ns and tilt > 60.0)
    assert rig.note("after 60 deg", abs(change.time_ns - crossed_ns) / 1e6) <= 20.0 + CYCLE_MS + SCHEDULING_MS
    assert operator.sim.fell
    rig.reset()
    operator.wait(1.0)
    assert operator.driver_state() is State.DAMPING
