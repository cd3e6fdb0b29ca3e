"""The driver without ROS: commands and readings in, one plant command per tick out.

``DriverCore`` joins the rooms: who may command (intake, authority), what is known (estimation), what is
allowed (the safety machine), what each limb does (upper body, legs, loco), and what leaves (output). It reads
no clock: ``now_ns`` is any monotonic clock; stamps may be of another one, ``clock_offset_ns`` (stamp clock
minus that of ``now_ns``) says by how much. It is not thread safe: one thread alone calls it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.safety import SafetyInputs, SafetyMachine
from wbvla_core.timing import NS_PER_MS
from wbvla_core.types import (
    ArmTarget,
    Event,
    LegWaistCommand,
    LocoCommand,
    PlantCommand,
    PlantReading,
    Reason,
    RobotState,
    Source,
    State,
)

from wbvla_driver.config import DriverConfig, DriverStatus
from wbvla_driver.estimation import BodyModel, StateEstimator
from wbvla_driver.event_log import EventLog
from wbvla_driver.health import JointHealth
from wbvla_driver.intake import CommandIntake
from wbvla_driver.legs import LegRoom, LegSource, StandController
from wbvla_driver.loco import LocoShaper
from wbvla_driver.output import OutputStage
from wbvla_driver.plant_watch import PlantWatch
from wbvla_driver.upper_body import UpperBody

GRAVITY_M_S2 = 9.81


@dataclass(frozen=True)
class DriverOutput:
    """Result of one tick. ``robot_state`` None: no new reading. ``loco_command`` comes every 20 ms,
    ``arm_target`` (what passed the mux, before clamps) with it unless the robot is damped."""

    plant_command: PlantCommand
    robot_state: RobotState | None
    loco_command: LocoCommand | None
    arm_target: ArmTarget | None
    state: State
    events: tuple[Event, ...]


class DriverCore:
    """See the module. Starts in latched damping with authority NONE."""

    def __init__(
        self, spec: RobotSpec, config: DriverConfig, kinematics: BodyModel, last_resort: StandController
    ) -> None:
        """``kinematics`` is a ``Kinematics`` of ``spec``, ``last_resort`` an ``LmoController`` with a stand
        bundle.

        Raises DriverConfigError when the settings do not fit the robot.
        """
        self.spec, self.config = spec, config
        self._body = kinematics
        self._machine = SafetyMachine(config.safety)
        self._estimator = StateEstimator(spec, kinematics, config)
        self._upper = UpperBody(spec, kinematics, config)
        self._period_ns = int(config.command_period_ms * NS_PER_MS)
        self._legs = LegRoom(spec, last_resort, self._period_ns)
        self._output = OutputStage(spec, self._legs.joints, self._upper.joints, config)
        self._loco = LocoShaper(
            config.velocity_limit, spec.stance_height_m, config.stand_ramp_s, config.height_slew_m_s
        )
        self._loco.reset(spec.nominal_height_m, 0)
        self._intake = CommandIntake(config, self._upper.names, self._legs, self._tell)
        self._plant = PlantWatch(config.plant_obeys_ms)
        self._health = JointHealth(spec.joint_names, config.hot_c, config.cooled_c)
        self._log = EventLog()
        self._weight_n = GRAVITY_M_S2 * sum(link.mass_kg for link in spec.links)
        self._obeyed = State.DAMPING
        self._arms_follow = False
        self._loco_sequence = 0
        self._next_command_ns: int | None = None
        self._camera_ns: int | None = None
        self._heartbeat_ns: int | None = None
        self._limited_ticks = 0

    # Requests of people and nodes.

    def set_authority(self, source: Source, now_ns: int) -> tuple[int, str]:
        """Give ``source`` the authority; returns the session that its commands must carry, and a sentence."""
        previous, session = self._intake.mux.source, self._intake.mux.grant(source)
        if source == previous:
            return session, f"{source.name} has the authority already"
        self._withdraw(now_ns)
        detail = f"authority from {previous.name} to {source.name}, session {session}"
        self._log.extend((Event(now_ns, Reason.OPERATOR, self._machine.state, detail),))
        return session, detail

    def estop(self, why: str, now_ns: int) -> None:
        """Emergency stop; the next tick's command is damping."""
        self._machine.estop(why, now_ns)

    def release(self, hoisted: bool, now_ns: int) -> tuple[bool, str]:
        """Leave latched damping (robot in the hoist), or hand back from the last resort; (done, sentence)."""
        before = self._machine.state
        done, sentence = self._machine.release(hoisted, now_ns)
        state = self._estimator.state
        if done and before == State.DAMPING and state is not None:
            self._output.start_release(state.position_rad, now_ns)
            self._upper.reset(state.gripper_opening, now_ns)
            self._legs.start_posture(now_ns)
            self._loco.reset(self.spec.nominal_height_m, now_ns)
            self._plant.start(self._estimator.reading)
        return done, sentence

    def camera_seen(self, now_ns: int) -> None:
        """A camera frame reached this host."""
        self._camera_ns = now_ns

    def heartbeat_seen(self, now_ns: int) -> None:
        """The operator's heartbeat came."""
        self._heartbeat_ns = now_ns

    def second_publisher(self, topic: str, source: Source, now_ns: int) -> None:
        """Another node began to publish on a command topic of ``source`` (NONE: not a source's topic).

        Where the source with authority had fallen silent before, it is its successor: a killed node stays
        listed for some seconds. It only begins anew.
        """
        mux = self._intake.mux
        detail = "another node publishes here; stop it"
        if source != Source.NONE and source == mux.source:
            if mux.silent(now_ns):
                self._tell(Reason.NONE, topic, "a new publisher after a silent one", now_ns)
                return
            detail += f"; session {mux.renew()} voids what was sent before"
            self._withdraw(now_ns)
        self._tell(Reason.SECOND_PUBLISHER, topic, detail, now_ns)

    # Commands; True when the message is kept.

    def on_arm_target(self, target: ArmTarget, now_ns: int) -> bool:
        """A chunk arrived; it is merged at the next tick if the robot follows its source by then."""
        return self._intake.arm_target(target, now_ns)

    def on_loco_command(self, command: LocoCommand, now_ns: int) -> bool:
        """A locomotion command of a source arrived."""
        return self._intake.loco_command(command, now_ns)

    def on_leg_waist_command(self, command: LegWaistCommand, now_ns: int) -> bool:
        """A set-point of the locomotion policy arrived."""
        return self._intake.leg_waist_command(command, now_ns)

    def on_bad_message(self, topic: str, detail: str, now_ns: int) -> None:
        """A message on ``topic`` could not even be read."""
        self._intake.drop(Reason.BAD_MESSAGE, topic, detail, now_ns)

    # The tick.

    def tick(self, reading: PlantReading | None, now_ns: int) -> DriverOutput:
        """One control cycle; call it every 5 ms. ``reading``: the plant's newest, or None when there is
        none."""
        fresh = self._estimator.update(reading, now_ns)
        if fresh and not self._machine.damped and reading is not None:
            fault = self._plant.fault(reading, now_ns)
            if fault is not None:
                self._machine.trip(Reason.DRIVER_LOST, fault, now_ns)
        self._log.extend(self._machine.update(self._safety_inputs(now_ns), now_ns).events)
        self._obey_state(now_ns)
        self._merge_chunks(now_ns)
        plant_command = self._compose(now_ns)
        loco_command = arm_target = None
        if self._command_due(now_ns):
            loco_command = self._loco_command(now_ns)
            arm_target = None if self._machine.damped else self._planned_arms(now_ns)
            self._slow_checks(now_ns)
        self._log.extend(self._machine.drain())
        state = self._estimator.state if fresh else None
        return DriverOutput(
            plant_command, state, loco_command, arm_target, self._machine.state, self._log.drain()
        )

    def park(self, now_ns: int) -> None:
        """The control loop ends: latched damping, so that a later start begins there."""
        self._machine.trip(Reason.OPERATOR, "the driver was deactivated", now_ns)

    def safe_command(self, now_ns: int) -> PlantCommand:
        """Damping, for the last word of a driver that leaves."""
        return self._output.damping(self._estimator.state, now_ns + self.clock_offset_ns)

    @property
    def clock_offset_ns(self) -> int:
        """Clock of the stamps minus clock of ``now_ns``."""
        return self._intake.clock_offset_ns

    @clock_offset_ns.setter
    def clock_offset_ns(self, offset_ns: int) -> None:
        self._intake.clock_offset_ns = int(offset_ns)

    @property
    def state(self) -> State:
        """Present safety state."""
        return self._machine.state

    @property
    def authority(self) -> tuple[Source, int]:
        """Who may command, and the session."""
        return self._intake.mux.source, self._intake.mux.session

    @property
    def estop_reason(self) -> str | None:
        """Why the emergency stop is pulled; None when it is not."""
        return self._machine.estop_reason

    def status(self) -> DriverStatus:
        """For status and diagnostics."""
        machine, (source, session) = self._machine, self.authority
        return DriverStatus(
            state=machine.state,
            reason=machine.reason,
            detail=machine.detail,
            since_ns=machine.since_ns + self.clock_offset_ns,
            authority=source,
            session=session,
            estop_reason=machine.estop_reason,
            dropped=dict(self._intake.dropped),
            limited_ticks=self._limited_ticks,
            tilt_deg=math.degrees(self._estimator.tilt_rad()),
            imu_disagreement_deg=math.degrees(self._estimator.disagreement_rad),
            joints=self._health.summary(),
        )

    def _command_due(self, now_ns: int) -> bool:
        due_ns = now_ns if self._next_command_ns is None else self._next_command_ns
        if now_ns < due_ns:
            return False
        late = now_ns - due_ns >= self._period_ns
        self._next_command_ns = (now_ns if late else due_ns) + self._period_ns
        return True

    def _safety_inputs(self, now_ns: int) -> SafetyInputs:
        estimator, mux = self._estimator, self._intake.mux
        return SafetyInputs(
            state_age_ns=estimator.state_age_ns(now_ns),
            imu_age_ns=estimator.imu_age_ns(now_ns),
            tilt_rad=estimator.tilt_rad(),
            source=mux.source,
            source_age_ns=mux.age_ns(now_ns),
            camera_age_ns=None if self._camera_ns is None else now_ns - self._camera_ns,
            lmo_age_ns=self._legs.lmo_age_ns(now_ns),
            lmo_bad_in_row=self._legs.bad_in_row,
            heartbeat_age_ns=None if self._heartbeat_ns is None else now_ns - self._heartbeat_ns,
            feet_down=self._feet_down,
        )

    def _obey_state(self, now_ns: int) -> None:
        """What a change of state means for the rooms."""
        before, state = self._obeyed, self._machine.state
        self._obeyed = state
        if state == before:
            return
        if state != State.ACTIVE:
            self._arms_follow = False
        if state == State.DAMPING:
            self._intake.mux.grant(Source.NONE)
            self._withdraw(now_ns)
            self._loco.reset(self.spec.nominal_height_m, now_ns)
        elif state in (State.STANDING, State.ACTIVE):
            self._legs.switch(LegSource.LMO, self.config.release_blend_s, now_ns)
        elif state == State.LAST_RESORT:
            self._start_last_resort(now_ns)

    def _start_last_resort(self, now_ns: int) -> None:
        robot = self._estimator.state
        assert robot is not None  # the machine leaves damping only with a fresh state
        self._upper.hold(now_ns)
        low, high = self.spec.stance_height_m
        height = self._body.stance_height_m(robot.position_rad, robot.base_quaternion_wxyz)
        height = min(max(height, low), high)
        self._loco.reset(height, now_ns)
        try:
            self._legs.start_stand(robot, height, self.config.last_resort_blend_s, now_ns)
        except ArithmeticError as error:
            self._machine.trip(Reason.LMO_NOT_FINITE, f"last resort: {error}", now_ns)

    def _merge_chunks(self, now_ns: int) -> None:
        chunks = self._intake.chunks()
        if self._machine.state != State.ACTIVE:
            return
        for chunk in chunks:
            merged = self._upper.merge(chunk, now_ns, self.clock_offset_ns, takeover=not self._arms_follow)
            if merged.fade_s > 0.0:
                self._arms_follow = True
                continue
            topic = f"{chunk.source.name.lower()}/arm_target"
            self._intake.drop(Reason.BAD_MESSAGE, topic, "every step of the chunk is long past", now_ns)

    def _compose(self, now_ns: int) -> PlantCommand:
        stamp_ns = now_ns + self.clock_offset_ns
        state = self._estimator.state
        if self._machine.damped or state is None:
            return self._output.damping(state, stamp_ns)
        try:
            legs = self._legs.sample(state, now_ns)
        except ArithmeticError as error:
            self._machine.trip(Reason.LMO_NOT_FINITE, f"last resort: {error}", now_ns)
            return self._output.damping(state, stamp_ns)
        command, report = self._output.active(
            state, legs, self._upper.sample(now_ns), self._upper.gravity_nm, now_ns, stamp_ns
        )
        if report.any:
            self._limited("set-points", report.describe(self.spec.joint_names), now_ns)
        elif self._upper.limited:
            self._limited("upper body", ", ".join(self._upper.limited[:6]), now_ns)
        return command

    def _loco_command(self, now_ns: int) -> LocoCommand:
        stamp_ns = now_ns + self.clock_offset_ns
        following = self._machine.state == State.ACTIVE
        wanted = self._intake.loco if following else None
        source, session = self.authority if following else (Source.NONE, 0)
        shaped = self._loco.update(wanted, now_ns)
        if self._loco.limited:
            self._limited("loco_command", "height or velocity beyond its range", now_ns)
        self._loco_sequence += 1
        return replace(
            shaped,
            source=source,
            session=session,
            sequence=self._loco_sequence,
            stamp_ns=stamp_ns,
            observation_stamp_ns=stamp_ns if wanted is None else wanted.observation_stamp_ns,
        )

    def _planned_arms(self, now_ns: int) -> ArmTarget:
        source, session = self.authority if self._machine.state == State.ACTIVE else (Source.NONE, 0)
        return self._upper.planned(now_ns, now_ns + self.clock_offset_ns, source, session)

    def _slow_checks(self, now_ns: int) -> None:
        """Gravity of the arms, health of joints and IMUs: 50 Hz is plenty."""
        state, reading = self._estimator.state, self._estimator.reading
        if state is None or reading is None:
            return
        self._upper.update_gravity(state)
        for joint, finding in self._health.update(reading):
            self._tell(Reason.NONE, joint, finding, now_ns)
        if (
            self._loco_sequence % 10 == 0
            and math.degrees(self._estimator.compare_imus()) > self.config.imu_disagreement_deg
        ):
            detail = "the IMUs disagree about the vertical; check base_imu_link and the mounts"
            self._tell(Reason.MISMATCH, "imu", detail, now_ns)

    def _feet_down(self) -> bool:
        state = self._estimator.state
        return state is not None and self._feet_load(state) >= self.config.feet_load_share

    def _feet_load(self, state: RobotState) -> float:
        """Load on the feet as share of the weight."""
        forces = self._body.foot_forces_n(state.position_rad, state.effort_nm, state.base_quaternion_wxyz)
        return float(np.sum(forces)) / self._weight_n

    def _withdraw(self, now_ns: int) -> None:
        """What was commanded so far counts no more."""
        self._intake.forget()
        self._arms_follow = False
        self._upper.hold(now_ns)

    def _limited(self, topic: str, detail: str, now_ns: int) -> None:
        self._limited_ticks += 1
        self._tell(Reason.LIMITED, topic, detail, now_ns)

    def _tell(self, reason: Reason, topic: str, detail: str, now_ns: int) -> None:
        self._log.add(reason, self._machine.state, topic, detail, now_ns)
