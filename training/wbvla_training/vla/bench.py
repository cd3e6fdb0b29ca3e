"""``wbvla bench vla``: times of a bundle's stages and of the whole tick, as the node runs it."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_vla_node.bundle_policy import BundlePolicy
from wbvla_vla_node.policy import Observation

CAPTURE_NS = 1_000_000_000


@dataclass
class Bench:
    """p50 and p99 of each stage and of the whole tick (JPEG in, chunk out), on one thread."""

    bundle: str = "vla/x2"
    """Bundle by kind/name or path."""
    backend: str = "bundle"
    """bundle (ONNX) or torch."""
    device: str = "cpu"
    """cpu or cuda."""
    ticks: int = 300
    """Measured ticks, after ten to warm up."""
    sentence: str = "touch the red ball with your left hand"
    """Instruction."""
    json: Path | None = None
    """Write the figures here."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write; returns the exit code."""
    args = tyro.cli(Bench, prog="wbvla bench vla", args=argv)
    spec = RobotSpec.load("x2_ultra")
    if args.backend == "torch":
        from wbvla_vla_node.torch_policy import load_torch_policy

        policy = load_torch_policy(bundle_path(args.bundle), spec, None, args.device)
    else:
        policy = BundlePolicy.load(bundle_path(args.bundle), spec, None, args.device)
    figures = {"bundle": args.bundle, "backend": args.backend, **measure(policy, args.ticks, args.sentence)}
    print(json.dumps(figures, indent=1))
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(policy: BundlePolicy, ticks: int, sentence: str) -> dict:
    """Times [ms] of ``ticks`` inferences on camera-sized JPEG pictures."""
    import time

    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(8):
        coarse = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(coarse).resize((640, 480)).save(out, "JPEG", quality=85)
        pictures.append(out.getvalue())
    state = np.zeros(len(policy.section.state_names), np.float32)
    times: dict[str, list[float]] = {}
    for i in range(ticks + 10):
        begin = time.perf_counter()
        chunk = policy.infer(Observation(sentence, state, pictures[i % 8]), CAPTURE_NS)
        whole = (time.perf_counter() - begin) * 1e3
        if i >= 10:
            for name, value in {**chunk.stages_ms, "tick": whole}.items():
                times.setdefault(name, []).append(value)
    rows = {
        n: {"p50_ms": float(np.percentile(v, 50)), "p99_ms": float(np.percentile(v, 99))}
        for n, v in times.items()
    }
    tick = rows.pop("tick")
    return {"ticks": ticks, "stages": rows, "tick": tick}
