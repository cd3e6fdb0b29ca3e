"""Watch a bundle: a scripted walk through all commands, as a film and as figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import torch
from wbvla_core.model import build_mjspec
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.render import Renderer

from .commands import Commands
from .policy import BundlePolicy
from .scenarios import DT_S, HELD_ARMS, MOVING_ARMS, NOMINAL, Scenario, build_env

FRAME_STEPS = 2
SIZE = (640, 480)

# (seconds, request, height): what is shown, in a loop.
SCRIPT = (
    (2.0, (0.0, 0.0, 0.0), 0.64), (5.0, (1.0, 0.0, 0.0), 0.64), (2.0, (0.0, 0.0, 0.0), 0.64), (4.0, (0.0, 1.0, 0.0), 0.64),
    (2.0, (0.0, 0.0, 0.0), 0.64), (4.0, (0.0, 0.0, 1.0), 0.64), (4.0, (0.0, 0.0, 0.0), 0.50), (3.0, (0.0, 0.0, 0.0), 0.64),
    (4.0, (-1.0, 0.0, 0.0), 0.64),
)  # fmt: skip


def scripted(t_s: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The request [n, 3] and height [n] of the script at ``t_s``."""
    t_s %= sum(part[0] for part in SCRIPT)
    for seconds, request, height in SCRIPT:
        if t_s < seconds:
            return torch.tensor([request] * n), torch.full((n,), height)
        t_s -= seconds
    raise AssertionError("the script covers its whole length")


def play(
    policy: BundlePolicy, spec: RobotSpec, clips: np.ndarray, video: Path | None, seconds: float, push_m_s: float,
    arms: bool, seed: int,
) -> int:  # fmt: skip
    """Run the script with one robot; print where it went; write ``video`` (MP4, 25 Hz). Returns 1 if it fell."""
    randomisation = replace(NOMINAL, push_speed_m_s=(push_m_s, push_m_s), push_period_s=(4.0, 4.0))
    scenario = Scenario("play", seconds, 1, randomisation, MOVING_ARMS if arms else HELD_ARMS)
    env = build_env(scenario, policy, spec, clips, seed)
    poses, falls = [], 0
    for k in range(int(seconds / DT_S)):
        request, height = scripted(k * DT_S, 1)
        env.commands = Commands(request, height, torch.full((1,), 10**6))
        _, _, done, _ = env.step(policy(env.get_observations()["policy"]))
        falls += int(done.sum())
        if k % FRAME_STEPS == 0:
            poses.append(env.robot.qpos[0].astype(np.float64))
        if k % 50 == 49:
            x, y = env.base[0, :2].tolist()
            print(
                f"{(k + 1) * DT_S:5.1f} s  s {request[0].tolist()}  x {x:+.2f} y {y:+.2f} m  height {env.height[0]:.3f} m"
            )
    if video:
        film(spec, poses, video)
        print(f"wrote {video}")
    print("fell" if falls else "stayed up")
    return 1 if falls else 0


def film(spec: RobotSpec, poses: list[np.ndarray], path: Path) -> None:
    """Render joint poses (qpos of the robot alone) from the side and write an MP4."""
    import av

    robot = build_mjspec(spec, hands=False)
    robot.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1], material="grid"
    )
    robot.add_texture(
        name="grid", type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        rgb1=[0.45, 0.5, 0.55], rgb2=[0.35, 0.4, 0.45], width=256, height=256,
    )  # fmt: skip
    material = robot.add_material(name="grid", texrepeat=[2, 2], texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "grid"
    robot.worldbody.add_light(pos=[0, 0, 4], type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, dir=[0.3, 0.4, -1])
    model = robot.compile()
    data = mujoco.MjData(model)
    renderer = Renderer(model, *SIZE, shadows=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(1.0 / (FRAME_STEPS * DT_S)))
        stream.width, stream.height, stream.pix_fmt = SIZE[0], SIZE[1], "yuv420p"
        for pose in poses:
            data.qpos[:] = pose
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_camlight(model, data)
            picture = renderer.third_person(data, (pose[0], pose[1], 0.6), azimuth_deg=120.0)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    renderer.close()
