"""The pipeline's machinery on made-up steps: what is done again and what is not, stopping, failing, going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from wbvla_training.pipeline.cache import DONE, Cache
from wbvla_training.pipeline.fingerprint import code_version
from wbvla_training.pipeline.run import Failed, Plan, run
from wbvla_training.pipeline.steps import ChainError, Resume, Step, dependants, needs

WORKER = """
import pathlib, signal, sys, time
words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
log = pathlib.Path(words["log"])
with log.open("a") as file:
    print(words["name"], *(word for word in sys.argv[1:] if word.startswith("--")), file=file)
if words.get("fail"):
    sys.exit("the disk is full")
if "wait" in words:
    # Saves what it has at Ctrl-C, as a training does.
    def stop(*_):
        pathlib.Path(words["checkpoint"]).write_text("half")
        sys.exit(130)
    signal.signal(signal.SIGINT, stop)
    pathlib.Path(words["wait"]).write_text("waiting")
    while not pathlib.Path(words["checkpoint"]).exists():
        time.sleep(0.02)
text = "".join(pathlib.Path(f).read_text() for f in words.get("read", "").split(",") if f)
pathlib.Path(words["write"]).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(words["write"]).write_text(text + words.get("text", words["name"]))
"""


class Chain:
    """a -> b -> c, and d beside them, in a folder; ``ran`` are the names in the order in which they ran."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.worker = folder / "worker.py"
        self.worker.write_text(textwrap.dedent(WORKER))
        self.log = folder / "log.txt"
        self.source = folder / "source.txt"
        self.source.write_text("s")
        self.steps = (
            self.step("a", (self.source,)),
            self.step("b", (self.out / "a.txt",)),
            self.step("c", (self.out / "b.txt",)),
            self.step("d", ()),
        )

    def step(self, name: str, inputs: tuple[Path, ...], *words: str, **more) -> Step:
        output = self.out / f"{name}.txt"
        argv = (
            f"name={name}",
            f"log={self.log}",
            f"write={output}",
            "read=" + ",".join(map(str, inputs)),
            *words,
        )
        code = ("wbvla_training.pipeline.steps",)
        return Step(name, f"makes {name}", argv, inputs, (output,), code, (output,), **more)

    def put(self, step: Step) -> None:
        self.steps = tuple(step if old.name == step.name else old for old in self.steps)

    def run(
        self, jobs: int = 1, anew: frozenset[str] = frozenset(), chosen: tuple[str, ...] = ()
    ) -> list[str]:
        self.log.write_text("")
        names = frozenset(chosen or (step.name for step in self.steps))
        with open(os.devnull, "w") as nowhere:
            console = Console(file=nowhere)
            run(
                Plan(self.steps, names, anew),
                Cache(self.out),
                console,
                jobs,
                (sys.executable, str(self.worker)),
            )
        return self.log.read_text().split("\n")[:-1]


@pytest.fixture
def chain(tmp_path) -> Chain:
    return Chain(tmp_path)


def test_what_did_not_change_is_not_done_again(chain):
    assert chain.run() == ["a", "b", "c", "d"]
    assert chain.run() == []
    assert (chain.out / "c.txt").read_text() == "sabc"


def test_a_changed_input_runs_everything_below_it_and_nothing_else(chain):
    chain.run()
    chain.source.write_text("S")
    assert chain.run() == ["a", "b", "c"]
    assert (chain.out / "c.txt").read_text() == "Sabc"


def test_a_step_that_makes_the_same_again_stops_the_change(chain):
    chain.run()
    chain.put(chain.step("b", (chain.out / "a.txt",), "text=b"))
    assert chain.run() == ["b"], "its arguments changed, its output did not"


def test_touching_a_file_changes_nothing_and_editing_an_output_is_noticed(chain):
    chain.run()
    os.utime(chain.source, (1, 1))
    assert chain.run() == []
    (chain.out / "b.txt").write_text("by hand")
    assert chain.run() == ["c"]


def test_a_lost_output_is_made_again(chain):
    chain.run()
    (chain.out / "b.txt").unlink()
    assert chain.run() == ["b"], "with the same content, so that c stays"


def test_steps_can_be_run_alone_and_anew(chain):
    chain.run(chosen=("a",))
    assert not (chain.out / "b.txt").exists()
    chain.run()
    below = dependants(chain.steps, "b")
    assert below == ("b", "c") and chain.run(anew=frozenset(below)) == ["b", "c"]
    with pytest.raises(ChainError, match="choose one of a, b, c, d"):
        dependants(chain.steps, "x")


