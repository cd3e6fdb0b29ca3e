"""One trial of a task in lock-step: stand up, have the scripted operator or a policy do it, judge, record."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Source, State
from wbvla_driver.core import DriverOutput
from wbvla_teleop.core import TeleopCore
from wbvla_teleop.devices.scripted import ScriptedDevice, load_operator
from wbvla_teleop.ik import DualArmIk
from wbvla_teleop.retarget import Retargeter

from wbvla_sim.assemble import HeadCamera, assemble
from wbvla_sim.lockstep import EPOCH_NS, MS, LockStep, Timing
from wbvla_sim.lockstep_stage import LockStepStage
from wbvla_sim.plant import PlantConfig
from wbvla_sim.script import Release, ScriptError, Unhook, Wait, play
from wbvla_sim.tasks.base import Judge, Outcome, Task, Verdict
from wbvla_sim.tasks.collect import INTERRUPTED
from wbvla_sim.tasks.lockstep_bag import LockStepBag
from wbvla_sim.tasks.trial_film import TrialFilm
from wbvla_sim.tasks.trial_watch import TrialNotes, TrialWatch
from wbvla_sim.tasks.truth import view_of
from wbvla_sim.world import build_world

CAMERA = "head_cam"
OPERATOR = "operator"
ANY_OPERATOR = "wbvla_sim.operators.by_sentence:OperatorBySentence"
LOOK_MS = 5
STEP_MS = 20
AFTER_S = 0.6
"""What is still recorded after the verdict."""


@dataclass(frozen=True)
class TrialResult:
    """What came of one trial. ``virtual_s`` and ``wall_s`` from the start of the run, standing up included; ``notes``:
    what safety layer and commands did."""

    seed: int
    sentence: str
    verdict: Verdict
    bag: Path | None
    virtual_s: float
    wall_s: float
    messages: int = 0
    notes: TrialNotes | None = None


class LockStepTeleop:
    """The core of the teleoperation node in a lock-step run, with a scripted operator as its device."""

    def __init__(self, world: LockStep, operator: str, objects: tuple[str, ...]) -> None:
        self._world, self._objects = world, objects
        self.device = ScriptedDevice(load_operator(operator)(world.spec))
        self.device.open()
        self.core = TeleopCore(Retargeter(world.spec, DualArmIk(world.spec)))
        tap, world.teleop = world.tap, self._tick

        def listen(key: str, value: object, now_ns: int) -> None:
            if isinstance(value, DriverOutput) and value.robot_state is not None:
                self.core.on_state(value.robot_state)
                self.device.feel(value.robot_state)
            if tap is not None:
                tap(key, value, now_ns)

        world.tap = listen

    def _tick(self, now_ns: int) -> None:
        world = self._world
        self.core.on_authority(*world.driver.authority)
        self.device.see(view_of(world.plant, self._objects, now_ns))
        output = self.core.tick(self.device.read(now_ns), now_ns)
        if output.authority is not None:
            world.driver.set_authority(output.authority, now_ns)
        delay = world.timing.command_delay
        if output.arm is not None:
            world.publish("teleop_arm_target", output.arm)
            world.later(delay, lambda arm=output.arm: world.driver.on_arm_target(arm, world.now_ns))
        if output.loco is not None:
            world.publish("teleop_loco_command", output.loco)
            world.later(delay, lambda loco=output.loco: world.driver.on_loco_command(loco, world.now_ns))


def run_trial(
    spec: RobotSpec,
    task: Task,
    seed: int,
    *,
    lmo: str,
    policy: str = OPERATOR,
    bag: Path | None = None,
    operator_name: str = "script",
    camera: bool = True,
    sentence: str | None = None,
    film: Path | None = None,
    blind: bool = False,
    swap: bool = False,
    takeover_s: float | None = None,
) -> TrialResult:
    """One trial of ``task`` by the scripted operator or by a VLA bundle ``policy``; with ``takeover_s`` the policy begins
    and after this time the operator goes on, from where recording begins: a correction. Nothing is recorded (``bag``
    None in the result) when the policy ends the trial before.

    With ``bag`` (a folder that does not exist yet) it is recorded, pictures included when ``camera``; a failed
    trial's episode is discarded. ``film`` is an MP4 file to write. ``sentence`` tells the robot something else than the
    judge looks for; ``swap`` lets the task choose what. ``blind``: the policy sees black pictures. Raises ValueError,
    BundleError or BagError."""
    begin_s = time.monotonic()
    objects = build_world(spec, task.scene, seed).movables
    world = assemble(
        spec,
        task=task.scene,
        seed=seed,
        lmo=lmo,
        vla=None if policy == OPERATOR else policy,
        # Feet just above the floor: standing up takes no travel of the gantry.
        plant_config=PlantConfig(clearance_m=0.005),
        timing=Timing(teleop_period=STEP_MS),
    )
    asked = task.sentence(world.plant.model, seed)
    judge = task.judge(world.plant.model, spec, asked)
    if swap:
        if task.swapped is None:
            raise ValueError(f"task {task.name} has no other thing to ask for")
        sentence = task.swapped(world.plant.model, asked)
    sentence = sentence or asked
    try:
        play((Wait(0.3), Release(), Unhook(), Wait(1.0)), LockStepStage(world))
    except ScriptError as error:
        verdict = Verdict(Outcome.FAILED, f"did not stand up: {error}", 0.0)
        return TrialResult(seed, sentence, verdict, None, 0.0, time.monotonic() - begin_s)
    seeing = (policy != OPERATOR and not blind) or (bag is not None and camera)
    eyes = HeadCamera(spec, CAMERA) if seeing else None
    world.picture = eyes or world.picture
    recorder, messages = None, {}
    movie = None if film is None else TrialFilm(film, world.plant)
    start_ns = world.now_ns
    verdict = None
    try:
        if world.vla is not None:
            world.vla.set_instruction(sentence, world.now_ns)
            world.driver.set_authority(Source.VLA, world.now_ns)
        if takeover_s is not None:
            verdict = _watch(world, judge, start_ns, None, movie, start_ns + round(takeover_s * 1e9))
            bag = None if verdict.over else bag
            world.vla = None
        if bag is not None:
            recorder = LockStepBag(world, bag.parent, objects, CAMERA)
            recorder.start(bag.name, sentence, operator_name)
        if world.vla is None:
            operator = task.operator if sentence == asked else ANY_OPERATOR
            LockStepTeleop(world, operator, objects).device.instruct(sentence)
        watch = TrialWatch(world)
        if verdict is None or not verdict.over:
            verdict = _watch(world, judge, start_ns, recorder, movie)
        if recorder is not None:
            world.run_ms(round(AFTER_S * 1000))
            messages = recorder.stop(verdict.success, verdict.reason)
            if not verdict.success:
                recorder.discard(verdict.reason)
    except BaseException:
        if recorder is not None:
            recorder.discard(INTERRUPTED)
        raise
    finally:
        if eyes is not None:
            eyes.close()
        if movie is not None:
            movie.close()
    count = sum(messages.values())
    virtual_s = (world.now_ns - EPOCH_NS) / 1e9
    wall_s = time.monotonic() - begin_s
    return TrialResult(seed, sentence, verdict, bag, virtual_s, wall_s, count, watch.notes())


def _watch(
    world: LockStep,
    judge: Judge,
    start_ns: int,
    recorder: LockStepBag | None,
    movie: TrialFilm | None,
    until_ns: int | None = None,
) -> Verdict:
    """Run until the judge, or the driver's giving up, ends the trial that began at ``start_ns``; or until ``until_ns``."""
    while True:
        world.run_ms(LOOK_MS)
        if recorder is not None and (world.now_ns - start_ns) // MS % STEP_MS == 0:
            recorder.truth(world.now_ns)
        if movie is not None:
            movie.look(world.plant, world.now_ns)
        fell = world.plant.truth.fell
        verdict = judge.look(world.plant.data, (world.now_ns - start_ns) / 1e9, fell)
        if verdict.over or (until_ns is not None and world.now_ns >= until_ns):
            return verdict
        if world.driver.state in (State.DAMPING, State.LAST_RESORT):
            reason = f"the driver went to {world.driver.state.name}"
            return replace(verdict, outcome=Outcome.FAILED, reason=reason)
