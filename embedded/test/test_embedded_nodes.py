"""Parameters, lifecycle and actions."""

from __future__ import annotations

import threading
import time

import pytest
import rclpy
from action_msgs.msg import GoalStatus
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, ParameterEvent, SetParametersResult
from rclpy.action import ActionClient, ActionServer, CancelResponse, GoalResponse, get_action_names_and_types
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.wait_for_message import wait_for_message
from std_msgs.msg import String

from wbvla_msgs.action import ExecuteInstruction


def test_parameters_are_declared_read_and_set(graph) -> None:
    node, events = graph.node('owner'), []
    node.create_subscription(ParameterEvent, '/parameter_events', events.append, 10)
    node.declare_parameters('arm', [('gain', 1.5), ('names', ['a']), ('count', Parameter.Type.INTEGER)])
    assert node.get_parameter('arm.gain').value == 1.5
    assert node.set_parameters([Parameter('arm.gain', value=2.5)])[0].successful
    assert {name: p.value for name, p in node.get_parameters_by_prefix('arm').items()} == {
        'gain': 2.5, 'names': ['a'], 'count': None}
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter('arm.count')
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter('leg.gain')
    with pytest.raises(ParameterAlreadyDeclaredException):
        node.declare_parameter('arm.gain', 1.0)
    assert graph(5, lambda: any(p.name == 'arm.gain' for event in events for p in event.changed_parameters))


def test_descriptors_refuse_wrong_values(graph) -> None:
    node = graph.node('owner')
    limits = FloatingPointRange(from_value=0.0, to_value=1.0, step=0.25)
    node.declare_parameter('share', 0.5, ParameterDescriptor(floating_point_range=[limits]))
    node.declare_parameter('fixed', 3, ParameterDescriptor(read_only=True))
    for name, value, reason in (('share', 2.0, 'out of range'), ('share', 0.3, 'valid step'),
                                ('share', 'x', 'Wrong parameter type'), ('fixed', 4, 'read-only')):
        result = node.set_parameters([Parameter(name, value=value)])[0]
        assert not result.successful and reason in result.reason
    assert node.set_parameters([Parameter('share', value=0.75)])[0].successful
    with pytest.raises(InvalidParameterValueException, match='out of range'):
        node.declare_parameter('high', 2.0, ParameterDescriptor(floating_point_range=[limits]))


def test_override_of_another_type_is_refused() -> None:
    context = rclpy.Context()
    rclpy.init(context=context, args=['--ros-args', '-p', 'gain:=high'])
    node = rclpy.create_node('strict', context=context)
    with pytest.raises(InvalidParameterTypeException, match="'gain' to 'high' of type 'STRING', expecting type 'DOUBLE'"):
        node.declare_parameter('gain', 1.0)
    node.destroy_node()
    context.shutdown()


def test_callback_can_veto_a_parameter(graph) -> None:
    node = graph.node('owner')
    node.declare_parameter('gain', 1.0)
    node.add_on_set_parameters_callback(lambda parameters: SetParametersResult(
        successful=all(p.value > 0 for p in parameters), reason='must be positive'))
    assert node.set_parameters_atomically([Parameter('gain', value=-1.0)]).reason == 'must be positive'
    assert node.get_parameter('gain').value == 1.0
    assert node.set_parameters_atomically([Parameter('gain', value=2.0)]).successful


def test_wait_for_message_returns_it_or_gives_up(graph) -> None:
    node = graph.node('waiting')
    publisher = node.create_publisher(String, 'chat', 1)
    threading.Timer(0.2, lambda: publisher.publish(String(data='x'))).start()
    assert wait_for_message(String, node, 'chat', time_to_wait=5) == (True, String(data='x'))
    assert wait_for_message(String, node, 'silence', time_to_wait=0.1) == (False, None)


class Managed(LifecycleNode):
    """Fails or raises in configure when told so."""

    outcome = TransitionCallbackReturn.SUCCESS

    def on_configure(self, state):
        self.publisher = self.create_lifecycle_publisher(String, 'managed', 10)
        if self.outcome is None:
            raise RuntimeError('no such device')
        return self.outcome


def test_lifecycle_by_services_gates_publishers_and_tells_transitions(graph) -> None:
    managed, other = graph.node('managed', Managed), graph.node('other')
    heard, events = [], []
    other.create_subscription(String, 'managed', heard.append, 10)
    other.create_subscription(TransitionEvent, '/managed/transition_event', events.append, 20)
    change = other.create_client(ChangeState, '/managed/change_state')
    current = other.create_client(GetState, '/managed/get_state')
    listing = other.create_client(GetAvailableTransitions, '/managed/get_available_transitions')

    def ask(client, **request):
        assert client.wait_for_service(5)
        future = client.call_async(client.srv_type.Request(**request))
        assert graph(5, future.done)
        return future.result()

    assert ask(change, transition=Transition(id=Transition.TRANSITION_CONFIGURE)).success
    managed.publisher.publish(String(data='inactive'))
    assert not ask(change, transition=Transition(label='configure')).success
    assert ask(change, transition=Transition(label='activate')).success
    assert ask(current).current_state == State(id=State.PRIMARY_STATE_ACTIVE, label='active')
    assert [t.transition.label for t in ask(listing).available_transitions] == ['deactivate', 'shutdown']
    managed.publisher.publish(String(data='active'))
    assert graph(5, lambda: bool(heard) and len(events) >= 4)
    assert [message.data for message in heard] == ['active']
    assert [event.goal_state.label for event in events[:4]] == ['configuring', 'inactive', 'activating', 'active']


