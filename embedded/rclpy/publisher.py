"""Publishers."""

from __future__ import annotations

from wbvla_embedded import cdr, dds

from ._rclpy_pybind11 import RCLError
from .duration import Duration

_FOREVER = Duration(seconds=-1)


class Publisher:
    """Made by `Node.create_publisher`."""

    def __init__(self, publisher_impl, msg_type, topic, qos_profile, event_callbacks, callback_group) -> None:
        """`publisher_impl`: (context, DDS writer, logger name)."""
        self._context, self._writer, logger_name = publisher_impl
        self.msg_type, self.topic, self.qos_profile = msg_type, topic, qos_profile
        watch = event_callbacks._watch(callback_group, self._writer, topic, logger_name)
        self.event_handlers = [] if watch is None else [watch]

    def publish(self, msg) -> None:
        """Send a message or its CDR bytes; raises TypeError for another type, RuntimeError after shutdown."""
        if isinstance(msg, self.msg_type):
            data = cdr.serialize(msg)
        elif isinstance(msg, bytes):
            data = msg
        else:
            raise TypeError(f'Expected {self.msg_type}, got {type(msg)}')
        if not self._context._ok:
            raise RCLError("Failed to publish: publisher's context is invalid")
        dds.write(self._writer, data)

    def get_subscription_count(self) -> int:
        """Number of subscriptions that messages reach."""
        return len(dds.matched(self._writer, 'subscriptions'))

    @property
    def topic_name(self) -> str:
        """Full name of the topic."""
        return self.topic

    @property
    def handle(self):
        """Number of the DDS writer."""
        return self._writer

    def assert_liveliness(self) -> None:
        """Say that the publisher is alive, for manual liveliness."""
        dds.call('assert_liveliness', self._writer)

    def wait_for_all_acked(self, timeout: Duration = _FOREVER) -> bool:
        """Wait until all reliable subscriptions have everything; False after the timeout (negative: none)."""
        limit = dds.INFINITE if timeout.nanoseconds < 0 else timeout.nanoseconds
        try:
            dds.call('wait_for_acks', self._writer, limit)
        except dds.DDSError:
            return False
        return True

    def destroy(self):
        """Free it; nodes do this."""
        dds.delete(self._writer)
