"""The life cycle of ROS 2 nodes as a table."""

from __future__ import annotations

from collections import namedtuple

from lifecycle_msgs.msg import State as S
from lifecycle_msgs.msg import Transition as T

LifecycleState = namedtuple('LifecycleState', ('label', 'state_id'))
Edge = namedtuple('Edge', ('id', 'label', 'start', 'goal'))

LABELS = {
    S.PRIMARY_STATE_UNKNOWN: 'unknown', S.PRIMARY_STATE_UNCONFIGURED: 'unconfigured',
    S.PRIMARY_STATE_INACTIVE: 'inactive', S.PRIMARY_STATE_ACTIVE: 'active', S.PRIMARY_STATE_FINALIZED: 'finalized',
    S.TRANSITION_STATE_CONFIGURING: 'configuring', S.TRANSITION_STATE_CLEANINGUP: 'cleaningup',
    S.TRANSITION_STATE_SHUTTINGDOWN: 'shuttingdown', S.TRANSITION_STATE_ACTIVATING: 'activating',
    S.TRANSITION_STATE_DEACTIVATING: 'deactivating', S.TRANSITION_STATE_ERRORPROCESSING: 'errorprocessing'}
# What a user may ask for: transition, state in which, state while it runs, states after success and failure.
_REQUESTS = (
    (T.TRANSITION_CONFIGURE, 'configure', 1, 10, 2, 1, 10), (T.TRANSITION_CLEANUP, 'cleanup', 2, 11, 1, 2, 20),
    (T.TRANSITION_ACTIVATE, 'activate', 2, 13, 3, 2, 30), (T.TRANSITION_DEACTIVATE, 'deactivate', 3, 14, 2, 3, 40),
    (T.TRANSITION_UNCONFIGURED_SHUTDOWN, 'shutdown', 1, 12, 4, 4, 50),
    (T.TRANSITION_INACTIVE_SHUTDOWN, 'shutdown', 2, 12, 4, 4, 50),
    (T.TRANSITION_ACTIVE_SHUTDOWN, 'shutdown', 3, 12, 4, 4, 50))


def _edges():
    found = {}
    for id_, label, start, during, success, failure, outcome in _REQUESTS:
        found[start, id_] = Edge(id_, label, start, during)
        for offset, (name, goal) in enumerate((('success', success), ('failure', failure), ('error', 15))):
            found[during, outcome + offset] = Edge(outcome + offset, f'transition_{name}', during, goal)
    for offset, (name, goal) in enumerate((('success', 1), ('failure', 4), ('error', 4))):
        found[15, 60 + offset] = Edge(60 + offset, f'transition_{name}', 15, goal)
    return found


EDGES = _edges()  # (state, transition id) -> Edge


def available(state: int) -> list[Edge]:
    """Transitions that can be asked for or happen in a state."""
    return [edge for edge in EDGES.values() if edge.start == state]


def outcome(state: int, result: str) -> Edge:
    """The transition with which a running one ends: result is 'success', 'failure' or 'error'."""
    return next(edge for edge in available(state) if edge.label == f'transition_{result}')
