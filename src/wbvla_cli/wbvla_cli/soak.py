"""``wbvla soak``: the graph for a long time, task after task, with faults, and an account of how it held out."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import tyro
from rich.console import Console
from wbvla_core.robot_spec import RobotSpec
from wbvla_ros.launched_graph import GraphError
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.base import Outcome, Task, Verdict, find_task
from wbvla_sim.tasks.graph_collect import GraphOptions, Session, graph_session
from wbvla_sim.tasks.graph_trial import run_on_graph
from wbvla_sim.tasks.lockstep_trial import OPERATOR
from wbvla_sim.tasks.scribes import WholeTrialScribe

from wbvla_cli import soak_report
from wbvla_cli.bag_rates import topic_rates
from wbvla_cli.processes import ProcessSampler
from wbvla_cli.run_figures import node_figures
from wbvla_cli.soak_faults import Injector, answer
from wbvla_cli.soak_plan import TASKS, TrialPlan, plan_trial
from wbvla_cli.soak_report import SoakTrial
from wbvla_cli.task_demo import check_policy, choose_policy, dropped_in, who_acts

NAMESPACE = "wbvla"
MEMORY_PERIOD_S = 2.0
ERRORS_IN_A_ROW = 3
LMO_TOPIC, VLA_TOPIC = "leg_waist_command", "vla/loco_command"
ERROR = "could not be run"


@dataclass
class Arguments:
    """Box and cart at random, trial after trial in one graph, recorded, with stalls, lost cameras and pushes by seed.

    Leaves in --out: soak.json, soak.md, one bag a trial (bag/), plant.json and launch.log. Ctrl-C ends it early and
    writes the account of what was. Exit code 1 when a limit is exceeded.
    """

    minutes: float = 30.0
    """How long trials are begun."""
    seed: int = 0
    """Of tasks, scenes and faults."""
    policy: str | None = None
    """VLA bundle by kind/name or path, or 'operator'; default: the shipped bundle of the scene, else the operator."""
    out: Path | None = None
    """Folder for the results; default out/soak-<time>."""
    robot: str = "x2_ultra"
    """Robot spec, by name or path."""
    keep_bags: bool = True
    """Keep the bags (about 4 MB a trial); their figures stay in the account in any case."""
    domain: int | None = None
    """ROS_DOMAIN_ID to use; default: the environment's, else one derived from the process id."""


def main(argv: list[str]) -> int:
    a = tyro.cli(Arguments, args=argv, prog="wbvla soak")
    console = Console(highlight=False)
    if not 0.1 <= a.minutes <= 24 * 60:
        raise ValueError(f"--minutes {a.minutes}: expected 0.1 to {24 * 60}")
    out = a.out or Path("out") / f"soak-{datetime.now():%Y%m%d-%H%M%S}"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder; name another one with --out")
    (out / "bag").mkdir(parents=True, exist_ok=True)
    domain = a.domain if a.domain is not None else os.environ.get("ROS_DOMAIN_ID", os.getpid() % 100 + 1)
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    task, spec = find_task(TASKS[0]), RobotSpec.load(a.robot)
    policy = choose_policy(a.policy)
    check_policy(policy)
    options = GraphOptions(
        "scripted", task.lmo, out / "bag", "script" if policy == OPERATOR else policy, a.robot,
        namespace=NAMESPACE, policy=policy, plant_summary=str((out / "plant.json").resolve()), log=out / "launch.log",
    )  # fmt: skip
    console.print(f"{a.minutes:g} minutes, seed {a.seed}; {who_acts(policy)}")
    try:
        soak = Soak(a, options, console)
        soak.run(task, spec)
    except (ScriptError, GraphError) as error:
        console.print(f"[red]the graph did not come up:[/] {error}")
        return 1
    command = shlex.join(["wbvla", "soak", *argv])
    return soak.account(out, {"command": command, "seed": a.seed, "policy": policy, "by": who_acts(policy)})


