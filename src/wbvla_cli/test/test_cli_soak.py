"""The long run: faults by seed, reactions told from the driver's changes, figures and limits that mean what they say."""

from dataclasses import replace

import numpy as np
import pytest
from wbvla_cli.soak_faults import Answer, Injected, Injector, answer
from wbvla_cli.soak_plan import APART_S, FIRST_S, LAST_S, PUSH_N_S, Fault, Kind, TrialPlan, plan_trial
from wbvla_cli.soak_report import SoakTrial
from wbvla_core.types import Reason, State
from wbvla_sim.script import Change
from wbvla_sim.tasks.base import Outcome, Verdict

from wbvla_cli import main, soak_report

S = 1_000_000_000
DONE = Verdict(Outcome.SUCCESS, "", 20.0)
FELL = Verdict(Outcome.FAILED, "the robot fell", 12.0)


def test_a_trial_is_decided_by_seed_and_number_alone():
    assert plan_trial(3, 7) == plan_trial(3, 7)
    assert plan_trial(3, 7) != plan_trial(3, 8) and plan_trial(3, 7) != plan_trial(4, 7)


def test_over_many_trials_everything_happens_and_faults_keep_apart():
    plans = [plan_trial(0, number) for number in range(200)]
    faults = [fault for plan in plans for fault in plan.faults]
    assert {plan.task for plan in plans} == {"box_loading", "cart_pushing"}
    assert {fault.kind for fault in faults} == set(Kind)
    assert 0.15 < np.mean([not plan.faults for plan in plans]) < 0.35
    assert all(plan.seed >= 100_000 for plan in plans)
    assert all(FIRST_S <= fault.at_s <= LAST_S for fault in faults)
    gaps = [b.at_s - a.at_s for plan in plans for a, b in zip(plan.faults, plan.faults[1:], strict=False)]
    assert min(gaps) >= APART_S
    pushes = [fault.impulse_n_s for fault in faults if fault.kind is Kind.PUSH]
    assert PUSH_N_S[0] <= min(pushes) and max(pushes) <= PUSH_N_S[1]


def injected(kind, begin_s, end_s):
    return Injected(Fault(kind, 1.0, end_s - begin_s, (100.0, 0.0, 0.0)), int(begin_s * S), int(end_s * S))


def change(time_s, state, reason):
    return Change(int(time_s * S), state, reason, "")


def test_a_reaction_is_what_the_driver_said_between_fault_and_next_fault():
    stall = injected(Kind.ACTOR_STALLED, 10.0, 12.0)
    changes = [
        change(9.0, State.STANDING, Reason.VLA_LOST),
        change(10.21, State.STANDING, Reason.VLA_LOST),
        change(12.3, State.ACTIVE, Reason.NONE),
        change(20.0, State.STANDING, Reason.CAMERA_LOST),
    ]
    seen = answer(stall, changes, 15 * S)
    assert (seen.reason, seen.state) == ("VLA_LOST", "STANDING")
    assert seen.detected_ms == pytest.approx(210.0) and seen.back_ms == pytest.approx(300.0)
    assert answer(stall, changes[:2], 15 * S).back_ms is None
    assert answer(injected(Kind.PUSH, 9.9, 10.0), changes, 15 * S) == Answer()


def test_whoever_was_stopped_is_let_go_on_even_when_the_trial_ends_first():
    class Process:
        running = True

        def suspend(self):
            self.running = False

        def resume(self):
            self.running = True

    class Session:
        process = Process()
        graph = property(lambda self: self)

        def process_named(self, name):
            assert name == "vla_node"
            return self.process

    session = Session()
    injector = Injector(session, "vla_node", (Fault(Kind.ACTOR_STALLED, 2.0, 60.0),))
    injector(1.0)
    assert session.process.running
    injector(2.1)
    assert not session.process.running
    injector.close()
    assert session.process.running
    assert [one.fault.kind for one in injector.injected] == [Kind.ACTOR_STALLED]
    assert injector.injected[0].end_ns >= injector.injected[0].begin_ns


def history(grow_mb_per_s, seconds=1800, start_mb=100.0):
    """A process that takes 60 MB more in its first minute, which is not a leak."""
    return [
        (float(t), {"vla_node": int((start_mb + min(t, 60) + grow_mb_per_s * t) * 1e6), "launch": 10})
        for t in range(0, seconds, 2)
    ]


def test_settling_is_no_growth_and_a_leak_is():
    flat = soak_report.growth(history(0.0), "vla_node")
    assert flat.flat and flat.share == 0.0 and flat.settled_mb == 160.0
    leak = soak_report.growth(history(0.01), "vla_node")
    assert not leak.flat
    assert leak.per_hour_mb == pytest.approx(36.0, rel=0.02)
    assert soak_report.growth(history(0.0), "driver_node") is None


def trial(number=0, verdict=DONE, seconds=40, **changes):
    plan = TrialPlan(number, "box_loading", 100_000 + number, ())
    rates = {"leg_waist_command": 50.0, "vla/loco_command": 10.0}
    begin_ns = number * seconds * S
    return replace(SoakTrial(plan, verdict, begin_ns, begin_ns + seconds * S, rates_hz=rates), **changes)


def result(trials, grow=0.0, missed=0.0):
    figures = soak_report.figures(trials, history(grow), {"missed_fraction": missed}, "vla/loco_command")
    return {"by": "the VLA acted", "seed": 0, "command": "wbvla soak", **figures}


def over(account):
    return [what for what, met, _ in soak_report.limits(account) if not met]


def test_a_run_without_trouble_is_within_all_limits_and_its_page_says_so():
    account = result([trial(0), trial(1)])
    assert over(account) == []
    page = soak_report.markdown(account)
    assert "**over**" not in page and "| box_loading | 2 | 2 | none |" in page and "fall" not in page.split("|---")[-1]


def test_each_trouble_exceeds_its_own_limit():
    assert over(result([trial(dropped=1)])) == ["no message lost by the recorder"]
    assert over(result([trial(seconds=700)], grow=0.01)) == ["memory flat within 5%"]
    assert over(result([trial()], grow=0.01)) == []
    assert over(result([trial()], missed=0.01)) == ["LMO missed <= 0.001"]
    assert over(result([trial(error="service sim/reset did not answer")])) == ["every trial was run"]
    slow = {"leg_waist_command": 45.0, "vla/loco_command": 8.0}
    assert over(result([trial(rates_hz=slow)])) == ["LMO 49.5..50.5 Hz", "VLA 9.8..10.2 Hz"]
    assert over(result([trial(verdict=FELL)])) == ["no fall without explanation"]


def test_a_fall_is_explained_by_what_came_shortly_before():
    push = injected(Kind.PUSH, 38.0, 38.0)
    fallen = trial(verdict=FELL, injected=(push,), answers=(Answer(),))
    assert "push" in soak_report.explain_fall(fallen) and "2.0 s before" in soak_report.explain_fall(fallen)
    assert soak_report.explain_fall(replace(fallen, injected=(injected(Kind.PUSH, 20.0, 20.0),))) == ""
    tilted = trial(verdict=FELL, changes=(change(39.5, State.DAMPING, Reason.TILT),))
    assert "TILT" in soak_report.explain_fall(tilted)
    account = result([fallen])
    assert over(account) == [] and len(account["falls"]) == 1
    assert "what came before" in soak_report.markdown(account)


def test_a_run_that_cannot_be_is_refused(tmp_path, capsys):
    assert main.main(["soak", "--minutes", "0"]) == 1
    assert "--minutes" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main.main(["soak", "--out", str(tmp_path)]) == 1
    assert "--out" in capsys.readouterr().err
