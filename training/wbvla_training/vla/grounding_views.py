"""Views of the scenes of the tasks without physics: the robot posed somewhere on its way, and where the named thing is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np
from wbvla_core.model import joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion, matrix_from_rpy, quaternion_from_matrix
from wbvla_core.vla_bundle import ImageSection
from wbvla_core.vla_input import shrink_picture

CAMERA = "head_cam"
Views = tuple[str, np.ndarray, np.ndarray, np.ndarray]
"""Sentence, pictures uint8 [V, h, w, 3], states [V, S] and scenes [V, 8] (see examples.SCENE_NAMES)."""
_BALL_VIEWS, _BOX_CART_VIEWS = 20, 13
_BEFORE_M, _ASIDE_M, _TURN_RAD = (0.18, 1.2), 0.5, np.radians(12.0)
_STRAY_M, _STRAY_RAD = 0.07, np.radians(8.0)
"""Standard deviations about the way that an operator takes."""
_HELD_M, _HELD_STRAY_M = np.array([0.29, 0.0, 0.17]), np.array([0.03, 0.03, 0.05])
"""The middle of a held box before the pelvis."""


@dataclass(frozen=True)
class Target:
    """What a sentence speaks of, in the world: a point of it [3], the frame in which one stands before it (position
    [3], rotation [3, 3] with x away from the robot) and how far its near edge is from that frame's origin."""

    point_m: np.ndarray
    place_m: np.ndarray
    turn: np.ndarray
    edge_m: float


@dataclass(frozen=True)
class Pose:
    """A robot on the floor."""

    x_m: float
    y_m: float
    yaw_rad: float


class _Stage:
    """A compiled scene with the robot's body in it, to be posed and seen through its head camera."""

    def __init__(self, spec: RobotSpec, image: ImageSection, scene: str, seed: int) -> None:
        from wbvla_sim.render import Renderer
        from wbvla_sim.world import build_world

        self.spec, self._image = spec, image
        self.model = build_world(spec, scene, seed).model
        self.data = mujoco.MjData(self.model)
        camera = next(c for c in spec.cameras if c.name == CAMERA)
        self._aspect = camera.width / camera.height
        self._renderer = Renderer(self.model, camera.width, camera.height)
        self._joints = joint_addresses(self.model, spec)[0]

    def __enter__(self) -> _Stage:
        self._renderer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._renderer.__exit__(*error)

    def pose(self, at: Pose, joints_rad: np.ndarray, drop_m: float, rng: np.random.Generator) -> np.ndarray:
        """Put the robot there, a little tilted; returns its state vector [S]. The scene must be looked at next."""
        spec, data = self.spec, self.data
        tilt = rng.normal(0.0, np.radians(2.0), 2)
        attitude = matrix_from_rpy((tilt[0], tilt[1], at.yaw_rad))
        data.qpos[:3] = [at.x_m, at.y_m, spec.nominal_height_m + rng.normal(0.0, 0.012) - drop_m]
        data.qpos[3:7] = quaternion_from_matrix(attitude)
        joints = np.clip(joints_rad, spec.lower_rad, spec.upper_rad)
        data.qpos[self._joints] = joints
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_comPos(self.model, data)
        mujoco.mj_camlight(self.model, data)
        hands = np.zeros(len(spec.hands))
        return np.concatenate((joints, hands, attitude.T @ [0.0, 0.0, -1.0])).astype(np.float32)

    def picture(self) -> np.ndarray:
        """What the head camera sees, as the model takes it."""
        return shrink_picture(self._renderer.camera(self.data, CAMERA), self._image)

    def scene(self, target: Target) -> np.ndarray:
        """Values of SCENE_NAMES; the place in the picture is NaN when it is outside."""
        pelvis = self.data.body(self.spec.base_link)
        turn = pelvis.xmat.reshape(3, 3)
        seen = turn.T @ (target.point_m - pelvis.xpos)
        robot = target.turn.T @ (pelvis.xpos - target.place_m)
        relative = turn.T @ target.turn
        yaw = np.arctan2(relative[1, 0], relative[0, 0])
        place = in_picture(self.model, self.data, target.point_m, self._aspect, self._image.crop)
        place = place or (np.nan, np.nan)
        return np.array([*seen, -target.edge_m - robot[0], robot[1], yaw, *place], np.float32)

    def frame(self, body: str) -> tuple[np.ndarray, np.ndarray]:
        """Position [3] and rotation [3, 3] of a body of the scene."""
        found = self.data.body(body)
        return found.xpos.copy(), found.xmat.reshape(3, 3).copy()


