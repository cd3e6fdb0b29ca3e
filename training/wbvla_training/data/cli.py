"""``wbvla data convert|check|info``: bags to datasets, and what is in them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from wbvla_training.data.errors import DataError


@dataclass
class Convert:
    """Make a LeRobot dataset of recorded bags.

    Give bag folders, or folders with bags below them; several sessions become one dataset. An interrupted run goes on
    when the same command is given again. Discarded episodes are left out.
    Exit code 0: every bag was used or left out on purpose; 1: the dataset is there, but some bags could not be used;
    2: there is no dataset.

      wbvla data convert bags/ --out data/reach_table
    """

    bags: tyro.conf.Positional[tuple[Path, ...]]
    """Bag folders, .mcap files, or folders with bags below them."""
    out: Path
    """Dataset folder to make; refused when it exists."""
    format: Literal["v3.0", "v2.1"] = "v3.0"
    """LeRobot dataset format."""
    contract: str | None = None
    """Contract (name or file) for all bags; default is the one in the first bag."""
    task: str = ""
    """Sentence for all episodes, instead of the one each bag was recorded with."""
    namespace: str = ""
    """Namespace of the robot in the bags, where they do not say it."""
    split_keys: bool = False
    """Also write the contract's slices of the action (action.arm_joints, ...) as features of their own."""
    only_successes: bool = False
    """Leave out episodes whose task did not succeed or of which nobody said."""
    keep_failed_audit: bool = False
    """Use episodes that the recorder's audit found wanting (low rate, lost messages)."""
    shortest_s: float = 1.0
    """Leave out shorter runs of frames, in s."""
    jobs: int = 0
    """Bags at once; 0: one per core."""


@dataclass
class Check:
    """Check a dataset: contract, counts, NaN, jumps, stuck joints, black frames, rates, skew, stamps.

    Exit code 0: no errors (warnings may be); 1: errors; with --fix 0 when dropping episodes cured them.
    """

    dataset: tyro.conf.Positional[Path]
    """Dataset folder."""
    fix: bool = False
    """Drop the episodes with errors, and do nothing else; the dataset as it was stays as NAME.unfixed."""
    pictures: bool = True
    """Look at the pictures too."""
    json: Path | None = None
    """Write the findings to this file."""


@dataclass
class Info:
    """Say what is in a dataset, and show it on one HTML page with --html."""

    dataset: tyro.conf.Positional[Path]
    """Dataset folder."""
    html: Path | None = None
    """Page to write: summary, episodes with thumbnails, histograms."""
    json: Path | None = None
    """Write the summary to this file."""


Command = (
    Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Info, tyro.conf.subcommand("info")]
)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    command = tyro.cli(Command, prog="wbvla data", description=__doc__, args=argv)  # type: ignore[call-overload]
    handlers = {Convert: _convert, Check: _check, Info: _info}
    try:
        return handlers[type(command)](command)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _convert(a: Convert) -> int:
    from wbvla_training.data.convert import ConvertOptions, convert
    from wbvla_training.data.progress import BarProgress

    options = ConvertOptions(
        **{name: getattr(a, name) for name in ConvertOptions.__dataclass_fields__}  # the same names by design
    )
    console = Console(stderr=True, highlight=False)
    try:
        with BarProgress(console) as progress:
            summary = convert(a.bags, options, progress)
    except KeyboardInterrupt:
        print(f"\nstopped; finished episodes are kept in '{a.out}.part': run the same command to go on", file=sys.stderr)
        return 130
    for text in (*summary.left_out, *summary.notes):
        console.print(f"note: {text}", markup=False, soft_wrap=True)
    for text in summary.problems:
        console.print(f"not used: {text}", markup=False, soft_wrap=True)
    resumed = f", {summary.resumed} bags from an earlier run" if summary.resumed else ""
    print(f"{a.out}: {summary.episodes} episodes, {summary.frames} frames, {summary.seconds:.1f} s{resumed}")
    return 1 if summary.problems else 0


def _check(a: Check) -> int:
    from wbvla_training.data.check import check_dataset
    from wbvla_training.data.dataset_index import DatasetIndex
    from wbvla_training.data.drop import drop_episodes

    index = DatasetIndex.open(a.dataset)
    result = check_dataset(index, a.pictures)
    for finding in result.findings:
        print(finding)
    errors = len(result.errors)
    if a.json:
        findings = [asdict(finding) for finding in result.findings]
        content = {"episodes": result.episodes, "frames": result.frames, "errors": errors, "findings": findings}
        a.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    bad = result.bad_episodes
    print(f"{a.dataset}: {result.episodes} episodes, {result.frames} frames: {errors} errors in {len(bad)} episodes, "
          f"{len(result.findings) - errors} warnings")  # fmt: skip
    if not errors:
        return 0
    if not a.fix:
        if bad:
            print(f"--fix drops {'episode' if len(bad) == 1 else 'episodes'} {', '.join(map(str, bad))}")
        return 1
    if not bad:
        raise DataError("the errors concern the whole dataset; dropping episodes does not cure them: convert the bags anew")
    before = drop_episodes(index, bad)
    left = check_dataset(DatasetIndex.open(a.dataset), a.pictures)
    print(f"dropped {len(bad)} episodes; {left.episodes} are left with {len(left.errors)} errors; the old one is '{before}'")
    return 1 if left.errors else 0


def _info(a: Info) -> int:
    from wbvla_training.data.dataset_index import DatasetIndex
    from wbvla_training.data.info import lines, summarise
    from wbvla_training.data.info_page import write_page

    index = DatasetIndex.open(a.dataset)
    summary = summarise(index)
    for what, value in lines(summary):
        print(f"{what:<14}{value}")
    if a.json:
        a.json.write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    if a.html:
        write_page(index, a.html)
        print(f"{'page':<14}{a.html}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