def test_publishers_stay_silent_when_on_activate_does_not_call_super(graph) -> None:
    class Forgetful(Managed):
        def on_activate(self, state):
            return TransitionCallbackReturn.SUCCESS

    node = graph.node('forgetful', Forgetful)
    node.trigger_configure()
    node.trigger_activate()
    assert not node.publisher.is_activated
    managed = graph.node('managed', Managed)
    managed.trigger_configure()
    managed.trigger_activate()
    assert managed.publisher.is_activated


@pytest.mark.parametrize(('outcome', 'state'), [
    (TransitionCallbackReturn.FAILURE, 'unconfigured'), (TransitionCallbackReturn.ERROR, 'unconfigured'),
    (None, 'unconfigured'), (TransitionCallbackReturn.SUCCESS, 'inactive')])
def test_outcome_of_configure_decides_the_state(graph, outcome, state: str) -> None:
    node = graph.node('managed', Managed)
    node.outcome = outcome
    result = node.trigger_configure()
    assert (result is TransitionCallbackReturn.SUCCESS) == (outcome is TransitionCallbackReturn.SUCCESS)
    client = graph.node('asker').create_client(GetState, '/managed/get_state')
    assert client.wait_for_service(5)
    future = client.call_async(GetState.Request())
    assert graph(5, future.done) and future.result().current_state.label == state


def test_impossible_transition_is_refused(graph) -> None:
    with pytest.raises(RuntimeError, match='Failed to trigger lifecycle state machine transition'):
        graph.node('managed', Managed).trigger_activate()


@pytest.fixture
def action():
    """A client of a slow action, spun in the background."""
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node, executor = rclpy.create_node('actor', context=context), MultiThreadedExecutor(4, context=context)

    def execute(goal):
        for step in range(40):
            if goal.is_cancel_requested:
                goal.canceled()
                return ExecuteInstruction.Result(message='stopped')
            goal.publish_feedback(ExecuteInstruction.Feedback(elapsed_s=float(step)))
            time.sleep(0.005)
        if goal.request.instruction == 'crash':
            raise ValueError('crashed')
        goal.succeed()
        return ExecuteInstruction.Result(success=True, message=goal.request.instruction)

    ActionServer(node, ExecuteInstruction, 'execute', execute, callback_group=ReentrantCallbackGroup(),
                 goal_callback=lambda goal: GoalResponse.ACCEPT if goal.instruction else GoalResponse.REJECT,
                 cancel_callback=lambda goal: CancelResponse.ACCEPT)
    client = ActionClient(node, ExecuteInstruction, 'execute')
    executor.add_node(node)
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    assert client.wait_for_server(5)
    yield client
    ended.set()
    thread.join(5)
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def test_action_succeeds_with_feedback(action) -> None:
    feedback = []
    response = action.send_goal(ExecuteInstruction.Goal(instruction='wave'), feedback_callback=feedback.append)
    assert response.status == GoalStatus.STATUS_SUCCEEDED and response.result.message == 'wave'
    assert len(feedback) > 5 and feedback[-1].feedback.elapsed_s > feedback[0].feedback.elapsed_s
    assert ('/execute', ['wbvla_msgs/action/ExecuteInstruction']) in get_action_names_and_types(action._node)


def test_action_is_cancelled(action) -> None:
    future = action.send_goal_async(ExecuteInstruction.Goal(instruction='wave'))
    deadline = time.monotonic() + 5
    while not future.done() and time.monotonic() < deadline:
        time.sleep(0.01)
    goal = future.result()
    assert len(goal.cancel_goal().goals_canceling) == 1
    assert goal.get_result().status == GoalStatus.STATUS_CANCELED
    assert goal.get_result().result.message == 'stopped'


def test_goal_is_rejected(action) -> None:
    assert action.send_goal(ExecuteInstruction.Goal()).status == GoalStatus.STATUS_UNKNOWN


def test_crash_in_execute_aborts_the_goal_and_the_server_lives(action) -> None:
    response = action.send_goal(ExecuteInstruction.Goal(instruction='crash'))
    assert response.status == GoalStatus.STATUS_ABORTED
    assert action.send_goal(ExecuteInstruction.Goal(instruction='wave')).status == GoalStatus.STATUS_SUCCEEDED
