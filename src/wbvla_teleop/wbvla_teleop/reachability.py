"""Where each hand can be: a map of the grasp point over random arm poses that are clear of the body.

``python -m wbvla_teleop.reachability`` makes the packaged data and a picture anew (about two minutes on one core);
tasks and people ask :class:`ReachMap`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from wbvla_core.robot_spec import RobotSpec

from wbvla_teleop.ik import SIDES, DualArmIk

FOLDER = Path(__file__).with_name("reach_maps")
VOXEL_M = 0.05
LOW_M, HIGH_M = np.array([-0.7, -0.9, -0.7]), np.array([0.8, 0.9, 1.1])
"""Extent of the map in the pelvis frame."""
SAMPLES = 400_000


class ReachMapError(ValueError):
    """A reachability map is missing or of another robot."""


@dataclass(frozen=True)
class ReachMap:
    """``dexterity`` [2 hands, X, Y, Z]: share 0..1 of 26 directions in which the fingers can point with the grasp
    point in this voxel; 0 is out of reach. Pelvis frame, robot in its default stance with a straight waist;
    ``low_m`` [3] is the corner of the first voxel."""

    robot: str
    robot_hash: str
    voxel_m: float
    low_m: np.ndarray
    dexterity: np.ndarray

    @staticmethod
    def load(spec: RobotSpec, path: Path | None = None) -> ReachMap:
        """The packaged map of a robot, or the one in ``path``. Raises :class:`ReachMapError`."""
        path = path or FOLDER / f"{spec.name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                found = ReachMap(
                    str(file["robot"]),
                    str(file["robot_hash"]),
                    float(file["voxel_m"]),
                    file["low_m"],
                    file["directions"].astype(np.float64) / 26.0,
                )
        except (OSError, KeyError, ValueError) as error:
            raise ReachMapError(
                f"{path}: no reachability map ({error}); make it with python -m wbvla_teleop.reachability"
            ) from None
        if found.robot_hash != spec.hash:
            raise ReachMapError(f"{path} is of another {found.robot}; make it anew")
        return found

    def at(self, side: int, point_m: np.ndarray) -> float:
        """Dexterity of hand ``side`` (0 left, 1 right) at a point of the pelvis frame; 0 outside the map."""
        place = np.floor((np.asarray(point_m) - self.low_m) / self.voxel_m).astype(int)
        if np.any(place < 0) or np.any(place >= self.dexterity.shape[1:]):
            return 0.0
        return float(self.dexterity[(side, *place)])


def make_map(spec: RobotSpec, samples: int, seed: int = 0) -> ReachMap:
    """Sample arm poses of one arm while the other hangs, and keep those that touch nothing."""
    ik = DualArmIk(spec)
    model, pairs = ik.collision_model()
    data = mujoco.MjData(model)
    shape = np.round((HIGH_M - LOW_M) / VOXEL_M).astype(int)
    seen = np.zeros((2, *shape, 27), dtype=bool)
    random = np.random.default_rng(seed)
    low, high = model.jnt_range.T
    home = model.qpos0.copy()
    for i in range(model.njnt):
        home[i] = spec.default_rad[spec.index(model.joint(i).name)[0]]
    for side, hand in enumerate(spec.hands):
        mine = np.array([model.joint(i).name.startswith(SIDES[side]) for i in range(model.njnt)])
        grasp = np.array(hand.xyz_m) - [0.0, 0.0, 0.7 * hand.finger_length_m]
        body = model.body(hand.link).id
        for poses in np.array_split(
            random.uniform(low, high, (samples, model.njnt)), max(1, samples // 4096)
        ):
            for pose in poses:
                data.qpos[:] = np.where(mine, pose, home)
                mujoco.mj_kinematics(model, data)
                turn = data.xmat[body].reshape(3, 3)
                place = ((data.xpos[body] + turn @ grasp - LOW_M) / VOXEL_M).astype(int)
                direction = _direction(-turn[:, 2])
                if np.any(place < 0) or np.any(place >= shape) or seen[(side, *place, direction)]:
                    continue
                if _clear(model, data, pairs):
                    seen[(side, *place, direction)] = True
    dexterity = seen.sum(axis=-1).clip(0, 26) / 26.0
    return ReachMap(spec.name, spec.hash, VOXEL_M, LOW_M, dexterity)


def _direction(vector: np.ndarray) -> int:
    """One of 27 bins (the one of the zero vector stays empty): signs with a dead zone of sin 22.5 degrees."""
    signs = np.where(np.abs(vector) > 0.38, np.sign(vector), 0.0) + 1.0
    return int(signs @ [9.0, 3.0, 1.0])


def _clear(model: mujoco.MjModel, data: mujoco.MjData, pairs: list[tuple[int, int]]) -> bool:
    mujoco.mj_comPos(model, data)
    centres, radii = data.geom_xpos, model.geom_rbound
    fromto = np.empty(6)
    for a, b in pairs:
        gap = centres[a] - centres[b]
        if gap @ gap > (radii[a] + radii[b]) ** 2:
            continue
        if mujoco.mj_geomDistance(model, data, a, b, 0.01, fromto) <= 0.0:
            return False
    return True


def save(reach: ReachMap, path: Path) -> None:
    """Write the map's data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        robot=np.array(reach.robot),
        robot_hash=np.array(reach.robot_hash),
        voxel_m=np.array(reach.voxel_m),
        low_m=reach.low_m,
        directions=np.round(reach.dexterity * 26.0).astype(np.uint8),
    )


