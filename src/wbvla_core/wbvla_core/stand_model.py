"""The standing robot as a linear model: what 20 ms of posture error, set-points and disturbances do near
equilibrium.

MuJoCo's own finite differences of the full model on its contacts are taken at 1 kHz and composed to the
control step. The state is [pelvis z, roll, pitch | joint angles n | pelvis velocity 3 | angular velocity 3 |
joint speeds n], in world axes, followed by the two actions before, slow upper-body set-points and a slow
force on the trunk. Horizontal place and heading are left out: nothing depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from . import posture
from .model import build_mjspec, joint_addresses
from .robot_spec import RobotSpec

_PHYSICS_MS = 1
_SETTLE_MS = 1500
# How the slow unknowns fade per control step: a raised arm or a leaning hand lasts some seconds.
_FADE = 0.995


@dataclass(frozen=True)
class StandModel:
    """x' = a x + b u + w, y = c x + v near the posture at one height; ``process`` and ``noise`` covariances
    of w and v.

    ``com`` and ``com_velocity`` [2, N] place of the centre of mass over the feet; ``tilt`` [2, N]; ``height``
    [1, N] of the centre of mass; ``driven`` and ``driven_speed`` [m, N]; ``last`` [m, N] the action before;
    ``fall_rad_s`` rate sqrt(g / z) of falling over."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    process: np.ndarray
    noise: np.ndarray
    com: np.ndarray
    com_velocity: np.ndarray
    tilt: np.ndarray
    height: np.ndarray
    driven: np.ndarray
    driven_speed: np.ndarray
    last: np.ndarray
    fall_rad_s: float


@dataclass(frozen=True)
class Disturbances:
    """Sizes (standard deviations) that the design reckons with; per control step where a step is meant."""

    push_n: float = 60.0
    push_vertical_n: float = 20.0
    push_nm: float = 5.0
    joint_nm: float = 2.0
    upper_set_point_rad: float = 0.02
    slow_force_n: float = 1.0
    joint_position_rad: float = 0.01
    joint_velocity_rad_s: float = 0.15
    upper_velocity_rad_s: float = 0.3
    angular_velocity_rad_s: float = 0.05
    gravity: float = 0.01


