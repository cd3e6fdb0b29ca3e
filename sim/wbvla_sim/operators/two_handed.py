"""What the scripted operators with two hands share: phases one after the other, walking, waiting, the deadman."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import RobotState
from wbvla_teleop.devices.scripted import View
from wbvla_teleop.frame import TeleopFrame, WristPose

from wbvla_sim.operators.two_hands import TwoHands
from wbvla_sim.operators.walk import Journey, Pose2, WalkConfig, pose2

Flags = tuple[int, int, int]
Wrists = tuple[WristPose | None, WristPose | None]
STILL: Flags = (0, 0, 0)
FREE: Wrists = (None, None)
"""The arms stay as they are."""


class TwoHandedOperator(ABC):
    """Goes through ``phases`` in their order, or as ``after`` says; the last one is the end. ``things``: bodies that the
    scene must show; ``dwell_s``: how long a phase stays once its goal has been reached (0.1 s if not named)."""

    phases: ClassVar[type[enum.Enum]]
    things: ClassVar[tuple[str, ...]]
    dwell_s: ClassVar[Mapping[Any, float]] = {}
    after: ClassVar[Mapping[Any, Any]] = {}

    def __init__(self, robot: RobotSpec | str = "x2_ultra") -> None:
        self._spec = robot if isinstance(robot, RobotSpec) else RobotSpec.load(robot)
        self._order = [*self.phases]
        self.phase: Any = self._order[-1]

    def _start(self, hands: TwoHands, walk: WalkConfig) -> None:
        """Begin with the first phase."""
        self._hands, self._walker = hands, Journey(walk)
        self._height_m = self._spec.nominal_height_m
        self._last_ns = 0
        self._there_ns: int | None = None
        self.phase, self._fresh = self._order[0], True

    def act(self, view: View, state: RobotState, now_ns: int) -> TeleopFrame:
        """See :class:`wbvla_teleop.devices.scripted.Operator`. Raises ValueError when the scene lacks a thing."""
        for name in self.things:
            if name not in view.objects:
                shown = ", ".join(view.objects) or "nothing"
                raise ValueError(f"the scene shows no {name}; it shows {shown}")
        if self.over or self._fresh or view.fell:
            # The deadman is shown released once before it is held.
            self._fresh, self._last_ns = False, now_ns
            return TeleopFrame(now_ns, False)
        dt_s = min(max(now_ns - self._last_ns, 0) / NS_PER_S, 0.1)
        self._last_ns = now_ns
        begins = self._hands.hold is None
        self._hands.feel(view, state, dt_s)
        if begins:
            self._enter(self._first(view, state))
        flags, wrists = self._do(view, state, dt_s, now_ns)
        opening = self._opening()
        return TeleopFrame(
            now_ns, not self.over, *wrists, grippers=(opening, opening), flags=flags, height_m=self._height_m
        )

    def _first(self, view: View, state: RobotState) -> Any:
        """The phase to begin with: a later one when another has done part of the work."""
        return self._order[0]

    @property
    def over(self) -> bool:
        """Whether the last phase is reached, or nothing was begun."""
        return self.phase is self._order[-1]

    @abstractmethod
    def _do(self, view: View, state: RobotState, dt_s: float, now_ns: int) -> tuple[Flags, Wrists]:
        """One tick (``dt_s`` after the last one) of the present phase: flags and targets of both wrists."""

    @abstractmethod
    def _opening(self) -> float:
        """Opening of both claws in the present phase, 0..1."""

    def _walk(self, view: View, goal: Pose2, now_ns: int) -> Flags:
        """Walk to ``goal``; the next phase begins on arrival."""
        flags = self._walker.flags(pose2(view.pelvis.position_m, view.pelvis.quaternion_wxyz), goal, now_ns)
        if self._walker.arrived:
            self._enter(self._next())
        return flags

    def _wait(self, there: bool, now_ns: int) -> None:
        """The next phase begins when the goal was ``there`` for as long as the phase dwells."""
        if self._there_ns is None:
            self._there_ns = now_ns if there else None
        elif (now_ns - self._there_ns) / NS_PER_S >= self.dwell_s.get(self.phase, 0.1):
            self._enter(self._next())

    def _next(self) -> Any:
        return self.after.get(
            self.phase, self._order[min(self._order.index(self.phase) + 1, len(self._order) - 1)]
        )

    def _enter(self, phase: Any) -> None:
        self.phase, self._there_ns = phase, None
