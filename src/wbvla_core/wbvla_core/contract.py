"""The contract: which topics there are, what their fields mean, and how they become features of a dataset.

One YAML file is read by the recorder (what to record), by the converter (how to align it), and by the VLA
node (what a live frame is). ``Contract.load("x2")`` reads the packaged one, ``Contract.load(path)`` any
other.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

SCHEMA_VERSION = 1
_TYPE = re.compile(r"[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*")
_TOPIC = re.compile(r"/?[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*")


class ContractError(ValueError):
    """A contract is missing, malformed or contradicts itself; the text names file and field."""


@dataclass(frozen=True)
class Topic:
    """One stream. ``rate_hz`` None: events. ``stamp``: ``header.stamp``, another field, or ``receive``."""

    key: str
    topic: str
    type: str
    rate_hz: float | None
    stamp: str
    record: str
    reliable: bool = False
    latched: bool = False
    simulation: bool = False


@dataclass(frozen=True)
class Part:
    """A run of consecutive values of a feature: where they come from and how they are aligned in time."""

    topic: str
    fields: tuple[str, ...]
    names: tuple[str, ...]
    alignment: str
    max_age_s: float | None
    unit: str = ""
    transform: str = ""
    select: bool = False


@dataclass(frozen=True)
class Feature:
    """One column of a dataset. ``names`` are those of all parts; for images those of the axes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def is_video(self) -> bool:
        """Whether it holds camera images."""
        return self.dtype == "video"


@dataclass(frozen=True)
class Split:
    """A named slice [start, stop) of a feature."""

    name: str
    feature: str
    start: int
    stop: int


