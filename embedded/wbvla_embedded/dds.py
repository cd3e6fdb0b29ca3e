"""The part of Cyclone DDS that the graph uses: raw CDR samples, wait sets, statuses and discovery data.

Samples pass as bytes; their types are known to DDS by name only, as with rmw_cyclonedds_cpp.
"""

from __future__ import annotations

import ctypes as ct
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, ClassVar


def _load() -> tuple[ModuleType, ModuleType]:
    """Cyclone's C layer and the module that loads the library.

    The package itself imports all of its Python API, which costs each process 0.15 s and 12 MB that are not needed
    here; so it stands in as an empty module meanwhile.
    """
    if 'cyclonedds' in sys.modules:
        return importlib.import_module('cyclonedds._clayer'), importlib.import_module('cyclonedds.internal')
    spec = importlib.util.find_spec('cyclonedds')
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError('the embedded graph needs Cyclone DDS: pip install cyclonedds')
    stand_in = ModuleType('cyclonedds')
    stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules['cyclonedds'] = stand_in
    try:
        return importlib.import_module('cyclonedds._clayer'), importlib.import_module('cyclonedds.internal')
    finally:
        del sys.modules['cyclonedds']


_clayer, _internal = _load()
INFINITE = 2**63 - 1
ANY_SAMPLE = 0x7F  # any sample, view and instance state
# This host only. Without multicast, which loopback interfaces lack; Humble's ROS_LOCALHOST_ONLY=1 ends up the same.
_LOCALHOST = (
    '<CycloneDDS><Domain><General><Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces>'
    '<AllowMulticast>false</AllowMulticast><MaxMessageSize>65500B</MaxMessageSize><FragmentSize>60000B</FragmentSize>'
    '</General><Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>99'
    '</MaxAutoParticipantIndex><Peers><Peer Address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>')
# XTypes information of a final struct `wbvla::Raw` without members. Cyclone's Python layer cannot make a topic without such
# information; the same for every type makes all of them assignable to each other, so that names alone decide.
_TYPE_INFO = (bytes.fromhex(
    '6000000001100040280000002400000014000000f1b7667ab224893a0c73d444735ff100180000000000000004000000'
    '0000000002100040280000002400000014000000f2fb4ec3220f133580d60fd320f67600280000000000000004000000'
    '00000000'), bytes.fromhex(
    '2c00000001000000f1b7667ab224893a0c73d444735ff10014000000f151010001000000000000000400000000000000'
    '3c00000001000000f2fb4ec3220f133580d60fd320f6760024000000f251010013000000000000000b0000007762766c'
    '613a3a526177000004000000000000002200000001000000f2fb4ec3220f133580d60fd320f676f1b7667ab224893a0c'
    '73d444735ff1'))

# A handle of our own: signatures are kept per handle, and the package declares others.
_lib = ct.CDLL(_internal.DDS._dll_handle._name)
_i32, _i64, _u32, _ptr, _bool = ct.c_int32, ct.c_int64, ct.c_uint32, ct.c_void_p, ct.c_bool
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    'create_domain': (_i32, (_u32, ct.c_char_p)), 'create_participant': (_i32, (_u32, _ptr, _ptr)),
    'create_writer': (_i32, (_i32, _i32, _ptr, _ptr)), 'create_reader': (_i32, (_i32, _i32, _ptr, _ptr)),
    'create_readcondition': (_i32, (_i32, _u32)), 'create_guardcondition': (_i32, (_i32,)),
    'set_guardcondition': (_i32, (_i32, _bool)), 'take_guardcondition': (_i32, (_i32, ct.POINTER(_bool))),
    'create_waitset': (_i32, (_i32,)), 'waitset_attach': (_i32, (_i32, _i32, ct.c_ssize_t)),
    'waitset_detach': (_i32, (_i32, _i32)), 'waitset_wait': (_i32, (_i32, _ptr, ct.c_size_t, _i64)),
    'set_status_mask': (_i32, (_i32, _u32)), 'get_status_changes': (_i32, (_i32, ct.POINTER(_u32))),
    'delete': (_i32, (_i32,)), 'get_guid': (_i32, (_i32, _ptr)), 'strretcode': (ct.c_char_p, (_i32,)),
    'get_instance_handle': (_i32, (_i32, ct.POINTER(ct.c_uint64))),
    'get_matched_subscriptions': (_i32, (_i32, _ptr, ct.c_size_t)),
    'get_matched_publications': (_i32, (_i32, _ptr, ct.c_size_t)),
    'wait_for_acks': (_i32, (_i32, _i64)), 'assert_liveliness': (_i32, (_i32,)),
    'create_qos': (_ptr, ()), 'delete_qos': (None, (_ptr,)), 'free': (None, (_ptr,)),
    'qset_reliability': (None, (_ptr, ct.c_int, _i64)), 'qset_durability': (None, (_ptr, ct.c_int)),
    'qset_durability_service': (None, (_ptr, _i64, ct.c_int, _i32, _i32, _i32, _i32)),
    'qset_history': (None, (_ptr, ct.c_int, _i32)), 'qset_lifespan': (None, (_ptr, _i64)),
    'qset_deadline': (None, (_ptr, _i64)), 'qset_liveliness': (None, (_ptr, ct.c_int, _i64)),
    'qset_writer_data_lifecycle': (None, (_ptr, _bool)), 'qset_ignorelocal': (None, (_ptr, ct.c_int)),
    'qset_userdata': (None, (_ptr, _ptr, ct.c_size_t)), 'qset_data_representation': (None, (_ptr, _u32, _ptr)),
    'qget_reliability': (_bool, (_ptr, _ptr, _ptr)), 'qget_durability': (_bool, (_ptr, _ptr)),
    'qget_history': (_bool, (_ptr, _ptr, _ptr)), 'qget_lifespan': (_bool, (_ptr, _ptr)),
    'qget_deadline': (_bool, (_ptr, _ptr)), 'qget_liveliness': (_bool, (_ptr, _ptr, _ptr)),
    'qget_userdata': (_bool, (_ptr, ct.POINTER(_ptr), ct.POINTER(ct.c_size_t))),
}
for _name, (_result, _arguments) in _FUNCTIONS.items():
    _function = getattr(_lib, 'dds_' + _name)
    _function.restype, _function.argtypes = _result, _arguments


