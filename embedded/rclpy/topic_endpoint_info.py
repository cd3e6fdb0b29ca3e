"""What is known of a publisher or subscription somewhere on the graph."""

from __future__ import annotations

from enum import IntEnum


class TopicEndpointTypeEnum(IntEnum):
    """Which of the two it is."""

    INVALID = 0
    PUBLISHER = 1
    SUBSCRIPTION = 2


class TopicEndpointInfo:
    """Node, type, QoS and identity of an endpoint."""

    __slots__ = ['endpoint_gid', 'endpoint_type', 'node_name', 'node_namespace', 'qos_profile', 'topic_type']

    def __init__(self, **kwargs):
        assert kwargs.keys() <= set(self.__slots__), f'Invalid arguments passed to constructor: {kwargs.keys()!r}'
        for name in self.__slots__:
            setattr(self, name, kwargs.get(name))

    def __eq__(self, other):
        return isinstance(other, TopicEndpointInfo) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __repr__(self):
        return f"TopicEndpointInfo({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"
