"""Merging of upper-body chunks: many overlapping plans in, one continuous motion out.

A chunk says where joints shall be at given times. It arrives late by the latency of whatever made it,
overlaps the chunk before it, and may be the last for a while. Here steps already past are skipped, the rest
is blended in over ``blend_s``, the result is interpolated linearly, limited in range and speed, and held at
its end. In a takeover (another source, or the same one after a break) the speed limit is ``takeover_speed``
until the motion has caught up with the plan.

Joints and grippers are treated alike; "unit" below means rad for joints and opening 0..1 for grippers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wbvla_core.timing import NS_PER_S
from wbvla_core.types import ArmTarget


@dataclass(frozen=True)
class ChunkConfig:
    """``blend_s``: fade from the old plan into the new one; ``takeover_speed`` [unit/s] and
    ``takeover_max_s`` bound the fade of a takeover; ``late_s``: a chunk that ended longer ago is void;
    ``max_knots`` bounds the memory."""

    blend_s: float = 0.2
    takeover_speed: float = 1.0
    takeover_max_s: float = 3.0
    late_s: float = 0.2
    max_knots: int = 256


@dataclass(frozen=True)
class Merge:
    """What became of a chunk: points used and skipped because they were past, and the length of the fade
    [s]."""

    used: int
    skipped: int
    fade_s: float


@dataclass(frozen=True)
class Plan:
    """Piecewise linear motion: rising times [K] in ns, values [K, J]; constant before its first and after its
    last knot."""

    times_ns: np.ndarray
    values: np.ndarray

    def at(self, times_ns: np.ndarray) -> np.ndarray:
        """Values [M, J] at ``times_ns`` [M]."""
        times_ns = np.clip(times_ns, self.times_ns[0], self.times_ns[-1])
        right = np.clip(
            np.searchsorted(self.times_ns, times_ns, side="right"), 1, max(1, len(self.times_ns) - 1)
        )
        if len(self.times_ns) == 1:
            return np.repeat(self.values, len(times_ns), axis=0)
        left = right - 1
        weight = (times_ns - self.times_ns[left]) / (self.times_ns[right] - self.times_ns[left])
        return self.values[left] + weight[:, None] * (self.values[right] - self.values[left])

    def value(self, now_ns: int) -> np.ndarray:
        """Values [J] at one instant; the cheap path of the control loop."""
        times = self.times_ns
        i = int(np.searchsorted(times, now_ns, side="right"))
        if i == 0:
            return self.values[0]
        if i == len(times):
            return self.values[-1]
        weight = (now_ns - int(times[i - 1])) / (int(times[i]) - int(times[i - 1]))
        return self.values[i - 1] + weight * (self.values[i] - self.values[i - 1])


class ChunkMerger:
    """One motion of J joints out of chunks. ``names`` [J]; ``lower``, ``upper`` [J] units; ``speed_limit``
    [J] unit/s.

    Times are integer ns of the clock the caller uses for ``now_ns``.
    """

    FADE_KNOTS = 10
    SHORTEST_FADE_NS = 20_000_000

    def __init__(
        self,
        names: Sequence[str],
        lower: np.ndarray,
        upper: np.ndarray,
        speed_limit: np.ndarray,
        config: ChunkConfig | None = None,
    ) -> None:
        self.names = tuple(names)
        self.config = config or ChunkConfig()
        self._column = {name: i for i, name in enumerate(self.names)}
        self._lower = np.asarray(lower, float)
        self._upper = np.asarray(upper, float)
        self._speed = np.asarray(speed_limit, float)
        self.reset(np.clip(np.zeros(len(self.names)), self._lower, self._upper), 0)

    def reset(self, position: np.ndarray, now_ns: int) -> None:
        """Forget every plan and hold ``position`` [J] (as it is: a measured pose may lie outside the
        limits)."""
        self._output = np.array(position, float)
        self._velocity = np.zeros(len(self.names))
        self._plan = Plan(np.array([now_ns], np.int64), self._output[None, :].copy())
        self._sampled_ns = now_ns
        self._merged_ns: int | None = None
        self._takeover_ns: tuple[int, int] | None = None  # not over before, over at the latest
        self.limited = np.zeros(len(self.names), bool)

    def planned(self, now_ns: int) -> np.ndarray:
        """The plan [J] now, before the limits on range and speed."""
        return self._plan.value(now_ns)

    @property
    def end_ns(self) -> int:
        """When the present plan's last step is due."""
        return int(self._plan.times_ns[-1])

    def hold(self, now_ns: int) -> None:
        """Come to rest soon: what is planned fades into the place it would reach half a fade from now."""
        fade_ns = int(self.config.blend_s * NS_PER_S)
        rest = self._plan.value(now_ns + fade_ns // 2)
        self._blend(Plan(np.array([now_ns], np.int64), rest[None, :]), now_ns, fade_ns, keep_tail=False)

    def merge(
        self, target: ArmTarget, now_ns: int, clock_offset_ns: int = 0, takeover: bool = False
    ) -> Merge:
        """Blend a chunk in. ``clock_offset_ns``: stamp clock minus the clock of ``now_ns``.

        The chunk must have been checked (known names, finite, rising times). One that ended more than
        ``late_s`` ago changes nothing (``used`` 0).
        """
        due_ns = (
            target.observation_stamp_ns - clock_offset_ns + np.asarray(target.time_from_start_ns, np.int64)
        )
        if due_ns[-1] < now_ns - int(self.config.late_s * NS_PER_S):
            return Merge(0, len(due_ns), 0.0)
        columns = np.array([self._column[name] for name in target.joint_names])
        wanted = np.asarray(target.positions, float)
        past = int(np.searchsorted(due_ns, now_ns, side="right"))
        if past == 0:  # the way to the first step begins where the old plan is
            due_ns = np.concatenate(([now_ns], due_ns))
            wanted = np.concatenate((self._plan.value(now_ns)[None, columns], wanted))
            first = 0
        else:  # the last step past anchors the interpolation to the next one
            first = past - 1
        due_ns, wanted = due_ns[first:], wanted[first:]
        partial = len(columns) < len(self.names)
        new = Plan(due_ns, wanted)
        if partial:  # joints that the chunk does not name go on as planned
            times = np.unique(np.concatenate((due_ns, self._future_knots(now_ns))))
            values = self._plan.at(times)
            values[:, columns] = new.at(times)
            new = Plan(times, values)
        else:
            values = np.empty_like(wanted)
            values[:, columns] = wanted
            new = Plan(due_ns, values)
        fade_ns = self._fade_ns(now_ns)
        if takeover:
            longest_ns = int(self.config.takeover_max_s * NS_PER_S)
            self._takeover_ns = (now_ns + fade_ns, now_ns + max(fade_ns, longest_ns))
        self._blend(new, now_ns, fade_ns, keep_tail=partial)
        return Merge(len(target.time_from_start_ns) - past, past, fade_ns / NS_PER_S)

    def sample(self, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Position [J] and velocity [J] of the motion now; call once per control tick with rising times.
        ``limited`` [J] then says where the plan was beyond range or speed."""
        dt_s = min(max(now_ns - self._sampled_ns, 0) / NS_PER_S, 0.05)
        if dt_s > 0.0:
            reach = self._reach(dt_s, now_ns)
            planned = self._plan.value(now_ns)
            wanted = np.clip(planned, self._lower, self._upper) - self._output
            step = np.clip(wanted, -reach, reach)
            behind = wanted != step
            beyond = (planned < self._lower) | (planned > self._upper)
            self.limited = beyond if self._takeover_ns is not None else beyond | behind
            if self._takeover_ns is not None and now_ns >= self._takeover_ns[0] and not behind.any():
                self._takeover_ns = None
            self._output = self._output + step
            self._velocity = step / dt_s
            self._sampled_ns = now_ns
        return self._output, self._velocity

    def _fade_ns(self, now_ns: int) -> int:
        fade_ns = int(self.config.blend_s * NS_PER_S)
        if self._merged_ns is not None:
            fade_ns = min(fade_ns, max(2 * (now_ns - self._merged_ns), self.SHORTEST_FADE_NS))
        self._merged_ns = now_ns
        return fade_ns

    def _reach(self, dt_s: float, now_ns: int) -> np.ndarray:
        """How far each joint may move within ``dt_s``."""
        if self._takeover_ns is None:
            return self._speed * dt_s
        if now_ns >= self._takeover_ns[1]:
            self._takeover_ns = None
        return np.minimum(self._speed, self.config.takeover_speed) * dt_s

    def _future_knots(self, now_ns: int) -> np.ndarray:
        return self._plan.times_ns[self._plan.times_ns > now_ns]

    def _blend(self, new: Plan, now_ns: int, fade_ns: int, keep_tail: bool) -> None:
        """Replace the plan by one that fades from it into ``new`` within ``fade_ns``."""
        old_knots = self._future_knots(now_ns)
        if not keep_tail:
            old_knots = old_knots[old_knots <= now_ns + fade_ns]
        fade_knots = now_ns + np.linspace(0, fade_ns, self.FADE_KNOTS + 1).astype(np.int64)
        times = np.unique(np.concatenate((fade_knots, old_knots, new.times_ns[new.times_ns > now_ns])))
        if len(times) > self.config.max_knots:
            times = np.unique(np.linspace(times[0], times[-1], self.config.max_knots).astype(np.int64))
        weight = np.clip((times - now_ns) / max(fade_ns, 1), 0.0, 1.0)[:, None]
        self._plan = Plan(times, (1.0 - weight) * self._plan.at(times) + weight * new.at(times))
