"""One bag becomes one episode, or several where something needed was missing in between."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
from wbvla_core.contract import Contract
from wbvla_core.types import Source

from wbvla_training.data.align import Aligner, Frame, Gap
from wbvla_training.data.bag_source import BagSource
from wbvla_training.data.errors import BagProblem, disk_full, is_disk_full
from wbvla_training.data.fields import FieldError, decode
from wbvla_training.data.piece import Account, PieceWriter
from wbvla_training.data.schema import Schema

AUTHORITY = "complementary_info.authority"
# Times are float32 in LeRobot's format: beyond this they would be off by more than a reader allows.
_LONGEST_S = 1200.0
_ENDED = "the recording ended"


@dataclass(frozen=True)
class BagPlan:
    """All that converting one bag takes; crosses to worker processes."""

    path: Path
    key: str
    names: dict[str, str]
    contract_text: str
    task: str
    split_keys: bool
    shortest_s: float
    threads: int


@dataclass(frozen=True)
class BagResult:
    """Folder names of the pieces, and what people should know, one sentence each."""

    pieces: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def convert_bag(plan: BagPlan, folder: Path, report: Callable[[float], None] = lambda _s: None) -> BagResult:
    """Write the bag's pieces below ``folder``; ``report`` is told the seconds of recording done so far.

    Raises:
        BagProblem: no frame could be made of it.
        DiskFullError: no room left; other pieces stay.
    """
    for old in folder.glob(f"{plan.key}-*"):
        shutil.rmtree(old)
    run = _Run(plan, folder)
    try:
        run.go(report)
    except (OSError, av.FFmpegError) as error:
        run.abort()
        if isinstance(error, OSError) and is_disk_full(error):
            raise disk_full(folder, "the episodes finished before are kept") from error
        raise BagProblem(f"bag '{plan.path}' stopped: {error}") from error
    except BaseException:
        run.abort()
        raise
    return run.result()


class _Run:
    def __init__(self, plan: BagPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._contract = Contract.parse(plan.contract_text, str(plan.path))
        self._schema = Schema.of(self._contract, plan.split_keys)
        self._source = BagSource.open(plan.path)
        self._aligner = Aligner(self._contract, plan.names)
        self._writer: PieceWriter | None = None
        self._pieces: list[str] = []
        self._notes: list[str] = []
        self._parts = self._short = 0
        self._seen_vla = False
        self._task = plan.task or self._source.about.get("task", "").strip()

    def go(self, report: Callable[[float], None]) -> None:
        topics = set(self._plan.names.values())
        instruction = self._instruction_topic()
        begin_ns = self._source.start_ns
        reported_ns = begin_ns
        for topic, receive_ns, data in self._source.messages(topics | {instruction}):
            if topic == instruction:
                self._take_instruction(data)
                continue
            for event in self._aligner.push(topic, receive_ns, data):
                self._take(event)
            if receive_ns - reported_ns > 1_000_000_000:
                reported_ns = receive_ns
                report((receive_ns - begin_ns) / 1e9)
        for event in self._aligner.finish(_ENDED):
            self._take(event)

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()
        for name in self._pieces:
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def result(self) -> BagResult:
        name = self._source.name
        notes = [f"{name}: {text}" for text in (*self._faults(), *self._notes)]
        if self._source.damage:
            notes.append(f"{name}: {self._source.damage}")
        elif not self._source.whole:
            notes.append(f"{name}: the recording was cut; what came before is kept")
        if not self._pieces:
            why = self._aligner.last_missing or "; ".join(self._faults()) or "it is empty"
            longest = f" (runs of frames shorter than {self._plan.shortest_s:g} s: {self._short})" if self._short else ""
            raise BagProblem(f"bag '{self._plan.path}' gives no frames: {why}{longest}")
        seconds = (self._source.end_ns - self._source.start_ns) / 1e9
        return BagResult(tuple(self._pieces), tuple(notes), seconds)

    def _take(self, event: Frame | Gap) -> None:
        if isinstance(event, Gap):
            if event.reason != _ENDED:
                second = (event.time_ns - self._source.start_ns) / 1e9
                self._notes.append(f"interrupted at {second:.2f} s: {event.reason}")
            self._end()
            return
        if self._writer is None:
            self._writer = PieceWriter(self._folder / f"{self._plan.key}-new", self._schema, self._plan.threads)
        self._writer.add(event, self._intervenes(event))
        if self._writer.length >= _LONGEST_S * self._schema.fps:
            self._end()

    def _intervenes(self, frame: Frame) -> bool:
        """A person drives who took over from the VLA in this recording."""
        if AUTHORITY not in frame.vectors:
            return False
        source = int(frame.vectors[AUTHORITY][0])
        self._seen_vla = self._seen_vla or source == Source.VLA
        return self._seen_vla and source == Source.TELEOP

    def _end(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if writer.length < self._plan.shortest_s * self._schema.fps:
            writer.abort()
            self._short += 1
            self._notes.append(f"a run of {writer.length} frames is left out as too short")
            return
        if not self._task:
            writer.abort()
            raise BagProblem(
                f"bag '{self._plan.path}' says nowhere which task it shows; give the sentence with --task"
            )
        source = self._source
        succeeded = source.outcome.get("task_succeeded")
        account = Account(
            bag=source.name,
            part=self._parts,
            task=self._task,
            length=writer.length,
            start_ns=writer.first_ns,
            operator=source.about.get("operator", ""),
            task_succeeded=None if succeeded is None else succeeded == "true",
            note=source.outcome.get("note", ""),
            software=source.about.get("git_commit") or source.about.get("version", ""),
            warnings=(*self._faults(), *self._notes),
        )
        piece = writer.close(account)
        name = f"{self._plan.key}-{self._parts:03d}"
        piece.folder.rename(self._folder / name)
        self._pieces.append(name)
        self._parts += 1

    def _faults(self) -> list[str]:
        return [
            f"{count} of {track.received} messages on {track.name}: {fault}"
            for track in self._aligner.tracks.values()
            for fault, count in track.faults.items()
        ]

    def _instruction_topic(self) -> str:
        """Where a sentence may stand when the recorder was told none; "" when it was."""
        if self._task:
            return ""
        return next((n for n, (t, _) in self._source.topics.items()
                     if t == "std_msgs/msg/String" and n.endswith("/instruction")), "")  # fmt: skip

    def _take_instruction(self, data: bytes) -> None:
        try:
            self._task = self._task or decode(data, "std_msgs/msg/String").data.strip()
        except FieldError:
            self._notes.append("the instruction could not be read")
