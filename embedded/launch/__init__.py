"""The part of Humble's launch that the launch files of this workspace use."""

from ._base import (
    Action,
    Condition,
    Event,
    EventHandler,
    LaunchContext,
    LaunchDescription,
    LaunchDescriptionEntity,
    LaunchDescriptionSource,
    Substitution,
)
from .launch_service import LaunchService

__all__ = ['Action', 'Condition', 'Event', 'EventHandler', 'LaunchContext', 'LaunchDescription',
           'LaunchDescriptionEntity', 'LaunchDescriptionSource', 'LaunchService', 'Substitution']
