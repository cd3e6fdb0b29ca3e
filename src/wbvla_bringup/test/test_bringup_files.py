"""Files of the bring-up: readable, complete, and in agreement with the packages they serve."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

BRINGUP = Path(__file__).resolve().parents[1]
ROOT = BRINGUP.parents[1]
PACKAGES = [*sorted((ROOT / "src").glob("*/package.xml")), ROOT / "sim" / "package.xml"]


def test_every_pip_only_dependency_has_a_rosdep_key():
    keys = yaml.safe_load((BRINGUP / "rosdep" / "wbvla.yaml").read_text())
    wanted = {
        key for package in PACKAGES for key in re.findall(r">(python3-[a-z0-9-]+-pip)<", package.read_text())
    }
    assert wanted and wanted <= set(keys)
    for name, rules in keys.items():
        assert rules["ubuntu"]["pip"]["packages"] == [name.removeprefix("python3-").removesuffix("-pip")]


def test_viewer_layouts_are_readable_and_show_this_robots_topics():
    rviz = yaml.safe_load((BRINGUP / "rviz" / "x2.rviz").read_text())
    displays = rviz["Visualization Manager"]["Displays"]
    assert {"Robot", "Head camera"} <= {display["Name"] for display in displays}
    foxglove = json.loads((BRINGUP / "foxglove" / "x2.json").read_text())
    panels = set(re.findall(r'"([A-Za-z0-9]+![a-z]+)"', json.dumps(foxglove["layout"])))
    assert panels == set(foxglove["configById"])


def test_parameter_file_comments_every_parameter():
    lines = (BRINGUP / "params" / "x2.yaml").read_text().splitlines()
    node = ""
    for line in lines:
        if line.startswith("/**/"):
            node = line
        elif re.match(r" {4}\w+:", line):
            assert "#" in line, f"{node} {line.strip()} has no comment"


def test_all_packages_declare_licence_and_version_alike():
    for package in PACKAGES:
        text = package.read_text()
        assert "<license>Apache-2.0</license>" in text and "<version>0.1.0</version>" in text, package