def reach_table_views(
    spec: RobotSpec, image: ImageSection, seed: int, rng: np.random.Generator
) -> Iterator[Views]:
    """Both balls of a table, each named once; views that do not show the ball are left out."""
    from wbvla_sim.tasks.reach_table import HANDS, balls_of, sentence_of

    with _Stage(spec, image, "reach_table", seed) as stage:
        arms = _reaching_arms(spec.name)
        table, edge = stage.model.body("table"), float(stage.model.geom("table_top").size[0])
        turn = matrix_from_quaternion(table.quat)
        heading = float(np.arctan2(turn[1, 0], turn[0, 0]))
        for colour in balls_of(stage.model):
            rows = []
            for _ in range(_BALL_VIEWS):
                before, aside = rng.uniform(*_BEFORE_M), rng.uniform(-_ASIDE_M, _ASIDE_M)
                x, y = (table.pos + turn @ np.array([-edge - before, aside, 0.0]))[:2]
                at = Pose(float(x), float(y), heading + float(np.clip(rng.normal(0.0, _TURN_RAD), -0.6, 0.6)))
                mujoco.mj_resetData(stage.model, stage.data)
                state = stage.pose(at, _joints(spec, arms, rng), 0.0, rng)
                target = Target(stage.frame(f"ball_{colour}")[0], table.pos, turn, edge)
                scene = stage.scene(target)
                if not np.isnan(scene).any():
                    rows.append((stage.picture(), state, scene))
            if rows:
                yield _stack(sentence_of(colour, HANDS[int(rng.integers(2))]), rows)


def box_cart_views(
    spec: RobotSpec, image: ImageSection, seed: int, rng: np.random.Generator
) -> Iterator[Views]:
    """The ways to the box, with the box to the cart, and to the cart's grips; what is meant may be out of the picture."""
    from wbvla_sim import cart
    from wbvla_sim.operators.box_loading import BOX_AHEAD_M, PLACE_GAP_M
    from wbvla_sim.operators.cart_pushing import STAND_BEHIND_M
    from wbvla_sim.scene_parts import PLATFORM_HALF_M
    from wbvla_sim.tasks.box_cart_scene import BOX, CART, PLATFORM
    from wbvla_sim.tasks.sentences import BOX_LOADING, CART_PUSHING

    with _Stage(spec, image, "box_cart", seed) as stage:
        mujoco.mj_kinematics(stage.model, stage.data)
        arms, holding = _reaching_arms(spec.name), _holding_arms(spec.name)
        platform, deck, box = stage.frame(PLATFORM), stage.frame(CART), stage.frame(BOX)
        start = Pose(0.0, 0.0, 0.0)
        at_box = _before(platform, float((platform[1].T @ (box[0] - platform[0]))[0]) - BOX_AHEAD_M)
        at_deck = _before(deck, -cart.DECK_HALF_M[0] - PLACE_GAP_M)
        at_grips = _before(deck, cart.GRIP_M[0] - STAND_BEHIND_M)
        on_deck = deck[0] + deck[1] @ [-cart.DECK_HALF_M[0], 0.0, cart.DECK_HEIGHT_M]
        grips = deck[0] + deck[1] @ [cart.GRIP_M[0], 0.0, cart.GRIP_TOP_M]
        ways = (
            (BOX_LOADING, start, at_box, Target(box[0], *platform, PLATFORM_HALF_M[0]), False),
            (BOX_LOADING, at_box, at_deck, Target(on_deck, *deck, cart.DECK_HALF_M[0]), True),
            (CART_PUSHING, start, at_grips, Target(grips, *deck, -cart.GRIP_M[0]), False),
        )
        address = int(stage.model.joint(f"{BOX}_joint").qposadr[0])
        for sentence, begin, end, target, held in ways:
            rows = []
            for _ in range(_BOX_CART_VIEWS):
                mujoco.mj_resetData(stage.model, stage.data)
                joints = _joints(spec, holding if held else arms, rng, always=held)
                drop = float(rng.uniform(0.0, 0.05)) if rng.random() < 0.4 else 0.0
                at = _on_the_way(begin, end, rng)
                if held:
                    _put_in_hands(stage, address, at, rng)
                state = stage.pose(at, joints, drop, rng)
                rows.append((stage.picture(), state, stage.scene(target)))
            yield _stack(sentence, rows)


