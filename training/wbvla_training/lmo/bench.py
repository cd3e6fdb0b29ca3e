"""``wbvla bench lmo-env``: speed of the training environment against the bare engine, and of training."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np
import torch
import tyro
from mujoco import rollout

from . import clips as clip_files
from .cli import PACKAGED_CLIPS
from .env import LmoEnv
from .presets import preset
from .train import Trainer


@dataclass
class Bench:
    """Environment steps (20 ms) per second of the full environment, its ratio to mujoco.rollout of the same model, batch
    and threads in the same run, and of training."""

    json: Path | None = None
    """Write the figures here."""
    config: str = "x2_stage2"
    """The training whose environment is measured."""
    num_envs: int = 512
    """Robots at once."""
    seconds: float = 8.0
    """Time for each of the three measurements."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write; returns the exit code."""
    args = tyro.cli(Bench, prog="wbvla bench lmo-env", args=argv)
    cfg = replace(preset(args.config), num_envs=args.num_envs)
    env = None
    clips = None
    with tempfile.TemporaryDirectory() as folder:
        from wbvla_core.robot_spec import RobotSpec

        clips = clip_files.load(PACKAGED_CLIPS, RobotSpec.load(cfg.robot))
        env = LmoEnv(cfg, clips)
        full, bare = _interleaved(env, args.seconds)
        trainer = Trainer(cfg, Path(folder), "cpu", clips)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < args.seconds:
            row = trainer._iterate()
            steps = int(row["steps"])
        train = steps / (time.perf_counter() - start)
    result = {
        "env_steps_per_s": full, "rollout_steps_per_s": bare, "ratio": full / bare, "train_steps_per_s": train,
        "num_envs": args.num_envs, "threads": env.robot.batch.num_threads, "config": args.config,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _interleaved(env: LmoEnv, seconds: float) -> tuple[float, float]:
    """(full environment, bare rollout) steps per second, in alternating slices, so that other load hits both alike.

    Both start from the same standing poses; the bare engine gets the environment's last set-points."""
    model, n, threads = env.robot.model, env.num_envs, env.robot.batch.num_threads
    substeps = env.cfg.physics.substeps
    data = [mujoco.MjData(model) for _ in range(threads)]
    state = np.zeros((n, mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
    action = torch.zeros(n, env.num_actions)
    spent, count = {"full": 0.0, "bare": 0.0}, {"full": 0, "bare": 0}
    while min(spent.values()) < seconds:
        start = time.perf_counter()
        for _ in range(10):
            env.step(action)
        spent["full"] += time.perf_counter() - start
        count["full"] += 10 * n
        scratch = mujoco.MjData(model)
        for i in range(n):
            scratch.qpos[:] = env.robot.qpos[i]
            scratch.qvel[:] = env.robot.qvel[i]
            mujoco.mj_getState(model, scratch, state[i], mujoco.mjtState.mjSTATE_FULLPHYSICS)
        control = np.repeat(np.asarray(env.robot.ctrl, np.float64)[:, None], 10 * substeps, 1)
        start = time.perf_counter()
        rollout.rollout([model] * n, data, state, control, persistent_pool=True)
        spent["bare"] += time.perf_counter() - start
        count["bare"] += 10 * n
    return count["full"] / spent["full"], count["bare"] / spent["bare"]
