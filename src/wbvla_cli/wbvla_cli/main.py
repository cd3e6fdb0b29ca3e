"""The ``wbvla`` command: a door to each room, opened only when it is used."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """``module:main(argv) -> exit code``, what it is for, and the extra that it needs, if any."""

    module: str
    summary: str
    extra: str = ""


COMMANDS: dict[str, Command] = {
    "demo": Command("wbvla_cli.demo", "run the whole graph in simulation and leave bag, report and video"),
    "launch": Command("wbvla_cli.launch", "start the graph: wbvla launch x2 [sim:=true record:=false ...]"),
    "doctor": Command("wbvla_cli.doctor", "list what is missing or disagrees; moves nothing"),
    "soak": Command("wbvla_cli.soak", "the graph for a long time with faults; what it lost, leaked and dropped"),
    "top": Command("wbvla_cli.top", "live table of every node and topic: rate, age, latency, state"),
    "stand": Command("wbvla_cli.stand", "put the simulated robot on its feet, or hang it up again in another scene"),
    "tell": Command("wbvla_cli.tell", "tell the running robot a sentence; the VLA follows it"),
    "teleop": Command("wbvla_cli.teleop", "drive the running robot by keyboard or gamepad; record episodes"),
    "view": Command("wbvla_cli.view", "the running simulation in the browser; type what the robot shall do", "view"),
    "bench": Command("wbvla_cli.bench", "measure against a peer or a limit: wbvla bench NAME"),
    "task": Command("wbvla_sim.tasks.cli", "list tasks, collect demonstrations, count successes"),
    "data": Command(
        "wbvla_training.data.cli", "turn bags into LeRobot datasets, check them, show what is in them", "train"
    ),
    "lmo": Command(
        "wbvla_training.lmo.cli", "train, evaluate, export and play the locomotion policy", "train"
    ),
    "lam": Command(
        "wbvla_training.lam.cli", "make egocentric video, train latent action models and see what they know", "train"
    ),
    "vla": Command(
        "wbvla_training.vla.cli", "pretrain, fine-tune, evaluate and export the vision-language-action model", "train"
    ),
    "pipeline": Command(
        "wbvla_training.pipeline.cli", "the whole chain from video to the table of results, cached and resumable", "train"
    ),
    "results": Command(
        "wbvla_training.pipeline.results", "put evaluations in closed loop together into one table", "train"
    ),
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return (
        "usage: wbvla COMMAND [ARGUMENTS]\n\n"
        "Whole-body vision-language-action control of a humanoid: simulate, drive, record, train, deploy.\n\n"
        f"commands:\n{rows}\n\n"
        "wbvla COMMAND --help tells more. First steps: wbvla doctor, then wbvla demo."
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code (2 for a wrong call)."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        print(f"wbvla: there is no command '{name}'; choose one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("wbvla"):
            raise
        extra = f"[{command.extra}]" if command.extra else ""
        print(
            f"wbvla {name}: the Python package '{error.name}' is missing; run 'make setup' in the checkout, "
            f"or pip install -e '.{extra}'",
            file=sys.stderr,
        )
        return 3
    try:
        return int(module.main(rest) or 0)
    except KeyboardInterrupt:
        print(f"\nwbvla {name}: stopped", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"wbvla {name}: {error}", file=sys.stderr)
        return 1


def entry() -> None:
    """Console-script entry point."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
