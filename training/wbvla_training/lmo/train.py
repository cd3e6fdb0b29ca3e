"""The learning loop: rollouts, rsl-rl's PPO update, curriculum, log, checkpoints."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rsl_rl.algorithms import PPO
from rsl_rl.storage import RolloutStorage
from torch.utils.tensorboard import SummaryWriter

from . import checkpoint, curriculum
from .config import TrainConfig
from .env import LmoEnv
from .networks import MirroringCritic, SymmetricActor, make_blind

CHECKPOINT_S = 180.0
LATEST = "latest.pt"


def build_algorithm(env: LmoEnv, cfg: TrainConfig, device: str) -> PPO:
    """rsl-rl's PPO with a symmetric actor and a critic that also sees the privileged group."""
    ppo = cfg.ppo
    observations = env.get_observations()
    policy, action = env.observation_mirror(), env.action_mirror()
    extra = env.privileged_mirror()
    whole = (np.concatenate([policy[0], len(policy[0]) + extra[0]]), np.concatenate([policy[1], extra[1]]))
    groups = {"actor": ["policy"], "critic": ["policy", "privileged"]}
    distribution = {
        "class_name": "rsl_rl.modules.distribution:GaussianDistribution",
        "init_std": ppo.init_std,
        "std_range": (ppo.min_std, 2.0),
    }
    actor = SymmetricActor(
        observations,
        groups,
        "actor",
        env.num_actions,
        ppo.hidden,
        (policy, action),
        distribution,
        env.upper_slice(),
    )
    critic = MirroringCritic(observations, groups, "critic", 1, ppo.critic_hidden, whole)
    storage = RolloutStorage("rl", env.num_envs, ppo.steps_per_env, observations, [env.num_actions], device)
    algorithm = PPO(
        actor, critic, storage, num_learning_epochs=ppo.epochs, num_mini_batches=ppo.minibatches, clip_param=ppo.clip,
        gamma=ppo.gamma, lam=ppo.lam, entropy_coef=ppo.entropy[1], learning_rate=ppo.learning_rate,
        desired_kl=ppo.desired_kl, use_mixed_precision=ppo.mixed_precision, device=device,
    )  # fmt: skip
    parameters = [*actor.parameters(), *critic.parameters()]
    algorithm.optimizer = torch.optim.Adam(parameters, lr=ppo.learning_rate, fused=True)
    return algorithm


