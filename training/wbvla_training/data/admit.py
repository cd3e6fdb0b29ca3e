"""Which bags may become episodes of a dataset, and what a bag must hold for that."""

from __future__ import annotations

from dataclasses import dataclass

from wbvla_core.contract import Contract

from wbvla_training.data.bag_source import BagSource
from wbvla_training.data.errors import BagProblem
from wbvla_training.data.fields import same_definition

# A topic that features need must have come at this share of its rate, and lost no more than this share.
LOW_RATE = 0.8
MANY_DROPPED = 0.02


@dataclass(frozen=True)
class Robot:
    """Which robot recorded: its name and the hash of its spec ("" in a foreign bag)."""

    name: str
    spec_hash: str

    @staticmethod
    def of(source: BagSource, contract: Contract) -> Robot:
        return Robot(source.about.get("robot", contract.robot), source.about.get("robot_spec_hash", ""))


def feature_topics(contract: Contract) -> list[str]:
    """Keys of the topics that features come from."""
    return list(dict.fromkeys(p.topic for f in contract.features.values() for p in f.parts))


def resolve(source: BagSource, contract: Contract, namespace: str = "") -> dict[str, str]:
    """Full topic name by key for the topics that features come from.

    Raises:
        BagProblem: one is not in the bag, or has another type or definition than the contract's.
    """
    namespace = namespace or source.about.get("namespace", "") or _guess_namespace(source, contract)
    names = {}
    for key in feature_topics(contract):
        topic = contract.topics[key]
        name = topic.topic if topic.topic.startswith("/") else f"{namespace.rstrip('/')}/{topic.topic}"
        if name not in source.topics:
            users = [f.name for f in contract.features.values() if any(p.topic == key for p in f.parts)]
            raise BagProblem(
                f"bag '{source.path}' has no topic {name}, which {' and '.join(users)} needs; it holds "
                f"{', '.join(sorted(source.topics)) or 'nothing'} (another robot's name? --namespace)"
            )
        found, definition = source.topics[name]
        if found != topic.type:
            raise BagProblem(
                f"bag '{source.path}': topic {name} has type {found}, the contract says {topic.type}"
            )
        if not same_definition(topic.type, definition):
            raise BagProblem(
                f"bag '{source.path}': topic {name} was recorded with another definition of {topic.type}; "
                f"convert it with the software that recorded it "
                f"({source.about.get('git_commit') or source.about.get('version') or 'version unknown'})"
            )
        names[key] = name
    return names


def check_robot(source: BagSource, contract: Contract, robot: Robot) -> None:
    """Raises BagProblem when the bag is of another robot or contract than the dataset."""
    own = Robot.of(source, contract)
    if own.name != robot.name:
        raise BagProblem(
            f"bag '{source.path}' is of robot {own.name}, the dataset of {robot.name}; convert them apart"
        )
    if own.spec_hash and robot.spec_hash and own.spec_hash != robot.spec_hash:
        raise BagProblem(
            f"bag '{source.path}' was recorded with another spec of {own.name} ({own.spec_hash}, the dataset "
            f"has {robot.spec_hash}); convert them apart"
        )
    recorded = source.about.get("contract_hash", "")
    if recorded and recorded != contract.hash:
        raise BagProblem(
            f"bag '{source.path}' was recorded under another contract ({recorded}, the dataset has "
            f"{contract.hash}); convert it apart, or name one contract for all with --contract"
        )


def left_out(source: BagSource, only_successes: bool) -> str:
    """Why the bag is deliberately not used; empty when it is."""
    if source.state == "discarded":
        return f"discarded ({source.outcome.get('discard_reason') or 'no reason given'})"
    if only_successes and source.outcome.get("task_succeeded") != "true":
        return "the task did not succeed"
    return ""


def failed_audit(source: BagSource, names: dict[str, str], contract: Contract) -> str:
    """What the recorder's audit says against the topics that features need; empty when nothing."""
    for key, name in names.items():
        figures = source.audit.get(name)
        if not figures:
            continue
        expected, rate = figures.get("expected_hz", 0.0), figures.get("rate_hz", 0.0)
        if contract.topics[key].rate_hz and expected and rate < LOW_RATE * expected:
            return f"{name} came at {rate:.1f} Hz of {expected:.0f} Hz"
        dropped, count = figures.get("dropped", 0), figures.get("count", 0)
        if dropped > MANY_DROPPED * max(1, count):
            return f"{name} lost {dropped} of {count + dropped} messages"
    return ""


def _guess_namespace(source: BagSource, contract: Contract) -> str:
    key = feature_topics(contract)[0]
    tail = contract.topics[key].topic
    return next((n[: -len(tail) - 1] for n in sorted(source.topics) if n.endswith("/" + tail)), "")
