"""The plant as a process: the MuJoCo twin in real time behind a shared-memory mailbox. No ROS inside.

Options after ``--ros-args`` are understood as far as they mean something here (``-r __ns:=``, ``-p
name:=value``), so that a launch file may start it like a node.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from wbvla_core.mailbox import Mailbox, MailboxError
from wbvla_core.realtime import enter_realtime
from wbvla_core.robot_spec import RobotSpec, RobotSpecError
from wbvla_core.types import PlantState

from wbvla_sim.actuation import ActuationConfig
from wbvla_sim.plant import Plant, PlantConfig, SimulationError
from wbvla_sim.realtime_loop import Pacer, RateWindows
from wbvla_sim.requests import carry_out
from wbvla_sim.sensors import SensorConfig
from wbvla_sim.sim_mailbox import ResetRequest, SimMailbox, SimSnapshot
from wbvla_sim.world import DEFAULT_TASK, model_builder

STEPS_PER_WAKE = 2
SNAPSHOT_STEPS = 5


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(prog="plant", description="The MuJoCo twin in real time, behind a mailbox.")
    out.add_argument("--name", default="wbvla", help="name of the mailbox: the robot's ROS namespace")
    out.add_argument("--robot", default="x2_ultra", help="robot spec, by name or by path of a YAML file")
    out.add_argument("--task", default=DEFAULT_TASK, help="scene or task to start with")
    out.add_argument("--seed", type=int, default=0, help="of the start, the noise and the scene's looks")
    out.add_argument("--summary", type=Path, help="write a JSON summary here at the end")
    out.add_argument("--seconds", type=float, default=0.0, help="end after that long; 0: until SIGTERM")
    out.add_argument("--ideal-sensors", action="store_true", help="no noise, no bias, no sensor latency")
    out.add_argument("--sensor-latency-ms", type=float, default=2.0)
    out.add_argument("--command-latency-ms", type=float, default=2.0)
    out.add_argument("--standing", action="store_true", help="start on the floor instead of in the gantry")
    out.add_argument("--priority", type=int, default=60, help="SCHED_FIFO priority, where permitted; 0: none")
    return out


def without_ros_args(arguments: list[str]) -> list[str]:
    """``arguments`` with what follows ``--ros-args`` translated into plain options, or dropped."""
    if "--ros-args" not in arguments:
        return arguments
    at = arguments.index("--ros-args")
    plain, ros = arguments[:at], arguments[at + 1 :]
    for flag, value in itertools.pairwise(ros):
        name, assigned, given = value.partition(":=")
        if flag == "-r" and name == "__ns":
            plain += ["--name", given]
        elif flag == "-p" and assigned and name != "use_sim_time":
            option = f"--{name.replace('_', '-')}"
            switch = option in ("--ideal-sensors", "--standing")
            if not switch:
                plain += [option, given]
            elif given.lower() == "true":
                plain.append(option)
    return plain


def make_plant(options: argparse.Namespace) -> Plant:
    """The plant that the options describe. Raises RobotSpecError or ValueError."""
    spec = RobotSpec.load(options.robot)
    sensors = SensorConfig.ideal() if options.ideal_sensors else SensorConfig()
    if not options.ideal_sensors:
        sensors = replace(sensors, latency_s=options.sensor_latency_ms / 1e3)
    actuation = ActuationConfig(latency_s=options.command_latency_ms / 1e3)
    config = PlantConfig(actuation=actuation, sensors=sensors, hung=not options.standing)
    build = model_builder(spec)
    return Plant(
        build(options.task, options.seed), spec, config, options.seed, task=options.task, build=build
    )


class PlantLoop:
    """The plant with its mailboxes and its pace. ``run`` until ``stop``; then ``close``."""

    def __init__(self, plant: Plant, name: str) -> None:
        self._plant = plant
        self._box = Mailbox.create(name, plant.spec)
        try:
            self._sim_box = SimMailbox.create(name, plant.spec)
        except MailboxError:
            self._box.unlink()
            self._box.close()
            raise
        self._pacer = Pacer(plant.model.opt.timestep, STEPS_PER_WAKE)
        self._rtf, self._set_points = RateWindows(), RateWindows()
        self._steps = self._wakes = self._resets = 0
        self._fell = False
        self.stopping = False

    def stop(self, *_signal: object) -> None:
        """Leave ``run`` after the present turn; usable as a signal handler."""
        self.stopping = True

    def run(self, seconds: float = 0.0) -> None:
        """Turn until ``stop`` or for ``seconds``. Raises SimulationError when the physics diverges."""
        self._begin_ns, self._begin_cpu = time.monotonic_ns(), time.process_time()
        self._pacer.restart()
        while not self.stopping:
            self._turn()
            if seconds and time.monotonic_ns() - self._begin_ns >= seconds * 1e9:
                break

    def _turn(self) -> None:
        turn, plant = self._pacer.wait(), self._plant
        self._wakes += 1
        command = self._box.read_command()
        if command is not None:
            plant.apply(command)
        wall_ns, changed = time.time_ns(), False
        step_ns = round(plant.model.opt.timestep * 1e9)
        for left in range(turn.steps - 1, -1, -1):
            changed |= plant.step(turn.watch_ns, wall_ns - left * step_ns)
        reading = plant.reading()
        if changed and reading is not None:
            self._box.write_reading(reading)
        before, self._steps = self._steps, self._steps + turn.steps
        self._account()
        if self._steps // SNAPSHOT_STEPS != before // SNAPSHOT_STEPS:
            self._sim_box.write(self._snapshot(wall_ns))
            request = self._sim_box.next_request()
            if request is not None:
                reply = carry_out(plant, request)
                self._sim_box.answer(reply)
                if reply.success and isinstance(request, ResetRequest):
                    self._resets += 1
                    self._rtf.pause()
                    self._pacer.restart()

    def _account(self) -> None:
        now_ns = time.monotonic_ns()
        self._rtf.update(now_ns, self._steps * self._plant.model.opt.timestep)
        if self._plant.state is PlantState.ACTIVE:
            self._set_points.update(now_ns, self._plant.actuation.set_points)
        else:
            self._set_points.pause()

    def _snapshot(self, stamp_ns: int) -> SimSnapshot:
        plant, truth = self._plant, self._plant.truth
        self._fell |= truth.fell
        return SimSnapshot(
            stamp_ns=stamp_ns,
            resets=self._resets,
            seed=plant.seed,
            task=plant.task,
            sim_time_s=truth.sim_time_s,
            real_time_factor=self._rtf.last,
            fell=truth.fell,
            hoisted=truth.hoisted,
            gantry_height_m=truth.gantry_height_m,
            bar_pose=plant.gantry.bar_pose,
            qpos=plant.data.qpos,
            qvel=plant.data.qvel,
        )

    def summary(self) -> dict:
        """How it went, ready for JSON; rates are medians over 1 s windows."""
        wall_s = (time.monotonic_ns() - self._begin_ns) / 1e9
        lateness, drives = self._pacer.lateness, self._plant.actuation
        return {
            "rtf": self._rtf.median,
            "rtf_min": self._rtf.minimum,
            "set_points_hz": self._set_points.median,
            "set_points_hz_min": self._set_points.minimum,
            "watchdog_trips": drives.watchdog_trips,
            "commands_rejected": drives.rejected,
            "commands_limited": drives.limited,
            "torn_reads": self._box.torn_reads,
            "cpu": (time.process_time() - self._begin_cpu) / wall_s,
            "wake_lateness_ms": {
                "p50": lateness.percentile_ms(50),
                "p99": lateness.percentile_ms(99),
                "max": lateness.max_ns / 1e6,
            },
            "dropped_s": self._pacer.dropped_s,
            "fell": self._fell,
            "resets": self._resets,
            "wall_s": wall_s,
        }

    def close(self) -> None:
        """Tell the driver that the drives are gone, and remove the mailboxes."""
        reading = self._plant.reading()
        if reading is not None:
            gone = replace(reading, plant_state=PlantState.OFFLINE, sequence=reading.sequence + 1)
            self._box.write_reading(gone)
        for box in (self._box, self._sim_box):
            box.unlink()
            box.close()


def main(arguments: list[str] | None = None) -> int:
    """Console entry; returns the exit code: 0 ended as asked, 1 physics diverged, 2 could not start."""
    options = parser().parse_args(without_ros_args(sys.argv[1:] if arguments is None else arguments))
    try:
        loop = PlantLoop(make_plant(options), options.name)
    except (MailboxError, RobotSpecError, ValueError) as error:
        print(f"plant: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, loop.stop)
    realtime = enter_realtime(options.priority)
    gc.collect()
    gc.freeze()
    gc.disable()
    print(
        f"plant: {options.name} runs task {options.task!r}, seed {options.seed}; {realtime.message}",
        flush=True,
    )
    code = 0
    try:
        loop.run(options.seconds)
    except SimulationError as error:
        print(f"plant: {error}", file=sys.stderr)
        code = 1
    summary = loop.summary()
    loop.close()
    if options.summary:
        options.summary.parent.mkdir(parents=True, exist_ok=True)
        options.summary.write_text(json.dumps(summary, indent=1) + "\n")
    print(
        f"plant: real-time factor {summary['rtf']:.3f} (least {summary['rtf_min']:.3f}), "
        f"{summary['set_points_hz']:.0f} set-points/s, {summary['watchdog_trips']} watchdog trips, "
        f"{summary['cpu']:.2f} cores",
        flush=True,
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
