"""Topics, services and discovery between processes, and their form on the wire."""

from __future__ import annotations

import re
import struct
import time

import pytest
import rclpy
from rclpy.exceptions import InvalidTopicNameException
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool
from wbvla_embedded import cdr, dds, names

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ECHO = """
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from sensor_msgs.msg import JointState
    from std_srvs.srv import SetBool
    rclpy.init()
    node = rclpy.create_node('echo', namespace='/far')
    back = node.create_publisher(JointState, 'back', 10)
    node.create_subscription(JointState, 'there', back.publish, 10)
    def answer(request, response):
        response.success, response.message = request.data, 'heard'
        return response
    node.create_service(SetBool, '~/ask', answer)
    node.declare_parameter('gain', 1.5)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        print('ended')
    node.destroy_node()
    rclpy.try_shutdown()
"""


def test_message_goes_to_another_process_and_back(graph, start) -> None:
    start(ECHO)
    node, heard = graph.node('here'), []
    node.create_subscription(JointState, '/far/back', heard.append, 10)
    publisher = node.create_publisher(JointState, '/far/there', 10)
    assert graph(10, lambda: publisher.get_subscription_count() == 1 and node.count_publishers('/far/back') == 1)
    sent = JointState(name=['a', 'b'], position=[0.5, -1.5])

    def answered() -> bool:
        publisher.publish(sent)
        return bool(heard)

    assert graph(5, answered)
    assert heard[0] == sent


def test_service_and_parameters_of_another_process(graph, start) -> None:
    from rcl_interfaces.msg import Parameter, ParameterValue
    from rcl_interfaces.srv import GetParameters, SetParameters

    process = start(ECHO)
    node = graph.node('here')

    def ask(type_, name, request):
        client = node.create_client(type_, name)
        assert client.wait_for_service(10.0)
        future = client.call_async(request)
        assert graph(5, future.done)
        return future.result()

    assert ask(SetBool, '/far/echo/ask', SetBool.Request(data=True)).message == 'heard'
    assert ask(GetParameters, '/far/echo/get_parameters',
               GetParameters.Request(names=['gain'])).values[0].double_value == 1.5
    wrong = ask(SetParameters, '/far/echo/set_parameters', SetParameters.Request(parameters=[
        Parameter(name='gain', value=ParameterValue(type=4, string_value='much'))])).results[0]
    assert not wrong.successful and 'Wrong parameter type' in wrong.reason
    assert ('echo', '/far') in node.get_node_names_and_namespaces()
    assert ('/far/back', ['sensor_msgs/msg/JointState']) in node.get_publisher_names_and_types_by_node('echo', '/far')
    process.terminate()
    assert process.wait(5) == 0
    assert graph(5, lambda: node.count_publishers('/far/back') == 0)
    assert ('echo', '/far') not in node.get_node_names_and_namespaces()


def test_late_joiner_gets_the_latched_message(graph, start) -> None:
    process = start("""
        import rclpy
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from std_msgs.msg import String
        rclpy.init()
        node = rclpy.create_node('latcher')
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        publisher = node.create_publisher(String, 'latched', latched)
        publisher.publish(String(data='first'))
        publisher.publish(String(data='last'))
        print('sent')
        rclpy.spin(node)
    """)
    assert process.stdout.readline() == 'sent\n'
    heard = []
    graph.node('late').create_subscription(String, 'latched', heard.append, LATCHED)
    assert graph(10, lambda: bool(heard))
    assert [message.data for message in heard] == ['last']


