"""The command's manners: help, wrong calls, and figures that mean what they say."""

import numpy as np
import pytest
from wbvla_cli.bag_metrics import median_rate_hz

from wbvla_cli import bench, launch, main


def test_without_a_command_it_teaches_and_fails(capsys):
    assert main.main([]) == 2
    assert "wbvla demo" in capsys.readouterr().out


def test_help_succeeds_and_lists_every_command(capsys):
    assert main.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in main.COMMANDS)


def test_an_unknown_command_is_named_with_the_known_ones(capsys):
    assert main.main(["dance"]) == 2
    error = capsys.readouterr().err
    assert "dance" in error and "demo" in error


def test_an_unknown_bench_and_robot_are_refused(capsys):
    assert bench.main(["nothing"]) == 2
    assert "loop" in capsys.readouterr().err
    with pytest.raises(ValueError, match="x2"):
        launch.launch_command("g9", [])


def test_rate_is_the_median_of_one_second_windows_and_ignores_pauses():
    steady = np.arange(0, 10_000_000_000, 100_000_000)
    with_pause = np.concatenate([steady, steady + 15_000_000_000])
    assert median_rate_hz(steady) == 10.0
    assert median_rate_hz(with_pause) == 10.0
    assert median_rate_hz(np.array([0])) == 0.0
