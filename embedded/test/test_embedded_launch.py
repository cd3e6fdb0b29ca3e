"""Launch files, the registry of packages, and how the embedded graph comes onto the path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import install_path
import pytest
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    NotSubstitution,
    PathJoinSubstitution,
    SubstitutionFailure,
    TextSubstitution,
    ThisLaunchFileDir,
)
from launch_ros.actions import Node, PushRosNamespace, SetParameter, SetRemap
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare
from wbvla_embedded import packages

EMBEDDED = Path(install_path.__file__).parent
NODE = """
import rclpy
from rclpy.executors import ExternalShutdownException
def main():
    rclpy.init()
    node = rclpy.create_node('unnamed')
    try:
        print(node.get_fully_qualified_name(), node.declare_parameter('rate', 0.0).value,
              node.declare_parameter('words', ['']).value, node.resolve_topic_name('chat'))
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        print('goodbye')
    node.destroy_node()
    rclpy.try_shutdown()
"""
LAUNCH = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, RegisterEventHandler, Shutdown, TimerAction
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.substitutions import FindPackageShare
def generate_launch_description():
    parameters = PathJoinSubstitution([FindPackageShare('demo_pkg'), 'config', 'p.yaml'])
    node = Node(package='demo_pkg', executable='talker', name='talker', output='screen', remappings=[('chat', 'talk')],
                parameters=[parameters, {'words': ['a', 'b']}])
    return LaunchDescription([
        DeclareLaunchArgument('space', default_value='robot', description='namespace'),
        DeclareLaunchArgument('tier', default_value='a', choices=['a', 'b']),
        DeclareLaunchArgument('stop_s', default_value='600.0'),
        GroupAction([PushRosNamespace(LaunchConfiguration('space')), node]),
        TimerAction(period=LaunchConfiguration('stop_s'), actions=[Shutdown(reason='time is up')])])
"""


@pytest.fixture
def demo(tmp_path: Path, child_environment) -> Callable[..., subprocess.Popen]:
    """Starts the command-line launcher with a small package on the path."""
    package = tmp_path / 'demo_pkg'
    for name, text in (('package.xml', '<package><name>demo_pkg</name></package>'), ('demo_node.py', NODE),
                       ('setup.py', "setup(entry_points={'console_scripts': ['talker = demo_node:main']})"),
                       ('launch/demo.launch.py', LAUNCH),
                       ('config/p.yaml', '/**/talker:\n  ros__parameters: {rate: 5.0}\n')):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    base = child_environment(WBVLA_PACKAGE_PATH=str(tmp_path))
    base['PYTHONPATH'] = os.pathsep.join([str(package), base['PYTHONPATH']])

    def run(*arguments: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, '-m', 'wbvla_embedded.cli', 'launch', *arguments], env=base, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return run


def _line(process: subprocess.Popen, part: str) -> str:
    """The first line of output that contains a text."""
    assert process.stdout is not None
    return next(line for line in process.stdout if part in line)


def test_launch_starts_a_node_and_ctrl_c_ends_it(demo) -> None:
    process = demo('demo_pkg', 'demo.launch.py', 'space:=other')
    assert "[talker-1] /other/talker 5.0 ['a', 'b'] /other/talk" in _line(process, '[talker-1] /')
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert '[talker-1] goodbye' in output and 'process has finished cleanly' in output
    assert 'user interrupted with ctrl-c (SIGINT)' in errors


def test_launch_ends_by_its_own_shutdown(demo) -> None:
    process = demo('demo_pkg', 'demo.launch.py', 'stop_s:=1.5')
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 0 and '[talker-1] goodbye' in output


@pytest.mark.parametrize(('arguments', 'code', 'reason'), [
    (['demo_pkg', 'demo.launch.py', 'tier:=c'], 1, "provided value 'c' is not valid. Valid options are: ['a', 'b']"),
    (['demo_pkg', 'demo.launch.py', 'tear:=a'], 2, 'unknown launch argument(s) tear; demo.launch.py has: space, tier'),
    (['demo_pkg', 'other.launch.py'], 2, "no launch file 'other.launch.py' in package 'demo_pkg'"),
    (['no_pkg', 'demo.launch.py'], 2, "package 'no_pkg' not found"),
    (['demo_pkg', 'demo.launch.py', 'space'], 2, 'malformed launch argument(s) space'),
    (['demo_pkg', 'demo.launch.py', 'space:='], 2, 'malformed launch argument(s) space:=')])
