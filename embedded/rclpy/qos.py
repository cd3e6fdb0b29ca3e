"""Quality of service: how a topic keeps, repeats and times its messages."""

from __future__ import annotations

from enum import Enum, IntEnum

from wbvla_embedded import dds

from .duration import Duration, Infinite

_UNSET = Duration()


class InvalidQoSProfileException(Exception):
    """A profile that says too little or contradicts itself."""

    def __init__(self, *args):
        super().__init__('Invalid QoSProfile', *args)


class QoSPolicyKind(IntEnum):
    """The policies by the numbers that events report."""

    INVALID = 1
    DURABILITY = 2
    DEADLINE = 4
    LIVELINESS = 8
    RELIABILITY = 16
    HISTORY = 32
    LIFESPAN = 64
    DEPTH = 128
    LIVELINESS_LEASE_DURATION = 256
    AVOID_ROS_NAMESPACE_CONVENTIONS = 512


def qos_policy_name_from_kind(policy_kind):
    """Name of a policy, e.g. 'RELIABILITY'."""
    return QoSPolicyKind(policy_kind).name


class QoSPolicyEnum(IntEnum):
    """Base of the policies that are a choice of words."""

    @classmethod
    def short_keys(cls):
        """The choices in lower case."""
        return [name.lower() for name in cls.__members__ if not name.startswith('RMW')]

    @classmethod
    def get_from_short_key(cls, name):
        """The choice of that name in any case."""
        return cls[name.upper()].value

    @property
    def short_key(self):
        """The name of this choice in lower case."""
        return self.name.lower()


class HistoryPolicy(QoSPolicyEnum):
    """How many messages are kept."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class ReliabilityPolicy(QoSPolicyEnum):
    """Whether lost messages are sent again."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3