def test_two_at_a_time_still_waits_for_what_is_needed(chain):
    ran = chain.run(jobs=2)
    assert sorted(ran) == ["a", "b", "c", "d"] and [n for n in ran if n != "d"] == ["a", "b", "c"]


def test_a_failed_step_says_which_command_its_last_lines_and_how_to_go_on(chain):
    good = chain.steps[1]
    chain.put(chain.step("b", (chain.out / "a.txt",), "fail=1"))
    with pytest.raises(Failed) as failure:
        chain.run()
    text = str(failure.value)
    for part in (
        "step b ended with exit code 1",
        "command: wbvla name=b",
        "the disk is full",
        "--only b",
        "--from b",
    ):
        assert part in text
    assert not (chain.out / "c.txt").exists()
    chain.put(good)
    assert chain.run() == ["b", "c", "d"]


def test_a_step_whose_input_is_missing_is_told_so(chain):
    with pytest.raises(Failed, match=r"a\.txt is missing; run the step that makes it first"):
        chain.run(chosen=("b",))


def test_more_of_the_same_keeps_what_is_there_and_less_or_other_does_not(chain):
    def grow(count: int, kind: str = "x") -> bool:
        """Whether what was there before stayed until the step ran."""
        chain.put(chain.step("d", (), f"kind={kind}", "--count", str(count), grows="--count"))
        before = (chain.out / "d.txt").exists()
        chain.run()
        aside = chain.out / "replaced" / "d.txt"
        moved = aside.exists()
        aside.unlink(missing_ok=True)
        return before and not moved

    grow(5)
    assert grow(8) and not grow(3) and not grow(9, "y")


def test_only_code_that_is_executed_counts(tmp_path, monkeypatch):
    module = tmp_path / "some_room" / "thing.py"
    module.parent.mkdir()
    (module.parent / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def version(text: str, *names: str) -> str:
        module.write_text(text)
        return code_version(names or ("some_room",))

    first = version('"""Says it."""\n\ndef f(x):\n    return x + 1\n')
    assert version("# other words\ndef f(x):\n    '''Adds.'''\n    return (x + 1)\n") == first
    assert version("def f(x):\n    return x + 2\n") != first
    left_out = version("def f(x):\n    return x + 3\n", "some_room", "-some_room.thing")
    assert (
        version("def f(x):\n    return x + 4\n", "some_room", "-some_room.thing", "-some_room.gone")
        == left_out
    )
    with pytest.raises(ChainError, match=r"code of some_room\.gone cannot be found"):
        code_version(("some_room.gone",))


def test_any_code_lets_a_change_of_the_source_pass(chain):
    chain.run()
    step = chain.steps[0]
    cache = Cache(chain.out)
    stamp = cache.stamp(step)
    assert stamp is not None and stamp.state == DONE
    cache.write(step, replace(stamp, recipe=replace(stamp.recipe, code="older")))
    assert Cache(chain.out).look(step).why == "its code changed"
    assert Cache(chain.out, any_code=True).look(step).fresh


def test_a_step_cannot_come_before_the_one_that_makes_its_input(chain):
    with pytest.raises(ChainError, match="step b comes before a"):
        needs(chain.steps[1::-1])


def test_ctrl_c_saves_and_the_same_call_goes_on_from_the_checkpoint(tmp_path):
    """In processes of their own, as at a terminal."""
    checkpoint, waiting = tmp_path / "checkpoint", tmp_path / "waiting"
    script = tmp_path / "pipeline.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from dataclasses import replace
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_pipeline_run import Chain
        from wbvla_training.pipeline.steps import Resume
        chain = Chain(Path({str(tmp_path)!r}))
        words = ("wait={waiting}", "checkpoint={checkpoint}")
        resume = Resume(Path({str(checkpoint)!r}), ("--resume",))
        chain.put(chain.step("b", (chain.out / "a.txt",), *words, resume=resume))
        print(chain.run())
        """)
    )
    first = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline_s = time.monotonic() + 60
    while not waiting.exists() and first.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.02)
    second = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert "is at work here" in second.stderr, "a second pipeline in the same folder is refused"
    first.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in first.communicate(timeout=60)[1]
    assert checkpoint.read_text() == "half" and not (tmp_path / "out" / "b.txt").exists()
    stamp = json.loads((tmp_path / "out" / "stamps" / "b.json").read_text())
    assert stamp["state"] == "begun" and stamp["seconds"] > 0.0
    third = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert third.stdout.strip() == "['b --resume', 'c', 'd']"
    assert Resume(checkpoint, ("--resume",)).checkpoint.exists()
