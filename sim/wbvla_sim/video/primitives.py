"""The eight motion primitives of egocentric walking video, and scripts made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRIMITIVES = (
    "advance", "turn", "sidestep", "squat_down", "stand_up", "approach_near", "back_away", "stop_ready",
)  # fmt: skip
"""The eight classes; turn and sidestep go to either side."""
STEP_S = 0.02
_RISE_S = 0.12


@dataclass(frozen=True)
class Domain:
    """Whose head the camera is on. ``eye_m`` height of the camera when standing; ``fall_m`` how far a squat
    lowers it; ``pitch_rad`` below the horizon, ``fov_rad`` vertical; ``bob_m`` and ``sway_rad`` of walking."""

    name: str
    eye_m: tuple[float, float]
    fall_m: float
    pitch_rad: tuple[float, float]
    fov_rad: tuple[float, float]
    bob_m: tuple[float, float]
    sway_rad: tuple[float, float]


# The robot's numbers are those of its head camera and of its locomotion policy's range of heights.
ROBOT = Domain("robot", (1.0, 1.2), 0.24, (0.62, 0.78), (1.14, 1.24), (0.004, 0.015), (0.003, 0.012))
PERSON = Domain("person", (1.35, 1.65), 0.55, (0.5, 0.85), (1.1, 1.45), (0.01, 0.03), (0.005, 0.02))
DOMAINS = {domain.name: domain for domain in (ROBOT, PERSON)}


@dataclass(frozen=True)
class Segment:
    """One primitive for ``seconds``: velocities ahead and to the left [m/s], turning to the left [rad/s], up [m/s]."""

    primitive: str
    seconds: float
    ahead_m_s: float = 0.0
    left_m_s: float = 0.0
    turn_rad_s: float = 0.0
    up_m_s: float = 0.0

    @property
    def velocity(self) -> np.ndarray:
        return np.array([self.ahead_m_s, self.left_m_s, self.turn_rad_s, self.up_m_s])


def draw_script(
    rng: np.random.Generator, domain: Domain, seconds: tuple[float, float]
) -> tuple[list[Segment], float]:
    """Segments lasting ``seconds`` (least, most) together, and how low the wearer is at their begin [m]."""
    primitives = rng.permutation(PRIMITIVES)
    script: list[Segment] = []
    begin_m = domain.fall_m if primitives[0] == "stand_up" else 0.0
    lowered_m = begin_m
    for name in primitives:
        if (name == "squat_down" and lowered_m > 0.0) or (name == "stand_up" and lowered_m == 0.0):
            continue
        segment = _draw(rng, domain, str(name), lowered_m)
        total = segment.seconds + sum(s.seconds for s in script)
        if total > seconds[1]:
            continue
        script.append(segment)
        if segment.up_m_s:
            lowered_m = -segment.up_m_s * segment.seconds if segment.up_m_s < 0.0 else 0.0
        if total >= seconds[0]:
            break
    return script, begin_m


def _draw(rng: np.random.Generator, domain: Domain, name: str, lowered_m: float) -> Segment:
    seconds = float(rng.uniform(2.0, 3.0))
    side = 1.0 if rng.random() < 0.5 else -1.0
    pace = 1.2 if domain is PERSON else 1.0
    if name == "advance":
        return Segment(name, seconds, ahead_m_s=pace * rng.uniform(0.4, 0.75))
    if name == "approach_near":
        return Segment(name, seconds, ahead_m_s=pace * rng.uniform(0.14, 0.28))
    if name == "back_away":
        return Segment(name, seconds, ahead_m_s=-pace * rng.uniform(0.2, 0.45))
    if name == "sidestep":
        return Segment(name, seconds, left_m_s=side * pace * rng.uniform(0.2, 0.45))
    if name == "turn":
        return Segment(name, seconds, turn_rad_s=side * rng.uniform(0.3, 0.8))
    if name in ("squat_down", "stand_up"):
        seconds = float(rng.uniform(1.6, 2.4))
        if name == "stand_up":
            return Segment(name, seconds, up_m_s=lowered_m / seconds)
        return Segment(name, seconds, up_m_s=-domain.fall_m * rng.uniform(0.75, 1.0) / seconds)
    return Segment("stop_ready", seconds)


@dataclass(frozen=True)
class Path:
    """Poses of the wearer at the frames: ``xy_m`` [N, 2], ``yaw_rad`` [N], ``lowered_m`` [N], ``speed`` [N, 4]
    (smoothed velocities), ``phase_rad`` [N] of the steps, ``segment`` [N] index into the script."""

    xy_m: np.ndarray
    yaw_rad: np.ndarray
    lowered_m: np.ndarray
    speed: np.ndarray
    phase_rad: np.ndarray
    segment: np.ndarray

    def ahead(self, frame: int) -> np.ndarray:
        """Unit vector [2] of the heading at a frame."""
        return np.array([np.cos(self.yaw_rad[frame]), np.sin(self.yaw_rad[frame])])


def walk(rng: np.random.Generator, script: list[Segment], lowered_m: float, rate_hz: float) -> Path:
    """Follow ``script`` from the origin, facing +x, velocities rising with a time constant of 0.12 s."""
    x = y = yaw = 0.0
    down, phase = lowered_m, float(rng.uniform(0.0, 2.0 * np.pi))
    cadence = 2.0 * np.pi * rng.uniform(1.5, 2.1)
    speed = script[0].velocity.copy()
    rows = []
    every = round(1.0 / (rate_hz * STEP_S))
    step = 0
    for i, segment in enumerate(script):
        for _ in range(round(segment.seconds / STEP_S)):
            if step % every == 0:
                rows.append((x, y, yaw, down, *speed, phase, i))
            speed += (segment.velocity - speed) * STEP_S / _RISE_S
            ahead, left, turn, up = speed
            x += (ahead * np.cos(yaw) - left * np.sin(yaw)) * STEP_S
            y += (ahead * np.sin(yaw) + left * np.cos(yaw)) * STEP_S
            yaw += turn * STEP_S
            down = max(0.0, down - up * STEP_S)
            phase += cadence * STEP_S
            step += 1
    table = np.array(rows)
    return Path(table[:, :2], table[:, 2], table[:, 3], table[:, 4:8], table[:, 8], table[:, 9].astype(int))