def draw(reach: ReachMap, path: Path, pelvis_height_m: float) -> None:
    """A picture: each hand from the side, both from above at the height of a table, and from the front."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    step, low = reach.voxel_m, reach.low_m + np.array([0.0, 0.0, pelvis_height_m])
    size = np.array(reach.dexterity.shape[1:]) * step
    x, y, z = ((low[i], low[i] + size[i]) for i in range(3))
    table = int((0.69 - low[2]) / step)
    left, right = reach.dexterity
    panels = (
        (
            "left hand, side view in the plane of its shoulder",
            left[:, int((0.19 - low[1]) / step), :].T,
            (*x, *z),
        ),
        (
            "right hand, side view in the plane of its shoulder",
            right[:, int((-0.19 - low[1]) / step), :].T,
            (*x, *z),
        ),
        ("left hand, from above, 0.65 to 0.70 m above the floor", left[:, :, table], (*y, *x)),
        ("right hand, from above, 0.65 to 0.70 m above the floor", right[:, :, table], (*y, *x)),
        ("both hands overlap, from above, same height", np.minimum(left, right)[:, :, table], (*y, *x)),
        ("left hand, from the front, 0.35 to 0.40 m ahead", left[int((0.35 - low[0]) / step)].T, (*y, *z)),
    )
    figure, axes = plt.subplots(3, 2, figsize=(11, 14), layout="constrained")
    for axis, (title, picture, extent) in zip(axes.flat, panels, strict=True):
        shown = axis.imshow(
            np.ma.masked_equal(picture, 0.0),
            origin="lower",
            extent=extent,
            vmin=0.0,
            vmax=0.8,
            cmap="viridis",
        )
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
        views_from_side = extent[:2] == x
        axis.set_xlabel("ahead of the pelvis [m]" if views_from_side else "to the left of the pelvis [m]")
        from_above = extent[2:] == x
        axis.set_ylabel("ahead of the pelvis [m]" if from_above else "above the floor [m]")
        if not from_above:
            for height, name in ((0.62, "table"), (0.70, ""), (0.30, "platform")):
                axis.axhline(height, color="tab:red", lw=0.8, ls="--")
                beside = extent[0] + 0.02 if views_from_side else extent[1] - 0.02
                axis.text(beside, height + 0.01, name, color="tab:red", fontsize=8)
        axis.plot(0.0, 0.0 if from_above else pelvis_height_m, "k+", ms=10)
        if not views_from_side:
            axis.invert_xaxis()
    figure.colorbar(shown, ax=axes, shrink=0.5, label="share of finger directions")
    figure.suptitle(
        f"Where the hands of {reach.robot} reach, standing {pelvis_height_m} m high (+ is the pelvis)"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main(argv: list[str] | None = None) -> int:
    """Make data and picture of one robot."""
    parser = argparse.ArgumentParser(prog="python -m wbvla_teleop.reachability", description=__doc__)
    parser.add_argument("--robot", default="x2_ultra", help="robot spec, by name or path")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="arm poses for each hand")
    parser.add_argument("--out", type=Path, help="data file; default: the packaged one")
    parser.add_argument("--picture", type=Path, default=Path("reachability.png"))
    parser.add_argument("--keep", action="store_true", help="only draw the data that is there")
    options = parser.parse_args(argv)
    spec = RobotSpec.load(options.robot)
    path = options.out or FOLDER / f"{spec.name}.npz"
    if not options.keep:
        save(make_map(spec, options.samples), path)
    draw(ReachMap.load(spec, path), options.picture, spec.nominal_height_m)
    print(f"{path}\n{options.picture}")
    return 0


if __name__ == "__main__":
    main()
