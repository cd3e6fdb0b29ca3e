"""The whole stack in one process and virtual time: plant, driver core, locomotion controller, VLA core.

No thread, no clock: one millisecond after the other, every part at its own rate, messages delivered after
fixed delays. The same seed and script give the same bytes. It runs as fast as the machine allows.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import (
    ArmTarget,
    LocoCommand,
    PlantReading,
    Reason,
    RobotState,
    Source,
    State,
)
from wbvla_driver.core import DriverCore
from wbvla_lmo_node.core import LmoCore
from wbvla_vla_node.core import VlaCore

from wbvla_sim.lockstep_log import LockStepLog
from wbvla_sim.plant import Plant
from wbvla_sim.script import Change

MS = 1_000_000
EPOCH_NS = 1_000 * MS
Picture = Callable[[Plant], np.ndarray]
"""Renders the head camera of a plant: RGB uint8 [H, W, 3]."""
Tap = Callable[[str, object, int], None]
"""Told of what the nodes would publish: (``driver`` or a topic's key in the contract, the driver's output or
the value, time of publishing)."""


@dataclass(frozen=True)
class Timing:
    """Periods and delays in ms of virtual time. The delays stand for computing and transport on the real
    graph.
    """

    driver_period: int = 5
    lmo_period: int = 20
    lmo_phase: int = 6
    vla_period: int = 100
    camera_hz: float = 15.0
    teleop_period: int = 50
    log_period: int = 20
    state_delay: int = 2
    lmo_delay: int = 2
    camera_delay: int = 15
    vla_delay: int = 20
    command_delay: int = 1


@dataclass
class _Outage:
    """Nodes that are silent; the time from which on they are back (None: never)."""

    until_ns: dict[str, int | None] = field(default_factory=dict)

    def silent(self, node: str, now_ns: int) -> bool:
        if node not in self.until_ns:
            return False
        until = self.until_ns[node]
        if until is not None and now_ns >= until:
            del self.until_ns[node]
            return False
        return True


class LockStep:
    """Runs the parts against each other. ``run_ms`` advances; ``Stage`` functions are in
    ``lockstep_stage``.
    """

    def __init__(
        self,
        plant: Plant,
        driver: DriverCore,
        lmo: LmoCore,
        vla: VlaCore | None = None,
        *,
        timing: Timing | None = None,
        picture: Picture | None = None,
    ) -> None:
        """``lmo`` must take states as they are (``pass_on`` for decode). ``picture`` renders camera frames
        for the VLA; without it the frames are black (and cost nothing).
        """
        self.plant, self.driver, self.lmo, self.vla = plant, driver, lmo, vla
        self.spec: RobotSpec = plant.spec
        self.timing = timing or Timing()
        self.now_ns = EPOCH_NS
        self.log = LockStepLog(self.spec, plant.model)
        self.changes: list[Change] = []
        self.loco: LocoCommand | None = None
        self.arms: ArmTarget | None = None
        self.teleop: Callable[[int], None] | None = None
        """Called every ``teleop_period`` instead of repeating ``loco`` and ``arms``."""
        self.tap: Tap | None = None
        self.outage = _Outage()
        self.picture = picture or _black
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._sequence = 0
        timing = self.timing
        self._tasks = [
            [EPOCH_NS + phase * MS, round(period * MS), task]
            for phase, period, task in (
                (0, timing.driver_period, self._tick_driver),
                (timing.lmo_phase, timing.lmo_period, self._tick_lmo),
                (3, 1e3 / timing.camera_hz, self._tick_camera),
                (4, timing.vla_period, self._tick_vla),
                (1, timing.teleop_period, self._tick_teleop),
                (0, timing.log_period, self._tick_log),
            )
        ]

    def run_ms(self, milliseconds: int) -> None:
        """Advance virtual time. Raises SimulationError when the physics diverges."""
        for _ in range(milliseconds):
            now_ns = self.now_ns
            while self._due and self._due[0][0] <= now_ns:
                heapq.heappop(self._due)[2]()
            for task in self._tasks:
                if now_ns >= task[0]:
                    task[0] += task[1]
                    task[2](now_ns)
            self.plant.step(now_ns)
            self.now_ns = now_ns + MS

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Have ``action`` done in ``delay_ms``; equal times keep their order."""
        self._order += 1
        heapq.heappush(self._due, (self.now_ns + delay_ms * MS, self._order, action))

    def publish(self, key: str, value: object) -> None:
        """Tell the tap."""
        if self.tap is not None:
            self.tap(key, value, self.now_ns)

    def _tick_driver(self, now_ns: int) -> None:
        if self.outage.silent("driver", now_ns):
            return
        reading: PlantReading | None = self.plant.reading()
        output = self.driver.tick(reading, now_ns)
        self.plant.apply(output.plant_command)
        self.log.set_points(output.plant_command)
        for event in output.events:
            self.log.event(event)
        self._note_change(now_ns)
        self.publish("driver", output)
        if output.robot_state is not None:
            self.later(self.timing.state_delay, lambda state=output.robot_state: self._deliver_state(state))
        if output.loco_command is not None:
            self.later(
                self.timing.command_delay, lambda command=output.loco_command: self._take_loco(command)
            )

    def _note_change(self, now_ns: int) -> None:
        status = self.driver.status()
        last = self.changes[-1] if self.changes else None
        if last is None or (last.state, last.reason) != (status.state, status.reason):
            self.changes.append(Change(now_ns, State(status.state), Reason(status.reason), status.detail))

    def _deliver_state(self, state: RobotState) -> None:
        self.lmo.on_state(cast(bytes, state))
        if self.vla is not None:
            self.vla.on_state(state.stamp_ns, state)

    def _take_loco(self, command: LocoCommand) -> None:
        self.lmo.on_command(command, self.now_ns)

    def _tick_lmo(self, now_ns: int) -> None:
        if self.outage.silent("lmo_node", now_ns):
            return
        set_points = self.lmo.tick(now_ns)
        if set_points is None:
            return
        self.publish("leg_waist_command", set_points)
        self.later(self.timing.lmo_delay, lambda: self.driver.on_leg_waist_command(set_points, self.now_ns))

    def _tick_camera(self, now_ns: int) -> None:
        if (self.vla is None and self.tap is None) or self.outage.silent("camera", now_ns):
            return
        rgb = self.picture(self.plant)

        def deliver() -> None:
            self.driver.camera_seen(self.now_ns)
            self.publish("head_camera", (now_ns, rgb))
            if self.vla is not None:
                self.vla.on_image(now_ns, rgb=rgb)

        self.later(self.timing.camera_delay, deliver)

    def _tick_vla(self, now_ns: int) -> None:
        if self.vla is None or self.outage.silent("vla_node", now_ns):
            return
        self.vla.on_authority(*self.driver.authority)
        self.vla.begin(now_ns)
        self.later(self.timing.vla_delay, self._collect_vla)

    def _collect_vla(self) -> None:
        if self.vla is None or self.outage.silent("vla_node", self.now_ns):
            return
        for commands in self.vla.collect(self.now_ns):
            if commands.loco is not None:
                self.publish("vla_loco_command", commands.loco)
                self.driver.on_loco_command(commands.loco, self.now_ns)
            if commands.arm is not None:
                self.publish("vla_arm_target", commands.arm)
                self.driver.on_arm_target(commands.arm, self.now_ns)

    def _tick_teleop(self, now_ns: int) -> None:
        if self.teleop is not None:
            if not self.outage.silent("teleop_node", now_ns):
                self.teleop(now_ns)
            return
        source, session = self.driver.authority
        if source is not Source.TELEOP or self.outage.silent("teleop_node", now_ns):
            return
        self._sequence += 1
        stamps = {
            "source": Source.TELEOP,
            "session": session,
            "sequence": self._sequence,
            "stamp_ns": now_ns,
            "observation_stamp_ns": now_ns,
        }
        if self.loco is not None:
            loco = replace(self.loco, **stamps)
            self.later(self.timing.command_delay, lambda: self.driver.on_loco_command(loco, self.now_ns))
        if self.arms is not None:
            arms = replace(self.arms, **stamps)
            self.later(self.timing.command_delay, lambda: self.driver.on_arm_target(arms, self.now_ns))

    def _tick_log(self, now_ns: int) -> None:
        self.log.row(now_ns, self.plant, self.driver.state)


def pass_on(state: object) -> RobotState:
    """For ``LmoCore``: here states arrive as what they are, not as bytes."""
    assert isinstance(state, RobotState)
    return state


def _black(plant: Plant) -> np.ndarray:
    return np.zeros((48, 64, 3), dtype=np.uint8)
