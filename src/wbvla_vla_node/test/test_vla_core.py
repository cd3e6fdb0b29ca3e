"""The VLA without ROS: what it observes, what it commands, and what it says when it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from wbvla_core.types import LocoMode, Reason, Source
from wbvla_core.vla_input import InputError
from wbvla_vla_node.backend import InlineBackend
from wbvla_vla_node.core import VlaConfig, VlaCore
from wbvla_vla_node.policy import Chunk, PolicyError

sys.path.insert(0, str(Path(__file__).parent))
from vla_samples import NS, SPEC, T0, jpeg, state

PICTURE = jpeg()


class Recording:
    """A policy that remembers what it saw and answers as told."""

    name = "recording"

    def __init__(self):
        self.seen, self.sentences = [], []
        self.error = None
        self.positions = np.zeros((4, 2))
        self.loco = np.array([[0.2, -0.8, 0.0, 0.60], [1.0, 0.0, 0.0, 0.55], [1, 0, 0, 0.5], [1, 0, 0, 0.5]])
        self.mode = LocoMode.FLAGS
        self.done = None

    def reset(self, instruction):
        self.sentences.append(instruction)

    def infer(self, observation, capture_stamp_ns):
        if self.error:
            raise self.error
        self.seen.append((observation, capture_stamp_ns))
        joints = ("left_elbow_joint", "left_claw_joint")
        return Chunk(joints, self.positions, 0.1, self.loco, self.mode, done=self.done)


@pytest.fixture
def policy():
    return Recording()


@pytest.fixture
def core(policy):
    core = VlaCore(InlineBackend(policy), VlaConfig())
    core.set_instruction("stand still", T0)
    core.on_authority(Source.VLA, 3)
    return core


def feed(core, now_ns, image_age_s=0.03):
    frame_ns = now_ns - int(image_age_s * NS)
    core.on_image(frame_ns, jpeg=PICTURE)
    for stamp_ns in range(frame_ns - 10_000_000, now_ns, 5_000_000):
        core.on_state(stamp_ns, state(stamp_ns))
    return frame_ns


def test_commands_carry_the_stamp_of_the_frame_that_led_to_them(core, policy):
    frame_ns = feed(core, T0)
    (command,) = core.tick(T0)
    assert policy.seen[0][1] == frame_ns
    for part in (command.arm, command.loco):
        assert (part.source, part.session, part.sequence) == (Source.VLA, 3, 1)
        assert (part.observation_stamp_ns, part.stamp_ns) == (frame_ns, T0)
    assert command.arm.time_from_start_ns.tolist() == [0, 10**8, 2 * 10**8, 3 * 10**8]


def test_flags_are_rounded_and_taken_from_the_row_that_is_due(core):
    feed(core, T0, image_age_s=0.08)
    (command,) = core.tick(T0)
    assert (command.loco.flags, command.loco.height_m, command.loco.mode) == ((1, 0, 0), 0.55, LocoMode.FLAGS)
    feed(core, T0 + NS // 10, image_age_s=0.0)
    (command,) = core.tick(T0 + NS // 10)
    assert (command.loco.flags, command.loco.height_m) == ((0, -1, 0), 0.60)


def test_velocities_pass_as_they_are(core, policy):
    policy.mode, policy.loco = LocoMode.VELOCITY, np.tile([0.3, 0.1, -0.2, 0.6], (4, 1))
    feed(core, T0)
    (command,) = core.tick(T0)
    assert command.loco.velocity == (0.3, 0.1, -0.2) and command.loco.flags == (0, 0, 0)


def test_state_is_interpolated_to_the_instant_of_the_frame(core, policy):
    core.on_image(T0 + 2_000_000, jpeg=PICTURE)
    core.on_state(T0, state(T0, 0.0))
    core.on_state(T0 + 5_000_000, state(T0 + 5_000_000, 0.5))
    core.on_state(T0 + 10_000_000, state(T0 + 10_000_000, 9.0))
    core.tick(T0 + 12_000_000)
    vector = policy.seen[0][0].state
    assert vector.dtype == np.float32 and vector.shape == (36,)
    np.testing.assert_allclose(vector[:31], SPEC.default_rad + 0.2, atol=1e-6)
    np.testing.assert_allclose(vector[33:], [0, 0, -1])


def test_it_counts_how_many_times_in_a_row_the_policy_says_that_it_is_done(core, policy):
    counts = []
    for i, done in enumerate((True, True, False, True, None)):
        policy.done = done
        feed(core, T0 + i * NS)
        core.tick(T0 + i * NS)
        counts.append(core.progress.done_chunks)
    assert counts == [1, 2, 0, 1, 0]


def test_without_authority_nothing_is_commanded_and_sessions_count_anew(core):
    core.on_authority(Source.TELEOP, 4)
    feed(core, T0)
    (command,) = core.tick(T0)
    assert command.arm is None and command.loco is None and command.result.chunk is not None
    core.on_authority(Source.VLA, 5)
    feed(core, T0 + NS)
    (command,) = core.tick(T0 + NS)
    assert (command.loco.session, command.loco.sequence) == (5, 1)


@pytest.mark.parametrize(
    ("frame_ns", "state_ns", "reason", "word"),
    [
        (None, T0, Reason.CAMERA_LOST, "never came"),
        (T0 - 400_000_000, T0, Reason.CAMERA_LOST, "400 ms old"),
        (T0 + 200_000_000, T0, Reason.BAD_MESSAGE, "in the future"),
        (T0, None, Reason.STATE_LOST, "never came"),
        (T0, T0 - 300_000_000, Reason.STATE_LOST, "300 ms old"),
        (T0 - 200_000_000, T0 - 50_000_000, Reason.STATE_LOST, "within 40 ms"),
    ],
)
def test_old_missing_or_impossible_inputs_stop_the_commands_and_say_why(
    core, frame_ns, state_ns, reason, word
):
    if frame_ns is not None:
        core.on_image(frame_ns, jpeg=PICTURE)
    if state_ns is not None:
        core.on_state(state_ns, state(state_ns))
    assert core.tick(T0) == []
    assert core.reason == reason and word in core.detail


def test_failing_and_broken_answers_are_refused_and_the_next_good_one_works(core, policy):
    policy.error = PolicyError("no picture")
    feed(core, T0)
    assert core.tick(T0) == []
    assert core.reason == Reason.INFERENCE_FAILED and core.detail == "no picture"
    policy.error = RuntimeError("boom")
    feed(core, T0 + NS)
    assert core.tick(T0 + NS) == [] and core.detail == "RuntimeError: boom"
    policy.error, policy.positions = None, np.full((4, 2), np.nan)
    feed(core, T0 + 2 * NS)
    assert core.tick(T0 + 2 * NS) == [] and "not finite" in core.detail
    policy.positions = np.zeros((4, 3))
    feed(core, T0 + 3 * NS)
    assert core.tick(T0 + 3 * NS) == [] and "shapes" in core.detail
    policy.positions = np.zeros((4, 2))
    feed(core, T0 + 4 * NS)
    assert len(core.tick(T0 + 4 * NS)) == 1
    assert core.reason == Reason.NONE and core.counters.dropped == 4


def test_answer_that_comes_too_late_is_void(core):
    feed(core, T0)
    assert core.begin(T0)
    assert core.collect(T0 + NS) == []
    assert core.counters.stale == 1 and "too late" in core.detail


def test_silent_backend_is_noticed(policy):
    class Silent(InlineBackend):
        def poll(self):
            return []

    core = VlaCore(Silent(policy), VlaConfig())
    core.set_instruction("wait", T0)
    feed(core, T0)
    core.tick(T0)
    assert core.reason == Reason.NONE
    feed(core, T0 + 2 * NS)
    core.tick(T0 + 2 * NS)
    assert core.reason == Reason.INFERENCE_FAILED and "no answer within 1.0 s" in core.detail


def test_new_sentence_takes_effect_at_the_next_tick_and_voids_older_answers(core, policy):
    feed(core, T0)
    core.begin(T0)
    core.set_instruction("  turn left ", T0)
    assert core.collect(T0) == []
    feed(core, T0 + NS // 10)
    (command,) = core.tick(T0 + NS // 10)
    assert policy.seen[-1][0].instruction == "turn left" and policy.sentences[-1] == "turn left"
    assert core.progress.chunks == 1 and command.result.id == 1
    core.clear_instruction()
    assert core.tick(T0 + NS) == [] and "waits for an instruction" in core.detail


@pytest.mark.parametrize("text", ["", "  ", "a" * 513, "ä" * 300, "two\nlines", "\x00", "\ud800"])
def test_unusable_sentences_are_refused(core, text):
    with pytest.raises(InputError, match="instruction"):
        core.set_instruction(text, T0)
    assert core.progress.instruction == "stand still"


def test_sentence_in_any_language_is_fine(core):
    core.set_instruction("Heb de doos op, 请", T0)
    assert core.progress.instruction == "Heb de doos op, 请"


def test_safe_command_stands_at_the_present_height(core):
    feed(core, T0)
    core.tick(T0)
    stop = core.safe_command(T0 + 1)
    assert (stop.flags, stop.height_m, stop.sequence) == ((0, 0, 0), 0.55, 2)
    core.on_authority(Source.NONE, 9)
    assert core.safe_command(T0 + 2) is None