def test_incompatible_qos_warns_on_both_sides_and_calls_back(graph, capfd) -> None:
    from rclpy.qos_event import SubscriptionEventCallbacks

    events = []
    node = graph.node('mismatch')
    node.create_publisher(String, 'picky', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    node.create_subscription(String, 'picky', print, 10)
    node.create_subscription(String, 'picky', print, 10,
                             event_callbacks=SubscriptionEventCallbacks(incompatible_qos=events.append))
    assert graph(5, lambda: bool(events))
    graph(0.2, lambda: False)
    shown = capfd.readouterr().err
    assert "New publisher discovered on topic '/picky', offering incompatible QoS" in shown
    assert "New subscription discovered on topic '/picky', requesting incompatible QoS" in shown
    assert 'Last incompatible policy: RELIABILITY' in shown
    assert events[0].last_policy_kind.name == 'RELIABILITY' and events[0].total_count == 1


def test_hostile_bytes_are_dropped_with_a_count_and_the_node_goes_on(graph, capfd) -> None:
    node, heard, raw = graph.node('victim'), [], []
    node.create_subscription(JointState, 'target', heard.append, 10)
    node.create_subscription(JointState, 'target', raw.append, 10, raw=True)
    attacker = node.create_publisher(JointState, 'target', 10)
    good = serialize_message(JointState(name=['ok']))
    for data in (good[:-9], b'\x00\x01\x00\x00' + b'\xff' * 60, b'\x00\x01\x00\x00', good):
        attacker.publish(data)
    assert graph(5, lambda: bool(heard) and len(raw) == 4)
    assert heard == [JointState(name=['ok'])]
    assert raw[-1][:len(good)] == good
    shown = capfd.readouterr().err
    assert "dropped 1 message(s) on topic '/target' that are not valid sensor_msgs/msg/JointState" in shown


def test_hostile_request_does_not_stop_a_service(graph) -> None:
    node = graph.node('server')
    service = node.create_service(SetBool, 'ask', lambda request, response: response)
    participant = node._graph.participant
    writer = participant.writer('rq/askRequest', 'std_srvs::srv::dds_::SetBool_Request_',
                                dds.endpoint_qos(10, True, False))
    assert graph(5, lambda: bool(dds.matched(service.handle, 'publications')))
    dds.write(writer, b'\x00\x01\x00\x00\x01\x00\x00\x00')
    client = node.create_client(SetBool, 'ask')
    assert client.wait_for_service(5.0)
    future = client.call_async(SetBool.Request(data=True))
    assert graph(5, future.done)


def test_wire_form_is_that_of_rmw_cyclonedds(graph) -> None:
    node = graph.node('wire', namespace='/ns')
    node.create_publisher(String, 'chat', 10)
    node.create_service(SetBool, '~/ask', lambda request, response: response)
    client = node.create_client(SetBool, '~/ask')
    found = {(endpoint.topic, endpoint.type) for kind in ('publications', 'subscriptions')
             for endpoint in node._graph.endpoints(kind)}
    for expected in (('rt/ns/chat', 'std_msgs::msg::dds_::String_'),
                     ('rq/ns/wire/askRequest', 'std_srvs::srv::dds_::SetBool_Request_'),
                     ('rr/ns/wire/askReply', 'std_srvs::srv::dds_::SetBool_Response_'),
                     ('ros_discovery_info', 'rmw_dds_common::msg::dds_::ParticipantEntitiesInfo_')):
        assert expected in found
    users = {endpoint.qos['user_data'].split(b'=')[0] for endpoint in node._graph.endpoints('publications')
             if endpoint.topic.startswith(('rq/', 'rr/'))}
    assert users == {b'clientid', b'serviceid'}
    reader = node._graph.participant.reader('rq/ns/wire/askRequest', 'std_srvs::srv::dds_::SetBool_Request_',
                                            dds.endpoint_qos(10, True, False))
    assert graph(5, lambda: len(dds.matched(client.handle, 'subscriptions')) == 2)
    client.call_async(SetBool.Request(data=True))
    data, info = next(filter(None, (dds.take(reader) or time.sleep(0.01) for _ in range(300))))
    writer, number, flag = struct.unpack_from('<Qq?', data, 4)
    assert (writer, number, flag) == (info.publication_handle, 1, True)


def test_discovery_message_names_nodes_and_their_endpoints(graph) -> None:
    from rmw_dds_common.msg import ParticipantEntitiesInfo

    node = graph.node('announced', namespace='/ns')
    publisher = node.create_publisher(String, 'chat', 10)
    reader = node._graph.participant.reader('ros_discovery_info', names.dds_type(
        'rmw_dds_common/msg/ParticipantEntitiesInfo'), dds.endpoint_qos(1, True, True))
    data = next(filter(None, (dds.take(reader) or time.sleep(0.01) for _ in range(300))))[0]
    info = cdr.deserialize(data, ParticipantEntitiesInfo)
    described = info.node_entities_info_seq[0]
    assert (described.node_namespace, described.node_name) == ('/ns', 'announced')
    assert bytes(info.gid.data[:16]) == node._graph.participant.guid and len(info.gid.data) == 24
    assert dds.guid(publisher.handle) in [bytes(gid.data[:16]) for gid in described.writer_gid_seq]


@pytest.mark.parametrize(('given', 'full'), [
    ('chat', '/ns/chat'), ('/chat', '/chat'), ('~/chat', '/ns/me/chat'), ('~', '/ns/me'), ('{node}/x', '/ns/me/x')])
def test_names_are_expanded(given: str, full: str) -> None:
    assert names.expand(given, 'me', '/ns') == full


@pytest.mark.parametrize('name', ['', 'a//b', '/1a', 'a b', '{who}'])
def test_invalid_topic_names_are_refused(graph, name: str) -> None:
    with pytest.raises(InvalidTopicNameException):
        graph.node('picky').create_publisher(String, name, 1)


def test_arguments_rename_remap_and_set_parameters(tmp_path) -> None:
    file = tmp_path / 'p.yaml'
    file.write_text('/**:\n  ros__parameters: {rate: 1e-3, a: {b: 2}}\n/space/other:\n  ros__parameters: {rate: 5.0}\n'
                    '/space/*:\n  ros__parameters: {word: file}\n')
    context = rclpy.Context()
    rclpy.init(context=context, args=['prog', '--ros-args', '-r', '__node:=other', '-r', '__ns:=/space', '-r',
                                      'chat:=/talk', '-p', 'word:=given', '--params-file', str(file), '--', '-x'])
    node = rclpy.create_node('me', context=context)
    try:
        assert node.get_fully_qualified_name() == '/space/other'
        assert node.resolve_topic_name('chat') == '/talk' and node.resolve_topic_name('x') == '/space/x'
        assert node.declare_parameter('rate', 0.5).value == 5.0
        assert node.declare_parameter('a.b', 0).value == 2
        assert node.declare_parameter('word', '').value == 'file'
    finally:
        node.destroy_node()
        context.shutdown()


@pytest.mark.parametrize(('text', 'reason'), [
    ('- 1', 'top level must map'), ('/x: {rate: 1.0}', "'/x/rate' has no ros__parameters"), ('a: [', 'not valid YAML'),
    ('/x: {ros__parameters: {mixed: [1, 2.0]}}', "the value of 'mixed' must be"),
    ('/x: {ros__parameters: {deep: [{a: 1}]}}', "the value of 'deep' must be")])
def test_malformed_parameter_file_is_refused_with_file_and_key(tmp_path, text: str, reason: str) -> None:
    file = tmp_path / 'bad.yaml'
    file.write_text(text)
    with pytest.raises(RuntimeError) as caught:
        rclpy.init(context=rclpy.Context(), args=['--ros-args', '--params-file', str(file)])
    assert reason in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize('words', [['-r', 'a=b'], ['-p', 'gain'], ['--log-level', 'loud'], ['--what'], ['-p'],
                                   ['--params-file', '/no/such.yaml']])
def test_malformed_ros_arguments_are_refused(words: list[str]) -> None:
    with pytest.raises(RuntimeError, match=re.escape(words[-1].lstrip('-'))):
        rclpy.init(context=rclpy.Context(), args=['--ros-args', *words])


def test_publishing_after_shutdown_fails_as_in_humble() -> None:
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    node = rclpy.create_node('late', context=context)
    publisher = node.create_publisher(String, 'chat', 1)
    context.shutdown()
    with pytest.raises(RuntimeError, match='context is invalid'):
        publisher.publish(String())
    node.destroy_node()
