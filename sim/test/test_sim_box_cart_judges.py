"""The judges of box loading and cart pushing, with made-up truths and with the real scene."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.cart import DECK_HEIGHT_M, GRIP_M
from wbvla_sim.scenes import build_scene
from wbvla_sim.tasks import box_loading, cart_pushing
from wbvla_sim.tasks.base import Outcome, Verdict, find_task
from wbvla_sim.tasks.box_loading import GRASP, LOAD, BoxProgress, BoxTruth
from wbvla_sim.tasks.cart_pushing import GRAB, PUSH, CartProgress, CartTruth
from wbvla_sim.tasks.sentences import BOX_LOADING, CART_PUSHING
from wbvla_sim.tasks.spells import Spell

SPEC = RobotSpec.load("x2_ultra")
BOTH = frozenset({"left", "right"})
STANDING = BoxTruth(0.0, rests_on=frozenset({"platform"}))
HELD = BoxTruth(0.0, hands=BOTH, lifted_m=0.1)
LOADED = BoxTruth(0.0, rests_on=frozenset({"deck"}), on_deck_m=(-0.1, 0.02), lifted_m=0.1)


def judge_box(*story: tuple[float, BoxTruth]) -> Verdict:
    """Each truth lasts for so many seconds, looked at 50 times a second."""
    progress, now, last = BoxProgress(0.0), 0.0, Verdict(Outcome.RUNNING, "", 0.0)
    for seconds, truth in story:
        for _ in range(round(seconds * 50)):
            now += 0.02
            seen = replace(truth, time_s=now)
            progress = box_loading.advance(progress, seen)
            last = box_loading.verdict(progress, seen)
            if last.over:
                return last
    return last


def judge_cart(*story: tuple[float, CartTruth]) -> Verdict:
    progress, now, last = CartProgress(0.0), 0.0, Verdict(Outcome.RUNNING, "", 0.0)
    for seconds, truth in story:
        for _ in range(round(seconds * 50)):
            now += 0.02
            seen = replace(truth, time_s=now)
            progress = cart_pushing.advance(progress, seen)
            last = cart_pushing.verdict(progress, seen)
            if last.over:
                return last
    return last


def test_a_box_that_is_held_for_half_a_second_and_then_stands_on_the_deck_is_loaded():
    done = judge_box((2.0, STANDING), (0.7, HELD), (3.0, replace(HELD, lifted_m=0.3)), (0.7, LOADED))
    assert done.success and done.subgoals == {GRASP: True, LOAD: True}
    assert 6.0 < done.time_s < 6.4


@pytest.mark.parametrize(
    "grasp",
    [
        replace(HELD, hands=frozenset({"left"})),
        replace(HELD, rests_on=frozenset({"platform"})),
        replace(HELD, rests_on=frozenset({"robot"})),
        replace(HELD, lifted_m=0.02),
    ],
    ids=["one hand", "still on the platform", "on the arms", "hardly lifted"],
)
def test_without_a_grasp_the_second_subgoal_fails_too(grasp):
    result = judge_box((1.0, grasp), (2.0, LOADED))
    assert result.outcome is Outcome.RUNNING and result.subgoals == {GRASP: False, LOAD: False}


@pytest.mark.parametrize(
    "there",
    [
        replace(LOADED, hands=frozenset({"right"})),
        replace(LOADED, rests_on=frozenset({"deck", "other"})),
        replace(LOADED, rests_on=frozenset({"deck", "robot"})),
        replace(LOADED, on_deck_m=(-0.1, 0.29)),
    ],
    ids=["still held", "against a grip", "against the robot", "over the edge"],
)
def test_a_box_that_does_not_stand_free_on_the_deck_is_not_loaded(there):
    result = judge_box((1.0, HELD), (2.0, there))
    assert result.outcome is Outcome.RUNNING and result.subgoals == {GRASP: True, LOAD: False}


def test_box_loading_ends_with_a_fall_a_dropped_box_a_runaway_cart_or_the_time():
    assert judge_box((1.0, HELD), (0.1, replace(HELD, fell=True))).reason == "the robot fell"
    dropped = judge_box((1.0, HELD), (0.1, replace(HELD, rests_on=frozenset({"floor"}))))
    assert dropped.reason == "the box fell to the floor" and dropped.subgoals == {GRASP: True, LOAD: False}
    assert judge_box((0.1, replace(STANDING, cart_moved_m=0.9))).reason == "the cart was pushed away"
    late = judge_box((box_loading.TIME_LIMIT_S + 0.1, STANDING))
    assert late.outcome is Outcome.FAILED and "not done within" in late.reason


def test_contacts_that_flicker_do_not_break_a_grasp_and_long_gaps_do():
    blink = (0.06, replace(HELD, hands=frozenset({"left"})))
    assert judge_box((0.3, HELD), blink, (0.3, HELD)).subgoals[GRASP]
    gap = (0.2, replace(HELD, hands=frozenset({"left"})))
    assert not judge_box((0.3, HELD), gap, (0.3, HELD)).subgoals[GRASP]
    spell = Spell().look(True, 1.0).look(True, 1.5)
    assert (
        spell.lasts_s == 0.5
        and spell.look(False, 1.55).lasts_s == 0.5
        and spell.look(False, 1.7).lasts_s == 0.0
    )


GRIPPED = CartTruth(0.0, held=BOTH)


def test_a_cart_that_is_grabbed_and_goes_a_metre_ahead_is_pushed():
    done = judge_cart((1.0, CartTruth(0.0)), (0.7, GRIPPED), (2.0, replace(GRIPPED, ahead_m=0.6)),
                      (0.5, replace(GRIPPED, ahead_m=1.01)))  # fmt: skip
    assert done.success and done.subgoals == {GRAB: True, PUSH: True}


def test_a_cart_pushed_without_both_hands_on_the_grips_is_a_failure_of_both_subgoals():
    result = judge_cart((1.0, CartTruth(0.0, held=frozenset({"left"}))), (0.1, CartTruth(0.0, ahead_m=0.4)))
    assert result.outcome is Outcome.FAILED and result.subgoals == {GRAB: False, PUSH: False}


def test_a_push_that_is_let_go_of_does_not_count():
    result = judge_cart(
        (0.7, GRIPPED), (1.5, CartTruth(0.0, ahead_m=0.8)), (0.5, CartTruth(0.0, ahead_m=1.1))
    )
    assert result.outcome is Outcome.RUNNING and result.subgoals == {GRAB: True, PUSH: False}


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (replace(GRIPPED, fell=True), "the robot fell"),
        (replace(GRIPPED, ahead_m=1.2, aside_m=0.4), "the cart went astray"),
        (replace(GRIPPED, ahead_m=0.5, turned_rad=-0.6), "the cart went astray"),
        (replace(GRIPPED, box_lifted_m=0.1), "the box was lifted"),
    ],
)
def test_cart_pushing_fails_when(truth, reason):
    result = judge_cart((0.7, GRIPPED), (0.1, truth))
    assert result.reason == reason and result.subgoals == {GRAB: True, PUSH: False}


def at_home(seed: int = 0) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build_scene(SPEC, "box_cart", seed).compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    return model, data


def put_box(model: mujoco.MjModel, data: mujoco.MjData, place: np.ndarray) -> None:
    address = int(model.joint("box_joint").qposadr[0])
    data.qpos[address : address + 3] = place
    half = 0.5 * np.arctan2(*data.body("cart").xmat.reshape(3, 3)[:2, 0][::-1])
    data.qpos[address + 3 : address + 7] = [np.cos(half), 0.0, 0.0, np.sin(half)]
    mujoco.mj_forward(model, data)


def test_what_the_box_witness_sees_of_the_scene():
    model, data = at_home()
    mujoco.mj_step(model, data, nstep=50)
    witness = box_loading.BoxWitness(model, SPEC)
    first = witness.look(data, 0.0, False)
    assert first.rests_on == {"platform"} and not first.hands and first.lifted_m == 0.0
    cart = data.body("cart")
    put_box(model, data, cart.xpos + np.array([0.0, 0.0, DECK_HEIGHT_M + 0.0999]))
    loaded = witness.look(data, 1.0, False)
    assert loaded.rests_on == {"deck"} and np.hypot(*loaded.on_deck_m) < 1e-6
    assert box_loading.is_loaded(loaded)
    put_box(model, data, data.site("left_claw_grasp").xpos)
    assert "left" in witness.look(data, 2.0, False).hands
    put_box(model, data, data.body("torso_link").xpos)
    assert "robot" in witness.look(data, 3.0, False).rests_on
    put_box(model, data, np.array([-1.0, 0.0, 0.0999]))
    assert witness.look(data, 4.0, False).rests_on == {"floor"}


def test_what_the_cart_witness_sees_of_the_scene():
    model, data = at_home()
    witness = cart_pushing.CartWitness(model, SPEC)
    first = witness.look(data, 0.0, False)
    assert not first.held and first.ahead_m == 0.0 and first.turned_rad == pytest.approx(0.0, abs=1e-9)
    data.joint("cart_x").qpos[0], data.joint("cart_y").qpos[0], data.joint("cart_yaw").qpos[0] = 0.7, 0.1, 0.2
    mujoco.mj_forward(model, data)
    moved = witness.look(data, 1.0, True)
    assert moved.fell and (moved.ahead_m, moved.aside_m) == (pytest.approx(0.7), pytest.approx(0.1))
    assert moved.turned_rad == pytest.approx(0.2)
    # The cart is brought to the hand: its left grip into the left claw, then its right grip.
    for side, held in ((1.0, {"left"}), (-1.0, set())):
        turn = data.body("cart").xmat.reshape(3, 3)
        off = (
            data.site("left_claw_grasp").xpos
            - data.body("cart").xpos
            - turn @ [GRIP_M[0], side * GRIP_M[1], 0.0]
        )
        model.body("cart").pos[:2] += off[:2]
        mujoco.mj_forward(model, data)
        assert witness.look(data, 2.0, False).held == held


def test_judges_refuse_other_sentences_and_scenes():
    model, _ = at_home()
    with pytest.raises(ValueError, match="no instruction of box_loading"):
        find_task("box_loading").judge(model, SPEC, CART_PUSHING)
    with pytest.raises(ValueError, match="no instruction of cart_pushing"):
        find_task("cart_pushing").judge(model, SPEC, BOX_LOADING)
    empty = build_scene(SPEC, "empty", 0).compile()
    with pytest.raises(ValueError, match="the scene has no box"):
        find_task("box_loading").judge(empty, SPEC, BOX_LOADING)


def test_both_tasks_look_alike_until_the_sentence_is_said():
    box, cart = find_task("box_loading"), find_task("cart_pushing")
    assert box.scene == cart.scene and box.swapped is not None and cart.swapped is not None
    model, _ = at_home()
    sentence = box.sentence(model, 3)
    assert sentence != cart.sentence(model, 3) == box.swapped(model, sentence)
    assert cart.swapped(model, cart.sentence(model, 3)) == sentence
