"""Actions."""

from __future__ import annotations

from .client import ActionClient
from .server import ActionServer, CancelResponse, GoalResponse

_SUFFIX = '/_action/feedback'


def _actions(topics):
    return [(name[:-len(_SUFFIX)], [type_.removesuffix('_FeedbackMessage') for type_ in types])
            for name, types in topics if name.endswith(_SUFFIX)]


def get_action_names_and_types(node):
    """(action, types) of every action that has a server or client."""
    return _actions(node.get_topic_names_and_types())


def get_action_server_names_and_types_by_node(node, remote_node_name, remote_node_namespace):
    """(action, types) of what a node serves."""
    return _actions(node.get_publisher_names_and_types_by_node(remote_node_name, remote_node_namespace))


def get_action_client_names_and_types_by_node(node, remote_node_name, remote_node_namespace):
    """(action, types) of what a node has clients of."""
    return _actions(node.get_subscriber_names_and_types_by_node(remote_node_name, remote_node_namespace))


__all__ = ['ActionClient', 'ActionServer', 'CancelResponse', 'GoalResponse',
           'get_action_client_names_and_types_by_node', 'get_action_names_and_types',
           'get_action_server_names_and_types_by_node']
