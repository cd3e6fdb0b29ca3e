"""Pictures that teach a small model what its sentence speaks of: the twin's tables seen from everywhere, a named ball,
and where it is.

A published language model that sees knows red from blue before it meets a robot. A model trained from scratch does not,
and a hundred demonstrations show it a hundred tables. Here scenes are drawn without physics, the robot's body posed at
random before the table; seeds are apart from those of any trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import mujoco
import numpy as np
from wbvla_core.model import joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion, matrix_from_rpy, quaternion_from_matrix
from wbvla_core.vla_input import shrink_picture

from .configuration import VlaConfig
from .examples import SCENE_NAMES, Examples, Piece, Shape, cached, write_examples

VIEWS = 40
_FIRST_SEED = 7_000_000
"""Far from the seeds of trials."""
TASK, CAMERA = "reach_table", "head_cam"
_BEFORE_M, _ASIDE_M, _TURN_RAD = (0.18, 1.2), 0.5, np.radians(12.0)


def grounding_examples(
    config: VlaConfig,
    folder: Path,
    count: int,
    seed: int = 0,
    states: int = 36,
    actions: int = 20,
    robot: str = "x2_ultra",
    say: Callable[[str], None] = lambda _text: None,
) -> Examples:
    """``count`` examples in ``folder``, made once. Raises wbvla_sim.gl.NoOpenGLError without OpenGL."""
    source = {
        "grounding": count,
        "seed": seed,
        "image": [*config.image.crop, config.image.width],
        "version": 1,
    }
    found = cached(folder, source)
    if found is not None:
        return found
    spec = RobotSpec.load(robot)
    shape = Shape(
        config.image.width, states, config.decoder.chunk, actions, config.code_tokens, len(SCENE_NAMES)
    )
    return write_examples(folder, shape, _pieces(config, spec, count, seed, say), source)


def _pieces(config: VlaConfig, spec: RobotSpec, count: int, seed: int, say: Callable) -> Iterator[Piece]:
    from wbvla_sim.render import Renderer
    from wbvla_sim.tasks.reach_table import HANDS, balls_of, sentence_of
    from wbvla_sim.world import build_world

    camera = next(c for c in spec.cameras if c.name == CAMERA)
    arms = _arm_poses(spec)
    made = number = 0
    while made < count:
        scene_seed = _FIRST_SEED + 100_000 * seed + number
        rng = np.random.default_rng((seed, number, 3))
        model = build_world(spec, TASK, scene_seed).model
        data = mujoco.MjData(model)
        balls = balls_of(model)
        with Renderer(model, camera.width, camera.height) as renderer:
            for colour in balls:
                pictures, states, scenes = [], [], []
                for _ in range(min(VIEWS // len(balls), count - made)):
                    state = _pose(model, data, spec, arms, rng)
                    scene = _scene(model, data, spec, f"ball_{colour}", camera.width / camera.height)
                    if scene is None:
                        continue
                    pictures.append(shrink_picture(renderer.camera(data, CAMERA), config.image))
                    states.append(state)
                    scenes.append(scene)
                if pictures:
                    sentence = sentence_of(colour, HANDS[int(rng.integers(2))])
                    yield Piece(
                        np.stack(pictures), sentence, number, np.stack(states), scene=np.stack(scenes)
                    )
                made += len(pictures)
        number += 1
        say(f"{made} of {count} pictures")


def _pose(
    model: mujoco.MjModel, data: mujoco.MjData, spec: RobotSpec, arms: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Put the robot somewhere before the table, with some pose of its arms; returns its state vector [S]."""
    table = data.model.body("table")
    turn = matrix_from_quaternion(table.quat)
    heading = float(np.arctan2(turn[1, 0], turn[0, 0]))
    edge = float(model.geom("table_top").size[0])
    before, aside = rng.uniform(*_BEFORE_M), rng.uniform(-_ASIDE_M, _ASIDE_M)
    place = table.pos + turn @ np.array([-edge - before, aside, 0.0])
    attitude = matrix_from_rpy((
        rng.normal(0.0, np.radians(2.0)),
        rng.normal(0.0, np.radians(2.0)),
        heading + np.clip(rng.normal(0.0, _TURN_RAD), -0.6, 0.6),
    ))  # fmt: skip
    mujoco.mj_resetData(model, data)
    data.qpos[:3] = [place[0], place[1], spec.nominal_height_m + rng.normal(0.0, 0.012)]
    data.qpos[3:7] = quaternion_from_matrix(attitude)
    joints = spec.default_rad + rng.normal(0.0, 0.02, spec.n)
    index = spec.index("arms")
    for side in range(2):
        if rng.random() < 0.6:
            half = index[7 * side : 7 * side + 7]
            joints[half] = arms[rng.integers(len(arms)), 7 * side : 7 * side + 7]
    joints = np.clip(joints, spec.lower_rad, spec.upper_rad)
    data.qpos[joint_addresses(model, spec)[0]] = joints
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    return np.concatenate((joints, np.zeros(len(spec.hands)), attitude.T @ [0.0, 0.0, -1.0])).astype(
        np.float32
    )


def _scene(
    model: mujoco.MjModel, data: mujoco.MjData, spec: RobotSpec, ball: str, aspect: float
) -> np.ndarray | None:
    """Values of SCENE_NAMES; None when the middle of the ball is not in the picture."""
    place = in_picture(model, data, data.body(ball).xpos, aspect)
    if place is None:
        return None
    pelvis = data.body(spec.base_link)
    turn = pelvis.xmat.reshape(3, 3)
    seen = turn.T @ (data.body(ball).xpos - pelvis.xpos)
    table = data.body("table")
    flat = table.xmat.reshape(3, 3)
    robot = flat.T @ (pelvis.xpos - table.xpos)
    edge = -float(model.geom("table_top").size[0]) - robot[0]
    relative = turn.T @ flat
    return np.array([*seen, edge, robot[1], np.arctan2(relative[1, 0], relative[0, 0]), *place], np.float32)


def in_picture(
    model: mujoco.MjModel, data: mujoco.MjData, point_m: np.ndarray, aspect: float
) -> tuple[float, float] | None:
    """Where the head camera shows a point of the world: right and down of the middle, as shares of the picture's width
    and height; None outside of it."""
    camera = data.camera(CAMERA)
    seen = camera.xmat.reshape(3, 3).T @ (point_m - camera.xpos)
    half = np.tan(0.5 * np.radians(model.camera(CAMERA).fovy[0]))
    if seen[2] >= 0.0:
        return None
    right, down = 0.5 * seen[0] / (-seen[2] * half * aspect), -0.5 * seen[1] / (-seen[2] * half)
    return (float(right), float(down)) if max(abs(right), abs(down)) < 0.5 else None


def _arm_poses(spec: RobotSpec) -> np.ndarray:
    """Poses [K, 14] of both arms reaching."""
    from wbvla_training.lmo.cli import PACKAGED_CLIPS
    from wbvla_training.lmo.clips import load

    clips = load(PACKAGED_CLIPS, spec)
    return clips.reshape(-1, clips.shape[-1])[::25]