def in_picture(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    point_m: np.ndarray,
    aspect: float,
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> tuple[float, float] | None:
    """Where the part ``crop`` (left, top, right, bottom, as shares) of the head camera's picture shows a point of the
    world: right and down of its middle, as shares of its width and height; None outside of it."""
    camera = data.camera(CAMERA)
    seen = camera.xmat.reshape(3, 3).T @ (point_m - camera.xpos)
    half = np.tan(0.5 * np.radians(model.camera(CAMERA).fovy[0]))
    if seen[2] >= 0.0:
        return None
    right, down = 0.5 * seen[0] / (-seen[2] * half * aspect), -0.5 * seen[1] / (-seen[2] * half)
    right = (right + 0.5 * (1.0 - crop[0] - crop[2])) / (crop[2] - crop[0])
    down = (down + 0.5 * (1.0 - crop[1] - crop[3])) / (crop[3] - crop[1])
    return (float(right), float(down)) if max(abs(right), abs(down)) < 0.5 else None


def _before(frame: tuple[np.ndarray, np.ndarray], ahead_m: float) -> Pose:
    """Facing along x of a frame, ``ahead_m`` of its origin on its x axis."""
    place, turn = frame
    x, y = (place + turn @ [ahead_m, 0.0, 0.0])[:2]
    return Pose(float(x), float(y), float(np.arctan2(turn[1, 0], turn[0, 0])))


def _on_the_way(begin: Pose, end: Pose, rng: np.random.Generator) -> Pose:
    """Somewhere between two poses, facing any way between their headings and the way itself, or at the end itself."""
    arrived = rng.random() < 0.4
    share = 1.0 if arrived else float(rng.uniform(-0.05, 1.05))
    along = np.arctan2(end.y_m - begin.y_m, end.x_m - begin.x_m)
    headings = np.unwrap([begin.yaw_rad, along, end.yaw_rad])
    turned = 2.0 if arrived and rng.random() < 0.6 else float(rng.uniform(0.0, 2.0))
    yaw = float(np.interp(turned, [0.0, 1.0, 2.0], headings))
    stray = rng.normal(0.0, _STRAY_M, 2)
    return Pose(
        begin.x_m + share * (end.x_m - begin.x_m) + float(stray[0]),
        begin.y_m + share * (end.y_m - begin.y_m) + float(stray[1]),
        yaw + float(rng.normal(0.0, _STRAY_RAD)),
    )


def _put_in_hands(stage: _Stage, address: int, at: Pose, rng: np.random.Generator) -> None:
    """The box between the palms of a robot that stands ``at``."""
    turn = matrix_from_rpy((0.0, 0.0, at.yaw_rad))
    middle = np.array([at.x_m, at.y_m, stage.spec.nominal_height_m]) + turn @ (
        _HELD_M + rng.normal(0.0, 0.01, 3)
    )
    across = matrix_from_rpy((0.0, 0.0, at.yaw_rad - 0.5 * np.pi))
    stage.data.qpos[address : address + 3] = middle
    stage.data.qpos[address + 3 : address + 7] = quaternion_from_matrix(across)


def _joints(spec: RobotSpec, arms: np.ndarray, rng: np.random.Generator, always: bool = False) -> np.ndarray:
    """All joints [J] about the default pose, arms often (``always``: both, together) in one of the poses ``arms``."""
    joints = spec.default_rad + rng.normal(0.0, 0.02, spec.n)
    index = spec.index("arms")
    if always:
        joints[index] = arms[rng.integers(len(arms))]
        return joints
    for side in range(2):
        if rng.random() < 0.6:
            half = index[7 * side : 7 * side + 7]
            joints[half] = arms[rng.integers(len(arms)), 7 * side : 7 * side + 7]
    return joints


def _stack(sentence: str, rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Views:
    pictures, states, scenes = (np.stack(column) for column in zip(*rows, strict=True))
    return sentence, pictures, states, scenes


@lru_cache
def _reaching_arms(robot: str) -> np.ndarray:
    """Poses [K, 14] of both arms reaching."""
    from wbvla_training.lmo.cli import PACKAGED_CLIPS
    from wbvla_training.lmo.clips import load

    clips = load(PACKAGED_CLIPS, RobotSpec.load(robot))
    return clips.reshape(-1, clips.shape[-1])[::25]


@lru_cache
def _holding_arms(robot: str) -> np.ndarray:
    """Poses [K, 14] of both arms that hold a box before the body."""
    from wbvla_sim.scene_parts import BOX_SIZE_M
    from wbvla_sim.video.arms import Arms

    arms, rng, poses = Arms(RobotSpec.load(robot)), np.random.default_rng(0), []
    beside = np.array([[0.0, 0.5, 0.0], [0.0, -0.5, 0.0]]) * (BOX_SIZE_M[0] + 0.03)
    for _ in range(12):
        arms.reset()
        middle = _HELD_M + rng.uniform(-0.5, 0.5, 3) * _HELD_STRAY_M
        for waypoint in (middle + [-0.14, 0.0, -0.1] + 2.0 * beside, middle + beside):
            for _ in range(35):
                joints = arms.step(waypoint)
        poses.append(joints)
    return np.stack(poses)
