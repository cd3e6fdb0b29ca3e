"""The ``execute_instruction`` action: one goal at a time, the newest wins."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from wbvla_core.types import Reason, State
from wbvla_core.vla_input import InputError

from wbvla_msgs.action import ExecuteInstruction
from wbvla_vla_node.core import Progress, VlaCore
from wbvla_vla_node.goals import GoalTracker, Outcome

FEEDBACK_PERIOD_S = 0.2


class InstructionAction:
    """Serves goals by a timer instead of by a callback that sleeps: the node has one executor thread, and its
    subscriptions must go on while a goal runs."""

    def __init__(self, node, core_of: Callable[[], VlaCore | None], now_ns: Callable[[], int], lock) -> None:
        """``core_of`` gives the core while the node is active, else None; ``lock`` guards it."""
        self._node, self._core_of, self._now_ns, self._lock = node, core_of, now_ns, lock
        self._handle = None
        self._tracker: GoalTracker | None = None
        self._outcomes: dict[bytes, Outcome] = {}
        self._server = ActionServer(
            node,
            ExecuteInstruction,
            "execute_instruction",
            execute_callback=self._end,
            goal_callback=self._goal,
            handle_accepted_callback=self._accepted,
            cancel_callback=lambda _handle: CancelResponse.ACCEPT,
        )
        self._timer = node.create_timer(FEEDBACK_PERIOD_S, self.update)

    def close(self) -> None:
        """End the running goal and take the server down."""
        self.update(stopping=True)
        self._timer.cancel()
        self._server.destroy()

    def _goal(self, request) -> GoalResponse:
        core = self._core_of()
        if core is None:
            self._node.get_logger().warning("execute_instruction refused: the node is not active")
            return GoalResponse.REJECT
        try:
            core.check(request.instruction)
        except InputError as error:
            self._node.get_logger().warning(f"execute_instruction refused: {error}")
            return GoalResponse.REJECT
        if not 0.0 <= request.timeout_s < 1e6:
            self._node.get_logger().warning(f"execute_instruction refused: timeout_s is {request.timeout_s}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _accepted(self, handle) -> None:
        now_ns = self._now_ns()
        with self._lock:
            core = self._core_of()
            if core is not None:
                core.set_instruction(handle.request.instruction, now_ns)
                tracker = GoalTracker(core.progress, handle.request.timeout_s, now_ns)
        if core is None:
            self._finish(handle, Outcome("aborted", Reason.OPERATOR, "the node stopped", 0.0))
            return
        self.update()  # ends the goal before this one, whose sentence is no longer followed
        self._handle, self._tracker = handle, tracker

    def update(self, stopping: bool = False) -> None:
        """Send feedback, or end the goal."""
        if self._handle is None:
            return
        now_ns = self._now_ns()
        with self._lock:
            core = None if stopping else self._core_of()
            progress = core.progress if core else None
            cancel = self._handle.is_cancel_requested
            reason, detail = (core.reason, core.detail) if core else (Reason.NONE, "")
            outcome = self._tracker.update(progress, reason, detail, cancel, now_ns)
            if outcome is not None and core is not None and progress is not None and cancel:
                core.clear_instruction()
            waits = core is not None and not core.has_authority
        if outcome is None:
            self._handle.publish_feedback(
                ExecuteInstruction.Feedback(
                    elapsed_s=self._tracker.elapsed_s(now_ns),
                    state=int(State.ACTIVE),
                    chunks=self._tracker.chunks,
                    message="waits for authority" if waits else detail or _share(progress),
                )
            )
            return
        handle, self._handle = self._handle, None
        self._finish(handle, outcome)

    def _finish(self, handle, outcome: Outcome) -> None:
        self._outcomes[bytes(handle.goal_id.uuid)] = outcome
        handle.execute()

    def _end(self, handle) -> ExecuteInstruction.Result:
        outcome = self._outcomes.pop(bytes(handle.goal_id.uuid))
        {"succeeded": handle.succeed, "aborted": handle.abort, "canceled": handle.canceled}[outcome.end]()
        return ExecuteInstruction.Result(
            success=outcome.success,
            reason=int(outcome.reason),
            message=outcome.message,
            elapsed_s=outcome.elapsed_s,
        )


def _share(progress: Progress | None) -> str:
    if progress is None or progress.share is None:
        return ""
    return f"{100.0 * progress.share:.0f} % done"
