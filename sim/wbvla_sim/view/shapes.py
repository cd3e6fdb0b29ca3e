"""Triangles of a MuJoCo model, body by body, for any viewer that can draw triangles."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

GROUPS = (0, 2)
"""What is drawn: scene and robot's looks. Walls (1) would hide the room from outside, collision bodies (3) the robot."""
SECTIONS = 24
"""Of what is round."""
ENDLESS_M = 20.0
"""Half size of a plane without end."""
_DEFAULT_RGBA = np.array([0.5, 0.5, 0.5, 1.0], dtype=np.float32)
_G = mujoco.mjtGeom


@dataclass(frozen=True)
class Triangles:
    """``vertices`` [V, 3] in m, ``faces`` [F, 3] indices of them, counter-clockwise seen from outside."""

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True)
class Part:
    """All of one colour on one body: ``body`` its number, ``rgba`` 0..1, ``triangles`` in the body's frame."""

    body: int
    rgba: tuple[float, float, float, float]
    triangles: Triangles


def parts_of(model: mujoco.MjModel, groups: tuple[int, ...] = GROUPS) -> list[Part]:
    """What ``model`` looks like. Height fields, signed distance fields and skins are left out, and so is what cannot be
    seen (opacity 0)."""
    found: dict[tuple[int, tuple[float, ...]], list[Triangles]] = {}
    for geom in range(model.ngeom):
        colour = colour_of(model, geom)
        if int(model.geom_group[geom]) not in groups or colour[3] == 0.0:
            continue
        triangles = geom_triangles(model, geom)
        if triangles is not None:
            placed = moved(triangles, model.geom_pos[geom], model.geom_quat[geom])
            found.setdefault((int(model.geom_bodyid[geom]), colour), []).append(placed)
    return [Part(body, colour, merged(pieces)) for (body, colour), pieces in found.items()]


def colour_of(model: mujoco.MjModel, geom: int) -> tuple[float, float, float, float]:
    """RGBA 0..1 of a geom: its own, else its material's, tinted by the mean of its texture."""
    rgba = model.geom_rgba[geom].astype(np.float64)
    material = int(model.geom_matid[geom])
    if material >= 0 and np.allclose(model.geom_rgba[geom], _DEFAULT_RGBA):
        rgba = model.mat_rgba[material].astype(np.float64)
        rgba[:3] *= _mean_tint(model, int(model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB]))
    return tuple(float(value) for value in np.round(np.clip(rgba, 0.0, 1.0), 3))  # type: ignore[return-value]


def _mean_tint(model: mujoco.MjModel, texture: int) -> np.ndarray:
    if texture < 0:
        return np.ones(3)
    channels = int(model.tex_nchannel[texture])
    first = int(model.tex_adr[texture])
    size = int(model.tex_height[texture]) * int(model.tex_width[texture]) * channels
    mean = model.tex_data[first : first + size].reshape(-1, channels).mean(axis=0) / 255.0
    return mean[:3] if channels >= 3 else np.full(3, mean[0])


def geom_triangles(model: mujoco.MjModel, geom: int) -> Triangles | None:
    """Triangles in the geom's own frame; None for a type that is not drawn."""
    kind, size = _G(model.geom_type[geom]), model.geom_size[geom]
    if kind == _G.mjGEOM_MESH:
        return _mesh(model, int(model.geom_dataid[geom]))
    if kind == _G.mjGEOM_PLANE:
        half_x, half_y = (float(half) or ENDLESS_M for half in size[:2])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (half_x, half_y)
        return Triangles(np.column_stack([corners, np.zeros(4)]), np.array([[0, 1, 2], [0, 2, 3]]))
    if kind == _G.mjGEOM_BOX:
        return box(size)
    if kind in (_G.mjGEOM_SPHERE, _G.mjGEOM_ELLIPSOID):
        radii = size if kind == _G.mjGEOM_ELLIPSOID else np.full(3, size[0])
        unit = capsule(1.0, 0.0)
        return Triangles(unit.vertices * radii, unit.faces)
    if kind == _G.mjGEOM_CAPSULE:
        return capsule(size[0], size[1])
    if kind == _G.mjGEOM_CYLINDER:
        return cylinder(size[0], size[1])
    return None


