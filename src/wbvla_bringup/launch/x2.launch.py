"""Brings up an AgiBot X2, real or simulated: plant, driver, LMO, VLA, recorder and viewers.

``ros2 launch wbvla_bringup x2.launch.py --show-args`` lists what can be set.
"""

import os
from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# Whoever set one of these has decided on the network already.
NETWORK_VARIABLES = ("ROS_LOCALHOST_ONLY", "CYCLONEDDS_URI", "FASTRTPS_DEFAULT_PROFILES_FILE")
SWITCH = ("true", "false")
DEVICES = ("joy", "joystick", "keyboard", "replay", "scripted")
# A node that refuses its configuration at start ends with this code.
REFUSED = 2
RESPAWN_DELAY_S = 1.0

# name: (default, choices or None, description)
ARGUMENTS = {
    "sim": ("true", SWITCH, "Short form of backend: true is mujoco, false is aimdk."),
    "backend": ("", ("", "mujoco", "aimdk"), "Who owns the actuators; empty: as sim says."),
    "tier": ("c", ("a", "b", "c"), "c: our LMO balances; a, b: the vendor's controller does."),
    "namespace": ("wbvla", None, "Namespace of the robot."),
    "robot": ("x2_ultra", None, "Robot spec, by name or path."),
    "contract": ("x2", None, "Contract of topics and features, by name or path."),
    "params": ("", None, "Parameter file; empty: params/x2.yaml of this package."),
    "scene": ("empty", None, "Simulation: scene or task to start with."),
    "seed": ("0", None, "Simulation: seed of scene and sensor noise."),
    "plant_summary": ("", None, "Simulation: file for the plant's own account (JSON) at the end."),
    "lmo": ("lmo/x2", None, "LMO bundle, as kind/name of the shipped ones or as path."),
    "statistics_window_s": (
        "10.0",
        None,
        "Over how long the LMO node's latency percentiles reach, 1..600 s.",
    ),
    "vla": ("vla/hold", None, "VLA bundle, as kind/name of the shipped ones or as path."),
    "vla_backend": ("bundle", ("bundle", "torch", "scripted"), "Runs the bundle (onnxruntime or torch), or a timed script."),
    "script": ("demo", None, "Script file of vla_backend:=scripted, by packaged name or path."),
    "instruction": ("stand still", None, "Sentence that the VLA follows until another one comes."),
    "teleop": ("", ("", *DEVICES), "Device of an operator; empty: no teleoperation."),
    "camera": ("head_camera/image_raw/compressed", None, "Topic of the head camera (JPEG)."),
    "record": (
        "false",
        (*SWITCH, "ready"),
        "true: record an episode from the start to the end of the launch; ready: a recorder that waits for services.",
    ),
    "bag_dir": ("bags", None, "Folder for episodes."),
    "episode": ("", None, "Folder name of the recorded episode; empty: by time."),
    "task": ("", None, "Sentence kept with the episode; empty: the instruction."),
    "operator": ("", None, "Who operates, kept with the episode."),
    "tf": (
        "auto",
        ("auto", *SWITCH),
        "robot_state_publisher; auto: where it is installed and a viewer runs.",
    ),
    "rviz": ("false", SWITCH, "Open RViz."),
    "foxglove": ("false", SWITCH, "Start foxglove_bridge (port 8765); layout in foxglove/x2.json."),
    "log_level": ("info", None, "Log level of the nodes."),
}