def linearise(
    spec: RobotSpec,
    table: posture.PostureTable,
    kp: np.ndarray,
    kd: np.ndarray,
    scale: float,
    height_m: float,
    delay_ms: int,
    sizes: Disturbances,
    step_ms: int = 20,
) -> StandModel:
    """The model at ``height_m``, with gains [n], ``scale`` rad per action, and ``delay_ms`` from measurement
    to torque (below ``step_ms``)."""
    model = _on_floor(spec, kp, kd)
    data = _equilibrium(model, spec, table, height_m)
    a1, ctrl1, wrench1 = _transition(model, data, spec)
    nx = len(a1)
    driven = spec.lmo_index
    upper = np.setdiff1d(np.arange(spec.n), driven)
    m, r, f = len(driven), len(upper), 2
    action1, upper1 = ctrl1[:, driven] * kp[driven] * scale, ctrl1[:, upper] * kp[upper]

    step, _ = _compose(a1, action1, step_ms)
    # Held through the step: first the action of ``lag + 1`` steps ago, then that of ``lag`` steps ago.
    lag, first_ms = divmod(delay_ms, step_ms)
    after, later = _compose(a1, action1, step_ms - first_ms)
    actions = [np.zeros_like(action1) for _ in range(3)]
    actions[lag], actions[lag + 1] = later, after @ _compose(a1, action1, first_ms)[1]
    past = nx + 2 * m
    size = past + r + f
    a, b = np.zeros((size, size)), np.zeros((size, m))
    a[:nx, :nx], b[:nx] = step, actions[0]
    a[:nx, nx : nx + m], a[:nx, nx + m : past] = actions[1], actions[2]
    a[:nx, past : past + r] = _compose(a1, upper1, step_ms)[1]
    a[:nx, past + r :] = _compose(a1, wrench1[:, :f], step_ms)[1]
    a[past:, past:] = _FADE * np.eye(r + f)
    b[nx : nx + m] = a[nx + m : past, nx : nx + m] = np.eye(m)

    process = 1e-10 * np.eye(size)
    push = np.array([sizes.push_n, sizes.push_n, sizes.push_vertical_n, *[sizes.push_nm] * 3])
    for effect in (
        _compose(a1, wrench1, step_ms)[1] * push,
        _compose(a1, ctrl1, step_ms)[1] * sizes.joint_nm,
    ):
        process[:nx, :nx] += effect @ effect.T
    slow = np.concatenate([np.full(r, sizes.upper_set_point_rad), np.full(f, sizes.slow_force_n)])
    process[past:, past:] += np.diag(slow**2)

    rows = _outputs(model, data, spec)
    pad = {name: np.hstack([row, np.zeros((len(row), size - nx))]) for name, row in rows.items()}
    last = np.zeros((2 * m, size))
    last[:, nx:past] = np.eye(2 * m)
    position, speed = pad["position"], pad["speed"]
    # The order and unit of the terms of the stand bundle's observation.
    c = np.vstack(
        [position[driven], speed[driven], position[upper], speed[upper], pad["rate"], pad["gravity"], last]
    )
    sigma = np.concatenate(
        [
            np.full(m, sizes.joint_position_rad),
            np.full(m, sizes.joint_velocity_rad_s),
            np.full(r, sizes.joint_position_rad),
            np.full(r, sizes.upper_velocity_rad_s),
            np.full(3, sizes.angular_velocity_rad_s),
            np.full(3, sizes.gravity),
            np.full(2 * m, 1e-3),
        ]
    )
    return StandModel(
        a=a,
        b=b,
        c=c,
        process=process,
        noise=np.diag(sigma**2),
        com=pad["com"][:2],
        com_velocity=pad["com_velocity"][:2],
        tilt=pad["gravity"][:2],
        height=pad["com"][2:],
        driven=position[driven],
        driven_speed=speed[driven],
        last=last[:m],
        fall_rad_s=float(np.sqrt(-model.opt.gravity[2] / data.subtree_com[0, 2])),
    )


def _on_floor(spec: RobotSpec, kp: np.ndarray, kd: np.ndarray) -> mujoco.MjModel:
    builder = build_mjspec(spec, hands=False, visuals=False, bodies_collide=False)
    floor = builder.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 1.0])
    floor.contype = floor.conaffinity = 1
    model = builder.compile()
    # Dry friction has no slope at rest: differences would find every joint stuck.
    model.dof_frictionloss[:] = 0.0
    model.actuator_biasprm[: spec.n, 1], model.actuator_biasprm[: spec.n, 2] = -kp, -kd
    return model


