"""Lock-step plays a script the same way each time, and tells what happened."""

import json

import numpy as np
import pytest
from wbvla_core.kinematics import Kinematics
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import LegWaistCommand, Reason, Source, State
from wbvla_driver.config import DriverConfig
from wbvla_driver.core import DriverCore
from wbvla_lmo_node.core import LmoConfig, LmoCore
from wbvla_sim.lockstep import LockStep, pass_on
from wbvla_sim.lockstep_stage import LockStepStage
from wbvla_sim.plant import Plant
from wbvla_sim.script import (
    Arms,
    Authority,
    AwaitState,
    EStop,
    Hoist,
    Instruct,
    Kill,
    Loco,
    Push,
    Release,
    Say,
    ScriptError,
    Wait,
    play,
)
from wbvla_sim.world import build_world

SPEC = RobotSpec.load("x2_ultra")


class Rigid:
    """A locomotion controller that holds the default pose: enough for a robot in its gantry."""

    name, joint_names, dt_s = "rigid", SPEC.lmo_joints, 0.02

    def __init__(self):
        self._sequence = 0

    def reset(self, state, height_m):
        pass

    def step(self, state, command):
        self._sequence += 1
        legs, zero = SPEC.lmo_index, np.zeros(len(SPEC.lmo_joints))
        return LegWaistCommand(
            self.joint_names, SPEC.default_rad[legs], zero, zero, zero, SPEC.kp[legs], SPEC.kd[legs],
            state.stamp_ns, self._sequence, state.stamp_ns,
        )  # fmt: skip


@pytest.fixture
def make_world():
    def make(seed=0):
        plant = Plant(build_world(SPEC, "empty", seed).model, SPEC, seed=seed)
        driver = DriverCore(SPEC, DriverConfig(), Kinematics(SPEC), Rigid())
        return LockStep(plant, driver, LmoCore(Rigid(), LmoConfig(), pass_on))

    return make


HANGING = (
    Wait(0.3),
    Say("released in the gantry"),
    Release(),
    Authority(Source.TELEOP),
    Loco(0.64),
    Arms({"head_yaw_joint": 0.25, "left_elbow_joint": -0.9, "left_claw_joint": 1.0}),
    AwaitState((State.ACTIVE,)),
    Push((20.0, 0.0, 0.0)),
    Wait(1.5),
    EStop("test"),
    Wait(0.2),
)


def test_same_seed_and_script_give_the_same_bytes(make_world, tmp_path):
    runs = []
    for index, seed in enumerate((5, 5, 6)):
        world = make_world(seed)
        play(HANGING, LockStepStage(world))
        world.log.save(tmp_path / str(index))
        runs.append(
            b"".join((tmp_path / str(index) / f"lockstep.{end}").read_bytes() for end in ("npy", "json"))
        )
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_script_happens_and_the_log_shows_it(make_world, tmp_path):
    world, said = make_world(), []
    reactions = play(HANGING, LockStepStage(world, said.append))
    assert said == ["released in the gantry"]
    assert [(r.reason, r.end_state) for r in reactions] == [(Reason.ESTOP, State.DAMPING)]
    assert reactions[0].detected_ms <= 5.0
    log = world.log
    states = log.column("driver_state")
    assert {State.DAMPING, State.RELEASING, State.STANDING, State.ACTIVE} == {State(int(s)) for s in states}
    following = log.column("qpos")[states == State.ACTIVE][-1]
    address = world.plant._joints[SPEC.index(("left_elbow_joint",))[0]]
    assert following[address] == pytest.approx(-0.9, abs=0.1)
    assert not log.column("fell").any() and log.column("hoisted")[-1]
    assert np.all(np.diff(log.column("time_s")) == pytest.approx(0.02))
    log.save(tmp_path)
    text = json.loads((tmp_path / "lockstep.json").read_text())
    assert [e["reason"] for e in text["events"] if e["state"] == "DAMPING"][-1] == "ESTOP"


def test_the_gantry_lowers_and_raises_at_the_scripts_word(make_world):
    world = make_world()
    stage = LockStepStage(world)
    play((Wait(0.3), Release(), Hoist(1.9, 0.5)), stage)
    stage.wait(1.0)
    assert world.plant.gantry.height_m == pytest.approx(1.9, abs=0.01)
    assert world.plant.pelvis_height_m > 0.9


def test_a_killed_lmo_is_noticed_and_with_no_floor_below_the_robot_damps(make_world):
    reactions = play(
        (Wait(0.3), Release(), Kill("lmo_node", Reason.LMO_LOST, State.DAMPING)), LockStepStage(make_world())
    )
    assert reactions[0].detected_ms <= 60.0 + 25.0


def test_a_killed_driver_leaves_the_robot_damping_within_20_ms_and_some(make_world):
    world = make_world()
    stage = LockStepStage(world)
    play((Wait(0.3), Release()), stage)
    stage.kill("driver", None)
    stage.wait(0.026)
    assert world.plant.state.name == "DAMPING" and world.plant.actuation.watchdog_trips == 1


def test_what_cannot_happen_is_told_with_what_was_seen(make_world):
    stage = LockStepStage(make_world())
    with pytest.raises(ScriptError, match="release"):
        play((Release(),), stage)
    with pytest.raises(
        ScriptError, match=r"waited 0\.2 s for the driver to be ACTIVE; the driver is DAMPING"
    ):
        play((AwaitState((State.ACTIVE,), 0.2),), stage)
    with pytest.raises(ScriptError, match="no VLA"):
        play((Instruct("stand"),), stage)
    with pytest.raises(ScriptError, match="no node"):
        stage.kill("cat", None)
