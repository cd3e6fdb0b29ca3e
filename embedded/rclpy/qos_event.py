"""Events of publishers and subscriptions: incompatible QoS, missed deadlines, liveliness, lost messages."""

from __future__ import annotations

from wbvla_embedded import dds

from ._rclpy_pybind11 import (
    QoSLivelinessChangedInfo,
    QoSMessageLostInfo,
    QoSRequestedIncompatibleQoSInfo,
)
from .logging import get_logger
from .qos import QoSPolicyKind, qos_policy_name_from_kind

# DDS number of a policy -> ours
_POLICIES = {2: QoSPolicyKind.DURABILITY, 4: QoSPolicyKind.DEADLINE, 8: QoSPolicyKind.LIVELINESS,
             11: QoSPolicyKind.RELIABILITY, 13: QoSPolicyKind.HISTORY, 21: QoSPolicyKind.LIFESPAN}


def _info(status):
    """The part of a DDS status that Humble reports."""
    if hasattr(status, 'last_policy_id'):
        return QoSRequestedIncompatibleQoSInfo(status.total_count, status.total_count_change,
                                               _POLICIES.get(status.last_policy_id, QoSPolicyKind.INVALID))
    if hasattr(status, 'alive_count'):
        return QoSLivelinessChangedInfo(*(getattr(status, name) for name in QoSLivelinessChangedInfo._fields))
    return QoSMessageLostInfo(status.total_count, status.total_count_change)


class _EventWatch:
    """The statuses of one endpoint that have callbacks, as one entity of an executor."""

    def __init__(self, endpoint: int, callbacks: dict, callback_group) -> None:
        self._wait_handle, self._callbacks, self.callback_group = endpoint, callbacks, callback_group
        callback_group.add_entity(self)
        mask = 0
        for name in callbacks:
            mask |= dds.STATUS_BITS[name]
        dds.call('set_status_mask', endpoint, mask)

    def _take(self):
        for name, callback in self._callbacks.items():
            status = dds.take_status(self._wait_handle, dds.STATUS_BITS[name])
            if status is not None:
                return callback, (_info(status),)
        return None


class SubscriptionEventCallbacks:
    """What to call on events of a subscription."""

    def __init__(self, *, deadline=None, incompatible_qos=None, liveliness=None, message_lost=None,
                 use_default_callbacks=True) -> None:
        self.deadline, self.incompatible_qos, self.liveliness = deadline, incompatible_qos, liveliness
        self.message_lost, self.use_default_callbacks = message_lost, use_default_callbacks

    def _watch(self, callback_group, endpoint, topic_name, logger_name):
        """The entity that watches the endpoint, None when there is nothing to call."""
        def warn(event):
            get_logger(logger_name).warning(
                f"New publisher discovered on topic '{topic_name}', offering incompatible QoS. No messages will be "
                f'received from it. Last incompatible policy: {qos_policy_name_from_kind(event.last_policy_kind)}')

        return _watch(callback_group, endpoint, {
            'requested_deadline_missed': self.deadline, 'liveliness_changed': self.liveliness,
            'sample_lost': self.message_lost,
            'requested_incompatible_qos': self.incompatible_qos or (warn if self.use_default_callbacks else None)})


class PublisherEventCallbacks:
    """What to call on events of a publisher."""

    def __init__(self, *, deadline=None, liveliness=None, incompatible_qos=None, use_default_callbacks=True) -> None:
        self.deadline, self.liveliness, self.incompatible_qos = deadline, liveliness, incompatible_qos
        self.use_default_callbacks = use_default_callbacks

    def _watch(self, callback_group, endpoint, topic_name, logger_name):
        """The entity that watches the endpoint, None when there is nothing to call."""
        def warn(event):
            get_logger(logger_name).warning(
                f"New subscription discovered on topic '{topic_name}', requesting incompatible QoS. No messages will "
                f'be sent to it. Last incompatible policy: {qos_policy_name_from_kind(event.last_policy_kind)}')

        return _watch(callback_group, endpoint, {
            'offered_deadline_missed': self.deadline, 'liveliness_lost': self.liveliness,
            'offered_incompatible_qos': self.incompatible_qos or (warn if self.use_default_callbacks else None)})


def _watch(callback_group, endpoint, callbacks):
    wanted = {name: callback for name, callback in callbacks.items() if callback is not None}
    return _EventWatch(endpoint, wanted, callback_group) if wanted else None