class DurabilityPolicy(QoSPolicyEnum):
    """Whether those who come later get what was sent before."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3


class LivelinessPolicy(QoSPolicyEnum):
    """Who says that a publisher is alive."""

    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4


QoSHistoryPolicy, QoSReliabilityPolicy = HistoryPolicy, ReliabilityPolicy
QoSDurabilityPolicy, QoSLivelinessPolicy = DurabilityPolicy, LivelinessPolicy

# name -> (type, default)
_FIELDS = {
    'history': (HistoryPolicy, HistoryPolicy.KEEP_LAST), 'depth': (int, 10),
    'reliability': (ReliabilityPolicy, ReliabilityPolicy.RELIABLE),
    'durability': (DurabilityPolicy, DurabilityPolicy.VOLATILE),
    'lifespan': (Duration, _UNSET), 'deadline': (Duration, _UNSET),
    'liveliness': (LivelinessPolicy, LivelinessPolicy.SYSTEM_DEFAULT),
    'liveliness_lease_duration': (Duration, _UNSET), 'avoid_ros_namespace_conventions': (bool, False),
}


def _policy(name, type_):
    def write(self, value):
        if issubclass(type_, QoSPolicyEnum):
            value = type_(value)
        assert isinstance(value, type_), f"'{name}' must be of type {type_.__name__}"
        setattr(self, '_' + name, value)

    return property(lambda self: getattr(self, '_' + name), write)


class QoSProfile:
    """A set of policies; history (with a depth unless all is kept) or depth must be given."""

    __slots__ = ['_' + name for name in _FIELDS]
    __hash__ = None  # pyright: ignore[reportAssignmentType]
    history: HistoryPolicy
    depth: int
    reliability: ReliabilityPolicy
    durability: DurabilityPolicy
    lifespan: Duration
    deadline: Duration
    liveliness: LivelinessPolicy
    liveliness_lease_duration: Duration
    avoid_ros_namespace_conventions: bool

    def __init__(self, **kwargs):
        assert kwargs.keys() <= _FIELDS.keys(), f'Invalid arguments passed to constructor: {kwargs.keys()!r}'
        if 'history' not in kwargs and 'depth' not in kwargs:
            raise InvalidQoSProfileException('History and/or depth settings are required.')
        if kwargs.get('history', HistoryPolicy.KEEP_LAST) == HistoryPolicy.KEEP_LAST and 'depth' not in kwargs:
            raise InvalidQoSProfileException('History set to KEEP_LAST without a depth setting.')
        for name, (_, default) in _FIELDS.items():
            setattr(self, name, kwargs.get(name, default))

    def __eq__(self, other):
        return isinstance(other, QoSProfile) and all(getattr(self, s) == getattr(other, s) for s in self.__slots__)

    def __str__(self):
        shown = ', '.join(f"{name}={getattr(self, name)}" for name in _FIELDS)
        return f'QoSProfile({shown})'

    __repr__ = __str__

    @classmethod
    def _from_dds(cls, found):
        """The profile of a discovered endpoint (`dds.read_qos`); what it does not tell stays unknown."""
        profile = cls(depth=max(found.get('depth', 0), 0), history=HistoryPolicy.UNKNOWN)
        if 'depth' in found:
            profile.history = HistoryPolicy.KEEP_LAST if found['depth'] else HistoryPolicy.KEEP_ALL
        profile.reliability = ReliabilityPolicy.RELIABLE if found.get('reliable') else ReliabilityPolicy.BEST_EFFORT
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL if found.get('transient_local') else \
            DurabilityPolicy.VOLATILE
        profile.lifespan = Duration(nanoseconds=found.get('lifespan', Infinite.nanoseconds))
        profile.deadline = Duration(nanoseconds=found.get('deadline', Infinite.nanoseconds))
        profile.liveliness = LivelinessPolicy.MANUAL_BY_TOPIC if found.get('manual_liveliness') else \
            LivelinessPolicy.AUTOMATIC
        profile.liveliness_lease_duration = Duration(nanoseconds=found.get('lease', Infinite.nanoseconds))
        return profile

    def _to_dds(self, user_data=b'', ignore_local=False):
        """As a DDS QoS set; raises InvalidQoSProfileException for values that only describe other endpoints."""
        if self.history == HistoryPolicy.UNKNOWN or self.reliability == ReliabilityPolicy.UNKNOWN or \
                self.durability == DurabilityPolicy.UNKNOWN or self.liveliness == LivelinessPolicy.UNKNOWN:
            raise InvalidQoSProfileException('UNKNOWN policies cannot be requested')

        def nanoseconds(duration):
            return duration.nanoseconds or dds.INFINITE

        return dds.endpoint_qos(
            0 if self.history is HistoryPolicy.KEEP_ALL else max(self.depth, 1),
            self.reliability is not ReliabilityPolicy.BEST_EFFORT,
            self.durability is DurabilityPolicy.TRANSIENT_LOCAL,
            lifespan=nanoseconds(self.lifespan), deadline=nanoseconds(self.deadline),
            manual_liveliness=self.liveliness is LivelinessPolicy.MANUAL_BY_TOPIC,
            lease=nanoseconds(self.liveliness_lease_duration), user_data=user_data, ignore_local=ignore_local)


for _name, (_type, _) in _FIELDS.items():
    setattr(QoSProfile, _name, _policy(_name, _type))

qos_profile_unknown = QoSProfile(
    history=HistoryPolicy.UNKNOWN, depth=0, reliability=ReliabilityPolicy.UNKNOWN,
    durability=DurabilityPolicy.UNKNOWN, liveliness=LivelinessPolicy.UNKNOWN)
qos_profile_system_default = QoSProfile(
    history=HistoryPolicy.SYSTEM_DEFAULT, depth=0, reliability=ReliabilityPolicy.SYSTEM_DEFAULT,
    durability=DurabilityPolicy.SYSTEM_DEFAULT)
qos_profile_sensor_data = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
qos_profile_services_default = QoSProfile(depth=10)
qos_profile_parameters = QoSProfile(depth=1000)
qos_profile_parameter_events = QoSProfile(depth=1000)
qos_profile_action_status_default = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class QoSPresetProfiles(Enum):
    """Profiles for usual purposes."""

    UNKNOWN = qos_profile_unknown
    SYSTEM_DEFAULT = qos_profile_system_default
    SENSOR_DATA = qos_profile_sensor_data
    SERVICES_DEFAULT = qos_profile_services_default
    PARAMETERS = qos_profile_parameters
    PARAMETER_EVENTS = qos_profile_parameter_events
    ACTION_STATUS_DEFAULT = qos_profile_action_status_default

    @classmethod
    def short_keys(cls):
        """The names in lower case."""
        return [name.lower() for name in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name):
        """The profile of that name in any case."""
        return cls[name.upper()].value
