"""Write requirements/run.lock and requirements/train.lock from what is installed in the running environment.

A package is locked when pyproject.toml asks for it, directly or through another one. Run it with ``make lock``.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Written by 'make lock'. Versions that the tests ran with; pyproject.toml has the lower bounds.\n"


def closure(extras: set[str]) -> dict[str, str]:
    """Name -> version of everything that the distribution needs with ``extras``."""
    found: dict[str, str] = {}
    todo = [(Requirement("wbvla"), extras)]
    seen = set()
    while todo:
        requirement, wanted = todo.pop()
        for text in metadata.requires(requirement.name) or []:
            child = Requirement(text)
            environments = [{"extra": extra} for extra in wanted] or [{"extra": ""}]
            if child.marker and not any(child.marker.evaluate(environment) for environment in environments):
                continue
            key = (child.name.lower(), frozenset(child.extras))
            if key in seen:
                continue
            seen.add(key)
            try:
                found[child.name.lower().replace("_", "-")] = metadata.version(child.name)
            except metadata.PackageNotFoundError:
                sys.exit(
                    f"{child.name} (needed by {requirement.name}) is not installed; run 'make setup' first"
                )
            todo.append((child, set(child.extras)))
    return found


def write(path: Path, packages: dict[str, str]) -> None:
    lines = [f"{name}=={version.split('+')[0]}\n" for name, version in sorted(packages.items())]
    path.write_text(HEADER + "".join(lines))


if __name__ == "__main__":
    run = closure(set())
    both = closure({"train", "dev", "view"})
    target = ROOT / "requirements"
    target.mkdir(exist_ok=True)
    write(target / "run.lock", run)
    write(target / "train.lock", {name: version for name, version in both.items() if name not in run})
