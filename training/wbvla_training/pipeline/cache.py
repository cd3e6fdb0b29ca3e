"""Which steps are done: a stamp a step, with what went into it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .fingerprint import Hashes, code_version
from .steps import Step

BEGUN, DONE = "begun", "done"
STAMPS, REPLACED = "stamps", "replaced"


@dataclass(frozen=True)
class Recipe:
    """What goes into a step. ``argv`` with the folder of the pipeline written as OUT, so that it may be moved;
    ``count`` is the number behind the option that grows (0: it has none), which ``argv`` then leaves out."""

    argv: tuple[str, ...]
    count: int
    inputs: dict[str, str]
    code: str

    def changes(self, other: Recipe) -> list[str]:
        """In words, what is different in ``other``."""
        found = []
        if (self.argv, self.count) != (other.argv, other.count):
            found.append("its arguments changed")
        found += [f"{name} changed" for name in other.inputs if self.inputs.get(name) != other.inputs[name]]
        if self.code != other.code:
            found.append("its code changed")
        return found


@dataclass(frozen=True)
class Stamp:
    """``state``: begun or done. ``seconds``: wall clock of all attempts together."""

    state: str
    recipe: Recipe
    seconds: float = 0.0
    attempts: int = 0
    command: str = ""
    finished: str = ""


@dataclass(frozen=True)
class Look:
    """Whether a step is ``fresh``, else why not; ``stamp`` of the last time."""

    fresh: bool
    why: str
    recipe: Recipe
    stamp: Stamp | None


@dataclass
class Cache:
    """Stamps in ``out``/stamps. ``any_code``: a change of the source does not count."""

    out: Path
    any_code: bool = False
    _sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hashes = Hashes(self.out / STAMPS / "hashes.json")

    def recipe(self, step: Step) -> Recipe:
        """What would go into ``step`` now."""
        words = [self._plain(word) for word in step.argv]
        count = 0
        if step.grows:
            place = words.index(step.grows)
            count = int(words[place + 1])
            del words[place : place + 2]
        inputs = {self._plain(str(path)): self.hashes.of(path) for path in step.inputs}
        return Recipe(tuple(words), count, inputs, code_version(step.code, self._sources))

    def look(self, step: Step) -> Look:
        """Whether ``step`` has to run."""
        recipe, stamp = self.recipe(step), self.stamp(step)
        if stamp is None:
            return Look(False, "was never run", recipe, None)
        before = replace(stamp.recipe, code=recipe.code) if self.any_code else stamp.recipe
        changes = before.changes(recipe)
        missing = [path for path in step.outputs if not path.exists()]
        if changes:
            return Look(False, ", ".join(changes), recipe, stamp)
        if stamp.state != DONE:
            return Look(False, "was stopped", recipe, stamp)
        if missing:
            return Look(False, f"{self._plain(str(missing[0]))} is missing", recipe, stamp)
        return Look(True, "", recipe, stamp)

    def begin(self, step: Step, look: Look, anew: bool = False) -> Stamp:
        """Note that it runs. What an attempt with another recipe left behind is moved aside, unless it only grows."""
        before = look.stamp
        old = None if before is None else before.recipe
        if old is not None and self.any_code:
            old = replace(old, code=look.recipe.code)
        same = old is not None and not replace(old, count=0).changes(replace(look.recipe, count=0))
        going_on = not anew and same and old is not None and old.count <= look.recipe.count
        if not going_on:
            self._put_aside(step)
        grown = before is not None and old is not None and old.count < look.recipe.count
        seconds = (
            before.seconds if going_on and before is not None and (before.state != DONE or grown) else 0.0
        )
        attempts = before.attempts if going_on and before is not None and before.state != DONE else 0
        stamp = Stamp(BEGUN, look.recipe, seconds, attempts + 1, command=" ".join(("wbvla", *step.argv)))
        self.write(step, stamp)
        return stamp

    def stamp(self, step: Step) -> Stamp | None:
        """The stamp of ``step``; None when there is none that can be read."""
        try:
            found = json.loads(self._file(step).read_text(encoding="utf-8"))
            recipe = found.pop("recipe")
            return Stamp(recipe=Recipe(**{**recipe, "argv": tuple(recipe["argv"])}), **found)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, step: Step, stamp: Stamp) -> None:
        """Keep ``stamp``, and the hashes found so far."""
        self.hashes.save()
        file = self._file(step)
        part = file.with_name(file.name + ".part")
        part.write_text(json.dumps(asdict(stamp), indent=1) + "\n", encoding="utf-8")
        part.replace(file)

    def _put_aside(self, step: Step) -> None:
        """One generation is kept: a folder of bags may be hours of work."""
        for path in step.work:
            if not path.exists():
                continue
            place = self.out / REPLACED / path.relative_to(self.out)
            _remove(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)

    def _file(self, step: Step) -> Path:
        return self.out / STAMPS / f"{step.name}.json"

    def _plain(self, word: str) -> str:
        return word.replace(str(self.out), "OUT")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
