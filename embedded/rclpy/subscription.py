"""Subscriptions."""

from __future__ import annotations

from wbvla_embedded import cdr, dds

from .logging import get_logger


class Subscription:
    """Made by `Node.create_subscription`."""

    def __init__(self, subscription_impl, msg_type, topic, callback, callback_group, qos_profile, raw,
                 event_callbacks) -> None:
        """`subscription_impl`: (context, DDS reader, logger name)."""
        self._context, self._reader, self._logger_name = subscription_impl
        self._wait_handle = dds.call('create_readcondition', self._reader, dds.ANY_SAMPLE)
        self.msg_type, self.topic, self.callback, self.raw = msg_type, topic, callback, raw
        self.callback_group, self.qos_profile, self._undecodable = callback_group, qos_profile, 0
        watch = event_callbacks._watch(callback_group, self._reader, topic, self._logger_name)
        self.event_handlers = [] if watch is None else [watch]

    def _take(self):
        sample = dds.take(self._reader)
        if sample is None:
            return None
        if self.raw:
            return self.callback, (sample[0],)
        try:
            return self.callback, (cdr.deserialize(sample[0], self.msg_type),)
        except cdr.CdrError as error:
            self._undecodable += 1
            get_logger(self._logger_name).warning(
                f"dropped {self._undecodable} message(s) on topic '{self.topic}' that are not valid "
                f'{self.msg_type._typename}; the last: {error}', throttle_duration_sec=1.0)
            return None

    @property
    def topic_name(self):
        """Full name of the topic."""
        return self.topic

    @property
    def handle(self):
        """Number of the DDS reader."""
        return self._reader

    def destroy(self):
        """Free it; nodes do this."""
        dds.delete(self._reader)
