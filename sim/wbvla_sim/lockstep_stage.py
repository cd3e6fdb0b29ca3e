"""Plays scripts in lock-step: the stage of ``wbvla_sim.script`` in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from wbvla_core.types import ArmTarget, LocoCommand, Reason, Source, State

from wbvla_sim.lockstep import MS, LockStep
from wbvla_sim.script import Change, ScriptError

CHUNK_NS = np.array([100 * MS, 300 * MS], dtype=np.int64)
POLL_MS = 5


class LockStepStage:
    """See ``script.Stage``; waiting advances virtual time."""

    def __init__(self, world: LockStep, say: Callable[[str], None] | None = None) -> None:
        self._world = world
        self._say = say

    def say(self, text: str) -> None:
        if self._say is not None:
            self._say(text)

    def now_ns(self) -> int:
        return self._world.now_ns

    def wait(self, seconds: float) -> None:
        self._world.run_ms(round(seconds * 1000))

    def wait_for(self, what: str, condition: Callable[[], bool], timeout_s: float) -> None:
        """Raises ScriptError when ``condition`` does not come true within ``timeout_s``."""
        end_ns = self._world.now_ns + round(timeout_s * 1e9)
        while not condition():
            if self._world.now_ns >= end_ns:
                last = self._world.changes[-1] if self._world.changes else None
                text = (
                    f"{last.state.name} because of {last.reason.name} ({last.detail})" if last else "silent"
                )
                raise ScriptError(f"waited {timeout_s:g} s for {what}; the driver is {text}")
            self._world.run_ms(POLL_MS)

    def wait_for_state(self, *states: State, timeout_s: float = 10.0) -> None:
        names = " or ".join(state.name for state in states)
        self.wait_for(f"the driver to be {names}", lambda: self._world.driver.state in states, timeout_s)

    def first_change_since(self, time_ns: int, reasons: tuple[Reason, ...], timeout_s: float) -> Change:
        def found() -> list[Change]:
            return [c for c in self._world.changes if c.time_ns >= time_ns and c.reason in reasons]

        self.wait_for(" or ".join(reason.name for reason in reasons), lambda: bool(found()), timeout_s)
        return found()[0]

    def hoisted(self) -> bool:
        return self._world.plant.gantry.hoisted

    def release(self) -> None:
        """Raises ScriptError when the driver refuses."""
        done, sentence = self._world.driver.release(True, self._world.now_ns)
        if not done:
            raise ScriptError(f"release: {sentence}")

    def estop(self, reason: str) -> None:
        self._world.driver.estop(reason, self._world.now_ns)

    def set_authority(self, source: Source) -> None:
        self._world.loco = self._world.arms = None
        self._world.driver.set_authority(source, self._world.now_ns)

    def instruct(self, sentence: str) -> None:
        """Raises ScriptError when there is no VLA, and what the VLA raises for a bad sentence."""
        if self._world.vla is None:
            raise ScriptError("instruct: this lock-step run has no VLA")
        self._world.vla.set_instruction(sentence, self._world.now_ns)

    def loco(self, height_m: float, flags: tuple[int, int, int] = (0, 0, 0)) -> None:
        self._world.loco = LocoCommand(height_m=height_m, flags=flags)

    def arms(self, targets: dict[str, float]) -> None:
        row = np.array(list(targets.values()), dtype=np.float64)
        self._world.arms = ArmTarget(tuple(targets), np.stack([row, row]), CHUNK_NS, 0)

    def gantry(self, height_m: float, speed_m_s: float = 0.1, hooked: bool = True) -> None:
        gantry = self._world.plant.gantry
        if hooked:
            gantry.hook(height_m, speed_m_s)
        else:
            gantry.unhook()

    def push(self, force_n: tuple[float, float, float], duration_s: float, body: str = "torso_link") -> None:
        self._world.plant.push(body, force_n, duration_s)

    def kill(self, node: str, back_after_s: float | None) -> None:
        """``node``: driver, lmo_node, vla_node, teleop_node or camera; raises ScriptError for another."""
        if node not in ("driver", "lmo_node", "vla_node", "teleop_node", "camera"):
            raise ScriptError(f"kill: lock-step has no node {node!r}")
        until = None if back_after_s is None else self._world.now_ns + round(back_after_s * 1e9)
        self._world.outage.until_ns[node] = until
