"""Bad input to the real commands: one clear message that names the culprit, exit code above 0, no traceback."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import wbvla_core.robot_spec as robots
from ament_index_python.packages import get_package_share_directory
from wbvla_core.paths import models_dir

NUMBER = itertools.count()
WBVLA = [sys.executable, "-m", "wbvla_cli.main"]


def run(*arguments: str, cwd: Path, **environment: str) -> tuple[int, str]:
    """Exit code and whole output of a command; ROS graphs of the tests stay apart from others'."""
    merged = {
        **os.environ,
        "ROS_DOMAIN_ID": str(60 + os.getpid() % 40),
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env=merged,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90.0,
    )
    return done.returncode, done.stdout


def refused(code: int, output: str, *words: str) -> None:
    assert code != 0, output
    missing = [word for word in words if word not in output]
    assert not missing, f"{missing} not in:\n{output}"
    assert "Traceback" not in output, output


def launched(tmp_path: Path, environment: dict[str, str] | None = None, **arguments: str) -> tuple[int, str]:
    """``wbvla launch x2`` in a namespace of its own; it must end by itself."""
    named = {"namespace": f"bad{os.getpid()}_{next(NUMBER)}", **arguments}
    words = [f"{name}:={value}" for name, value in named.items()]
    return run(*WBVLA, "launch", "x2", *words, cwd=tmp_path, **(environment or {}))


def copied_bundle(tmp_path: Path, kind: str, name: str) -> Path:
    return Path(shutil.copytree(models_dir() / kind / name, tmp_path / "bundle"))


def changed_bundle(tmp_path: Path, change) -> Path:
    bundle = copied_bundle(tmp_path, "lmo", "stand")
    content = json.loads((bundle / "bundle.json").read_text())
    change(content)
    (bundle / "bundle.json").write_text(json.dumps(content))
    return bundle


def test_bundle_without_a_key(tmp_path):
    bundle = changed_bundle(tmp_path, lambda content: content.pop("robot_spec_hash"))
    refused(
        *launched(tmp_path, lmo=str(bundle)),
        "lmo_node refuses to configure",
        "bundle.json.robot_spec_hash: missing",
    )


def test_bundle_of_another_robot(tmp_path):
    bundle = changed_bundle(tmp_path, lambda content: content.update(robot_spec_hash="0" * 16))
    refused(*launched(tmp_path, lmo=str(bundle)), "lmo_node refuses to configure", "robot", "0" * 16)


def test_unknown_robot(tmp_path):
    refused(*launched(tmp_path, robot="r2d2"), "r2d2", "x2_ultra")


def test_malformed_robot(tmp_path):
    shipped = Path(robots.__file__).parent / "robots"
    broken = tmp_path / "broken.yaml"
    broken.write_text((shipped / "x2_ultra.yaml").read_text().replace("stance: {", "stance: {{"))
    refused(*launched(tmp_path, robot=str(broken)), "broken.yaml", "line")


def test_malformed_contract(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("topics: [unclosed\n")
    refused(*launched(tmp_path, contract=str(broken)), "refuses to configure", "broken.yaml")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: [unclosed\n", "not valid YAML"),
        ("/**/driver:\n  rate_hz: 200.0\n", "'/**/driver' has no 'ros__parameters:'"),
    ],
)
def test_malformed_parameters(tmp_path, text, word):
    broken = tmp_path / "broken.yaml"
    broken.write_text(text)
    code, output = launched(tmp_path, params=str(broken))
    refused(code, output, "broken.yaml", word)
    assert "process started" not in output


def test_contract_with_an_unknown_topic_type(tmp_path):
    shipped = Path(robots.__file__).parent / "contracts" / "x2.yaml"
    other = tmp_path / "other.yaml"
    assert "wbvla_msgs/msg/RobotState" in shipped.read_text()
    other.write_text(shipped.read_text().replace("wbvla_msgs/msg/RobotState", "wbvla_msgs/msg/Robostate"))
    refused(
        *launched(tmp_path, contract=str(other), record="true", bag_dir=str(tmp_path / "bags")),
        "wbvla_msgs/msg/Robostate",
    )


def test_out_folder_that_is_in_use(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("{}")
    refused(*run(*WBVLA, "demo", "--out", "out", cwd=tmp_path), "out exists and is not empty", "--out")
    assert (tmp_path / "out" / "report.json").read_text() == "{}"


def test_out_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    refused(*run(*WBVLA, "demo", "--out", "out", cwd=tmp_path), "out", "not a folder")


@pytest.fixture
def no_graphics(tmp_path):
    """Environment of a machine without OpenGL libraries: neither way to draw can be imported."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    text = "import sys\nsys.modules['mujoco.egl'] = sys.modules['mujoco.osmesa'] = None\n"
    (blocked / "sitecustomize.py").write_text(text)
    before = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(part for part in (str(blocked), before) if part)}


def test_doctor_names_missing_graphics_and_the_cure(tmp_path, no_graphics):
    code, output = run(*WBVLA, "doctor", "--no-graph", cwd=tmp_path, **no_graphics)
    refused(code, output, "rendering", "apt-get install")


def test_camera_without_graphics_is_refused(tmp_path, no_graphics):
    code, output = launched(tmp_path, environment=no_graphics)
    refused(code, output, "sim_node refuses to configure", "no OpenGL", "apt-get install")


def cut_bag(folder: Path) -> Path:
    """A bag whose file was cut off in its last bytes, with nothing whole in it."""
    bag = folder / "episode"
    bag.mkdir()
    (bag / "episode_0.mcap").write_bytes(b"\x89MCAP0\r\n\x01")
    return bag


def test_replay_of_a_truncated_bag_is_refused(tmp_path):
    parameters = tmp_path / "replay.yaml"
    shipped = (Path(get_package_share_directory("wbvla_bringup")) / "params" / "x2.yaml").read_text()
    assert 'bag: ""' in shipped
    parameters.write_text(shipped.replace('bag: ""', f'bag: "{cut_bag(tmp_path)}"'))
    code, output = launched(tmp_path, params=str(parameters), teleop="replay")
    refused(code, output, "teleop_node refuses to configure", "episode")
