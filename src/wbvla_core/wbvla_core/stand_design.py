"""Linear feedback for standing: one gain matrix from observation to action, best over several heights and
delays.

For each model the cost is the stationary mean of x'Qx and of action and action rate, under pushes, arm motion
and sensor noise. The gain is static (it sees one observation, which holds the action before), so that it is
one matrix product in the bundle. Start: the linear-quadratic regulator at one height, fed with the best
linear estimate of the state from one observation; then descent on the summed cost, first with firm weights,
then with those asked for, whose gradient two Lyapunov equations give (Levine and Athans, 1970), each step
scaled by the mean curvature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .stand_model import StandModel


@dataclass(frozen=True)
class Weights:
    """Square roots of the weights: of the centre of mass and of its capture point over the feet [1/m], of
    tilt, height [1/m], joints [1/rad] and their speeds; weights of the action, of the ankles' action and of
    the action's change."""

    com: float = 10.0
    capture: float = 30.0
    tilt: float = 8.0
    height: float = 20.0
    joints: float = 1.0
    speeds: float = 0.05
    action: float = 15.0
    ankles: float = 15.0
    knees: float = 15.0
    change: float = 15.0


# Firmer feedback, found more easily: one gain of this kind holds every height, where a soft one holds its own
# only. It would be worse in use, because it chatters when a foot tips and the latency is above 12 ms.
FIRM = Weights(com=30.0, capture=120.0, action=0.3, ankles=3.0, knees=0.3, change=10.0)


@dataclass(frozen=True)
class _Problem:
    """A model with its cost x'Qx + 2 x'Nu + u'Ru."""

    model: StandModel
    q: np.ndarray
    r: np.ndarray
    n: np.ndarray


@dataclass(frozen=True)
class _Slope:
    cost: float
    gradient: np.ndarray
    left: np.ndarray
    right: np.ndarray


