"""Lifecycle nodes: states, their transitions, and the services by which others ask for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import State, Transition, TransitionDescription, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState

from .._rclpy_pybind11 import RCLError, TransitionCallbackReturnType
from ..node import Node as _Node
from . import _machine
from ._machine import LifecycleState
from .managed_entity import ManagedEntity
from .publisher import LifecyclePublisher

_RESULTS = {TransitionCallbackReturnType.SUCCESS: 'success', TransitionCallbackReturnType.FAILURE: 'failure',
            TransitionCallbackReturnType.ERROR: 'error'}
_CALLBACKS = {10: 'on_configure', 11: 'on_cleanup', 12: 'on_shutdown', 13: 'on_activate', 14: 'on_deactivate',
              15: 'on_error'}


class LifecycleNodeMixin(ManagedEntity):
    """The state machine and its services; mixed into a node."""

    context: Any
    create_publisher: Callable[..., Any]
    create_service: Callable[..., Any]
    destroy_publisher: Callable[..., bool]
    get_clock: Callable[[], Any]
    get_logger: Callable[[], Any]

    def __init__(self, *, enable_communication_interface=True, callback_group=None):
        self._state, self._transition_lock = State.PRIMARY_STATE_UNCONFIGURED, threading.RLock()
        self._managed_entities, self._callback_group = set(), callback_group
        self._event_publisher = None
        if enable_communication_interface:
            self._event_publisher = self.create_publisher(TransitionEvent, '~/transition_event', 10)
            for name, type_, callback in (
                    ('change_state', ChangeState, self._serve_change),
                    ('get_state', GetState, self._serve_state),
                    ('get_available_states', GetAvailableStates, self._serve_states),
                    ('get_available_transitions', GetAvailableTransitions, self._serve_transitions),
                    ('get_transition_graph', GetAvailableTransitions, self._serve_graph)):
                self.create_service(type_, f'~/{name}', callback, callback_group=callback_group)

    def trigger_configure(self):
        """Configure; returns the callbacks' result. Raises RuntimeError in a state that does not allow it."""
        return self._trigger('configure')

    def trigger_cleanup(self):
        """Clean up; see `trigger_configure`."""
        return self._trigger('cleanup')

    def trigger_activate(self):
        """Activate; see `trigger_configure`."""
        return self._trigger('activate')

    def trigger_deactivate(self):
        """Deactivate; see `trigger_configure`."""
        return self._trigger('deactivate')

    def trigger_shutdown(self):
        """Shut down; see `trigger_configure`."""
        return self._trigger('shutdown')

    def _trigger(self, label):
        with self._transition_lock:
            edge = next((edge for edge in _machine.available(self._state) if edge.label == label), None)
            if edge is None:
                raise RCLError(f"Failed to trigger lifecycle state machine transition: '{label}' is not possible in "
                               f"state '{_machine.LABELS[self._state]}'")
            return self._change(edge)

    def _change(self, edge):
        """Go through a transition and what follows from its result; returns the result."""
        former = LifecycleState(_machine.LABELS[self._state], self._state)
        self._enter(edge)
        result = self._run_callbacks(former)
        self._enter(_machine.outcome(self._state, _RESULTS[result]))
        if result is TransitionCallbackReturnType.ERROR and self._state == State.TRANSITION_STATE_ERRORPROCESSING:
            recovered = self._run_callbacks(former)
            self._enter(_machine.outcome(self._state, _RESULTS[recovered]))
        return result

    def _run_callbacks(self, former):
        """Ask the node; the managed entities are asked by its callback unless that was overridden without super()."""
        name = _CALLBACKS[self._state]
        try:
            return _checked(name, getattr(self, name)(former))
        except Exception as error:  # as in rclpy, a callback that raises is an error of the transition
            self.get_logger().error(f'{name} raised {type(error).__name__}: {error}')
            return TransitionCallbackReturnType.ERROR

    def _ask_managed(self, name, state):
        """Ask the managed entities; the first that does not succeed decides."""
        for entity in self._managed_entities:
            result = _checked(name, getattr(entity, name)(state))
            if result is not TransitionCallbackReturnType.SUCCESS:
                return result
        return TransitionCallbackReturnType.SUCCESS

    def on_configure(self, state):
        """Configure the managed entities."""
        return self._ask_managed('on_configure', state)

    def on_cleanup(self, state):
        """Clean the managed entities up."""
        return self._ask_managed('on_cleanup', state)

    def on_shutdown(self, state):
        """Shut the managed entities down."""
        return self._ask_managed('on_shutdown', state)

    def on_activate(self, state):
        """Activate the managed entities, such as lifecycle publishers."""
        return self._ask_managed('on_activate', state)

    def on_deactivate(self, state):
        """Deactivate the managed entities."""
        return self._ask_managed('on_deactivate', state)

    def on_error(self, state):
        """Tell the managed entities of an error."""
        return self._ask_managed('on_error', state)

    def _enter(self, edge):
        start, self._state = self._state, edge.goal
        if self._event_publisher is not None and self.context.ok():
            event = TransitionEvent(
                timestamp=self.get_clock().now().nanoseconds, transition=Transition(id=edge.id, label=edge.label),
                start_state=_state(start), goal_state=_state(edge.goal))
            self._event_publisher.publish(event)

    def _serve_change(self, request, response):
        with self._transition_lock:
            wanted = request.transition
            edge = _machine.EDGES.get((self._state, wanted.id))
            if wanted.label:
                edge = next((e for e in _machine.available(self._state) if e.label == wanted.label), None)
            if edge is None or edge.start >= 10:
                self.get_logger().warning(
                    f"transition '{wanted.label or wanted.id}' is not possible in state "
                    f"'{_machine.LABELS[self._state]}'")
                response.success = False
            else:
                response.success = self._change(edge) is TransitionCallbackReturnType.SUCCESS
        return response

    def _serve_state(self, request, response):
        response.current_state = _state(self._state)
        return response

    def _serve_states(self, request, response):
        response.available_states = [_state(id_) for id_ in _machine.LABELS]
        return response

    def _serve_transitions(self, request, response):
        response.available_transitions = [_description(edge) for edge in _machine.available(self._state)]
        return response

    def _serve_graph(self, request, response):
        response.available_transitions = [_description(edge) for edge in _machine.EDGES.values()]
        return response

    def add_managed_entity(self, entity):
        """Have an entity follow the transitions."""
        self._managed_entities.add(entity)

    def create_lifecycle_publisher(self, *args, **kwargs):
        """A publisher that is silent unless the node is active; arguments as of `create_publisher`."""
        if 'publisher_class' in kwargs:
            raise TypeError('create_publisher() got an unexpected keyword argument "publisher_class"')
        publisher = self.create_publisher(*args, **kwargs, publisher_class=LifecyclePublisher)
        self._managed_entities.add(publisher)
        return publisher

    def destroy_lifecycle_publisher(self, publisher):
        """Free a lifecycle publisher."""
        self._managed_entities.discard(publisher)
        return self.destroy_publisher(publisher)


def _checked(name, result):
    if not isinstance(result, TransitionCallbackReturnType):
        raise TypeError(f'{name} must return a TransitionCallbackReturn, not {result!r}')
    return result


def _state(id_):
    return State(id=id_, label=_machine.LABELS[id_])


def _description(edge):
    return TransitionDescription(transition=Transition(id=edge.id, label=edge.label), start_state=_state(edge.start),
                                 goal_state=_state(edge.goal))


class LifecycleNode(LifecycleNodeMixin, _Node):
    """A node with a life cycle; override `on_configure` and its kin."""

    def __init__(self, node_name, *, enable_communication_interface=True, **kwargs):
        _Node.__init__(self, node_name, **kwargs)
        LifecycleNodeMixin.__init__(self, enable_communication_interface=enable_communication_interface)
