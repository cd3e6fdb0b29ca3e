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

from wbvla_sim.assemble import assemble
from wbvla_sim.lockstep import LockStep, Timing
from wbvla_sim.lockstep_stage import LockStepStage
from wbvla_sim.plant import PlantConfig
from wbvla_sim.script import Release, ScriptError, Unhook, Wait, play
from wbvla_sim.tasks.base import Outcome, Task, Verdict
from wbvla_sim.tasks.lockstep_bag import LockStepBag
from wbvla_sim.tasks.truth import view_of
from wbvla_sim.world import build_world

CAMERA = "head_cam"
LOOK_MS = 5
STEP_MS = 20
AFTER_S = 0.6
"""What is still recorded after the verdict."""


@dataclass(frozen=True)
class TrialResult:
    """What came of one trial. ``virtual_s`` of the trial proper, ``wall_s`` of everything."""

    seed: int
    sentence: str
    verdict: Verdict
    bag: Path | None
    virtual_s: float
    wall_s: float
    messages: int = 0


class LockStepTeleop:
    """The core of the teleoperation node in a lock-step run, with a scripted operator as its device."""

    def __init__(self, world: LockStep, operator: str, objects: tuple[str, ...]) -> None:
        self._world, self._objects = world, objects
        self.device = ScriptedDevice(load_operator(operator)())
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
    bag: Path | None = None,
    operator_name: str = "script",
    camera: bool = True,
) -> TrialResult:
    """The scripted operator does ``task`` once; with ``bag`` (a folder that does not exist yet) it is recorded,
    pictures included when ``camera``. Raises ValueError, BundleError or BagError."""
    begin_s = time.monotonic()
    objects = build_world(spec, task.scene, seed).movables
    world = assemble(
        spec,
        task=task.scene,
        seed=seed,
        lmo=lmo,
        vla=None,
        camera=CAMERA if bag is not None and camera else None,
        # Feet just above the floor: standing up takes no travel of the gantry.
        plant_config=PlantConfig(clearance_m=0.005),
        timing=Timing(teleop_period=STEP_MS),
    )
    model = world.plant.model
    sentence = task.sentence(model, seed)
    judge = task.judge(model, spec, sentence)
    stage = LockStepStage(world)
    try:
        play((Wait(0.3), Release(), Unhook(), Wait(1.0)), stage)
    except ScriptError as error:
        verdict = Verdict(Outcome.FAILED, f"did not stand up: {error}", 0.0)
        return TrialResult(seed, sentence, verdict, None, 0.0, time.monotonic() - begin_s)
    recorder = None
    if bag is not None:
        recorder = LockStepBag(world, bag.parent, objects, CAMERA)
        recorder.start(bag.name, sentence, operator_name)
    teleop = LockStepTeleop(world, task.operator, objects)
    teleop.device.instruct(sentence)
    start_ns, verdict = world.now_ns, None
    while verdict is None or not verdict.over:
        world.run_ms(LOOK_MS)
        if recorder is not None and (world.now_ns - start_ns) // 1_000_000 % STEP_MS == 0:
            recorder.truth(world.now_ns)
        truth = world.plant.truth
        verdict = judge.look(world.plant.data, (world.now_ns - start_ns) / 1e9, truth.fell)
        if world.driver.state in (State.DAMPING, State.LAST_RESORT) and not verdict.over:
            verdict = replace(verdict, outcome=Outcome.FAILED, reason=f"the driver is {world.driver.state.name}")
    messages = 0
    if recorder is not None:
        world.run_ms(round(AFTER_S * 1000))
        messages = sum(recorder.stop(verdict.success, verdict.reason).values())
    world.driver.set_authority(Source.NONE, world.now_ns)
    return TrialResult(
        seed, sentence, verdict, bag, (world.now_ns - start_ns) / 1e9, time.monotonic() - begin_s, messages
    )