def test_bad_input_gives_one_message_and_an_exit_code(demo, arguments: list[str], code: int, reason: str) -> None:
    process = demo(*arguments)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == code and reason in errors and 'Traceback' not in errors


def test_arguments_are_shown(demo) -> None:
    output, _ = demo('demo_pkg', 'demo.launch.py', '--show-args').communicate(timeout=15)
    assert "'space':\n        namespace\n        (default: 'robot')" in output and "one of: ['a', 'b']" in output


def _launch(*entities: object) -> int:
    service = LaunchService()
    service.include_launch_description(LaunchDescription(entities))
    return service.run()


def _process(source: str, **options: Any) -> ExecuteProcess:
    return ExecuteProcess(cmd=[sys.executable, '-c', source], output='screen', **options)


def test_process_that_ignores_signals_is_killed() -> None:
    stubborn = _process('import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n'
                        'print("up", flush=True); time.sleep(60)', sigterm_timeout='0.3', sigkill_timeout='0.3')
    began = time.monotonic()
    assert _launch(stubborn, TimerAction(period=1.0, actions=[Shutdown()])) == 0
    assert time.monotonic() - began < 10 and stubborn.return_code == -signal.SIGKILL


def test_process_respawns_until_shutdown(tmp_path: Path) -> None:
    marks = tmp_path / 'marks'
    again = _process(f'open({str(marks)!r}, "a").write("x")', respawn=True, respawn_delay=0.05)
    assert _launch(again, TimerAction(period=1.0, actions=[Shutdown()])) == 0
    assert len(marks.read_text()) >= 3


def test_exit_of_a_required_process_ends_the_launch(capfd) -> None:
    required, long = _process('raise SystemExit(7)'), _process('import time; time.sleep(60)')
    required._on_exit = Shutdown(reason='it was required')
    assert _launch(long, required) == 0
    assert required.return_code == 7 and long.return_code != 0
    assert 'process has died' in capfd.readouterr().err


def test_action_that_raises_makes_the_launch_fail(capfd) -> None:
    def refuse(context: LaunchContext) -> None:
        raise RuntimeError('backend aimdk does not exist yet')

    assert _launch(OpaqueFunction(function=refuse), _process('import time; time.sleep(60)')) == 1
    assert 'backend aimdk does not exist yet' in capfd.readouterr().err


def test_missing_program_package_and_file_make_the_launch_fail(capfd, tmp_path: Path) -> None:
    ended = []
    absent = ExecuteProcess(cmd=['no-such-program'])
    from launch.actions import RegisterEventHandler

    _launch(RegisterEventHandler(OnProcessExit(on_exit=lambda event, context: ended.append(event.returncode))), absent)
    assert ended == []
    assert _launch(Node(package='no_pkg', executable='x')) == 1
    assert _launch(IncludeLaunchDescription(PythonLaunchDescriptionSource(str(tmp_path / 'x.launch.py')))) == 1
    shown = capfd.readouterr().err
    assert 'cannot be started: No such file' in shown
    assert "package 'no_pkg' not found" in shown and 'there is no launch file' in shown


def test_environment_and_scopes_reach_the_processes(capfd) -> None:
    from launch.actions import SetEnvironmentVariable

    show = 'import os; print(os.environ.get("A"), os.environ.get("B"))'
    assert _launch(GroupAction([SetEnvironmentVariable('A', 'in'), _process(show, additional_env={'B': 'more'})])) == 0
    assert _launch(GroupAction([SetEnvironmentVariable('A', 'in')]), _process(show)) == 0
    output = capfd.readouterr().out
    assert 'in more' in output and 'None None' in output


def test_substitutions_and_conditions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SOME_VARIABLE', 'value')
    context = LaunchContext()
    context.launch_configurations.update(sim='true')
    assert PathJoinSubstitution(['a', TextSubstitution(text='b'), 'c.yaml']).perform(context) == 'a/b/c.yaml'
    assert EnvironmentVariable('SOME_VARIABLE').perform(context) == 'value'
    assert EnvironmentVariable('OTHER', default_value='x').perform(context) == 'x'
    assert IfCondition(LaunchConfiguration('sim')).evaluate(context)
    assert not UnlessCondition(LaunchConfiguration('sim')).evaluate(context)
    assert IfCondition(NotSubstitution('false')).evaluate(context)
    with pytest.raises(TypeError, match='flat sequence'):
        PathJoinSubstitution(['a', ['b', '.yaml']])
    with pytest.raises(SubstitutionFailure, match="launch configuration 'none' does not exist"):
        LaunchConfiguration('none').perform(context)
    with pytest.raises(SubstitutionFailure, match='outside of a launch file'):
        ThisLaunchFileDir().perform(context)
    with pytest.raises(SubstitutionFailure, match="package 'no_pkg' not found"):
        FindPackageShare('no_pkg').perform(context)