def generate_launch_description():
    """The whole graph; see ARGUMENTS."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text, **_choices(choices))
        for name, (default, choices, text) in ARGUMENTS.items()
    ]
    environment = []
    if not any(name in os.environ for name in NETWORK_VARIABLES):
        # Commands on DDS are not authenticated, so nothing leaves this machine unless asked for.
        environment.append(SetEnvironmentVariable("ROS_LOCALHOST_ONLY", "1"))
    # Matrix products of a few numbers gain nothing from threads, which only disturb the control loops.
    environment += [SetEnvironmentVariable(f"{name}_NUM_THREADS", "1") for name in ("OMP", "OPENBLAS")]
    return LaunchDescription([*declared, *environment, OpaqueFunction(function=_graph)])


def _choices(choices):
    return {} if choices is None else {"choices": list(choices)}


def _graph(context):
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    backend = value["backend"] or ("mujoco" if value["sim"] == "true" else "aimdk")
    if backend != "mujoco":
        raise RuntimeError(f"backend '{backend}' does not exist yet; use sim:=true or backend:=mujoco")
    if value["tier"] != "c":
        raise RuntimeError(
            f"tier '{value['tier']}' needs the vendor's controller, which backend '{backend}' lacks"
        )
    params = Path(value["params"] or Path(_share("wbvla_bringup")) / "params" / "x2.yaml")
    if not params.is_file():
        raise RuntimeError(f"parameter file '{params}' does not exist")
    _check_parameters(params)

    common = {"robot": value["robot"]}
    viewers = value["rviz"] == "true" or value["foxglove"] == "true"
    actions = [
        _plant(value),
        _node("wbvla_sim", "sim_node", value, params, common),
        _node("wbvla_driver", "driver_node", value, params, {**common, "backend": "mailbox"}, name="driver"),
        _node(
            "wbvla_lmo_node",
            "lmo_node",
            value,
            params,
            {
                **common,
                "bundle": value["lmo"],
                "statistics_window_s": float(value["statistics_window_s"]),
            },
        ),
        _node(
            "wbvla_vla_node",
            "vla_node",
            value,
            params,
            {
                **common,
                "contract": value["contract"],
                "backend": value["vla_backend"],
                "bundle": value["vla"],
                "script": value["script"],
                "instruction": value["instruction"],
            },
            respawn=True,
        ),
    ]
    if value["teleop"]:
        # Without a person at the deadman only the simulated robot may be driven.
        overrides = {
            **common,
            "device": value["teleop"],
            "unattended": backend == "mujoco",
            "task": value["task"],
        }
        actions.append(_node("wbvla_teleop", "teleop_node", value, params, overrides, respawn=True))
    if value["record"] != "false":
        actions.append(_recorder(value, params, common))
    if value["tf"] == "true" or (value["tf"] == "auto" and viewers):
        actions += _robot_state_publisher(value)
    if value["rviz"] == "true":
        actions.append(_rviz(value))
    if value["foxglove"] == "true":
        _share("foxglove_bridge")
        actions.append(Node(package="foxglove_bridge", executable="foxglove_bridge", output="screen"))
    return [*actions, RegisterEventHandler(OnProcessExit(on_exit=_on_exit))]


def _check_parameters(path):
    """Once, instead of in each node. Raises RuntimeError that names the file and what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise RuntimeError(f"parameter file '{path}' is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RuntimeError(f"parameter file '{path}' must map names of nodes to their ros__parameters")
    for name, value in content.items():
        if not _holds_parameters(value):
            raise RuntimeError(f"parameter file '{path}': '{name}' has no 'ros__parameters:' below it")


def _holds_parameters(value):
    if not isinstance(value, dict):
        return False
    return "ros__parameters" in value or (bool(value) and all(map(_holds_parameters, value.values())))


def _node(package, executable, value, params, overrides, name=None, respawn=False):
    name = name or executable
    return Node(
        package=package,
        executable=executable,
        name=name,
        namespace=value["namespace"],
        # A number or a word with a colon must stay the text that it is.
        parameters=[str(params), {key: _parameter(item) for key, item in overrides.items()}],
        remappings=[("head_camera/image_raw/compressed", value["camera"])]
        if value["camera"] != _CAMERA
        else [],
        ros_arguments=["--log-level", value["log_level"]],
        output="screen",
        # Driver and LMO never come back by themselves: after a fault a person decides.
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY_S,
    )


_CAMERA = ARGUMENTS["camera"][0]


def _parameter(item):
    return ParameterValue(item, value_type=str) if isinstance(item, str) else item


def _plant(value):
    arguments = ["--name", value["namespace"], "--robot", value["robot"], "--task", value["scene"]]
    arguments += ["--seed", value["seed"]]
    if value["plant_summary"]:
        arguments += ["--summary", value["plant_summary"]]
    return Node(package="wbvla_sim", executable="plant", arguments=arguments, output="screen")


def _recorder(value, params, common):
    overrides = {
        **common,
        "contract": value["contract"],
        "autostart_episode": value["record"] == "true",
        "bag_dir": value["bag_dir"],
        "episode_name": value["episode"],
        "task": value["task"] or value["instruction"],
        "operator_name": value["operator"],
    }
    return _node("wbvla_teleop", "recorder", value, params, overrides, respawn=True)


def _robot_state_publisher(value):
    """The publisher of link poses, which viewers need; nothing where it is optional and not installed."""
    try:
        get_package_share_directory("robot_state_publisher")
    except PackageNotFoundError:
        if value["tf"] == "auto":
            return []
        raise RuntimeError(_missing("robot_state_publisher")) from None
    from wbvla_core.model import urdf
    from wbvla_core.robot_spec import RobotSpec

    description = ParameterValue(urdf(RobotSpec.load(value["robot"])), value_type=str)
    return [
        Node(
            package="robot_state_publisher",
            executable="robot_state_publisher",
            namespace=value["namespace"],
            parameters=[{"robot_description": description}],
            output="screen",
        )
    ]


def _rviz(value):
    _share("rviz2")
    layout = Path(_share("wbvla_bringup")) / "rviz" / "x2.rviz"
    # The layout names topics relative to the robot, so the viewer lives in its namespace.
    return Node(
        package="rviz2", executable="rviz2", namespace=value["namespace"], arguments=["-d", str(layout)]
    )


def _share(package):
    try:
        return get_package_share_directory(package)
    except PackageNotFoundError:
        raise RuntimeError(_missing(package)) from None


def _missing(package):
    return f"package '{package}' is not installed; install ros-humble-{package.replace('_', '-')} or leave it out"


def _on_exit(event, context):
    """A plant that ends, or a node that refuses its configuration, ends the launch with an exit code above
    0."""
    if context.is_shutdown:
        return None
    name = event.process_name
    if name.startswith("plant"):
        raise RuntimeError(f"the plant ended with exit code {event.returncode}; see its last message above")
    if event.returncode == REFUSED:
        raise RuntimeError(f"{name} refused to start; see its message above")
    return None
