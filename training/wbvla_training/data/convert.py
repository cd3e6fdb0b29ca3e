"""Bags to one dataset: plans, converts bag by bag, goes on where an interrupted run ended, assembles."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from wbvla_core.contract import Contract, ContractError
from wbvla_core.robot_spec import RobotSpec, RobotSpecError
from wbvla_core.robot_spec_load import robot_files

from wbvla_training.data import admit, lerobot_v3, lerobot_v21
from wbvla_training.data.bag_source import BagSource, find_bags
from wbvla_training.data.convert_bag import BagPlan, BagResult
from wbvla_training.data.dataset_files import DatasetPlan
from wbvla_training.data.errors import BagProblem, DataError, disk_full, is_disk_full
from wbvla_training.data.piece import Piece
from wbvla_training.data.schema import Schema
from wbvla_training.data.video import KEY_EVERY
from wbvla_training.data.workers import convert_all

FORMATS = {"v3.0": lerobot_v3, "v2.1": lerobot_v21}
_JOB = "job.json"


@dataclass(frozen=True)
class ConvertOptions:
    """See ``wbvla data convert --help``; ``contract`` None: the one in the first bag."""

    out: Path
    format: str = "v3.0"
    contract: str | None = None
    task: str = ""
    namespace: str = ""
    split_keys: bool = False
    only_successes: bool = False
    keep_failed_audit: bool = False
    shortest_s: float = 1.0
    jobs: int = 0


@dataclass
class Summary:
    """What became of the bags. ``left_out``: on purpose; ``problems``: bags that could not be used."""

    episodes: int = 0
    frames: int = 0
    seconds: float = 0.0
    resumed: int = 0
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Progress(Protocol):
    """Told how it goes: seconds of recording converted of the total."""

    def total(self, seconds: float) -> None: ...
    def bag(self, name: str, seconds: float) -> None: ...
    def done(self, name: str, seconds: float) -> None: ...
    def assembling(self, episodes: int, total: int) -> None: ...


@dataclass(frozen=True)
class _Work:
    source: BagSource
    plan: BagPlan


def convert(bags: Sequence[Path], options: ConvertOptions, progress: Progress) -> Summary:
    """Make the dataset ``options.out`` of all bags at or below ``bags``.

    Episodes are kept in ``OUT.part`` until all are there; a run that finds one goes on with it.

    Raises:
        DataError: the output exists, no episode could be made, or the disk is full.
    """
    if options.out.exists():
        raise DataError(f"'{options.out}' exists already; choose another --out or remove it")
    if options.format not in FORMATS:
        raise DataError(f"format '{options.format}' is unknown; choose one of {', '.join(FORMATS)}")
    summary = Summary()
    sources = _open(find_bags(bags), summary)
    contract = _contract(options.contract, sources)
    schema = Schema.of(contract, options.split_keys)
    works, robot = _plan(sources, contract, options, summary)
    part = options.out.with_name(options.out.name + ".part")
    try:
        with _locked(part):
            _check_job(part, schema, contract, robot, options)
            results = _convert_all(works, part, options, summary, progress)
            pieces = [Piece.load(part / "pieces" / name) for r in results for name in r.pieces]
            if not pieces:
                shutil.rmtree(part)
                reasons = "\n  ".join((*summary.problems, *summary.left_out)) or "there are no bags"
                raise DataError(f"no episode could be made:\n  {reasons}")
            _assemble(pieces, part, contract, schema, robot, options, progress)
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise disk_full(part, "the episodes finished before are kept") from error
    summary.episodes, summary.frames = len(pieces), sum(piece.account.length for piece in pieces)
    summary.seconds = summary.frames / schema.fps
    summary.notes = [note for result in results for note in result.notes]
    return summary


def _open(paths: Sequence[Path], summary: Summary) -> list[BagSource]:
    sources = []
    for path in paths:
        try:
            sources.append(BagSource.open(path))
        except BagProblem as problem:
            summary.problems.append(str(problem))
    return sources


def _contract(given: str | None, sources: Sequence[BagSource]) -> Contract:
    try:
        if given is not None:
            return Contract.load(given)
        for source in sources:
            text = source.attachments.get("contract.yaml")
            if text is not None:
                return Contract.parse(text.decode(errors="replace"), f"{source.path}: contract.yaml")
        return Contract.load("x2")
    except ContractError as error:
        raise DataError(f"{error}; name another contract with --contract") from None


def _plan(
    sources: Sequence[BagSource], contract: Contract, options: ConvertOptions, summary: Summary
) -> tuple[list[_Work], admit.Robot]:
    """The bags to convert, and the robot they are of: that of the first one."""
    robot: admit.Robot | None = None
    works: list[_Work] = []
    jobs = _jobs(options, len(sources))
    for source in sources:
        reason = admit.left_out(source, options.only_successes)
        if reason:
            summary.left_out.append(f"{source.name}: {reason}")
            continue
        try:
            robot_here = robot or admit.Robot.of(source, contract)
            if options.contract is None:
                admit.check_robot(source, contract, robot_here)
            names = admit.resolve(source, contract, options.namespace)
        except BagProblem as problem:
            summary.problems.append(str(problem))
            continue
        failed = "" if options.keep_failed_audit else admit.failed_audit(source, names, contract)
        if failed:
            summary.left_out.append(f"{source.name}: failed the recorder's audit: {failed} (--keep-failed-audit)")
            continue
        robot = robot_here
        threads = max(1, (os.cpu_count() or 1) // jobs)
        plan = BagPlan(source.path, _key(source), names, contract.text, options.task, options.split_keys,
                       options.shortest_s, threads)  # fmt: skip
        works.append(_Work(source, plan))
    return works, robot or admit.Robot(contract.robot, "")


def _convert_all(
    works: Sequence[_Work], part: Path, options: ConvertOptions, summary: Summary, progress: Progress
) -> list[BagResult]:
    pieces, marks = part / "pieces", part / "bags"
    pieces.mkdir(exist_ok=True)
    marks.mkdir(exist_ok=True)
    results: dict[str, BagResult] = {}
    todo = []
    for work in works:
        mark = marks / f"{work.plan.key}.json"
        if mark.exists():
            content = json.loads(mark.read_text(encoding="utf-8"))
            results[work.plan.key] = BagResult(tuple(content["pieces"]), tuple(content["notes"]), content["seconds"])
            summary.resumed += 1
        else:
            todo.append(work)
    progress.total(sum((w.source.end_ns - w.source.start_ns) / 1e9 for w in todo))
    by_key = {work.plan.key: work.source for work in todo}
    outcomes = convert_all(
        [work.plan for work in todo], pieces, _jobs(options, len(todo)),
        lambda plan, seconds: progress.bag(by_key[plan.key].name, seconds),
    )  # fmt: skip
    for plan, outcome in outcomes:
        if isinstance(outcome, BagProblem):
            summary.problems.append(str(outcome))
        else:
            results[plan.key] = outcome
            mark = marks / f"{plan.key}.json"
            mark.with_suffix(".new").write_text(json.dumps(asdict(outcome)), encoding="utf-8")
            os.replace(mark.with_suffix(".new"), mark)
        source = by_key[plan.key]
        progress.done(source.name, (source.end_ns - source.start_ns) / 1e9)
    return [results[work.plan.key] for work in works if work.plan.key in results]


def _assemble(
    pieces: Sequence[Piece], part: Path, contract: Contract, schema: Schema, robot: admit.Robot,
    options: ConvertOptions, progress: Progress,
) -> None:  # fmt: skip
    folder = part / "dataset"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    conversion = {
        "software": _software(),
        "contract": contract.name,
        "contract_hash": contract.hash,
        "robot": robot.name,
        "robot_spec_hash": robot.spec_hash,
        "format": options.format,
        "split_keys": options.split_keys,
        "key_frame_every": KEY_EVERY,
    }
    plan = DatasetPlan(schema, robot.name, contract.text, _robot_files(robot), conversion)
    FORMATS[options.format].write(folder, plan, pieces, lambda n: progress.assembling(n, len(pieces)))
    folder.rename(options.out)
    shutil.rmtree(part)


def _robot_files(robot: admit.Robot) -> dict[str, str]:
    """The robot's spec, and the file of shapes it names, as text by file name, when this software has the very
    spec that recorded; else nothing."""
    try:
        spec = RobotSpec.load(robot.name)
    except RobotSpecError:
        return {}
    if robot.spec_hash and spec.hash != robot.spec_hash:
        return {}
    return robot_files(robot.name)


def _check_job(part: Path, schema: Schema, contract: Contract, robot: admit.Robot, options: ConvertOptions) -> None:
    """An unfinished run is gone on with only when its episodes fit."""
    job = {"schema": schema.describe(), "contract": contract.hash, "robot": asdict(robot), "task": options.task,
           "shortest_s": options.shortest_s}  # fmt: skip
    file = part / _JOB
    if not file.exists():
        file.write_text(json.dumps(job), encoding="utf-8")
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    different = [name for name in job if json.loads(json.dumps(job[name])) != before.get(name)]
    if different:
        raise DataError(
            f"'{part}' holds an unfinished conversion with another {' and '.join(different)}; "
            "repeat its options to go on, or remove it"
        )


@contextmanager
def _locked(part: Path) -> Iterator[None]:
    part.mkdir(parents=True, exist_ok=True)
    with (part / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another conversion is at work in '{part}'; wait for it") from None
        yield


def _key(source: BagSource) -> str:
    """Names a bag by where it lies and what it weighs, so that a changed one is converted anew."""
    state = source.file.stat()
    text = f"{source.file.resolve()}|{state.st_size}|{state.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _jobs(options: ConvertOptions, bags: int) -> int:
    return max(1, min(options.jobs or os.cpu_count() or 1, bags))


def _software() -> str:
    try:
        return version("wbvla")
    except PackageNotFoundError:
        return ""