class DDSError(RuntimeError):
    """A call into Cyclone DDS that failed."""


def call(name: str, *arguments: Any) -> Any:
    """Call `dds_<name>` and return its non-negative result; raises DDSError otherwise."""
    result = getattr(_lib, 'dds_' + name)(*arguments)
    if result is not None and result < 0:
        raise DDSError(f'dds_{name}: {_lib.dds_strretcode(result).decode()}')
    return result


def delete(entity: int) -> None:
    """Delete an entity; one that is gone already is fine."""
    _lib.dds_delete(entity)


def guid(entity: int) -> bytes:
    """The 16 bytes by which other participants know the entity."""
    buffer = ct.create_string_buffer(16)
    call('get_guid', entity, buffer)
    return buffer.raw


def instance_handle(entity: int) -> int:
    """Local number of an entity as it appears in sample infos and matched lists."""
    handle = ct.c_uint64()
    call('get_instance_handle', entity, ct.byref(handle))
    return handle.value


def matched(endpoint: int, kind: str) -> list[int]:
    """Instance handles of the matched 'subscriptions' of a writer or 'publications' of a reader."""
    handles = (ct.c_uint64 * 256)()
    return list(handles[:call(f'get_matched_{kind}', endpoint, handles, 256)])


class Qos:
    """A DDS QoS set for one creation call: `with Qos(...) as pointer`."""

    def __init__(self, **policies: tuple[Any, ...]) -> None:
        """`policies`: name of a `dds_qset_` function -> its arguments."""
        self._policies = policies

    def __enter__(self) -> int:
        self._pointer = _lib.dds_create_qos()
        for name, arguments in self._policies.items():
            getattr(_lib, 'dds_qset_' + name)(self._pointer, *arguments)
        return self._pointer

    def __exit__(self, *exc: object) -> None:
        _lib.dds_delete_qos(self._pointer)


def endpoint_qos(history_depth: int, reliable: bool, transient_local: bool, *, lifespan: int = INFINITE,
                 deadline: int = INFINITE, manual_liveliness: bool = False, lease: int = INFINITE,
                 user_data: bytes = b'', ignore_local: bool = False) -> Qos:
    """QoS of a reader or writer as rmw_cyclonedds sets it; times in ns, depth 0 keeps all samples."""
    history = (0, history_depth) if history_depth else (1, -1)
    policies: dict[str, tuple[Any, ...]] = {
        'writer_data_lifecycle': (False,), 'history': history,
        'reliability': (int(reliable), INFINITE if reliable else 0),
        'durability': (int(transient_local),), 'liveliness': (2 if manual_liveliness else 0, lease),
        'data_representation': (1, (ct.c_int16 * 1)(0)), 'deadline': (deadline,), 'lifespan': (lifespan,),
    }
    if transient_local:
        policies['durability_service'] = (0, *history, -1, -1, -1)
    if user_data:
        policies['userdata'] = (user_data, len(user_data))
    if ignore_local:
        policies['ignorelocal'] = (1,)
    return Qos(**policies)


