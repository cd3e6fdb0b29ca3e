"""Progress of a conversion on the terminal: how far, how fast, how much longer."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class BarProgress:
    """A bar over the seconds of recording to convert, with the rate as a multiple of real time."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("bags", total=0.0, rate="")
        self._done = 0.0
        self._under_way: dict[str, float] = {}
        self._begin = time.monotonic()

    def __enter__(self) -> BarProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def total(self, seconds: float) -> None:
        self._begin = time.monotonic()
        self._bar.update(self._task, total=seconds)

    def bag(self, name: str, seconds: float) -> None:
        self._under_way[name] = seconds
        self._show(name)

    def done(self, name: str, seconds: float) -> None:
        self._under_way.pop(name, None)
        self._done += seconds
        self._show(name)

    def assembling(self, episodes: int, total: int) -> None:
        self._bar.update(self._task, description=f"assembling {episodes}/{total}")

    def _show(self, name: str) -> None:
        seconds = self._done + sum(self._under_way.values())
        rate = seconds / max(1e-3, time.monotonic() - self._begin)
        self._bar.update(self._task, completed=seconds, description=name, rate=f"{rate:.1f} x real time")
