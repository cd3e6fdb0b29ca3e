"""The launch file: what it refuses, and that a node which refuses ends the launch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH_FILE = Path(__file__).resolve().parents[1] / "launch" / "x2.launch.py"
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = [tuple(argument.split(":=")) for argument in sys.argv[2:]]
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


def launch(*arguments: str, timeout_s: float = 60.0) -> tuple[int, str]:
    """Exit code and output of the launch file with ``arguments``."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(60 + os.getpid() % 40)}
    command = [sys.executable, "-c", RUN, str(LAUNCH_FILE), *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, output


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("sim:=false", "backend 'aimdk' does not exist yet"),
        ("backend:=aimdk", "backend 'aimdk' does not exist yet"),
        ("tier:=b", "needs the vendor's controller"),
        ("params:=nowhere.yaml", "parameter file 'nowhere.yaml' does not exist"),
        ("record:=maybe", "is not valid. Valid options are"),
    ],
)
def test_what_does_not_exist_is_refused_with_one_sentence(argument, sentence):
    code, output = launch(argument)
    assert code != 0 and sentence in output
    assert "process started" not in output


def test_node_that_refuses_its_configuration_ends_the_launch(tmp_path):
    code, output = launch("vla:=vla/nothing", f"namespace:=refuse{os.getpid()}", timeout_s=90.0)
    assert code != 0
    assert "vla_node refuses to configure" in output and "refused to start" in output
