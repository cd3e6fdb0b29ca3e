"""The first task: scenes within their ranges, a judge that is right, an operator that arrives and touches."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.operators.reach_table import GAP_M, Phase, ReachTableOperator
from wbvla_sim.operators.walk import Pose2, Walker, pose2
from wbvla_sim.scene_parts import TABLE_HALF_M
from wbvla_sim.scenes import build_scene
from wbvla_sim.tasks.base import Outcome, find_task, tasks
from wbvla_sim.tasks.reach_table import parse_sentence, sentence_of
from wbvla_teleop.devices.scripted import ObjectPose, View

SPEC = RobotSpec.load("x2_ultra")
TICK_NS = 20_000_000
ZERO_TURN = np.array([1.0, 0.0, 0.0, 0.0])


def scene(name: str, seed: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build_scene(SPEC, name, seed).compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    return model, data


def view(data: mujoco.MjData, stamp_ns: int, pelvis: ObjectPose) -> View:
    names = [data.model.body(i).name for i in range(data.model.nbody)]
    seen = [name for name in names if name == "table" or name.startswith("ball_")]
    objects = {name: ObjectPose(data.body(name).xpos, data.body(name).xquat) for name in seen}
    return View(stamp_ns, pelvis, objects)


class Legs:
    """How a robot walks by flags, roughly: ramps, wrong speeds, drift."""

    def __init__(self, rng: np.random.Generator, pose: Pose2) -> None:
        self.pose = pose
        self._speed = np.array([0.3, 0.25, 0.3]) * rng.uniform(0.75, 1.2, 3)
        self._drift = rng.uniform(-1, 1, 3) * [0.02, 0.02, 0.12]
        self._ramp = np.zeros(3)

    def walk(self, flags, dt_s: float = 0.02) -> None:
        self._ramp += 0.06 * (np.array(flags) - self._ramp)
        moving = float(np.abs(self._ramp).max())
        ahead, aside, turn = (self._speed * self._ramp + self._drift * moving) * dt_s
        c, s = np.cos(self.pose.yaw_rad), np.sin(self.pose.yaw_rad)
        self.pose = Pose2(
            self.pose.x_m + c * ahead - s * aside,
            self.pose.y_m + s * ahead + c * aside,
            self.pose.yaw_rad + turn,
        )

    def pelvis(self) -> ObjectPose:
        half = 0.5 * self.pose.yaw_rad
        return ObjectPose(
            np.array([self.pose.x_m, self.pose.y_m, 0.64]), np.array([np.cos(half), 0, 0, np.sin(half)])
        )


@pytest.mark.parametrize("seed", range(6))
def test_the_start_is_one_metre_from_the_table_within_its_ranges(seed):
    _, data = scene("reach_table", seed)
    table = data.body("table")
    robot = Pose2(0.0, 0.0, 0.0).seen_from(pose2(table.xpos, table.xquat))
    assert abs(-TABLE_HALF_M[0] - robot[0] - 1.0) <= 0.1001
    assert abs(robot[1]) <= 0.1001 and abs(np.degrees(robot[2])) <= 10.01


def test_scene_and_sentence_follow_from_the_seed_and_vary_with_it():
    task = find_task("reach_table")
    sentences = [task.sentence(scene(task.scene, seed)[0], seed) for seed in range(12)]
    assert sentences == [task.sentence(scene(task.scene, seed)[0], seed) for seed in range(12)]
    colours, hands = zip(*map(parse_sentence, sentences), strict=True)
    assert len(set(colours)) >= 3 and set(hands) == {"left", "right"}


def test_a_sentence_of_another_task_is_refused_with_what_was_expected():
    with pytest.raises(ValueError, match="touch the COLOUR ball"):
        parse_sentence("push the cart ahead")
    task = find_task("reach_table")
    model, _ = scene(task.scene, 0)
    missing = next(c for c in ("red", "green", "blue", "yellow") if f"ball_{c}" not in _bodies(model))
    with pytest.raises(ValueError, match=f"no {missing} ball"):
        task.judge(model, SPEC, sentence_of(missing, "left"))
    with pytest.raises(ValueError, match="choose one of"):
        find_task("juggle")


def _bodies(model: mujoco.MjModel) -> set[str]:
    return {model.body(i).name for i in range(model.nbody)}


def _touch(model: mujoco.MjModel, data: mujoco.MjData, colour: str, hand: str) -> None:
    """Put a ball into a hand."""
    address = int(model.joint(f"ball_{colour}_joint").qposadr[0])
    data.qpos[address : address + 3] = data.site(f"{hand}_claw_grasp").xpos
    mujoco.mj_forward(model, data)


def test_the_judge_wants_the_named_ball_in_the_named_hand():
    task = find_task("reach_table")
    model, _ = scene(task.scene, 0)
    named, other = (name.removeprefix("ball_") for name in sorted(_bodies(model)) if name.startswith("ball_"))
    for colour, hand, outcome in (
        (named, "left", Outcome.SUCCESS),
        (other, "left", Outcome.FAILED),
        (named, "right", Outcome.FAILED),
    ):
        model, data = scene(task.scene, 0)
        judge = task.judge(model, SPEC, sentence_of(named, "left"))
        assert judge.look(data, 0.0, False).outcome is Outcome.RUNNING
        _touch(model, data, colour, hand)
        verdict = judge.look(data, 1.5, False)
        assert verdict.outcome is outcome and verdict.time_s == 1.5, verdict
        assert judge.look(data, 99.0, True) == verdict, "a verdict is final"


def test_a_fall_and_the_end_of_time_are_failures():
    task = find_task("reach_table")
    model, data = scene(task.scene, 0)
    sentence = task.sentence(model, 0)
    judge = task.judge(model, SPEC, sentence)
    judge.look(data, 5.0, False)
    assert judge.look(data, 6.0, True).reason == "the robot fell"
    judge = task.judge(model, SPEC, sentence)
    judge.look(data, 5.0, False)
    assert judge.look(data, 5.0 + task.time_limit_s, False).outcome is Outcome.RUNNING
    assert "not done" in judge.look(data, 5.1 + task.time_limit_s, False).reason


def test_walking_by_flags_arrives_in_spite_of_drift_and_wrong_speeds():
    rng = np.random.default_rng(3)
    for _ in range(40):
        legs = Legs(rng, Pose2(*rng.uniform(-0.1, 0.1, 2), rng.uniform(-0.2, 0.2)))
        goal, walker, now_ns = Pose2(0.7, rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.1)), Walker(), 0
        while not walker.arrived:
            now_ns += TICK_NS
            legs.walk(walker.flags(legs.pose, goal, now_ns))
            assert now_ns < 40e9, "does not arrive"
        error = np.abs(goal.seen_from(legs.pose))
        assert np.all(error <= np.add(walker.config.tolerance, 0.015))


def test_ahead_or_aside_never_both():
    walker, legs, now_ns = Walker(), Legs(np.random.default_rng(0), Pose2(0, 0, 0.3)), 0
    while not walker.arrived:
        now_ns += TICK_NS
        flags = walker.flags(legs.pose, Pose2(0.5, 0.3, 0.0), now_ns)
        assert np.count_nonzero(flags[:2]) <= 1
        legs.walk(flags)


@pytest.mark.parametrize("seed", range(8))
def test_the_operator_walks_until_the_ball_is_in_reach_of_the_named_hand_and_clear_of_the_table(seed):
    task = find_task("reach_table")
    model, data = scene(task.scene, seed)
    operator = ReachTableOperator()
    operator.begin(task.sentence(model, seed))
    legs = Legs(np.random.default_rng(seed), Pose2(0.0, 0.0, 0.0))
    state = _state()
    first = operator.act(view(data, 0, legs.pelvis()), state, 0)
    assert not first.deadman, "the deadman is shown released first"
    now_ns = 0
    while operator.phase in (Phase.LIFT, Phase.WALK):
        now_ns += TICK_NS
        seen = view(data, now_ns, legs.pelvis())
        frame = operator.act(seen, state, now_ns)
        assert frame.deadman
        legs.walk(frame.flags)
        assert now_ns < 45e9, f"still {operator.phase.value}"
    colour, hand = parse_sentence(task.sentence(model, seed))
    place = seen.objects[f"ball_{colour}"].position_m
    ball = Pose2(place[0], place[1], 0.0).seen_from(legs.pose)
    side = 1.0 if hand == "left" else -1.0
    assert 0.26 <= ball[0] <= 0.50 and 0.04 <= side * ball[1] <= 0.32
    table = data.body("table")
    gap = -TABLE_HALF_M[0] - legs.pose.seen_from(pose2(table.xpos, table.xquat))[0]
    assert gap >= GAP_M - 0.08


def _state():
    from wbvla_core.types import RobotState

    zeros = np.zeros(SPEC.n)
    return RobotState(0, 0, SPEC.default_rad, zeros, zeros, np.zeros(2), ZERO_TURN, np.zeros(3), np.zeros(3))


def test_every_task_has_a_scene_and_an_operator_that_understands_its_sentences():
    from wbvla_teleop.devices.scripted import load_operator

    for task in tasks().values():
        model, _ = scene(task.scene, 3)
        load_operator(task.operator)().begin(task.sentence(model, 3))
