"""Carries a request to the simulator out on a plant."""

from __future__ import annotations

from wbvla_core.robot_spec import RobotSpecError

from wbvla_sim.actuation import JointFault
from wbvla_sim.plant import Plant
from wbvla_sim.sim_mailbox import FaultRequest, GantryRequest, PushRequest, Reply, Request, ResetRequest


def carry_out(plant: Plant, request: Request) -> Reply:
    """Do what ``request`` asks; a request that cannot be met changes nothing and the reply says why."""
    try:
        return Reply(True, _do(plant, request))
    except (ValueError, RobotSpecError) as error:
        return Reply(False, str(error))


def _do(plant: Plant, request: Request) -> str:
    if isinstance(request, GantryRequest):
        if not request.hooked:
            plant.gantry.unhook()
            return "unhooked"
        plant.gantry.hook(request.height_m, request.speed_m_s)
        return f"bar on its way to {request.height_m:.3f} m"
    if isinstance(request, PushRequest):
        plant.push(request.body, request.force_n, request.duration_s)
        return f"pushing {request.body}"
    if isinstance(request, ResetRequest):
        plant.reset(request.task, request.seed)
        return f"reset to {plant.task or 'the start'}, seed {request.seed}"
    return _inject(plant, request)


def _inject(plant: Plant, request: FaultRequest) -> str:
    if request.kind == "joint":
        plant.actuation.set_fault(request.name, JointFault(request.value))
    elif request.kind == "imu":
        plant.lose_imu(request.name, bool(request.value))
    elif request.kind == "state":
        plant.lose_state(bool(request.value))
    else:
        raise ValueError(f"fault kind {request.kind!r}: use joint, imu or state")
    return f"{request.kind} {request.name}: {request.value}".replace("  ", " ")
