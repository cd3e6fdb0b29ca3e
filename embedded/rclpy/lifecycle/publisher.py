"""Publishers that are silent unless their node is active."""

from __future__ import annotations

from ..publisher import Publisher
from .managed_entity import SimpleManagedEntity


class LifecyclePublisher(SimpleManagedEntity, Publisher):
    """Made by `create_lifecycle_publisher`."""

    def __init__(self, *args, **kwargs):
        SimpleManagedEntity.__init__(self)
        Publisher.__init__(self, *args, **kwargs)

    @SimpleManagedEntity.when_enabled
    def publish(self, msg) -> None:
        """Send while active, else drop."""
        Publisher.publish(self, msg)
