"""Managed nodes."""

from .._rclpy_pybind11 import TransitionCallbackReturnType as TransitionCallbackReturn
from ._machine import LifecycleState
from .managed_entity import ManagedEntity, SimpleManagedEntity
from .node import LifecycleNode, LifecycleNodeMixin
from .publisher import LifecyclePublisher

# The short names of the same classes.
Node, NodeMixin, Publisher, State = LifecycleNode, LifecycleNodeMixin, LifecyclePublisher, LifecycleState

__all__ = ['LifecycleNode', 'LifecycleNodeMixin', 'LifecyclePublisher', 'LifecycleState', 'ManagedEntity', 'Node',
           'NodeMixin', 'Publisher', 'SimpleManagedEntity', 'State', 'TransitionCallbackReturn']