def _mesh(model: mujoco.MjModel, mesh: int) -> Triangles:
    vertex, face = int(model.mesh_vertadr[mesh]), int(model.mesh_faceadr[mesh])
    return Triangles(
        model.mesh_vert[vertex : vertex + model.mesh_vertnum[mesh]].astype(np.float64),
        model.mesh_face[face : face + model.mesh_facenum[mesh]].astype(np.int64),
    )


def box(half_m: np.ndarray) -> Triangles:
    """A box of half sizes [3]; each side has corners of its own, so that edges stay sharp when shaded."""
    sides = []
    for axis in range(3):
        across, up = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            corners = np.zeros((4, 3))
            corners[:, axis] = sign
            corners[:, across] = np.array([-1, 1, 1, -1]) * sign
            corners[:, up] = [-1, -1, 1, 1]
            sides.append(Triangles(corners * half_m, np.array([[0, 1, 2], [0, 2, 3]])))
    return merged(sides)


def cylinder(radius_m: float, half_m: float) -> Triangles:
    """Along z; lids and side do not share corners, so that the rims stay sharp when shaded."""
    rims = [(radius_m, -half_m), (radius_m, half_m)]
    return merged(
        [revolved(profile) for profile in ([(0.0, -half_m), rims[0]], rims, [rims[1], (0.0, half_m)])]
    )


def capsule(radius_m: float, half_m: float) -> Triangles:
    """Along z, ``half_m`` from the middle to the centre of each cap; a sphere when 0."""
    angles = np.linspace(-0.5 * np.pi, 0.5 * np.pi, SECTIONS // 2 + 1)
    lower, upper = angles[angles < 1e-9], angles[angles > -1e-9]
    if half_m <= 0.0:
        upper = upper[1:]
    profile = [(radius_m * np.cos(a), radius_m * np.sin(a) - half_m) for a in lower]
    profile += [(radius_m * np.cos(a), radius_m * np.sin(a) + half_m) for a in upper]
    return revolved(profile)


def revolved(profile: list[tuple[float, float]], sections: int = SECTIONS) -> Triangles:
    """The surface that a line of (radius, z) points, given from below to above, sweeps about z."""
    turn = np.linspace(0.0, 2.0 * np.pi, sections, endpoint=False)
    rings = [np.column_stack([r * np.cos(turn), r * np.sin(turn), np.full(sections, z)]) for r, z in profile]
    here = np.arange(sections)
    beside = (here + 1) % sections
    faces = []
    for k in range(len(profile) - 1):
        low, high = k * sections, (k + 1) * sections
        faces.append(np.column_stack([low + here, low + beside, high + beside]))
        faces.append(np.column_stack([low + here, high + beside, high + here]))
    return Triangles(np.concatenate(rings), np.concatenate(faces))


def moved(triangles: Triangles, position_m: np.ndarray, quaternion_wxyz: np.ndarray) -> Triangles:
    """Triangles turned, then shifted."""
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, np.asarray(quaternion_wxyz, dtype=np.float64))
    return Triangles(triangles.vertices @ turn.reshape(3, 3).T + position_m, triangles.faces)


def merged(pieces: list[Triangles]) -> Triangles:
    """Several as one."""
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    return Triangles(
        np.concatenate([piece.vertices for piece in pieces]),
        np.concatenate([piece.faces + start for piece, start in zip(pieces, starts[:-1], strict=True)]),
    )


def rope_points(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Ends of the straight pieces of all tendons that can be seen [N, 2, 3], in the world; after mj_tendon."""
    pieces = []
    for tendon in range(model.ntendon):
        if model.tendon_rgba[tendon, 3] == 0.0:
            continue
        first, count = int(data.ten_wrapadr[tendon]), int(data.ten_wrapnum[tendon])
        points = data.wrap_xpos.reshape(-1, 3)[first : first + count]
        pieces += [points[i : i + 2] for i in range(count - 1)]
    return np.array(pieces).reshape(-1, 2, 3)