class Trainer:
    """One training in a folder: ``config.json``, TensorBoard events, ``progress.jsonl`` and checkpoints."""

    def __init__(self, cfg: TrainConfig, folder: Path, device: str, clips: np.ndarray | None) -> None:
        torch.manual_seed(cfg.seed)
        self.cfg, self.folder = cfg, folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(cfg), indent=1))
        self.env = LmoEnv(cfg, clips, device)
        self.algorithm = build_algorithm(self.env, cfg, device)
        self._cut_still_inputs()
        self.iteration, self.steps, self.seconds = 0, 0, 0.0
        self.stopped = False

    def load(self, path: str | Path, resume: bool) -> None:
        """Start from the checkpoint at ``path``: go on with it, or take its weights only."""
        state = checkpoint.read(path, self.env)
        progress = checkpoint.restore(state, self.algorithm, self.env, resume)
        self._cut_still_inputs()
        self.iteration = int(progress.get("iteration", 0))
        self.steps, self.seconds = int(progress.get("steps", 0)), float(progress.get("seconds", 0.0))
        if not resume:
            with torch.no_grad():
                self.algorithm.actor.distribution.std_param.fill_(self.cfg.ppo.init_std)

    def _cut_still_inputs(self) -> None:
        still = self.env.still_inputs()
        make_blind(self.algorithm.actor.mlp.layers[0], still)
        make_blind(self.algorithm.critic.mlp[0], still)

    def run(self) -> dict[str, float]:
        """Learn until ``total_steps`` or Ctrl-C; returns the last log row."""
        self.stopped = False
        previous = {s: signal.signal(s, self._ask_to_stop) for s in (signal.SIGINT, signal.SIGTERM)}
        writer = SummaryWriter(str(self.folder))
        row: dict[str, float] = {}
        saved = time.monotonic()
        try:
            while self.steps < self.cfg.total_steps and not self.stopped:
                row = self._iterate()
                self._report(row, writer)
                if time.monotonic() - saved > CHECKPOINT_S:
                    self._save()
                    saved = time.monotonic()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            writer.close()
        self._save()
        print(
            f"\n{'stopped' if self.stopped else 'done'}: {self.steps} steps, checkpoint {self.folder / LATEST}",
            flush=True,
        )
        return row

    def _ask_to_stop(self, number: int, frame: object) -> None:
        self.stopped = True

    def _iterate(self) -> dict[str, float]:
        cfg, env, algorithm = self.cfg, self.env, self.algorithm
        start, cpu = time.monotonic(), time.process_time()
        share = min(1.0, self.steps / cfg.ppo.entropy_steps)
        low, high = cfg.ppo.entropy
        algorithm.entropy_coef = high + (low - high) * share
        sums: dict[str, float] = {}
        lengths: list[torch.Tensor] = []
        falls, reward = 0, 0.0
        observations = env.get_observations()
        with torch.inference_mode():
            for _ in range(cfg.ppo.steps_per_env):
                actions = algorithm.act(observations)
                observations, rewards, dones, extras = env.step(actions)
                algorithm.process_env_step(observations, rewards, dones, extras)
                lengths.append(extras["lengths"])
                falls += extras["falls"]
                reward += float(rewards.mean())
                for name in ("velocity_error", "yaw_rate_error", "height_error"):
                    sums[name] = sums.get(name, 0.0) + float(extras[name])
                for name, value in extras["log"].items():
                    sums[f"reward/{name}"] = sums.get(f"reward/{name}", 0.0) + float(value)
            algorithm.compute_returns(observations)
        middle = time.monotonic()
        losses = algorithm.update()
        end = time.monotonic()
        count = cfg.ppo.steps_per_env
        steps = count * env.num_envs
        self.iteration, self.steps, self.seconds = (
            self.iteration + 1,
            self.steps + steps,
            self.seconds + end - start,
        )
        ended = torch.cat(lengths).float()
        row = {name: value / count for name, value in sums.items()}
        row |= {f"loss/{name}": value for name, value in losses.items()}
        length = float(ended.mean()) if len(ended) else float("nan")
        env.level = curriculum.next_level(env.level, falls, steps, cfg.curriculum)
        row |= {
            "iteration": self.iteration, "steps": self.steps, "seconds": self.seconds, "reward": reward / count,
            "episode_steps": length, "falls_per_100_episodes": 100.0 * falls / (steps / env.max_episode_length),
            "level": env.level, "std": float(algorithm.actor.distribution.std_param.detach().mean()),
            "learning_rate": algorithm.learning_rate, "steps_per_s": steps / (end - start),
            "cpu_share": (time.process_time() - cpu) / (end - start), "learn_share": (end - middle) / (end - start),
        }  # fmt: skip
        return row

    def _report(self, row: dict[str, float], writer: SummaryWriter) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, self.steps)
        with (self.folder / "progress.jsonl").open("a") as file:
            file.write(json.dumps({k: round(v, 6) for k, v in row.items()}) + "\n")
        left = (self.cfg.total_steps - self.steps) / max(self.steps / max(self.seconds, 1e-9), 1e-9)
        shown = (
            f"{self.steps / 1e6:6.2f}/{self.cfg.total_steps / 1e6:.1f} M steps",
            f"{row['steps_per_s']:6.0f}/s",
            f"left {left / 60:5.1f} min",
            f"falls {row['falls_per_100_episodes']:6.1f}/100",
            f"level {row['level']:.2f}",
            f"v err {row['velocity_error']:.3f}",
            f"h err {row['height_error']:.3f}",
            f"phase {row.get('reward/gait_phase', 0):.2f}",
            f"short {row.get('reward/swing_shortfall', 0):.2f}",
            f"std {row['std']:.2f}",
        )
        print(self.cfg.name, "  ".join(shown), flush=True)

    def _save(self) -> None:
        progress = {"iteration": self.iteration, "steps": self.steps, "seconds": self.seconds}
        checkpoint.save(self.folder / LATEST, self.algorithm, self.env, progress)
