"""How often some topics of a bag came, without reading what they said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader

from wbvla_cli.bag_metrics import median_rate_hz


def topic_rates(bag: Path, namespace: str, topics: tuple[str, ...]) -> dict[str, float]:
    """Median count in windows of 1 s by relative topic name; 0 for a topic without messages. Raises ValueError for a bag
    that cannot be read."""
    prefix = f"/{namespace.strip('/')}/"
    stamps: dict[str, list[int]] = {topic: [] for topic in topics}
    try:
        with AnyReader([bag]) as reader:
            connections = [c for c in reader.connections if c.topic.removeprefix(prefix) in stamps]
            if connections:
                for connection, log_ns, _ in reader.messages(connections):
                    stamps[connection.topic.removeprefix(prefix)].append(log_ns)
    except Exception as error:
        raise ValueError(f"bag {bag} cannot be read: {error}") from error
    return {topic: median_rate_hz(np.array(values)) for topic, values in stamps.items()}
