"""Who is on the graph: announces our nodes as rmw does, and reads what others announce and what DDS discovers."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from . import cdr, dds, names
from .messages import message_class

_TOPIC = 'ros_discovery_info'
_TYPE = 'rmw_dds_common/msg/ParticipantEntitiesInfo'


@dataclass
class NodeRecord:
    """A node and the guids of its endpoints."""

    name: str
    namespace: str
    readers: list[bytes] = field(default_factory=list)
    writers: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Endpoint:
    """A discovered reader or writer: names as on the wire; `node` is None while nobody has claimed it."""

    guid: bytes
    topic: str
    type: str
    node: tuple[str, str] | None  # namespace, name
    qos: dict[str, Any]


def _gid(guid: bytes) -> Any:
    return message_class('rmw_dds_common/msg/Gid')(data=list(guid.ljust(24, b'\0')))


class Graph:
    """The graph as seen by one participant. Thread-safe."""

    def __init__(self, domain_id: int) -> None:
        """Join the domain; raises dds.DDSError when that fails."""
        self.participant = dds.Participant(domain_id, b'enclave=/;')
        self._lock = threading.RLock()
        self._nodes: list[NodeRecord] = []
        self._writer = self.participant.writer(_TOPIC, names.dds_type(_TYPE), dds.endpoint_qos(1, True, True))
        self._others: dict[bytes, list[NodeRecord]] = {}
        self._info_reader: int | None = None
        self._builtin: dict[int, int] = {}
        self._known: dict[int, dict[bytes, tuple[bytes, str, str, dict[str, Any]]]] = {}

    def close(self) -> None:
        """Leave the domain."""
        self.participant.close()

    def add_node(self, name: str, namespace: str) -> NodeRecord:
        """Announce a node."""
        record = NodeRecord(name, namespace)
        with self._lock:
            self._nodes.append(record)
            self._announce()
        return record

    def remove_node(self, record: NodeRecord) -> None:
        """Take a node's announcement back."""
        with self._lock:
            self._nodes = [node for node in self._nodes if node is not record]
            self._announce()

    def claim(self, record: NodeRecord, readers: tuple[int, ...] = (), writers: tuple[int, ...] = ()) -> None:
        """Announce endpoints as those of a node."""
        with self._lock:
            record.readers += [dds.guid(entity) for entity in readers]
            record.writers += [dds.guid(entity) for entity in writers]
            self._announce()

    def drop(self, record: NodeRecord, *entities: int) -> None:
        """Delete endpoints of a node."""
        with self._lock:
            for entity in entities:
                try:
                    gone = dds.guid(entity)
                except dds.DDSError:
                    continue
                record.readers = [guid for guid in record.readers if guid != gone]
                record.writers = [guid for guid in record.writers if guid != gone]
                dds.delete(entity)
            self._announce()

    def _announce(self) -> None:
        make_node = message_class('rmw_dds_common/msg/NodeEntitiesInfo')
        info = message_class(_TYPE)(gid=_gid(self.participant.guid), node_entities_info_seq=[
            make_node(node_namespace=node.namespace, node_name=node.name,
                      reader_gid_seq=[_gid(guid) for guid in node.readers],
                      writer_gid_seq=[_gid(guid) for guid in node.writers]) for node in self._nodes])
        dds.write(self._writer, cdr.serialize(info))

    def _endpoints(self, topic: int) -> dict[bytes, tuple[bytes, str, str, dict[str, Any]]]:
        """guid -> (participant's guid, topic, type, QoS) of the living endpoints, kept up to date by their changes."""
        with self._lock:
            if topic not in self._builtin:
                self._builtin[topic] = dds.builtin_reader(self.participant, topic)
            known = self._known.setdefault(topic, {})
            for guid, endpoint in dds.endpoint_changes(self._builtin[topic]):
                if endpoint is None:
                    known.pop(guid, None)
                else:
                    known[guid] = endpoint
            return dict(known)

    def records(self, settle_s: float = 1.0) -> list[NodeRecord]:
        """All nodes. The first call waits up to `settle_s` until each participant's announcement has come."""
        with self._lock:
            first = self._info_reader is None
            if self._info_reader is None:
                # A short history: what matters of a participant is its last word.
                self._info_reader = self.participant.reader(
                    _TOPIC, names.dds_type(_TYPE), dds.endpoint_qos(0, True, True, ignore_local=True))
            deadline = time.monotonic() + settle_s
            while True:
                self._take_announcements(self._info_reader)
                writers = self._endpoints(dds.BUILTIN_PUBLICATIONS).values()
                present = {owner for owner, topic, _, _ in writers if topic == _TOPIC} - {self.participant.guid}
                if not first or present <= self._others.keys() or time.monotonic() > deadline:
                    break
                time.sleep(0.005)
            self._others = {guid: nodes for guid, nodes in self._others.items() if guid in present}
            return self._nodes + [node for nodes in self._others.values() for node in nodes]

    def _take_announcements(self, reader: int) -> None:
        while (sample := dds.take(reader)) is not None:
            try:
                info = cdr.deserialize(sample[0], message_class(_TYPE))
            except cdr.CdrError:
                continue  # not an announcement we can read: its nodes stay unknown, as with any foreign participant
            self._others[bytes(info.gid.data[:16])] = [
                NodeRecord(node.node_name, node.node_namespace,
                           [bytes(gid.data[:16]) for gid in node.reader_gid_seq],
                           [bytes(gid.data[:16]) for gid in node.writer_gid_seq])
                for node in info.node_entities_info_seq]

    def endpoints(self, kind: str, topic: str | None = None, details: bool = True) -> list[Endpoint]:
        """Known 'publications' or 'subscriptions', of one wire topic or all; `details` adds the node."""
        builtin = dds.BUILTIN_PUBLICATIONS if kind == 'publications' else dds.BUILTIN_SUBSCRIPTIONS
        owners: dict[bytes, tuple[str, str]] = {}
        for node in self.records() if details else ():
            for guid in node.writers if kind == 'publications' else node.readers:
                owners[guid] = (node.namespace, node.name)
        return [Endpoint(guid, name, type_, owners.get(guid), qos)
                for guid, (_, name, type_, qos) in self._endpoints(builtin).items()
                if topic is None or name == topic]

    def count(self, kind: str, topic: str) -> int:
        """Number of 'publications' or 'subscriptions' of a ROS topic such as '/chatter'."""
        return len(self.endpoints(kind, 'rt' + topic, details=False))
