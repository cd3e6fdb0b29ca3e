"""One trial on the running graph, in real time: reset, stand up, let somebody act, judge."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from wbvla_core.types import Source, State
from wbvla_teleop.devices.scripted import REST

from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.base import Outcome, Task, Verdict
from wbvla_sim.tasks.lockstep_trial import AFTER_S, TrialResult
from wbvla_sim.tasks.referee import Referee
from wbvla_sim.tasks.scribes import Scribe
from wbvla_sim.tasks.supervisor import Supervisor

LOWER_M, LOWER_SPEED_M_S = 0.16, 0.2
"""The robot hangs 10 cm above the floor; the rope is then 6 cm slack."""
SETTLE_S = 1.0
VERDICT_TOPIC = "task/verdict"
"""What the judge says, for people (String, latched)."""


def _nothing(_time_s: float) -> None:
    pass


def run_on_graph(
    supervisor: Supervisor,
    referee: Referee,
    scribe: Scribe,
    task: Task,
    seed: int,
    out: Path,
    keep: bool = True,
    meanwhile: Callable[[float], None] = _nothing,
) -> TrialResult:
    """One trial: reset, stand up, record while the operator or the VLA acts, judge. A failed one, or one not to keep, is
    discarded. ``meanwhile`` is called some 200 times a second with the trial's time [s]; a ScriptError of it ends the
    trial as failed."""
    begin_s = time.monotonic()
    begin_scene(supervisor, task.scene, seed)
    sentence = referee.prepare(task, seed)
    supervisor.wait_for("the new scene", referee.shows, 10.0)
    scribe.open(sentence)
    try:
        stand_up(supervisor, referee)
    except ScriptError as error:
        scribe.discard("did not stand up")
        verdict = Verdict(Outcome.FAILED, f"did not stand up: {error}", 0.0)
        return TrialResult(seed, sentence, verdict, None, 0.0, time.monotonic() - begin_s)
    start_s = time.monotonic()
    name = scribe.start(sentence)
    try:
        verdict = watch(supervisor, referee, meanwhile)
        time.sleep(AFTER_S)
    except BaseException:
        scribe.discard("interrupted")
        raise
    if verdict.success and keep:
        scribe.stop(verdict)
    else:
        scribe.discard(verdict.reason if not verdict.success else "not to be kept")
    end_s = time.monotonic()
    bag = out / name if name else None
    return TrialResult(seed, sentence, verdict, bag, end_s - start_s, end_s - begin_s)


class Hoist(Protocol):
    """Knows where the gantry's bar is."""

    def gantry_height_m(self) -> float:
        """NaN while unhooked or unknown."""
        ...


def begin_scene(supervisor: Supervisor, scene: str, seed: int) -> None:
    """Hang the damped robot up in ``scene``; nobody commands it any more. Raises ScriptError."""
    supervisor.instruct(REST)
    supervisor.call("estop", reason="between trials")
    supervisor.call("sim/reset", task=scene, seed=seed)


def rest(supervisor: Supervisor) -> None:
    """Whoever acts lets go, and the robot stands. Raises ScriptError."""
    supervisor.instruct(REST)
    supervisor.call("set_authority", source=int(Source.NONE))


def stand_up(supervisor: Supervisor, hoist: Hoist) -> None:
    """From hanging in damping to standing on the floor without a rope. Raises ScriptError."""
    supervisor.wait_for("the robot to hang", lambda: math.isfinite(hoist.gantry_height_m()), 5.0)
    time.sleep(0.5)
    supervisor.call("release", hoisted=True)
    supervisor.wait_for_state(State.STANDING, timeout_s=15.0)
    height = hoist.gantry_height_m() - LOWER_M
    supervisor.call("sim/gantry", hooked=True, height=height, speed=LOWER_SPEED_M_S)
    supervisor.wait_for(
        "the rope to hang loose", lambda: supervisor.sim is not None and not supervisor.sim.hoisted, 10.0
    )
    time.sleep(SETTLE_S)
    supervisor.call("sim/gantry", hooked=False, height=0.0, speed=LOWER_SPEED_M_S)


def watch(supervisor: Supervisor, referee: Referee, meanwhile: Callable[[float], None] = _nothing) -> Verdict:
    """Until the judge, the driver's giving up, or a ScriptError of ``meanwhile`` ends the trial."""
    last = Verdict(Outcome.FAILED, "the plant shows another scene", 0.0)
    while True:
        verdict = referee.look()
        if verdict is None or verdict.over:
            return verdict or last
        last = Verdict(Outcome.FAILED, f"the driver went to {supervisor.driver.name}", verdict.time_s)
        if supervisor.driver in (State.DAMPING, State.LAST_RESORT):
            return last
        try:
            meanwhile(verdict.time_s)
        except ScriptError as error:
            return replace(verdict, outcome=Outcome.FAILED, reason=str(error))
        time.sleep(0.005)
