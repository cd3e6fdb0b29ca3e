"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """``rule`` is a short name, ``text`` a sentence; an error makes its episode one that should not train."""

    rule: str
    text: str
    episode: int | None = None
    is_error: bool = True

    def __str__(self) -> str:
        where = "dataset" if self.episode is None else f"episode {self.episode}"
        return f"{'error' if self.is_error else 'warning'}: {where}: {self.rule}: {self.text}"
