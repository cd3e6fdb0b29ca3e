"""Who touches what, by the contacts of the physics engine."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
from wbvla_core.robot_spec import RobotSpec

SIDES = ("left", "right")


def hand_geoms(model: mujoco.MjModel, link: str) -> list[int]:
    """Geoms of a hand: its mount and the fingers on it."""
    bodies = {model.body(link).id}
    bodies |= {i for i in range(model.nbody) if int(model.body_parentid[i]) in bodies}
    return [i for i in range(model.ngeom) if int(model.geom_bodyid[i]) in bodies]


def hands(model: mujoco.MjModel, spec: RobotSpec) -> dict[int, str]:
    """Side (left, right) by geom of either hand."""
    return {
        geom: side
        for hand, side in zip(spec.hands, SIDES, strict=True)
        for geom in hand_geoms(model, hand.link)
    }


def robot_geoms(model: mujoco.MjModel, spec: RobotSpec) -> list[int]:
    """All geoms of the robot, hands included."""
    base = model.body(spec.base_link).id
    return [i for i in range(model.ngeom) if int(model.body_rootid[model.geom_bodyid[i]]) == base]


def body_geoms(model: mujoco.MjModel, name: str) -> list[int]:
    """Geoms of one body. Raises ValueError when the scene has no such body."""
    try:
        body = model.body(name).id
    except KeyError:
        raise ValueError(f"the scene has no {name}; use the scene of this task") from None
    return [i for i in range(model.ngeom) if int(model.geom_bodyid[i]) == body]


def touching(
    data: mujoco.MjData, ones: Mapping[int, str], others: Mapping[int, str]
) -> frozenset[tuple[str, str]]:
    """(one, other) of all pairs of geoms in contact."""
    found = set()
    for first, second in data.contact.geom[: data.ncon]:
        for geom, other in ((int(first), int(second)), (int(second), int(first))):
            if geom in ones and other in others:
                found.add((ones[geom], others[other]))
    return frozenset(found)