def read_qos(pointer: int) -> dict[str, Any]:
    """The policies of a discovered endpoint; the pointer is only valid during the call."""
    a, b = ct.c_int(), ct.c_int64()
    c = ct.c_int32()
    found: dict[str, Any] = {'user_data': read_user_data(pointer)}
    if _lib.dds_qget_reliability(pointer, ct.byref(a), ct.byref(b)):
        found['reliable'] = a.value == 1
    if _lib.dds_qget_durability(pointer, ct.byref(a)):
        found['transient_local'] = a.value >= 1
    if _lib.dds_qget_history(pointer, ct.byref(a), ct.byref(c)):
        found['depth'] = c.value if a.value == 0 else 0
    for name in ('lifespan', 'deadline'):
        if getattr(_lib, 'dds_qget_' + name)(pointer, ct.byref(b)):
            found[name] = b.value
    if _lib.dds_qget_liveliness(pointer, ct.byref(a), ct.byref(b)):
        found['manual_liveliness'], found['lease'] = a.value == 2, b.value
    return found


def read_user_data(pointer: int) -> bytes:
    """The user data in a QoS set."""
    data, size = ct.c_void_p(), ct.c_size_t()
    if not _lib.dds_qget_userdata(pointer, ct.byref(data), ct.byref(size)) or not data.value:
        return b''
    try:
        return ct.string_at(data, size.value)
    finally:
        _lib.dds_free(data)


class _Idl:
    """What Cyclone's C layer asks of a type: its name, no key, plain CDR."""

    keyless, data_type_props, supported_versions = True, 0, 5
    _xt_bytedata = _TYPE_INFO

    def __init__(self, name: str) -> None:
        self.idl_transformed_typename = name


class Domain:
    """A DDS domain of this process, shared by its contexts and closed with the last of them."""

    _open: ClassVar[dict[int, tuple[int, int]]] = {}
    _lock = threading.Lock()

    @classmethod
    def acquire(cls, domain_id: int) -> None:
        """Configure the domain: this host only, unless ROS_LOCALHOST_ONLY or CYCLONEDDS_URI say otherwise."""
        with cls._lock:
            handle, users = cls._open.get(domain_id, (0, 0))
            if not users:
                uri = os.environ.get('CYCLONEDDS_URI', '')
                local = os.environ.get('ROS_LOCALHOST_ONLY') or ('0' if uri else '1')
                config = ([_LOCALHOST] if local != '0' else []) + ([uri] if uri else [])
                handle = call('create_domain', domain_id, ','.join(config).encode())
            cls._open[domain_id] = handle, users + 1

    @classmethod
    def release(cls, domain_id: int) -> None:
        """Give up one use."""
        with cls._lock:
            handle, users = cls._open.pop(domain_id)
            if users > 1:
                cls._open[domain_id] = handle, users - 1
            else:
                delete(handle)


class Participant:
    """A DDS participant and its topics: one for each ROS context."""

    def __init__(self, domain_id: int, user_data: bytes) -> None:
        """Raises DDSError when the domain id or the configuration is not usable."""
        self.domain_id = domain_id
        self._topics: dict[tuple[str, str], int] = {}
        self._types: dict[str, type] = {}
        self._lock = threading.Lock()
        Domain.acquire(domain_id)
        try:
            with Qos(userdata=(user_data, len(user_data))) as qos:
                self.handle = call('create_participant', domain_id, qos, None)
        except DDSError:
            Domain.release(domain_id)
            raise
        self.guid = guid(self.handle)

    def close(self) -> None:
        """Delete the participant with all that belongs to it."""
        delete(self.handle)
        Domain.release(self.domain_id)

    def _topic(self, name: str, type_name: str) -> int:
        with self._lock:
            if (name, type_name) not in self._topics:
                if type_name not in self._types:
                    self._types[type_name] = type('Type', (), {'__idl__': _Idl(type_name)})
                topic = _clayer.ddspy_topic_create(self.handle, name, self._types[type_name], None, None)
                if topic < 0:
                    raise DDSError(f'cannot make the topic {name} of type {type_name}: '
                                   f'{_lib.dds_strretcode(topic).decode()}')
                self._topics[name, type_name] = topic
            return self._topics[name, type_name]

    def writer(self, topic: str, type_name: str, qos: Qos) -> int:
        """A data writer."""
        with qos as pointer:
            return call('create_writer', self.handle, self._topic(topic, type_name), pointer, None)

    def reader(self, topic: str, type_name: str, qos: Qos) -> int:
        """A data reader."""
        with qos as pointer:
            return call('create_reader', self.handle, self._topic(topic, type_name), pointer, None)


