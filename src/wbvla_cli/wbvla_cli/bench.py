"""``wbvla bench NAME``: each measures against a peer or a limit in the same run."""

from __future__ import annotations

import importlib
import sys

BENCHES = {
    "loop": ("wbvla_cli.bench_loop", "our 50 Hz loop against a plain rclpy timer, camera and recording on"),
    "convert": ("wbvla_training.data.bench_convert", "bag to dataset: speed and memory against a plain loop"),
    "dataset": ("wbvla_training.data.bench_dataset", "frames a second out of a dataset, against LeRobot's reader"),
    "vla": ("wbvla_training.vla.bench", "times of a VLA bundle's stages and of its whole tick"),
    "lmo-env": ("wbvla_training.lmo.bench", "the training environment against bare mujoco.rollout"),
}


def usage() -> str:
    rows = "\n".join(f"  {name:<10} {summary}" for name, (_, summary) in BENCHES.items())
    return f"usage: wbvla bench NAME [--json FILE] [ARGUMENTS]\n\nbenches:\n{rows}\n\nwbvla bench NAME --help tells more."


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] not in BENCHES:
        print(
            f"wbvla bench: there is no bench '{argv[0]}'; choose one of {', '.join(BENCHES)}", file=sys.stderr
        )
        return 2
    module = importlib.import_module(BENCHES[argv[0]][0])
    return int(module.main(argv[1:]) or 0)
