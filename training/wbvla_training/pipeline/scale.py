"""How much of everything: ``tiny`` for an afternoon on two cores, ``smoke`` to see in minutes that the chain holds."""

from __future__ import annotations

from dataclasses import dataclass

from .steps import ChainError


@dataclass(frozen=True)
class Scale:
    """Counts of each step. ``demos``: by task; ``corrections``: trials by task that the policy begins and the operator
    ends, ``takeover_s`` after so long; ``few``: demonstrations a task of the row with few of them; ``films``: trials that
    are filmed, of those that are counted. ``steps_*`` and ``batch_*`` are of trainings, ``steps_correct`` of the second
    fine-tuning, with the corrections; ``held_out``: share of the episodes that open-loop figures are made on."""

    name: str
    clips_loco: int
    clips_mani: int
    steps_backbone: int
    steps_lam: int
    batch_lam: int
    pictures: int
    steps_pretrain: int
    steps_finetune: int
    steps_correct: int
    batch_vla: int
    demos: dict[str, int]
    corrections: dict[str, int]
    takeover_s: dict[str, tuple[float, float]]
    few: int
    held_out: float
    trials: int
    films: int


TINY = Scale(
    name="tiny", clips_loco=800, clips_mani=300, steps_backbone=2500, steps_lam=1500, batch_lam=64, pictures=8000,
    steps_pretrain=1200, steps_finetune=3000, steps_correct=4000, batch_vla=64,
    demos={"reach_table": 150, "box_loading": 200, "cart_pushing": 200},
    corrections={"reach_table": 24, "box_loading": 40, "cart_pushing": 50},
    takeover_s={"reach_table": (4.0, 20.0), "box_loading": (4.0, 50.0), "cart_pushing": (3.0, 14.0)},
    few=50, held_out=0.1, trials=50, films=3,
)  # fmt: skip
SMOKE = Scale(
    name="smoke", clips_loco=14, clips_mani=14, steps_backbone=4, steps_lam=6, batch_lam=8, pictures=40,
    steps_pretrain=4, steps_finetune=4, steps_correct=4, batch_vla=8,
    demos={"reach_table": 2, "box_loading": 2, "cart_pushing": 2},
    corrections={"reach_table": 1, "box_loading": 1, "cart_pushing": 1},
    takeover_s={"reach_table": (0.2, 0.5), "box_loading": (0.2, 0.5), "cart_pushing": (0.2, 0.5)},
    few=1, held_out=0.5, trials=1, films=1,
)  # fmt: skip
SCALES = {scale.name: scale for scale in (TINY, SMOKE)}
GROUPS = {"x2": ("reach_table", "box_loading", "cart_pushing")}
"""Tasks that one model learns together: the sentence tells it what to do."""
ROWS = ("no_lam", "blind", "swapped", "few")
"""Rows of the table beside those of the whole method and of the operator."""


def scale_of(name: str) -> Scale:
    """A scale by name. Raises ChainError."""
    if name not in SCALES:
        raise ChainError(f"there is no scale '{name}'; choose {' or '.join(SCALES)}")
    return SCALES[name]


def groups_of(tasks: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The groups that hold ``tasks``, with those of their tasks that are wanted. Raises ChainError."""
    known = [task for members in GROUPS.values() for task in members]
    for task in tasks:
        if task not in known:
            raise ChainError(f"task '{task}' is not part of the pipeline; choose from {', '.join(known)}")
    found = {name: tuple(t for t in members if t in tasks) for name, members in GROUPS.items()}
    found = {name: members for name, members in found.items() if members}
    if not found:
        raise ChainError("--tasks: name at least one task")
    return found
