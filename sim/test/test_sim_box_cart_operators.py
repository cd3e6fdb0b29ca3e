"""The scene within its ranges, and operators that do their task in a world without forces; and one real grasp."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion, matrix_from_rpy, quaternion_from_matrix
from wbvla_core.types import RobotState
from wbvla_sim import scenes
from wbvla_sim.cart import DECK_HALF_M, GRIP_M
from wbvla_sim.operators import box_loading, cart_pushing
from wbvla_sim.operators.by_sentence import OperatorBySentence
from wbvla_sim.operators.two_hands import Hold, Reach, TwoHands
from wbvla_sim.operators.walk import Journey, Pose2, pose2
from wbvla_sim.scene_parts import PLATFORM_HALF_M
from wbvla_sim.scenes import build_scene
from wbvla_sim.tasks.base import find_task
from wbvla_sim.tasks.box_cart_scene import BOX, BOX_BEARING_RAD, CART, PLATFORM, PLATFORM_GAP_M, furnish_from
from wbvla_sim.tasks.lockstep_trial import run_trial
from wbvla_sim.tasks.sentences import BOX_LOADING, CART_PUSHING
from wbvla_teleop.devices.scripted import ObjectPose, View
from wbvla_teleop.ik import DualArmIk
from wbvla_teleop.reachability import ReachMap

SPEC = RobotSpec.load("x2_ultra")
TICK_NS = 20_000_000


def at_home(seed: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build_scene(SPEC, "box_cart", seed).compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("seed", range(6))
def test_the_start_is_one_metre_from_platform_and_cart_within_its_ranges(seed):
    model, data = at_home(seed)
    platform, box, cart = (data.body(name) for name in (PLATFORM, BOX, CART))
    edge = Pose2(0.0, 0.0, 0.0).seen_from(pose2(platform.xpos, platform.xquat))
    assert 0.84 < -PLATFORM_HALF_M[0] - edge[0] < 1.16
    bearing = np.degrees(np.arctan2(platform.xpos[1], platform.xpos[0]))
    assert 5.0 < bearing < 45.0, "the box is seen to the left"
    grips = cart.xpos + cart.xmat.reshape(3, 3) @ [GRIP_M[0], 0.0, 0.0]
    stand = grips - cart.xmat.reshape(3, 3)[:, 0] * cart_pushing.STAND_BEHIND_M
    assert 0.8 < np.hypot(*stand[:2]) < 1.2
    assert -50.0 < np.degrees(np.arctan2(grips[1], grips[0])) < -5.0, "the cart is seen to the right"
    assert 0.50 <= box.xpos[2] - 0.1 <= 0.54 and model.body(BOX).mass[0] <= 1.5
    assert abs(data.body(BOX).xpos[2] - 0.1 - platform.xpos[2] - model.geom(f"{PLATFORM}_top").pos[2]) < 0.012


def test_seeds_vary_box_cart_light_and_places():
    def looks(seed: int) -> tuple[np.ndarray, ...]:
        model, data = at_home(seed)
        geoms = [model.geom(name) for name in (f"{CART}_deck", "floor")]
        return data.body(BOX).xpos, model.body(BOX).mass, model.light_diffuse[0], *(g.rgba for g in geoms)

    many = [np.concatenate([np.ravel(part) for part in looks(seed)]) for seed in range(4)]
    assert np.all(np.ptp(many, axis=0)[:6] > 0.0)


def test_box_and_deck_are_in_reach_of_both_hands_at_the_heights_of_the_operator():
    """By the map of the upright trunk."""
    reach = ReachMap.load(SPEC)
    for stance, heights, ahead in (
        (box_loading.GRASP_HEIGHT_M, (0.60, 0.64), (0.30, 0.35)),
        (box_loading.PLACE_HEIGHT_M, (0.62,), (0.30, 0.35)),
    ):
        for side, sign in ((0, 1.0), (1, -1.0)):
            points = [[x, sign * 0.16, z - stance] for x in ahead for z in heights]
            assert all(reach.at(side, point) > 0.1 for point in points)


class Puppet:
    """Pelvis by flags and height, arms by inverse kinematics, no forces. A pressed box goes with the hands."""

    def __init__(self, data: mujoco.MjData) -> None:
        self.objects = {
            name: ObjectPose(data.body(name).xpos.copy(), data.body(name).xquat.copy())
            for name in (BOX, CART, PLATFORM)
        }
        self.pose, self.height_m = Pose2(0.0, 0.0, 0.0), SPEC.nominal_height_m
        self.position = SPEC.default_rad.copy()
        self.openings = np.zeros(2)
        self._ik = DualArmIk(SPEC)
        self._ramp = np.zeros(3)
        self.now_ns = 0

    def view(self) -> View:
        half = 0.5 * self.pose.yaw_rad
        pelvis = ObjectPose(
            np.array([self.pose.x_m, self.pose.y_m, self.height_m]),
            np.array([np.cos(half), 0.0, 0.0, np.sin(half)]),
        )
        return View(self.now_ns, pelvis, self.objects)

    def state(self) -> RobotState:
        zeros = np.zeros(SPEC.n)
        level = np.array([1.0, 0.0, 0.0, 0.0])
        return RobotState(
            self.now_ns, 0, self.position, zeros, zeros, self.openings, level, *np.zeros((2, 3))
        )

    def follow(self, frame) -> None:
        self.now_ns += TICK_NS
        self._ramp += 0.06 * (np.array(frame.flags) - self._ramp)
        ahead, aside, turn = 0.02 * self._ramp * [0.3, 0.25, 0.3]
        c, s = np.cos(self.pose.yaw_rad), np.sin(self.pose.yaw_rad)
        self.pose = Pose2(
            self.pose.x_m + c * ahead - s * aside,
            self.pose.y_m + s * ahead + c * aside,
            self.pose.yaw_rad + turn,
        )
        if frame.height_m is not None:
            self.height_m = frame.height_m
        if frame.left is not None:
            joints = self._ik.solve(self.position, frame.left, frame.right, 0.02)
            self.position[SPEC.index(tuple(joints))] = list(joints.values())


def play(operator, sentence: str, puppet: Puppet, each, limit_s: float = 90.0) -> list:
    """Phases in order of their first appearance; ``each(frame)`` after every tick."""
    operator.begin(sentence)
    phases = []
    while puppet.now_ns < limit_s * 1e9:
        frame = operator.act(puppet.view(), puppet.state(), puppet.now_ns)
        puppet.follow(frame)
        each(frame)
        if operator.phase not in phases:
            phases.append(operator.phase)
        if operator.phase is type(operator.phase).DONE:
            return phases
    raise AssertionError(f"still {operator.phase.value} at {limit_s} s")


@pytest.mark.parametrize("seed", range(2))
def test_the_box_operator_goes_through_its_phases_and_the_box_ends_on_the_deck(seed):
    _, data = at_home(seed)
    puppet, operator = Puppet(data), box_loading.BoxLoadingOperator()
    hands = TwoHands(SPEC, box_loading.PALM_M, box_loading.FINGERS_DOWN_RAD)
    Phase, carried = box_loading.Phase, []

    def each(frame) -> None:
        hands.level.follow(puppet.view().pelvis, 1.0)
        if operator.phase in (Phase.LIFT, Phase.RISE, Phase.CARRY, Phase.OVER, Phase.LOWER):
            centre = hands.measured(puppet.state()).centre_m
            heading = matrix_from_rpy((0.0, 0.0, puppet.pose.yaw_rad))
            carried.append(heading @ centre + [puppet.pose.x_m, puppet.pose.y_m, 0.0])
            quaternion = quaternion_from_matrix(
                matrix_from_rpy((0.0, 0.0, puppet.pose.yaw_rad - 0.5 * np.pi))
            )
            puppet.objects[BOX] = ObjectPose(carried[-1], quaternion)
        assert frame.height_m is None or 0.5 < frame.height_m < 0.65

    assert play(operator, BOX_LOADING, puppet, each) == [*Phase]
    cart = puppet.objects[CART]
    offset = matrix_from_quaternion(cart.quaternion_wxyz).T @ (carried[-1] - cart.position_m)
    assert np.all(np.abs(offset[:2]) < np.subtract(DECK_HALF_M, 0.05)), offset
    assert abs(offset[2] - box_loading.DECK_M) < 0.03
    assert max(place[2] for place in carried) > 0.72, "the box is carried above the deck"


def test_the_cart_operator_grabs_again_what_a_claw_missed_and_pushes_straight():
    _, data = at_home(1)
    puppet, operator = Puppet(data), cart_pushing.CartPushingOperator()
    Phase, start, closings = cart_pushing.Phase, puppet.objects[CART], []

    def each(frame) -> None:
        closing = frame.grippers == (0.0, 0.0)
        if closing and operator.phase is Phase.CLOSE and (not closings or closings[-1] != operator.phase):
            closings.append(operator.phase)
        if not closing:
            closings.append(None) if closings and closings[-1] is not None else None
        tries = sum(phase is not None for phase in closings)
        # The first time the right claw closes on nothing.
        puppet.openings = np.array([0.28, 0.0 if tries < 2 else 0.28]) if closing else np.ones(2)
        if operator.phase is Phase.PUSH:
            turn = matrix_from_quaternion(start.quaternion_wxyz)
            gone = puppet.pose.seen_from(pose2(start.position_m, start.quaternion_wxyz))[0]
            ahead = max(0.0, gone - GRIP_M[0] + cart_pushing.STAND_BEHIND_M)
            puppet.objects[CART] = ObjectPose(
                start.position_m + turn @ [ahead, 0.0, 0.0], start.quaternion_wxyz
            )

    phases = play(operator, CART_PUSHING, puppet, each)
    assert Phase.MISSED in phases and phases[-1] is Phase.DONE
    moved = puppet.objects[CART].position_m - start.position_m
    assert np.linalg.norm(moved) >= cart_pushing.PUSH_M
    assert abs(pose2(start.position_m, start.quaternion_wxyz).seen_from(puppet.pose)[2]) < np.radians(6.0)


def test_the_cart_operator_takes_a_grip_again_that_slips_off_while_it_pushes():
    _, data = at_home(1)
    puppet, operator = Puppet(data), cart_pushing.CartPushingOperator()
    Phase, start, pushes, slipped = cart_pushing.Phase, puppet.objects[CART], [], []

    def each(frame) -> None:
        closing = frame.grippers == (0.0, 0.0)
        puppet.openings = np.full(2, 0.28) if closing else np.ones(2)
        if operator.phase is Phase.PUSH:
            pushes.append(puppet.now_ns)
            if len(pushes) == 50:
                puppet.openings[0] = 0.02
                slipped.append(puppet.now_ns)
            turn = matrix_from_quaternion(start.quaternion_wxyz)
            gone = puppet.pose.seen_from(pose2(start.position_m, start.quaternion_wxyz))[0]
            ahead = max(0.0, gone - GRIP_M[0] + cart_pushing.STAND_BEHIND_M)
            puppet.objects[CART] = ObjectPose(
                start.position_m + turn @ [ahead, 0.0, 0.0], start.quaternion_wxyz
            )

    phases = play(operator, CART_PUSHING, puppet, each)
    assert slipped and phases.index(Phase.MISSED) == phases.index(Phase.PUSH) + 1 and phases[-1] is Phase.DONE
    moved = puppet.objects[CART].position_m - start.position_m
    assert np.linalg.norm(moved) >= cart_pushing.PUSH_M


def test_operators_have_the_hands_of_the_robot_that_they_are_given():
    other = replace(SPEC, name="other", nominal_height_m=0.5)
    both = OperatorBySentence(other)
    both.begin(CART_PUSHING)
    assert all(operator._spec is other for operator in both._operators)


def test_a_journey_faces_its_way_and_turns_at_the_end():
    pose, goal, journey, headings = Pose2(0.0, 0.0, 0.0), Pose2(1.0, 0.1, -1.2), Journey(), []
    ramp = np.zeros(3)
    for tick in range(3000):
        flags = journey.flags(pose, goal, tick * TICK_NS)
        ramp += 0.06 * (np.array(flags) - ramp)
        c, s = np.cos(pose.yaw_rad), np.sin(pose.yaw_rad)
        ahead, aside, turn = 0.02 * ramp * [0.3, 0.25, 0.3]
        pose = Pose2(pose.x_m + c * ahead - s * aside, pose.y_m + s * ahead + c * aside, pose.yaw_rad + turn)
        if np.hypot(goal.x_m - pose.x_m, goal.y_m - pose.y_m) > 0.3:
            headings.append(abs(pose.yaw_rad))
        if journey.arrived:
            break
    assert journey.arrived and max(headings) < 0.3
    assert np.all(np.abs(goal.seen_from(pose)) < 1.4 * np.array(journey.config.tolerance))


def test_a_hold_in_the_level_frame_stays_level_while_the_trunk_leans():
    hands = TwoHands(SPEC, box_loading.PALM_M, box_loading.FINGERS_DOWN_RAD)
    state = Puppet(at_home(0)[1]).state()
    lean = quaternion_from_matrix(matrix_from_rpy((0.0, 0.25, 0.4)))
    pelvis = ObjectPose(np.array([1.0, 2.0, 0.5]), lean)
    for _ in range(50):
        hands.feel(View(0, pelvis, {}), state, 0.05)
    wanted = Hold(np.array([0.35, 0.0, 0.55]), 0.15)
    while not hands.move(wanted, Reach(), 0.02):
        pass
    left, right = hands.wrists()
    turn = matrix_from_quaternion(lean)
    palms = []
    for wrist, sign in ((left, 1.0), (right, -1.0)):
        touch = np.array(box_loading.PALM_M) * [1.0, sign, 1.0]
        palm = wrist.position_m + matrix_from_quaternion(wrist.quaternion_wxyz) @ touch
        palms.append(pelvis.position_m + turn @ palm)
    heading = matrix_from_rpy((0.0, 0.0, 0.4))
    middle = heading.T @ (0.5 * (palms[0] + palms[1]) - [1.0, 2.0, 0.0])
    np.testing.assert_allclose(middle, [0.35, 0.0, 0.55], atol=0.012)
    assert palms[0][2] == pytest.approx(palms[1][2], abs=1e-6)
    assert np.linalg.norm(palms[0] - palms[1]) == pytest.approx(0.30, abs=0.021)


def test_one_operator_understands_the_sentences_of_all_tasks_and_says_what_it_expects():
    operator = OperatorBySentence()
    for sentence in (BOX_LOADING, CART_PUSHING, "touch the red ball with your left hand"):
        operator.begin(sentence)
    with pytest.raises(ValueError, match=r"no instruction of reach_table.*; or .*box_loading.*cart_pushing"):
        operator.begin("make coffee")


def test_a_box_before_the_robot_is_lifted_by_friction_through_the_whole_stack(monkeypatch):
    """From the place before the platform, so that no step is needed; the judge must see the grasp."""
    place = (1.0 - PLATFORM_GAP_M) * np.array([np.cos(BOX_BEARING_RAD), np.sin(BOX_BEARING_RAD), 0.0])
    monkeypatch.setitem(
        scenes._FURNISH, "box_cart", lambda scene, rng: furnish_from(scene, rng, place, BOX_BEARING_RAD)
    )
    monkeypatch.setattr("wbvla_sim.tasks.box_loading.verdict", _until_grasped)
    task = find_task("box_loading")
    result = run_trial(SPEC, task, 1, lmo=task.lmo)
    assert result.verdict.subgoals["squat_and_grasp"], result.verdict


def _until_grasped(progress, truth):
    from wbvla_sim.tasks.base import Outcome, Verdict

    over = progress.grasped or truth.fell or truth.time_s > progress.start_s + 20.0
    outcome = Outcome.SUCCESS if progress.grasped else Outcome.FAILED if over else Outcome.RUNNING
    return Verdict(outcome, "", truth.time_s, {"squat_and_grasp": progress.grasped})


def test_a_hold_turns_the_short_way_round():
    hands = TwoHands(SPEC, (0.0, 0.0, -0.1), 0.0)
    here = np.array([0.3, 0.0, 0.8])
    hands.hold = Hold(here, 0.2, 3.0)
    while not hands.move(Hold(here, 0.2, -3.0), Reach(turn_rad_s=0.5), 0.1):
        assert 3.0 <= hands.hold.yaw_rad < 3.4
    assert hands.hold.yaw_rad > 3.2


def first_phase(operator, sentence: str, puppet: Puppet):
    operator.begin(sentence)
    for _ in range(2):  # the deadman is shown released once
        puppet.follow(operator.act(puppet.view(), puppet.state(), puppet.now_ns))
    return operator.phase


def test_an_operator_who_takes_over_goes_on_where_the_work_is():
    _, data = at_home(0)
    puppet, box = Puppet(data), box_loading.BoxLoadingOperator()
    assert first_phase(box, BOX_LOADING, puppet) is box_loading.Phase.WALK
    puppet.objects[BOX] = replace(puppet.objects[BOX], position_m=np.array([0.3, 0.0, 0.8]))
    assert first_phase(box, BOX_LOADING, puppet) is box_loading.Phase.RISE
    assert box._hands.hold.half_gap_m < box_loading.HALF_M, "the box stays pressed"
    on_deck = puppet.objects[CART].position_m + np.array([0.0, 0.0, box_loading.DECK_M])
    puppet.objects[BOX] = replace(puppet.objects[BOX], position_m=on_deck)
    assert first_phase(box, BOX_LOADING, puppet) is box_loading.Phase.RELEASE
    cart = cart_pushing.CartPushingOperator()
    assert first_phase(cart, CART_PUSHING, puppet) is cart_pushing.Phase.WALK
    puppet.openings = np.array([0.28, 0.28])
    assert first_phase(cart, CART_PUSHING, puppet) is cart_pushing.Phase.PUSH