def write(writer: int, data: bytes) -> None:
    """Publish one sample of plain CDR; raises DDSError when the writer is gone."""
    result = _clayer.ddspy_write(writer, data if len(data) % 4 == 0 else data + b'\0' * (-len(data) % 4))
    if result < 0:
        raise DDSError(f'cannot publish: {_lib.dds_strretcode(result).decode()}')


def take(reader: int) -> tuple[bytes, Any] | None:
    """The oldest sample and its info, None when there is none (or the reader is gone)."""
    while True:
        samples = _clayer.ddspy_take(reader, ANY_SAMPLE, 1)
        if isinstance(samples, int) or not samples:
            return None
        if samples[0][1].valid_data:
            return samples[0]


class Guard:
    """A condition that any thread can set to end a wait."""

    def __init__(self, participant: Participant) -> None:
        self.handle = call('create_guardcondition', participant.handle)

    def set(self) -> None:
        """Trigger; harmless when the guard is gone."""
        _lib.dds_set_guardcondition(self.handle, True)

    def take(self) -> bool:
        """Reset, and say whether it was set."""
        was = _bool()
        return _lib.dds_take_guardcondition(self.handle, ct.byref(was)) >= 0 and was.value


class WaitSet:
    """Waits for any of the attached entities; each is known by a number."""

    def __init__(self, participant: Participant) -> None:
        self.handle = call('create_waitset', participant.handle)
        self._hits = (ct.c_ssize_t * 512)()

    def attach(self, entity: int, number: int) -> None:
        """Add an entity; raises DDSError when it is gone."""
        call('waitset_attach', self.handle, entity, number)

    def detach(self, entity: int) -> None:
        """Remove an entity; one that is gone is removed already."""
        _lib.dds_waitset_detach(self.handle, entity)

    def wait(self, timeout_ns: int) -> list[int]:
        """Numbers of the entities that are triggered, empty after the timeout."""
        count = _lib.dds_waitset_wait(self.handle, self._hits, 512, timeout_ns)
        return self._hits[:min(count, 512)] if count > 0 else []


# Status bit -> name, as in `dds_get_<name>_status`.
STATUSES = {1 << 1: 'offered_deadline_missed', 1 << 2: 'requested_deadline_missed',
            1 << 3: 'offered_incompatible_qos', 1 << 4: 'requested_incompatible_qos', 1 << 5: 'sample_lost',
            1 << 9: 'liveliness_lost', 1 << 10: 'liveliness_changed'}
STATUS_BITS = {name: bit for bit, name in STATUSES.items()}


def take_status(entity: int, bit: int) -> Any | None:
    """The status if it changed since the last call, with its change counts; None otherwise."""
    changes = ct.c_uint32()
    if _lib.dds_get_status_changes(entity, ct.byref(changes)) < 0 or not changes.value & bit:
        return None
    status = getattr(_internal.dds_c_t, STATUSES[bit] + '_status')()
    getattr(_lib, f'dds_get_{STATUSES[bit]}_status')(_i32(entity), ct.byref(status))
    return status


BUILTIN_PUBLICATIONS, BUILTIN_SUBSCRIPTIONS = 0x7FFF0003, 0x7FFF0004


def builtin_reader(participant: Participant, topic: int) -> int:
    """A reader of the endpoints that are known in the domain, ours included."""
    return call('create_reader', participant.handle, topic, None, None)


def endpoint_changes(reader: int) -> Iterator[tuple[bytes, tuple[bytes, str, str, dict[str, Any]] | None]]:
    """(guid, (participant's guid, topic, type, QoS)) of each endpoint that is new, (guid, None) of each that is gone."""
    def make(key: bytes, owner: bytes, _: int, topic: str, type_: str, qos: Any, info: Any, __: Any) -> Any:
        alive = info.valid_data and info.instance_state == 16
        return bytes(key), (bytes(owner), topic, type_, qos) if alive else None

    while True:
        samples = _clayer.ddspy_take_endpoint(reader, 256, make, read_qos)
        if isinstance(samples, int) or not samples:
            return
        yield from samples


def matched_user_data(endpoint: int, handle: int, kind: str) -> bytes | None:
    """User data of a matched 'subscription' or 'publication', None when it is gone."""
    function = getattr(_clayer, f'ddspy_get_matched_{kind}_data')
    return function(endpoint, handle, lambda *fields: fields[5], read_user_data)