def test_included_file_gets_its_arguments_and_knows_its_place(tmp_path: Path, capfd) -> None:
    included = tmp_path / 'part.launch.py'
    included.write_text(
        'from launch import LaunchDescription\n'
        'from launch.actions import DeclareLaunchArgument, LogInfo\n'
        'from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir\n'
        'def generate_launch_description():\n'
        "    return LaunchDescription([DeclareLaunchArgument('word'), LogInfo(msg=[LaunchConfiguration('word'), "
        "' in ', ThisLaunchFileDir()])])\n")
    source = PythonLaunchDescriptionSource(str(included))
    assert _launch(IncludeLaunchDescription(source, launch_arguments={'word': 'hello'}.items())) == 0
    assert _launch(IncludeLaunchDescription(PythonLaunchDescriptionSource(str(included)))) == 1
    shown = capfd.readouterr()
    assert f'hello in {tmp_path}' in shown.out and "missing required argument 'word'" in shown.err
    assert [argument.name for argument in source.get_launch_description(LaunchContext()).get_launch_arguments()] == ['word']


def test_node_command_line_carries_names_parameters_and_remaps(tmp_path: Path) -> None:
    file = tmp_path / 'p.yaml'
    file.write_text('/**: {ros__parameters: {}}')
    context = LaunchContext()
    context.launch_configurations['flag'] = 'true'
    for action in (PushRosNamespace('robot'), SetParameter('use_sim_time', True), SetRemap('a', 'b')):
        action.execute(context)
    values = {'flag': LaunchConfiguration('flag'), 'deep': {'list': [1.5, 2.0]},
              'text': ParameterValue('5', value_type=str), 'odd': ParameterValue('1e3', value_type=str)}
    node = Node(executable='/bin/node', name='me', namespace='arm', arguments=['-v'], remappings=[('c', 'd')],
                parameters=[ParameterFile(str(file)), values])
    assert node._command(context) == [
        '/bin/node', '-v', '--ros-args', '-r', '__node:=me', '-r', '__ns:=/robot/arm', '-p', 'use_sim_time:=true',
        '--params-file', str(file), '-p', 'flag:=true', '-p', 'deep.list:=[1.5, 2.0]', '-p', "text:='5'", '-p', 'odd:="1e3"',
        '-r', 'a:=b', '-r', 'c:=d']
    with pytest.raises(RuntimeError, match='there is no parameter file'):
        Node(executable='x', parameters=[str(tmp_path / 'no.yaml')])._command(context)


def test_configurations_of_a_group_end_with_it() -> None:
    seen = []

    def look(context: LaunchContext) -> None:
        seen.append(context.launch_configurations.get('word'))

    assert _launch(DeclareLaunchArgument('word', default_value='outer'),
                   GroupAction([SetLaunchConfiguration('word', 'inner'), OpaqueFunction(function=look)]),
                   OpaqueFunction(function=look)) == 0
    assert seen == ['inner', 'outer']


def test_packages_of_the_checkout_are_found() -> None:
    found = packages.package_paths()
    assert (found['wbvla_msgs'] / 'msg').is_dir()
    with pytest.raises(KeyError, match="executable 'none' not found in package 'wbvla_msgs'"):
        packages.command('wbvla_msgs', 'none')


def test_real_rclpy_wins_over_the_embedded_one(tmp_path: Path) -> None:
    (tmp_path / 'rclpy').mkdir()
    (tmp_path / 'rclpy' / '__init__.py').write_text('real = True')
    script = install_path.line(EMBEDDED) + '; import sys, rclpy; print(hasattr(rclpy, "real"), sys.path[-1])'
    for path, expected in ((str(tmp_path), 'True'), ('', 'False')):
        shown = subprocess.run([sys.executable, '-S', '-c', script.replace('\n', '')], capture_output=True, text=True,
                               env={**os.environ, 'PYTHONPATH': path}, check=False)
        if expected == 'True':
            assert shown.stdout.split()[0] == 'True' and str(EMBEDDED) not in shown.stdout
        else:  # without site-packages there is no cyclonedds, but it is the embedded rclpy that asks for it
            assert str(EMBEDDED / 'rclpy') in shown.stderr
