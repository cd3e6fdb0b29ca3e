"""Nodes."""

from __future__ import annotations

import threading
import weakref

from rcl_interfaces.msg import Log, ParameterDescriptor
from wbvla_embedded import names
from wbvla_embedded.messages import Message

from . import exceptions
from ._node_graph import GraphMixin
from ._parameters import ParameterMixin
from .callback_groups import MutuallyExclusiveCallbackGroup
from .client import Client
from .clock import ROSClock
from .duration import Duration
from .guard_condition import GuardCondition
from .impl.rcutils_logger import _sinks
from .logging import get_logger
from .parameter import Parameter
from .parameter_service import ParameterService
from .publisher import Publisher
from .qos import DurabilityPolicy, QoSProfile, qos_profile_services_default
from .qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks
from .service import Service, _identity
from .subscription import Subscription
from .time_source import USE_SIM_TIME_NAME, TimeSource
from .timer import Timer
from .utilities import _parse_node_arguments, get_default_context

_ROSOUT_QOS = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_ROSOUT_QOS.lifespan = Duration(seconds=10)


def _listing(kind):
    return property(lambda self: iter(list(self._entity_lists[kind])), doc=f'The {kind} of the node.')


class Node(ParameterMixin, GraphMixin):
    """Publishers, subscriptions, services, clients, timers and parameters under one name."""

    def __init__(self, node_name, *, context=None, cli_args=None, namespace=None, use_global_arguments=True,
                 enable_rosout=True, start_parameter_services=True, parameter_overrides=None,
                 allow_undeclared_parameters=False, automatically_declare_parameters_from_overrides=False) -> None:
        """Raises NotInitializedException, InvalidNodeNameException, InvalidNamespaceException."""
        self._context = get_default_context() if context is None else context
        self._graph = self._context._join()
        local = _parse_node_arguments(cli_args or [])
        shared = self._context._arguments if use_global_arguments else _parse_node_arguments([])
        self._remaps = [*local.remaps, *shared.remaps]
        name = names.special_remap(self._remaps, 'node', node_name) or node_name
        space = names.special_remap(self._remaps, 'ns', node_name) or namespace or '/'
        space = space if space.startswith('/') else '/' + space
        try:
            names.check_node_name(name)
        except names.InvalidName as error:
            raise exceptions.InvalidNodeNameException(name, *error.args) from None
        try:
            names.check_namespace(space)
        except names.InvalidName as error:
            raise exceptions.InvalidNamespaceException(space, *error.args) from None
        self._name, self._namespace = name, space
        self._lock, self._executor = threading.RLock(), None
        self._entity_lists: dict[str, list] = {kind: [] for kind in (
            'publishers', 'subscriptions', 'clients', 'services', 'timers', 'guards', 'waitables')}
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._record, self._destroyed = self._graph.add_node(name, space), False
        self._logger = get_logger(self._logger_name())
        self._clock = ROSClock()
        self._time_source = TimeSource(node=self)
        self._time_source.attach_clock(self._clock)
        if enable_rosout and shared.rosout and local.rosout:
            self._rosout = self.create_publisher(Log, '/rosout', _ROSOUT_QOS)
            _sinks[self._logger.name] = self._publish_log
        self._init_parameters(self._overrides(shared, local, parameter_overrides), allow_undeclared_parameters)
        if automatically_declare_parameters_from_overrides:
            self.declare_parameters('', [
                (parameter.name, parameter.value, ParameterDescriptor(dynamic_typing=True))
                for parameter in self._parameter_overrides.values()], ignore_override=True)
        if not self.has_parameter(USE_SIM_TIME_NAME):
            self.declare_parameter(USE_SIM_TIME_NAME, False)
        if start_parameter_services:
            self._parameter_service = ParameterService(self)

    def _overrides(self, shared, local, parameter_overrides):
        full = self.get_fully_qualified_name()
        values = {**shared.overrides(full), **local.overrides(full)}
        found = {name: Parameter(name, None, value) for name, value in values.items()}
        return {**found, **{parameter.name: parameter for parameter in parameter_overrides or ()}}

    def _logger_name(self):
        return self.get_fully_qualified_name()[1:].replace('/', '.')

    def _publish_log(self, severity, name, message, site, now_ns):
        """Send a console message to `/rosout`; never fails, since logging must not."""
        record = Log(level=int(severity), name=name, msg=message, file=site[0], line=site[1], function=site[2])
        record.stamp.sec, record.stamp.nanosec = divmod(now_ns, 10**9)
        if self._context.ok() and not self._destroyed:
            try:
                self._rosout.publish(record)
            except (RuntimeError, UnicodeError):
                _sinks.pop(self._logger.name, None)

    def _time_source_parameter(self, parameter):
        if parameter.name == USE_SIM_TIME_NAME:
            self._time_source.ros_time_is_active = parameter.value is True

    def get_name(self):
        """The name without namespace."""
        return self._name

    def get_namespace(self):
        """The namespace, '/' for the root."""
        return self._namespace

    def get_fully_qualified_name(self):
        """Namespace and name."""
        return f"{self._namespace.rstrip('/')}/{self._name}"

    def get_logger(self):
        """The node's logger."""
        return self._logger

    def get_clock(self):
        """The node's ROS clock."""
        return self._clock

    @property
    def context(self):
        """The context that it was made in."""
        return self._context

    @property
    def default_callback_group(self):
        """Group of entities that are made without one."""
        return self._default_callback_group

    @property
    def executor(self):
        """The executor that serves the node, None when there is none."""
        return self._executor() if self._executor is not None else None

    @executor.setter
    def executor(self, new_executor):
        current = self.executor
        if current is new_executor:
            return
        if current is not None:
            current.remove_node(self)
        self._executor = None if new_executor is None else weakref.ref(new_executor)
        if new_executor is not None:
            new_executor.add_node(self)

    publishers, subscriptions, clients = _listing('publishers'), _listing('subscriptions'), _listing('clients')
    services, timers, guards = _listing('services'), _listing('timers'), _listing('guards')
    waitables = _listing('waitables')

    def _entities(self):
        """Everything that an executor serves."""
        with self._lock:
            found = [entity for kind in ('timers', 'subscriptions', 'guards', 'clients', 'services', 'waitables')
                     for entity in self._entity_lists[kind]]
            for kind in ('publishers', 'subscriptions'):
                for entity in self._entity_lists[kind]:
                    found += entity.event_handlers
        return found

    def _add(self, kind, entity, callback_group=None):
        if callback_group is not None:
            callback_group.add_entity(entity)
        with self._lock:
            self._entity_lists[kind].append(entity)
        self._entities_changed()
        return entity

    def _entities_changed(self):
        executor = self.executor
        if executor is not None:
            executor._entities_changed()

    def _remove(self, kind, entity, *dds_entities):
        with self._lock:
            if entity not in self._entity_lists[kind]:
                return False
            self._entity_lists[kind].remove(entity)
        self._entities_changed()
        if dds_entities:
            self._graph.drop(self._record, *dds_entities)
        else:
            entity.destroy()
        return True

    def resolve_topic_name(self, topic, *, only_expand=False):
        """Full name of a topic after remapping; raises InvalidTopicNameException."""
        return self._resolve(topic, only_expand, exceptions.InvalidTopicNameException)

    def resolve_service_name(self, service, *, only_expand=False):
        """Full name of a service after remapping; raises InvalidServiceNameException."""
        return self._resolve(service, only_expand, exceptions.InvalidServiceNameException)

    def _resolve(self, name, only_expand, error_class):
        try:
            full = names.expand(name, self._name, self._namespace)
            return full if only_expand else names.remap(self._remaps, full, self._name, self._namespace)
        except names.InvalidName as error:
            raise error_class(name, *error.args) from None

    def create_publisher(self, msg_type, topic, qos_profile, *, callback_group=None, event_callbacks=None,
                         qos_overriding_options=None, publisher_class=Publisher):
        """A publisher; `qos_profile` may be just a depth. QoS overrides by parameter are not offered."""
        profile, type_name = _profile(qos_profile), _dds_type(msg_type)
        full = self.resolve_topic_name(topic)
        group = callback_group or self._default_callback_group
        writer = self._graph.participant.writer(_wire('rt', full, profile), type_name, profile._to_dds())
        publisher = publisher_class((self._context, writer, self._logger.name), msg_type, full, profile,
                                    event_callbacks or PublisherEventCallbacks(), group)
        self._graph.claim(self._record, writers=(writer,))
        return self._add('publishers', publisher, group)

    def create_subscription(self, msg_type, topic, callback, qos_profile, *, callback_group=None,
                            event_callbacks=None, qos_overriding_options=None, raw=False):
        """A subscription; `raw` gives the callback CDR bytes. QoS overrides by parameter are not offered."""
        profile, type_name = _profile(qos_profile), _dds_type(msg_type)
        full = self.resolve_topic_name(topic)
        group = callback_group or self._default_callback_group
        reader = self._graph.participant.reader(_wire('rt', full, profile), type_name, profile._to_dds())
        subscription = Subscription((self._context, reader, self._logger.name), msg_type, full, callback, group,
                                    profile, raw, event_callbacks or SubscriptionEventCallbacks())
        self._graph.claim(self._record, readers=(reader,))
        return self._add('subscriptions', subscription, group)

    def create_client(self, srv_type, srv_name, *, qos_profile=qos_profile_services_default, callback_group=None):
        """A client of a service."""
        group = callback_group or self._default_callback_group
        full, endpoints = self._service_endpoints(srv_type, srv_name, qos_profile, 'clientid')
        client = Client(self._context, (*endpoints, self._logger.name), srv_type, full, qos_profile, group)
        return self._add('clients', client, group)

    def create_service(self, srv_type, srv_name, callback, *, qos_profile=qos_profile_services_default,
                       callback_group=None):
        """A server of a service: `callback(request, response) -> response`."""
        group = callback_group or self._default_callback_group
        full, endpoints = self._service_endpoints(srv_type, srv_name, qos_profile, 'serviceid')
        service = Service((self._context, *endpoints, self._logger.name), srv_type, full, callback, group,
                          qos_profile)
        return self._add('services', service, group)

    def _service_endpoints(self, srv_type, srv_name, profile, kind):
        """(name, (reader, writer)) of a client or server; both carry the guid of the participant's next entity."""
        if not hasattr(srv_type, 'Request') or not hasattr(srv_type, '_typename'):
            raise exceptions.NoTypeSupportImportedException()
        full = self.resolve_service_name(srv_name)
        request = (_wire('rq', full, profile) + 'Request', names.dds_type(srv_type._typename + '_Request'))
        response = (_wire('rr', full, profile) + 'Reply', names.dds_type(srv_type._typename + '_Response'))
        outgoing, incoming = (response, request) if kind == 'serviceid' else (request, response)
        participant = self._graph.participant
        # The id only has to differ from all others: the participant's guid and a count.
        with self._context._lock:
            self._context._services += 1
            mark = _identity(kind, participant.guid, self._context._services)
        reader = participant.reader(*incoming, profile._to_dds(mark))
        writer = participant.writer(*outgoing, profile._to_dds(mark))
        self._graph.claim(self._record, readers=(reader,), writers=(writer,))
        return full, (reader, writer)

    def create_timer(self, timer_period_sec, callback, callback_group=None, clock=None):
        """A timer on the node's clock, or on another."""
        group = callback_group or self._default_callback_group
        timer = Timer(callback, group, int(float(timer_period_sec) * 1e9), clock or self._clock,
                      context=self._context)
        return self._add('timers', timer, group)

    def create_guard_condition(self, callback, callback_group=None):
        """A guard condition."""
        group = callback_group or self._default_callback_group
        return self._add('guards', GuardCondition(callback, group, context=self._context), group)

    def add_waitable(self, waitable):
        """Serve another entity; only kinds that this library makes."""
        self._add('waitables', waitable)

    def remove_waitable(self, waitable):
        """Serve it no more."""
        with self._lock:
            self._entity_lists['waitables'].remove(waitable)
        self._entities_changed()

    def destroy_publisher(self, publisher):
        """Free a publisher; False when it is not of this node."""
        return self._remove('publishers', publisher, publisher.handle)

    def destroy_subscription(self, subscription):
        """Free a subscription; False when it is not of this node."""
        return self._remove('subscriptions', subscription, subscription.handle)

    def destroy_client(self, client):
        """Free a client; False when it is not of this node."""
        return self._remove('clients', client, client._reader, client._writer)

    def destroy_service(self, service):
        """Free a server; False when it is not of this node."""
        return self._remove('services', service, service._reader, service._writer)

    def destroy_timer(self, timer):
        """Free a timer; False when it is not of this node."""
        return self._remove('timers', timer)

    def destroy_guard_condition(self, guard):
        """Free a guard condition; False when it is not of this node."""
        return self._remove('guards', guard)

    def destroy_node(self):
        """Free the node and all that it made."""
        if self._destroyed:
            return
        self._destroyed = True
        _sinks.pop(self._logger.name, None)
        self.executor = None
        with self._lock:
            lists, self._entity_lists = self._entity_lists, {kind: [] for kind in self._entity_lists}
        for entities in lists.values():
            for entity in entities:
                entity.destroy()
        if self._context._graph is self._graph:
            self._graph.remove_node(self._record)


def _profile(qos_profile):
    if isinstance(qos_profile, QoSProfile):
        return qos_profile
    if isinstance(qos_profile, int) and not isinstance(qos_profile, bool):
        if qos_profile < 0:
            raise ValueError('history depth must be greater than or equal to zero')
        return QoSProfile(depth=qos_profile)
    raise TypeError(f'Expected QoSProfile or int, but received {type(qos_profile)!r}')


def _dds_type(msg_type):
    if not (isinstance(msg_type, type) and issubclass(msg_type, Message)):
        raise exceptions.NoTypeSupportImportedException()
    return names.dds_type(msg_type._typename)


def _wire(prefix, full_name, profile):
    return full_name[1:] if profile.avoid_ros_namespace_conventions else prefix + full_name
