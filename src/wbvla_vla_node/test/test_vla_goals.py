"""When an instruction is over, and how."""

from __future__ import annotations

import pytest
from wbvla_core.types import Reason
from wbvla_vla_node.core import Progress
from wbvla_vla_node.goals import DONE_CHUNKS, GoalTracker

NS = 1_000_000_000


@pytest.fixture
def progress():
    return Progress("look around", 0)


def test_goal_runs_while_chunks_come_and_succeeds_when_the_policy_is_done(progress):
    tracker = GoalTracker(progress, 0.0, 0)
    for count in range(DONE_CHUNKS):
        progress.done_chunks = count
        assert tracker.update(progress, Reason.NONE, "", False, 100 * NS) is None
    progress.done_chunks = DONE_CHUNKS
    outcome = tracker.update(progress, Reason.NONE, "", False, 101 * NS)
    assert outcome.success and outcome.elapsed_s == 101.0


@pytest.mark.parametrize(
    ("timeout_s", "other", "reason", "cancel", "at_s", "end", "word"),
    [
        (2.0, False, Reason.NONE, False, 2, "aborted", "not done within 2 s"),
        (0.0, True, Reason.NONE, False, 1, "aborted", "another instruction"),
        (0.0, False, Reason.CAMERA_LOST, False, 6, "aborted", "no chunks for 5 s: dark"),
        (9.0, False, Reason.NONE, True, 1, "canceled", "cancelled"),
    ],
)
def test_goal_ends_for_a_stated_reason(progress, timeout_s, other, reason, cancel, at_s, end, word):
    tracker = GoalTracker(progress, timeout_s, 0)
    now = Progress("other", 0) if other else progress
    outcome = tracker.update(now, reason, "dark", cancel, at_s * NS)
    assert (outcome.end, outcome.success) == (end, False) and word in outcome.message


def test_short_fault_does_not_end_the_goal(progress):
    tracker = GoalTracker(progress, 0.0, 0)
    for second in range(20):
        reason = Reason.CAMERA_LOST if second % 4 else Reason.NONE
        assert tracker.update(progress, reason, "", False, second * NS) is None


def test_goal_ends_when_the_node_stops(progress):
    assert (
        GoalTracker(progress, 0.0, 0).update(None, Reason.NONE, "", False, NS).message == "the node stopped"
    )
