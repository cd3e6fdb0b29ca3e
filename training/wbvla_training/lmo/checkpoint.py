"""Checkpoints: everything needed to go on, as plain tensors and numbers.

``torch.load(weights_only=True)`` is used because the optimiser's state is a nested dictionary of tensors and numbers,
which safetensors cannot hold; weights_only admits nothing executable."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from rsl_rl.algorithms import PPO
from wbvla_core.robot_spec import RobotSpec

from .config import ConfigError
from .env import LmoEnv

FORMAT = 1


def save(path: Path, algorithm: PPO, env: LmoEnv, progress: dict[str, float]) -> None:
    """Write weights, optimiser, curriculum, random states and ``progress`` (iteration, steps, seconds) to ``path``."""
    state = {
        "format": FORMAT,
        "config": env.cfg.name,
        "robot_spec_hash": env.spec.hash,
        "observation_size": env.observation_config.size,
        "hidden": list(env.cfg.ppo.hidden),
        "algorithm": algorithm.save(),
        "learning_rate": algorithm.learning_rate,
        "level": env.level,
        "progress": progress,
        "torch_random": torch.get_rng_state(),
        "env_random": env.generator.get_state(),
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def read_file(path: str | Path, spec: RobotSpec) -> dict:
    """Read a checkpoint; raises ConfigError when it is missing, broken or of another robot."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path}: cannot read the checkpoint ({error})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ConfigError(f"{path}: not a checkpoint of this trainer (format {FORMAT} expected)")
    if state["robot_spec_hash"] != spec.hash:
        raise ConfigError(
            f"{path}: robot_spec_hash {state['robot_spec_hash']} is not that of {spec.name} ({spec.hash}); it was trained "
            "for another robot or revision of its description: train again or load that robot"
        )
    return state


def read(path: str | Path, env: LmoEnv) -> dict:
    """Read a checkpoint for ``env``; raises ConfigError also for another observation or network."""
    state = read_file(path, env.spec)
    found = (state["observation_size"], list(state["hidden"]))
    wanted = (env.observation_config.size, list(env.cfg.ppo.hidden))
    if found != wanted:
        raise ConfigError(f"{path}: observation size and layers {found} differ from this training's {wanted}")
    return state


def restore(state: dict, algorithm: PPO, env: LmoEnv, resume: bool) -> dict[str, float]:
    """Load ``state``. ``resume`` True goes on where it stopped and returns its progress; False takes the weights only."""
    parts = {"actor": True, "critic": True, "optimizer": resume}
    algorithm.load(state["algorithm"], parts, strict=True)
    if not resume:
        return {}
    algorithm.learning_rate = state["learning_rate"]
    env.level = state["level"]
    torch.set_rng_state(state["torch_random"])
    env.generator.set_state(state["env_random"])
    return dict(state["progress"])