class Soak:
    """Runs the trials and remembers what came of them."""

    def __init__(self, arguments: Arguments, options: GraphOptions, console: Console) -> None:
        self._arguments, self._options, self._console = arguments, options, console
        self._trials: list[SoakTrial] = []
        self._usage: ProcessSampler | None = None
        self._lmo: dict[str, float] = {}
        self._vla_hz: list[float] = []

    def run(self, task: Task, spec: RobotSpec) -> None:
        """Until the time is over, Ctrl-C, SIGTERM, or too many trials in a row that cannot be run."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        first = plan_trial(self._arguments.seed, 0)
        with graph_session(task, spec, self._options, first.seed, self._console) as session:
            scribe = WholeTrialScribe(
                session.supervisor, not self._options.by_operator, self._options.operator_name
            )
            self._usage = usage = ProcessSampler(session.graph.process.pid, MEMORY_PERIOD_S)
            usage.start()
            end_s, number, errors = time.monotonic() + 60.0 * self._arguments.minutes, 0, 0
            try:
                while time.monotonic() < end_s and errors < ERRORS_IN_A_ROW:
                    trial = self._trial(session, scribe, plan_trial(self._arguments.seed, number))
                    self._trials.append(trial)
                    errors = errors + 1 if trial.error else 0
                    number += 1
                    self._tell(trial)
                    session.graph.check()
            except KeyboardInterrupt:
                self._console.print(f"stopped after {len(self._trials)} trials")
            except GraphError as error:
                self._console.print(f"[red]{error}[/]")
                self._trials[-1] = replace(self._trials[-1], error=str(error).splitlines()[0])
            usage.stop()
            figures = node_figures(session.supervisor.statuses["lmo_node"])
            self._lmo = {
                "missed_fraction": figures["missed_fraction"],
                "lateness_max_ms": figures["lateness_ms"]["max"],
            }

    def _trial(self, session: Session, scribe: WholeTrialScribe, plan: TrialPlan) -> SoakTrial:
        actor = "teleop_node" if self._options.by_operator else "vla_node"
        injector = Injector(session, actor, plan.faults)
        changes, begin_ns, error = session.supervisor.changes, time.time_ns(), ""
        changes.clear()
        bag: Path | None = None
        try:
            result = run_on_graph(
                session.supervisor, session.referee, scribe, find_task(plan.task), plan.seed, self._options.out,
                meanwhile=injector,
            )  # fmt: skip
            verdict, bag = result.verdict, result.bag
        except (ScriptError, GraphError) as failure:
            error = str(failure)
            verdict = Verdict(Outcome.FAILED, ERROR, 0.0)
        finally:
            injector.close()
        end_ns = time.time_ns()
        self._vla_hz.append(session.supervisor.statuses["vla_node"].rate_hz)
        injected = tuple(injector.injected)
        untils = [later.begin_ns for later in injected[1:]] + [end_ns]
        seen = tuple(changes)
        return SoakTrial(
            plan, verdict, begin_ns, end_ns, injected,
            tuple(answer(one, list(seen), until_ns) for one, until_ns in zip(injected, untils, strict=False)),
            seen, None, 0, "" if bag is None else str(bag), error,
        )  # fmt: skip

    def _tell(self, trial: SoakTrial) -> None:
        faults = ", ".join(one.fault.kind.value for one in trial.injected) or "no fault"
        state = "done" if trial.verdict.success else trial.error or trial.verdict.reason
        since_s = (trial.end_ns - self._trials[0].begin_ns) / 1e9
        self._console.print(
            f"{since_s:6.0f} s  trial {trial.plan.number}: {trial.plan.task}, seed {trial.plan.seed}: {state} "
            f"({trial.verdict.time_s:.1f} s; {faults})"
        )

    def account(self, out: Path, head: dict) -> int:
        """Read the bags, write soak.json and soak.md; the exit code."""
        assert self._usage is not None
        self._console.print("reading the bags")
        trials = [self._read_bag(trial) for trial in self._trials]
        vla_topic = VLA_TOPIC if not self._options.by_operator else ""
        result = {**head, **soak_report.figures(trials, self._usage.memory_history, self._lmo, vla_topic)}
        if self._options.by_operator and self._vla_hz:
            result["vla"]["rate_hz"] = round(min(self._vla_hz), 3)
        result["plant"] = (
            json.loads((out / "plant.json").read_text()) if (out / "plant.json").is_file() else {}
        )
        result["limits"] = [
            {"what": what, "met": met, "measured": value} for what, met, value in soak_report.limits(result)
        ]
        (out / "soak.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (out / "soak.md").write_text(soak_report.markdown(result), encoding="utf-8")
        for row in result["limits"]:
            self._console.print(
                f"  {'[green]ok  [/]' if row['met'] else '[red]over[/]'} {row['what']}: {row['measured']}"
            )
        self._console.print(f"\nLook at {out / 'soak.md'}")
        return 0 if trials and all(row["met"] for row in result["limits"]) else 1

    def _read_bag(self, trial: SoakTrial) -> SoakTrial:
        if not trial.bag:
            return trial
        bag = Path(trial.bag)
        rates = topic_rates(bag, NAMESPACE, (LMO_TOPIC, VLA_TOPIC))
        dropped = dropped_in(bag)
        if not self._arguments.keep_bags:
            for file in bag.iterdir():
                file.unlink()
            bag.rmdir()
        return replace(trial, rates_hz=rates, dropped=dropped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
