"""Message classes behave as Humble's, and their bytes are those that rosbags writes."""

from __future__ import annotations

import copy
import random
from array import array

import numpy
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Quaternion, WrenchStamped
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, Imu, JointState
from std_msgs.msg import Header, String, UInt8
from std_srvs.srv import SetBool
from wbvla_embedded import cdr, interfaces, messages

from wbvla_msgs.action import ExecuteInstruction
from wbvla_msgs.msg import RobotState

STANDARD = [name for name in interfaces._standard() if '/msg/' in name]
STORE = get_typestore(Stores.ROS2_HUMBLE)


def test_defaults_are_those_of_the_definition() -> None:
    state = JointState()
    assert state.header.stamp.sec == 0 and state.header.frame_id == '' and state.name == []
    assert state.position == array('d') and state.position is not JointState().position
    assert Quaternion().w == 1.0
    covariance = Imu().orientation_covariance
    assert isinstance(covariance, numpy.ndarray) and covariance.shape == (9,) and covariance.dtype == numpy.float64


def test_keywords_set_fields_and_unknown_ones_are_refused() -> None:
    assert String(data='a').data == 'a'
    with pytest.raises(AssertionError, match='Invalid arguments passed to constructor: date'):
        String(date='a')


@pytest.mark.parametrize(('field', 'value', 'reason'), [
    ('position', [1, 2], "each value of type 'float'"), ('position', numpy.zeros(3), 'must be a set or sequence'),
    ('position', array('f', [1.0]), "must have the type code of 'd'"), ('name', 'abc', 'must be a set or sequence'),
    ('header', String(), "must be a sub message of type 'Header'")])
def test_wrong_values_are_refused_as_in_humble(field: str, value: object, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        setattr(JointState(), field, value)


def test_scalars_are_checked_for_type_and_range() -> None:
    with pytest.raises(AssertionError, match=r'must be an unsigned integer in \[0, 255\]'):
        UInt8(data=256)
    with pytest.raises(AssertionError, match="must be of type 'int'"):
        Time(sec=1.5)
    with pytest.raises(AssertionError, match='size of 9'):
        Imu(orientation_covariance=numpy.zeros(8))


def test_byte_arrays_take_bytes() -> None:
    image = CompressedImage(data=b'\xff\xd8')
    assert image.data == array('B', [255, 216])


def test_bytes_are_bytes_of_length_one() -> None:
    status = DiagnosticStatus(level=DiagnosticStatus.WARN)
    assert status.level == b'\x01'
    assert cdr.deserialize(cdr.serialize(status), DiagnosticStatus).level == b'\x01'


def test_constants_field_table_equality_copy_and_repr() -> None:
    assert DiagnosticStatus.ERROR == b'\x02'
    assert JointState.get_fields_and_field_types()['position'] == 'sequence<double>'
    assert Imu.get_fields_and_field_types()['orientation_covariance'] == 'double[9]'
    first = Header(frame_id='a')
    assert first == copy.deepcopy(first) and first != Header()
    assert repr(first) == ("std_msgs.msg.Header(stamp=builtin_interfaces.msg.Time(sec=0, nanosec=0), frame_id='a')")


def test_services_and_actions_have_their_parts() -> None:
    assert SetBool.Request(data=True).data and SetBool.Response().message == ''
    goal = ExecuteInstruction.Impl.SendGoalService.Request(goal=ExecuteInstruction.Goal(instruction='x'))
    assert goal.goal.instruction == 'x' and len(goal.goal_id.uuid) == 16
    assert ExecuteInstruction.Impl.GetResultService.Response().result == ExecuteInstruction.Result()


def test_our_messages_come_from_their_files() -> None:
    state = RobotState(position=[0.1] * 31)
    assert cdr.deserialize(cdr.serialize(state), RobotState) == state


def test_missing_message_names_the_module() -> None:
    import std_msgs.msg

    with pytest.raises(AttributeError, match=r"module 'std_msgs\.msg' has no attribute 'Sting'"):
        std_msgs.msg.Sting  # noqa: B018


def _filled(cls: type, rng: random.Random) -> messages.Message:
    """A message with random contents."""
    message = cls()
    for field in interfaces.definition(cls._typename).fields:
        def element(base: str = field.base) -> object:
            if base in interfaces.INTEGERS:
                return rng.randrange(100)
            if base in ('float32', 'float64'):
                return float(numpy.float32(rng.random()))
            simple = {'bool': rng.random() < 0.5, 'byte': bytes([rng.randrange(100)]), 'string': 'ä' * rng.randrange(9)}
            return simple[base] if base in simple else _filled(messages.message_class(base), rng)

        count = field.size if field.kind == 'array' else rng.randrange(min(field.size or 3, 3) + 1)
        setattr(message, field.name, element() if field.kind == 'scalar' else [element() for _ in range(count)])
    return message


def _for_rosbags(message: messages.Message) -> object:
    """The same message as an object of rosbags."""
    values = []
    for field in interfaces.definition(message._typename).fields:
        value = getattr(message, field.name)
        if field.base == 'byte':
            value = value[0] if field.kind == 'scalar' else numpy.array([b[0] for b in value], dtype='uint8')
        elif field.base in messages.DTYPES and field.kind != 'scalar':
            value = numpy.array(value, dtype=messages.DTYPES[field.base])
        elif field.base not in interfaces.PRIMITIVES:
            value = _for_rosbags(value) if field.kind == 'scalar' else [_for_rosbags(item) for item in value]
        values.append(value)
    return STORE.types[message._typename](*values)


@pytest.mark.parametrize('typename', [name for name in STANDARD if name in STORE.fielddefs])
def test_bytes_equal_those_of_rosbags(typename: str) -> None:
    rng = random.Random(typename)
    for _ in range(4):
        message = _filled(messages.message_class(typename), rng)
        data = cdr.serialize(message)
        assert data == bytes(STORE.serialize_cdr(_for_rosbags(message), typename))
        assert cdr.deserialize(data, type(message)) == message
        big = bytes(STORE.serialize_cdr(_for_rosbags(message), typename, little_endian=False))
        assert cdr.deserialize(big, type(message)) == message


def test_truncated_messages_are_refused_at_every_length() -> None:
    state = JointState(name=['a', 'bc'], position=[1.0, 2.0], velocity=[3.0])
    data = cdr.serialize(state)
    for length in range(len(data)):
        with pytest.raises(cdr.CdrError):
            cdr.deserialize(data[:length], JointState)


@pytest.mark.parametrize('data', [
    b'', b'\x00\x07\x00\x00' + bytes(32), b'\x00\x01\x00\x00' + b'\xff' * 64,
    cdr.serialize(String(data='x')) + bytes(64)], ids=['empty', 'foreign', 'huge lengths', 'left over'])
def test_hostile_bytes_are_refused(data: bytes) -> None:
    for cls in (String, JointState, WrenchStamped):
        with pytest.raises(cdr.CdrError):
            cdr.deserialize(data[:4] + b'\xff' * 3 if cls is WrenchStamped else data, cls)


def test_standard_package_names_of_the_finder_are_complete() -> None:
    from wbvla_embedded import finder

    assert {name.split('/')[0] for name in interfaces._standard()} == finder.STANDARD


def test_type_information_is_that_of_an_empty_struct() -> None:
    from cyclonedds.idl import IdlStruct
    from wbvla_embedded import dds

    class Raw(IdlStruct, typename='wbvla::Raw'):
        pass

    Raw.__idl__.populate()
    Raw.__idl__.fill_type_data()
    assert Raw.__idl__._xt_bytedata == dds._TYPE_INFO
