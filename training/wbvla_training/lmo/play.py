"""Watch a bundle: a scripted walk through all commands, as a film, in the browser and as figures."""

from __future__ import annotations

import time
from collections.abc import Callable
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


Look = Callable[[np.ndarray], None]
"""Is shown qpos of the robot alone, 25 times a second of virtual time."""
Command = Callable[[float], tuple[tuple[float, float, float], float]]
"""Request and height [m] at a time [s]."""


def play(
    policy: BundlePolicy, spec: RobotSpec, clips: np.ndarray, video: Path | None, seconds: float, push_m_s: float,
    arms: bool, seed: int, port: int | None = None,
) -> int:  # fmt: skip
    """Run the script with one robot; print where it went; write ``video`` (MP4, 25 Hz). With ``port`` it runs in real
    time in the browser, where commands can be given, and begins anew after ``seconds``, until Ctrl-C. Returns 1 if it
    fell."""
    poses: list[np.ndarray] = []
    run = (policy, spec, clips, seconds, push_m_s, arms, seed)
    if port is None:
        falls = roll_out(*run, _scripted_command, poses.append)
    else:
        falls = _in_browser(spec, port, run, poses)
    if video:
        film(spec, poses, video)
        print(f"wrote {video}")
    print("fell" if falls else "stayed up")
    return 1 if falls else 0


def roll_out(
    policy: BundlePolicy, spec: RobotSpec, clips: np.ndarray, seconds: float, push_m_s: float, arms: bool, seed: int,
    command: Command, look: Look,
) -> int:  # fmt: skip
    """One robot for ``seconds`` under ``command``; how often it fell (after a fall it starts anew)."""
    randomisation = replace(NOMINAL, push_speed_m_s=(push_m_s, push_m_s), push_period_s=(4.0, 4.0))
    scenario = Scenario("play", seconds, 1, randomisation, MOVING_ARMS if arms else HELD_ARMS)
    env = build_env(scenario, policy, spec, clips, seed)
    falls = 0
    for k in range(int(seconds / DT_S)):
        request, height_m = command(k * DT_S)
        env.commands = Commands(torch.tensor([request]), torch.full((1,), height_m), torch.full((1,), 10**6))
        _, _, done, _ = env.step(policy(env.get_observations()["policy"]))
        falls += int(done.sum())
        if k % FRAME_STEPS == 0:
            look(env.robot.qpos[0].astype(np.float64))
        if k % 50 == 49:
            x, y = env.base[0, :2].tolist()
            print(
                f"{(k + 1) * DT_S:5.1f} s  s {list(request)}  x {x:+.2f} y {y:+.2f} m  height {env.height[0]:.3f} m"
            )
    return falls


def _scripted_command(t_s: float) -> tuple[tuple[float, float, float], float]:
    t_s %= sum(part[0] for part in SCRIPT)
    for seconds, request, height_m in SCRIPT:
        if t_s < seconds:
            return request, height_m
        t_s -= seconds
    raise AssertionError("the script covers its whole length")


def _in_browser(spec: RobotSpec, port: int, run: tuple, poses: list[np.ndarray]) -> int:
    from .play_view import PlayView

    page = PlayView(look_model(spec), port, _scripted_command)
    falls, frame_s = 0, FRAME_STEPS * DT_S
    due_s = time.monotonic()

    def look(pose: np.ndarray) -> None:
        nonlocal due_s
        poses.append(pose)
        page.show(pose)
        due_s = max(due_s + frame_s, time.monotonic() - frame_s)
        time.sleep(max(0.0, due_s - time.monotonic()))

    try:
        while True:
            poses.clear()
            falls += roll_out(*run, page.command, look)
    except KeyboardInterrupt:
        return falls
    finally:
        page.close()


def look_model(spec: RobotSpec) -> mujoco.MjModel:
    """The robot of the training environment on a chequered floor."""
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
    return robot.compile()


def film(spec: RobotSpec, poses: list[np.ndarray], path: Path) -> None:
    """Render joint poses (qpos of the robot alone) from the side and write an MP4."""
    import av

    model = look_model(spec)
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
