"""What a step of the pipeline is: one command of ``wbvla``, what it reads, what it leaves, and how it goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Resume:
    """When ``checkpoint`` is there, ``argv`` is added so that the command goes on after it."""

    checkpoint: Path
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """``argv`` follows ``wbvla``. ``inputs`` and ``outputs`` are files or folders; ``code`` names the modules and packages
    whose source decides what comes out ("-" before a name leaves it out). ``work`` is what only this step writes: moved
    aside when it has to begin anew. ``grows`` is an option whose larger number adds to what is there already.
    ``after``: steps that must not run at the same time, because they fill the same cache. ``minutes``: of one core, an
    estimate."""

    name: str
    what: str
    argv: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    code: tuple[str, ...]
    work: tuple[Path, ...]
    minutes: float = 0.0
    resume: Resume | None = None
    grows: str = ""
    after: tuple[str, ...] = ()

    def command(self) -> tuple[str, ...]:
        """Arguments behind ``wbvla`` as they are to be given now."""
        going_on = self.resume is not None and self.resume.checkpoint.exists()
        return self.argv + (self.resume.argv if going_on and self.resume is not None else ())


class ChainError(ValueError):
    """The steps do not fit together, or a name is not one of theirs."""


def needs(steps: tuple[Step, ...]) -> dict[str, tuple[str, ...]]:
    """Names of the steps that must be done before each one: those that make its inputs, and ``after``.

    Raises ChainError when a step comes before one that it needs."""
    makers: dict[Path, str] = {}
    found: dict[str, tuple[str, ...]] = {}
    for step in steps:
        before = [makers[place] for path in step.inputs for place in (path, *path.parents) if place in makers]
        before += [name for name in step.after if name in found]
        found[step.name] = tuple(dict.fromkeys(before))
        for path in step.outputs:
            if path in makers:
                raise ChainError(f"steps {makers[path]} and {step.name} both make {path}")
            makers[path] = step.name
    for step in steps:
        for path in step.inputs:
            maker = makers.get(path)
            if maker is not None and maker not in found[step.name]:
                raise ChainError(f"step {step.name} comes before {maker}, which makes its {path}")
    return found


def dependants(steps: tuple[Step, ...], name: str) -> tuple[str, ...]:
    """``name`` and every step that needs it, however far down. Raises ChainError for an unknown name."""
    find(steps, name)
    before, chosen = needs(steps), {name}
    for step in steps:
        if chosen & set(before[step.name]):
            chosen.add(step.name)
    return tuple(step.name for step in steps if step.name in chosen)


def find(steps: Iterable[Step], name: str) -> Step:
    """The step of that name. Raises ChainError that lists the others."""
    known = {step.name: step for step in steps}
    if name not in known:
        raise ChainError(f"there is no step '{name}'; choose one of {', '.join(known)}")
    return known[name]
