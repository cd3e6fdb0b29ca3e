"""The locomotion core tick by tick: ages, losses, restarts and outputs that are not finite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.lmo import LmoNotFinite
from wbvla_core.types import LegWaistCommand, LocoCommand, LocoMode, PlantState, Reason, RobotState
from wbvla_lmo_node.core import LmoConfig, LmoCore

MS = 1_000_000


class Policy:
    """Records what it is asked."""

    name = "fake"

    def __init__(self):
        self.resets, self.commands, self.broken = [], [], False

    def reset(self, state, height_m):
        self.resets.append(height_m)

    def step(self, state, command):
        if self.broken:
            raise LmoNotFinite("the network's output is not finite")
        self.commands.append(command)
        zero = np.zeros(1)
        return LegWaistCommand(("knee",), zero, zero, zero, zero, zero, zero, state_stamp_ns=state.stamp_ns)


def state_at(stamp_ms, plant_state=PlantState.ACTIVE):
    zero = np.zeros(1)
    return RobotState(
        int(stamp_ms * MS), 0, zero, zero, zero, zero, np.array([1.0, 0, 0, 0]), zero, zero, plant_state
    )


@pytest.fixture
def bench():
    """(core, policy, give): ``give(state)`` hands a state over as bytes."""
    policy, box = Policy(), {}

    def decode(data):
        if data not in box:
            raise ValueError("no robot_state")
        return box[data]

    core = LmoCore(policy, LmoConfig(), decode)

    def give(state):
        data = str(len(box)).encode()
        box[data] = state
        core.on_state(data)

    return core, policy, give


def test_nothing_is_said_without_a_fresh_state(bench):
    core, _, give = bench
    assert core.tick(0) is None and core.reason == Reason.STATE_LOST
    give(state_at(100))
    assert core.tick(140 * MS) is not None and core.reason == Reason.NONE
    assert core.tick(141 * MS) is None and core.reason == Reason.STATE_LOST
    assert core.tick(79 * MS) is None, "a stamp 21 ms ahead is no state either"
    assert core.counters.without_state == 3 and core.counters.published == 1


def test_policy_starts_anew_after_a_gap_in_the_state(bench):
    core, policy, give = bench
    for now_ms in (0, 20, 40, 200, 220):
        if now_ms != 200:
            give(state_at(now_ms))
        core.tick(now_ms * MS)
    assert len(policy.resets) == 2


def test_policy_gathers_no_memory_while_the_joints_only_brake(bench):
    core, policy, give = bench
    core.on_command(LocoCommand(height_m=0.6), 0)
    for now_ms in (0, 20, 40):
        give(state_at(now_ms, PlantState.DAMPING))
        assert core.tick(now_ms * MS) is not None, "the driver waits for set-points before it lets go"
    for now_ms in (60, 80, 100):
        give(state_at(now_ms))
        core.tick(now_ms * MS)
    assert policy.resets == [0.6, 0.6, 0.6]


def test_silent_command_becomes_a_stand_at_the_same_height(bench):
    core, policy, give = bench
    give(state_at(0))
    core.tick(0)
    assert policy.commands[-1].height_m == 0.64 and policy.commands[-1].flags == (0, 0, 0)
    core.on_command(LocoCommand(0.55, velocity=(0.4, 0.0, 0.1), mode=LocoMode.VELOCITY), 0)
    give(state_at(200))
    core.tick(200 * MS)
    assert policy.commands[-1].velocity == (0.4, 0.0, 0.1)
    give(state_at(220))
    assert core.tick(220 * MS) is not None and core.reason == Reason.DRIVER_LOST
    lost = policy.commands[-1]
    assert (lost.height_m, lost.flags, lost.velocity) == (0.55, (0, 0, 0), (0.0, 0.0, 0.0))
    core.on_command(LocoCommand(0.55, flags=(1, 0, 0)), 230 * MS)
    core.tick(240 * MS)
    assert policy.commands[-1].flags == (1, 0, 0) and core.reason == Reason.NONE


def test_output_that_is_not_finite_is_counted_and_not_said(bench):
    core, policy, give = bench
    give(state_at(0))
    policy.broken = True
    assert core.tick(0) is None and core.reason == Reason.LMO_NOT_FINITE
    policy.broken = False
    command = core.tick(20 * MS)
    assert command.sequence == 1 and core.counters.not_finite == 1 and core.counters.dropped == 1


def test_bytes_that_are_no_state_are_counted_once(bench):
    core, _, _ = bench
    core.on_state(b"rubbish")
    assert core.tick(0) is None and core.reason == Reason.BAD_MESSAGE
    assert core.tick(20 * MS) is None and core.counters.bad_messages == 1


def test_set_points_carry_stamps_and_a_rising_sequence(bench):
    core, _, give = bench
    made = []
    for now_ms in (0, 20, 40):
        give(state_at(now_ms - 3))
        made.append(core.tick(now_ms * MS))
    assert [c.sequence for c in made] == [1, 2, 3]
    assert [(c.stamp_ns - c.state_stamp_ns) // MS for c in made] == [3, 3, 3]
    core.restart()
    assert core.tick(60 * MS) is None and core.counters.published == 0


def test_ages_are_the_parameters(bench):
    _, policy, _ = bench
    state = state_at(0)
    core = LmoCore(policy, replace(LmoConfig(), max_state_age_ms=10.0), lambda data: state)
    core.on_state(b"")
    assert core.tick(9 * MS) is not None and core.tick(11 * MS) is None