def _equilibrium(
    model: mujoco.MjModel, spec: RobotSpec, table: posture.PostureTable, height_m: float
) -> mujoco.MjData:
    """The posture settled on its contacts, at rest, with set-points that hold it exactly."""
    data = mujoco.MjData(model)
    qpos, _ = joint_addresses(model, spec)
    at = np.array([height_m])
    pose = spec.default_rad.copy()
    pose[spec.lmo_index] = posture.reference(table, at, at)[0]
    lean = np.arcsin(posture.trunk_gravity(table, at)[0, 0])
    data.qpos[:7] = (0.0, 0.0, height_m, np.cos(0.5 * lean), 0.0, np.sin(0.5 * lean), 0.0)
    data.qpos[qpos] = pose
    n = spec.n
    bias, force = model.actuator_biasprm.copy(), model.actuator_forcerange.copy()
    # Standing by itself it would fall: joints as stiff as a statue let only the contacts settle.
    model.actuator_biasprm[:n, 1:3] = (-2e4, -200.0)
    model.actuator_forcerange[:n] = (-1e4, 1e4)
    data.ctrl[:n] = 2e4 * pose
    for _ in range(_SETTLE_MS // _PHYSICS_MS):
        mujoco.mj_step(model, data)
    model.actuator_biasprm[:], model.actuator_forcerange[:] = bias, force
    data.ctrl[:n] = data.actuator_force[:n] - bias[:n, 1] * data.qpos[qpos]
    data.qvel[:] = 0.0
    mujoco.mj_forward(model, data)
    return data


def _transition(
    model: mujoco.MjModel, data: mujoco.MjData, spec: RobotSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One physics step: state, control (actuator force) and trunk wrench, without x, y and heading."""
    nv = model.nv
    a, b = np.zeros((2 * nv, 2 * nv)), np.zeros((2 * nv, model.nu))
    mujoco.mjd_transitionFD(model, data, 1e-6, True, a, b, None, None)
    wrench = _wrench_effect(model, data, spec)
    turn = np.eye(2 * nv)
    turn[3:6, 3:6] = _base_matrix(data)
    keep = np.setdiff1d(np.arange(2 * nv), (0, 1, 5))
    a = turn @ a @ turn.T
    return a[np.ix_(keep, keep)], (turn @ b)[keep], (turn @ wrench)[keep]


def _wrench_effect(model: mujoco.MjModel, data: mujoco.MjData, spec: RobotSpec) -> np.ndarray:
    """Change [2 nv, 6] of the next state per N and N m at the link that carries the arms."""
    trunk = model.body(spec.joints[int(spec.index("arms")[0])].parent).id
    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    saved = np.zeros(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, data, saved, kind)
    effect = np.zeros((2 * model.nv, 6))
    for axis in range(6):
        ends = []
        for size in (0.5, -0.5):
            mujoco.mj_setState(model, data, saved, kind)
            data.xfrc_applied[trunk, axis] = size
            mujoco.mj_step(model, data)
            ends.append((data.qpos.copy(), data.qvel.copy()))
        moved = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, moved, 1.0, ends[1][0], ends[0][0])
        effect[: model.nv, axis] = moved
        effect[model.nv :, axis] = ends[0][1] - ends[1][1]
    mujoco.mj_setState(model, data, saved, kind)
    mujoco.mj_forward(model, data)
    return effect


def _outputs(model: mujoco.MjModel, data: mujoco.MjData, spec: RobotSpec) -> dict[str, np.ndarray]:
    """Rows over the state of one instant for what is measured and what is judged."""
    n, nv = spec.n, model.nv
    size = 2 * nv - 3
    speeds = 3 + n
    place = {"z": 0, "tilt": slice(1, 3), "joints": slice(3, 3 + n)}
    position, speed, rate, gravity = (np.zeros((k, size)) for k in (n, n, 3, 3))
    position[:, place["joints"]] = np.eye(n)
    speed[:, speeds + 6 :] = np.eye(n)
    rate[:, speeds + 3 : speeds + 6] = np.eye(3)
    base = _base_matrix(data)
    down = np.array([0.0, 0.0, -1.0])
    gravity[:, place["tilt"]] = -base.T @ np.cross(np.eye(3)[:2], down).T
    jacobian, foot = np.zeros((3, nv)), np.zeros((3, nv))
    mujoco.mj_jacSubtreeCom(model, data, jacobian, 1)
    for sole in spec.feet:
        mujoco.mj_jacBody(model, data, foot, None, model.body(sole.link).id)
        jacobian -= foot / len(spec.feet)
    com, com_velocity = np.zeros((3, size)), np.zeros((3, size))
    com[:, place["z"]], com[:, place["joints"]] = jacobian[:, 2], jacobian[:, 6:]
    com[:, place["tilt"]] = (jacobian[:, 3:6] @ base.T)[:, :2]
    com_velocity[:, speeds:] = jacobian
    return {
        "position": position,
        "speed": speed,
        "rate": rate,
        "gravity": gravity,
        "com": com,
        "com_velocity": com_velocity,
    }


def _base_matrix(data: mujoco.MjData) -> np.ndarray:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, data.qpos[3:7])
    return matrix.reshape(3, 3)


def _compose(a: np.ndarray, b: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(a^steps, effect of an input held over ``steps``)."""
    power, total = np.eye(len(a)), np.zeros_like(b)
    for _ in range(steps):
        total = total + power @ b
        power = power @ a
    return power, total
