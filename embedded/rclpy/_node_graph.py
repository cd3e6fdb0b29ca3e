"""The half of a node that answers questions about the graph."""

from __future__ import annotations

from collections.abc import Callable

from wbvla_embedded import names
from wbvla_embedded.graph import Graph

from .qos import QoSProfile
from .topic_endpoint_info import TopicEndpointInfo, TopicEndpointTypeEnum

_ROOT = '_NODE_NAME_UNKNOWN_'


class GraphMixin:
    """Questions about topics, services and nodes; answers are sorted by name."""

    _graph: Graph
    resolve_topic_name: Callable[..., str]

    def get_node_names_and_namespaces(self):
        """(name, namespace) of every node."""
        return [(node.name, node.namespace) for node in self._graph.records()]

    def get_node_names_and_namespaces_with_enclaves(self):
        """(name, namespace, enclave) of every node; there are no enclaves but '/'."""
        return [(*node, '/') for node in self.get_node_names_and_namespaces()]

    def get_node_names(self):
        """Name of every node."""
        return [name for name, _ in self.get_node_names_and_namespaces()]

    def get_topic_names_and_types(self, no_demangle=False):
        """(topic, types) of every topic that has a publisher or subscription."""
        return self._topics(('publications', 'subscriptions'), no_demangle)

    def get_publisher_names_and_types_by_node(self, node_name, node_namespace, no_demangle=False):
        """(topic, types) of what a node publishes."""
        return self._topics(('publications',), no_demangle, (node_namespace, node_name))

    def get_subscriber_names_and_types_by_node(self, node_name, node_namespace, no_demangle=False):
        """(topic, types) of what a node subscribes to."""
        return self._topics(('subscriptions',), no_demangle, (node_namespace, node_name))

    def get_service_names_and_types(self):
        """(service, types) of every service that has a server or client."""
        return self._services(('publications', 'subscriptions'), ('rq/', 'rr/'))

    def get_service_names_and_types_by_node(self, node_name, node_namespace):
        """(service, types) of what a node serves."""
        return self._services(('subscriptions',), ('rq/',), (node_namespace, node_name))

    def get_client_names_and_types_by_node(self, node_name, node_namespace):
        """(service, types) of what a node has clients of."""
        return self._services(('publications',), ('rq/',), (node_namespace, node_name))

    def _topics(self, kinds, raw, node=None):
        found = {}
        for kind in kinds:
            for endpoint in self._graph.endpoints(kind, details=node is not None):
                if node is not None and endpoint.node != node:
                    continue
                topic = endpoint.topic if raw else names.ros_topic(endpoint.topic)
                if topic is not None:
                    found.setdefault(topic, set()).add(endpoint.type if raw else names.ros_type(endpoint.type))
        return [(topic, sorted(found[topic])) for topic in sorted(found)]

    def _services(self, kinds, prefixes, node=None):
        found = {}
        for kind in kinds:
            for endpoint in self._graph.endpoints(kind, details=node is not None):
                service = names.ros_service(endpoint.topic, endpoint.type)
                if service and endpoint.topic.startswith(prefixes) and node in (None, endpoint.node):
                    found.setdefault(service[0], set()).add(service[1])
        return [(service, sorted(found[service])) for service in sorted(found)]

    def count_publishers(self, topic_name):
        """Number of publishers of a topic."""
        return self._graph.count('publications', self.resolve_topic_name(topic_name))

    def count_subscribers(self, topic_name):
        """Number of subscriptions of a topic."""
        return self._graph.count('subscriptions', self.resolve_topic_name(topic_name))

    def get_publishers_info_by_topic(self, topic_name, no_mangle=False):
        """A TopicEndpointInfo of every publisher of a topic."""
        return self._infos('publications', TopicEndpointTypeEnum.PUBLISHER, topic_name, no_mangle)

    def get_subscriptions_info_by_topic(self, topic_name, no_mangle=False):
        """A TopicEndpointInfo of every subscription of a topic."""
        return self._infos('subscriptions', TopicEndpointTypeEnum.SUBSCRIPTION, topic_name, no_mangle)

    def _infos(self, kind, endpoint_type, topic_name, no_mangle):
        topic = topic_name if no_mangle else 'rt' + self.resolve_topic_name(topic_name)
        infos = []
        for endpoint in self._graph.endpoints(kind, topic):
            namespace, name = endpoint.node or ('_NODE_NAMESPACE_UNKNOWN_', _ROOT)
            infos.append(TopicEndpointInfo(
                node_name=name, node_namespace=namespace, topic_type=names.ros_type(endpoint.type),
                endpoint_type=endpoint_type, endpoint_gid=list(endpoint.guid.ljust(24, b'\0')),
                qos_profile=QoSProfile._from_dds(endpoint.qos)))
        return infos