def design(
    models: list[StandModel],
    ankles: np.ndarray,
    knees: np.ndarray,
    weights: Weights,
    symmetric: Callable[[np.ndarray], np.ndarray],
    steps: int = 60,
) -> np.ndarray:
    """Gain [m, O] with action = gain @ observation.

    ``ankles`` and ``knees`` columns of the action; ``symmetric`` projects a gain onto those that treat left
    and right alike. Raises ValueError when no gain stands at one of the models."""
    problems = [_problem(model, ankles, knees, FIRM) for model in models]
    gain = _start(problems[0], symmetric)
    for count in range(1, len(problems) + 1):
        if not np.isfinite(_cost(gain, problems[:count])):
            raise ValueError(
                f"the feedback found for {count - 1} models does not hold model {count}; order them closer"
            )
        gain = _descend(gain, problems[:count], symmetric, steps // 3)
    gain = _descend(gain, [_problem(model, ankles, knees, weights) for model in models], symmetric, steps)
    return -gain


def spectral_radius(model: StandModel, gain: np.ndarray) -> float:
    """Largest eigenvalue magnitude of the closed loop; below 1 it stands."""
    return float(np.abs(np.linalg.eigvals(model.a + model.b @ gain @ model.c)).max())


def _problem(model: StandModel, ankles: np.ndarray, knees: np.ndarray, weights: Weights) -> _Problem:
    rows = np.vstack(
        [
            model.com * weights.com,
            (model.com + model.com_velocity / model.fall_rad_s) * weights.capture,
            model.tilt * weights.tilt,
            model.height * weights.height,
            model.driven * weights.joints,
            model.driven_speed * weights.speeds,
        ]
    )
    m = model.b.shape[1]
    effort = np.full(m, weights.action)
    effort[ankles], effort[knees] = weights.ankles, weights.knees
    q = rows.T @ rows + weights.change * model.last.T @ model.last + 1e-8 * np.eye(len(model.a))
    return _Problem(model, q, np.diag(effort) + weights.change * np.eye(m), -weights.change * model.last.T)


def _start(problem: _Problem, symmetric: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Regulator gain times the estimator of the state from one observation, under the regulator's own
    covariance.

    Raises ValueError when that does not stand, even for an estimator that trusts the sensors more than it
    should."""
    model = problem.model
    regulator = _regulator(problem)
    covariance = _lyapunov(model.a - model.b @ regulator, model.process)
    seen = model.c @ covariance
    for trust in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        estimator = np.linalg.solve(seen @ model.c.T + trust**2 * model.noise, seen).T
        gain = symmetric(regulator @ estimator)
        if np.isfinite(_cost(gain, [problem])):
            return gain
    raise ValueError("no linear feedback found that stands at the first design point")


def _regulator(problem: _Problem) -> np.ndarray:
    """Gain of the discrete Riccati equation, by structure-preserving doubling."""
    model, inverse = problem.model, np.linalg.inv(problem.r)
    a = model.a - model.b @ inverse @ problem.n.T
    s = model.b @ inverse @ model.b.T
    h = problem.q - problem.n @ inverse @ problem.n.T
    for _ in range(60):
        between = np.linalg.inv(np.eye(len(a)) + s @ h)
        grown = h + a.T @ h @ between @ a
        s, a = s + a @ between @ s @ a.T, a @ between @ a
        done = np.abs(grown - h).max() < 1e-9 * np.abs(grown).max()
        h = grown
        if done:
            break
    return np.linalg.solve(problem.r + model.b.T @ h @ model.b, model.b.T @ h @ model.a + problem.n.T)


def _descend(
    gain: np.ndarray, problems: list[_Problem], symmetric: Callable[[np.ndarray], np.ndarray], steps: int
) -> np.ndarray:
    slope, size = _slope(gain, problems), 1.0
    for _ in range(steps):
        towards = np.linalg.solve(slope.left, slope.gradient) @ np.linalg.inv(slope.right)
        direction = -0.5 * len(problems) * symmetric(towards)
        size = min(1.0, 2.0 * size)
        while size > 1e-6 and not (cost := _cost(gain + size * direction, problems)) < slope.cost:
            size *= 0.5
        if size <= 1e-6:
            break
        gained = (slope.cost - cost) / slope.cost
        gain = gain + size * direction
        if gained < 1e-5:
            break
        slope = _slope(gain, problems)
    return gain


def _cost(gain: np.ndarray, problems: list[_Problem]) -> float:
    """Summed cost, infinite when a loop does not stand."""
    total = 0.0
    for problem in problems:
        loop, cost = _closed(gain, problem)
        covariance = _lyapunov(loop, _input_noise(gain, problem))
        if not np.isfinite(covariance).all():
            return np.inf
        value = float(np.sum(cost * covariance) + np.sum((gain.T @ problem.r @ gain) * problem.model.noise))
        if not 0.0 <= value < 1e9:
            return np.inf
        total += value
    return total


def _slope(gain: np.ndarray, problems: list[_Problem]) -> _Slope:
    """Cost, gradient and the two factors of its curvature."""
    gradient: np.ndarray | float = 0.0
    left: np.ndarray | float = 0.0
    right: np.ndarray | float = 0.0
    for problem in problems:
        model = problem.model
        loop, cost = _closed(gain, problem)
        covariance = _lyapunov(loop, _input_noise(gain, problem))
        worth = _lyapunov(loop.T, cost)
        worth = 0.5 * (worth + worth.T)
        seen = covariance @ model.c.T
        spread = model.c @ seen + model.noise
        gradient = gradient + 2.0 * (
            problem.r @ gain @ spread
            - problem.n.T @ seen
            - model.b.T @ worth @ loop @ seen
            + model.b.T @ worth @ model.b @ gain @ model.noise
        )
        left = left + problem.r + model.b.T @ worth @ model.b
        right = right + spread
    return _Slope(_cost(gain, problems), np.asarray(gradient), np.asarray(left), np.asarray(right))


def _closed(gain: np.ndarray, problem: _Problem) -> tuple[np.ndarray, np.ndarray]:
    """Closed loop under u = -gain y, and the cost of its state."""
    seen = gain @ problem.model.c
    cross = problem.n @ seen
    return problem.model.a - problem.model.b @ seen, problem.q + seen.T @ problem.r @ seen - cross - cross.T


def _input_noise(gain: np.ndarray, problem: _Problem) -> np.ndarray:
    spread = problem.model.b @ gain
    return problem.model.process + spread @ problem.model.noise @ spread.T


def _lyapunov(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """P = a P a' + w by doubling; entries grow without bound (to infinity at last) when ``a`` is not
    stable."""
    p, power = w, a
    for _ in range(40):
        grown = p + power @ p @ power.T
        if np.abs(grown - p).max() < 1e-9 * np.abs(grown).max():
            return grown
        if not np.abs(grown).max() < 1e15:
            return np.full_like(grown, np.inf)
        p, power = grown, power @ power
    return p