@dataclass(frozen=True)
class Contract:
    """A validated contract. ``text`` is the file as read, for copies into bags and datasets."""

    name: str
    robot: str
    frame_rate_hz: float
    topics: dict[str, Topic]
    features: dict[str, Feature]
    splits: dict[str, Split]
    text: str

    @staticmethod
    def load(name_or_path: str | Path) -> Contract:
        """A packaged contract by name, or a YAML file by path; raises ContractError."""
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml"):
            path = Path(__file__).with_name("contracts") / f"{name_or_path}.yaml"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            known = ", ".join(sorted(p.stem for p in Path(__file__).with_name("contracts").glob("*.yaml")))
            raise ContractError(f"{path}: cannot be read ({error.strerror}); packaged: {known}") from None
        return Contract.parse(text, str(path))

    @staticmethod
    def parse(text: str, file: str = "contract") -> Contract:
        """A contract from its text (for example out of a bag); ``file`` names it in errors."""
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ContractError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
        return _Reader(file, text).contract(document)

    @cached_property
    def hash(self) -> str:
        """16 hex digits of what the contract says; comments and layout do not count."""
        content = json.dumps(
            yaml.safe_load(self.text), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def recorded(self, simulation: bool) -> tuple[Topic, ...]:
        """Topics that a recorder subscribes to; those of the simulator only with ``simulation``."""
        return tuple(
            t for t in self.topics.values() if t.record != "never" and (simulation or not t.simulation)
        )


class _Reader:
    """Turns a YAML document into a Contract, naming file and field in every complaint."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text

    def fail(self, field: str, problem: str) -> ContractError:
        return ContractError(f"{self._file}: {field}: {problem}")

    def contract(self, document: Any) -> Contract:
        top = self.mapping("document", document)
        self.known("document", top, "schema_version name robot frame_rate_hz topics features splits")
        if top.get("schema_version") != SCHEMA_VERSION:
            raise self.fail(
                "schema_version", f"is {top.get('schema_version')}, this software reads {SCHEMA_VERSION}"
            )
        topics = {
            key: self.topic(key, value) for key, value in self.mapping("topics", top.get("topics")).items()
        }
        names = [topic.topic for topic in topics.values()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise self.fail("topics", f"{', '.join(twice)} listed more than once")
        features = {
            name: self.feature(name, value, topics)
            for name, value in self.mapping("features", top.get("features")).items()
        }
        splits = {
            name: self.split(name, value, features)
            for name, value in self.mapping("splits", top.get("splits", {})).items()
        }
        rate = self.number("frame_rate_hz", top.get("frame_rate_hz"))
        return Contract(
            self.string("name", top.get("name")),
            self.string("robot", top.get("robot")),
            rate,
            topics,
            features,
            splits,
            self._text,
        )

    def topic(self, key: str, value: Any) -> Topic:
        where = f"topics.{key}"
        entry = self.mapping(where, value)
        self.known(where, entry, "topic type rate_hz stamp record reliable latched simulation")
        name = self.string(f"{where}.topic", entry.get("topic"))
        if not _TOPIC.fullmatch(name):
            raise self.fail(f"{where}.topic", f"'{name}' is not a topic name")
        type_ = self.string(f"{where}.type", entry.get("type"))
        if not _TYPE.fullmatch(type_):
            raise self.fail(f"{where}.type", f"'{type_}' is not a message type; expected package/msg/Name")
        rate = entry.get("rate_hz")
        return Topic(
            key,
            name,
            type_,
            None if rate is None else self.number(f"{where}.rate_hz", rate),
            self.string(f"{where}.stamp", entry.get("stamp")),
            self.choice(f"{where}.record", entry.get("record"), ("always", "optional", "never")),
            *(
                self.flag(f"{where}.{flag}", entry.get(flag, False))
                for flag in ("reliable", "latched", "simulation")
            ),
        )

    def feature(self, name: str, value: Any, topics: dict[str, Topic]) -> Feature:
        where = f"features.{name}"
        entry = self.mapping(where, value)
        self.known(where, entry, "dtype shape names parts")
        dtype = self.choice(f"{where}.dtype", entry.get("dtype"), ("float32", "float64", "int64", "video"))
        items = entry.get("parts")
        if not isinstance(items, list) or not items:
            raise self.fail(f"{where}.parts", "expected a list of at least one part")
        video = dtype == "video"
        parts = tuple(self.part(f"{where}.parts[{i}]", item, topics, video) for i, item in enumerate(items))
        if video:
            shape = entry.get("shape")
            if not isinstance(shape, list) or len(shape) != 3 or not all(isinstance(s, int) for s in shape):
                raise self.fail(f"{where}.shape", "a video needs [height, width, channels]")
            return Feature(
                name, dtype, tuple(shape), self.strings(f"{where}.names", entry.get("names")), parts
            )
        if "shape" in entry or "names" in entry:
            raise self.fail(where, "shape and names of a vector follow from its parts; remove them")
        names = tuple(n for part in parts for n in part.names)
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise self.fail(where, f"{', '.join(twice)} named more than once")
        return Feature(name, dtype, (len(names),), names, parts)

    def part(self, where: str, value: Any, topics: dict[str, Topic], video: bool) -> Part:
        entry = self.mapping(where, value)
        self.known(where, entry, "topic fields names alignment max_age_s unit transform select")
        topic = self.string(f"{where}.topic", entry.get("topic"))
        if topic not in topics:
            raise self.fail(f"{where}.topic", f"no topic '{topic}' under topics")
        if topics[topic].simulation:
            raise self.fail(f"{where}.topic", f"'{topic}' is simulation only; no feature may come from it")
        fields = self.strings(f"{where}.fields", entry.get("fields"))
        names = () if video else self.strings(f"{where}.names", entry.get("names"))
        if not video and len(fields) not in (1, len(names)):
            raise self.fail(
                f"{where}.fields", f"{len(fields)} fields for {len(names)} names; expected one or as many"
            )
        transform = str(entry.get("transform", ""))
        self.choice(f"{where}.transform", transform, ("", "projected_gravity"))
        age = entry.get("max_age_s")
        return Part(
            topic,
            fields,
            names,
            self.choice(f"{where}.alignment", entry.get("alignment"), ("nearest", "interpolate", "latest")),
            None if age is None else self.number(f"{where}.max_age_s", age),
            str(entry.get("unit", "")),
            transform,
            self.flag(f"{where}.select", entry.get("select", False)),
        )

    def split(self, name: str, value: Any, features: dict[str, Feature]) -> Split:
        where = f"splits.{name}"
        entry = self.mapping(where, value)
        self.known(where, entry, "feature start stop")
        feature = self.string(f"{where}.feature", entry.get("feature"))
        if feature not in features:
            raise self.fail(f"{where}.feature", f"no feature '{feature}'")
        start, stop = entry.get("start"), entry.get("stop")
        size = features[feature].shape[0]
        if not (isinstance(start, int) and isinstance(stop, int) and 0 <= start < stop <= size):
            raise self.fail(where, f"[{start}, {stop}) is not a slice of {feature} with {size} values")
        return Split(name, feature, start, stop)

    def mapping(self, where: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.fail(where, "expected a mapping with text keys")
        return value

    def known(self, where: str, entry: dict[str, Any], allowed: str) -> None:
        unknown = sorted(set(entry) - set(allowed.split()))
        if unknown:
            raise self.fail(where, f"unknown key {', '.join(unknown)}; known: {allowed}")

    def string(self, where: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise self.fail(where, f"expected text, got {value!r}")
        return value

    def strings(self, where: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise self.fail(where, f"expected a list of texts, got {value!r}")
        return tuple(self.string(f"{where}[{i}]", item) for i, item in enumerate(value))

    def number(self, where: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise self.fail(where, f"expected a number above 0, got {value!r}")
        return float(value)

    def flag(self, where: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.fail(where, f"expected true or false, got {value!r}")
        return value

    def choice(self, where: str, value: Any, allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            raise self.fail(
                where, f"expected one of {', '.join(a or 'nothing' for a in allowed)}, got {value!r}"
            )
        return value
