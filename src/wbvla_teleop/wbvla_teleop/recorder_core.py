"""Records episodes: takes serialised messages from any thread and writes them in a thread of its own."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from wbvla_teleop.audit import Audit
from wbvla_teleop.bag import BagError, BagWriter
from wbvla_teleop.cdr_fields import HeadReader
from wbvla_teleop.definitions import typestore
from wbvla_teleop.recorder_types import EpisodeState, RecorderConfig, RecorderError, Snapshot

EPISODE_FILE = "episode.yaml"
_DRAIN_PERIOD_S = 0.05


@dataclass
class _Episode:
    name: str
    task: str
    operator: str
    start_ns: int
    bag: BagWriter
    audit: Audit
    outcome: dict[str, str] = field(default_factory=dict)
    queue_dropped: int = 0
    bad_heads: int = 0
    end_ns: int = 0
    failure: str = ""
    disk_full: bool = False
    size_bytes: int = 0

    @property
    def dropped(self) -> int:
        """Published but not in the bag, as far as it can be known."""
        return self.audit.dropped + self.queue_dropped + self.bag.lost


class EpisodeRecorder:
    """One episode at a time. ``take`` never blocks: what does not fit into the queue is dropped and counted.

    Only the writer thread touches the bag while an episode runs; the other methods belong to one control
    thread. Times are the recorder's clock in ns.
    """

    def __init__(self, config: RecorderConfig) -> None:
        self.config = config
        self.state = EpisodeState.IDLE
        self._types = {topic.name: topic.type for topic in config.topics}
        self._latched = {topic.name for topic in config.topics if topic.latched}
        self._latest: dict[str, bytes] = {}
        self._heads = {name: HeadReader(typestore(), kind) for name, kind in self._types.items()}
        self._queue: deque[tuple[str, bytes, int]] = deque()
        self._queued_bytes = self._written_bytes = 0
        self._lost: dict[str, int] = {}
        self._lost_before: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._episode: _Episode | None = None

    def start(self, task: str, operator: str, now_ns: int, name: str = "") -> str:
        """Begin an episode; returns its folder's name. Latched topics open it with their last message.

        Raises:
            RecorderError: one is being recorded.
            BagError: the folder cannot be made or written, or the disk is almost full.
        """
        if self.state == EpisodeState.RECORDING:
            raise RecorderError(f"episode '{self._episode.name}' is being recorded; stop or discard it first")
        self._check_space(self.config.folder)
        name = name or self._free_name(now_ns)
        bag = BagWriter(
            self.config.folder / name,
            self.config.topics,
            {"wbvla": {**self.config.metadata, "episode": name, "task": task, "operator": operator}},
            self.config.attachments,
            created_ns=now_ns,
            compression=self.config.compression,
        )
        expected = {topic.name: self.config.expected_hz.get(topic.name, 0.0) for topic in self.config.topics}
        self._episode = _Episode(name, task, operator, now_ns, bag, Audit(expected, self.config.skew_pairs))
        self._lost_before = dict(self._lost)
        self._queue.clear()
        self._queued_bytes = self._written_bytes = 0
        for topic, data in self._latest.items():
            self._enqueue(topic, data, now_ns)
        self.state = EpisodeState.RECORDING
        self._write_episode_file()
        self._stop.clear()
        self._thread = threading.Thread(target=self._write_loop, args=(self._episode,), name="bag-writer")
        self._thread.start()
        return name

    def take(self, topic: str, data: bytes, receive_ns: int) -> None:
        """One received message; forgotten unless an episode runs (latched topics keep their last one)."""
        if topic in self._latched:
            self._latest[topic] = data
        if self.state == EpisodeState.RECORDING:
            self._enqueue(topic, data, receive_ns)

    def lost(self, topic: str, total: int) -> None:
        """The middleware's running count of lost samples of ``topic``."""
        self._lost[topic] = total

    def stop(self, outcome: Mapping[str, str], now_ns: int) -> str:
        """End the episode with its outcome and return its name; everything taken so far is written.

        Raises:
            RecorderError: none is being recorded.
            BagError: the end could not be written.
        """
        return self._finish(EpisodeState.FINISHED, dict(outcome), now_ns)

    def discard(self, reason: str, now_ns: int) -> str:
        """Mark the running episode, or the last finished one, as not to be used. The bag stays on disk.

        Raises:
            RecorderError: there is none.
        """
        outcome = {"discarded": "true", "discard_reason": reason}
        if self.state == EpisodeState.RECORDING:
            return self._finish(EpisodeState.DISCARDED, outcome, now_ns)
        if self.state != EpisodeState.FINISHED or self._episode is None:
            raise RecorderError("no episode to discard: none is being recorded and none was just finished")
        self._episode.outcome.update(outcome)
        self.state = EpisodeState.DISCARDED
        self._write_episode_file()
        return self._episode.name

    def poll(self, now_ns: int) -> bool:
        """Notice that the writer gave up (disk full, failure). True once for each such end."""
        if self.state != EpisodeState.RECORDING or self._thread is None or self._thread.is_alive():
            return False
        self._thread.join()
        self._episode.end_ns = now_ns
        self.state = EpisodeState.FAILED
        self._write_episode_file()
        return True

    def snapshot(self, now_ns: int) -> Snapshot:
        """The account for ``EpisodeStatus``."""
        episode = self._episode
        if episode is None:
            return Snapshot(self.state, disk_free=self._free_bytes())
        recording = self.state == EpisodeState.RECORDING
        end_ns = now_ns if recording else episode.end_ns
        alarms = episode.audit.alarms(now_ns) if recording else []
        if episode.queue_dropped:
            alarms.append(f"{episode.queue_dropped} messages dropped: the disk is slower than the topics")
        if episode.bad_heads:
            alarms.append(f"{episode.bad_heads} messages were too short for their type")
        if episode.failure:
            alarms.append(episode.failure)
        return Snapshot(
            state=self.state,
            episode=episode.name,
            task=episode.task,
            elapsed_s=(end_ns - episode.start_ns) / 1e9,
            messages=episode.bag.messages,
            dropped=episode.dropped,
            bytes=episode.size_bytes,
            disk_free=self._free_bytes(),
            skew_ms=episode.audit.skew_ms,
            alarms=tuple(alarms),
            disk_full=episode.disk_full,
            detail=episode.failure,
        )

    def counts(self) -> dict[str, int]:
        """Messages written by topic in the present or last episode."""
        return self._episode.bag.counts if self._episode else {}

    # The writer thread.

    def _write_loop(self, episode: _Episode) -> None:
        next_flush = time.monotonic() + self.config.flush_period_s
        try:
            while True:
                stopping = self._stop.wait(_DRAIN_PERIOD_S)
                self._drain(episode)
                if stopping:
                    return
                if time.monotonic() >= next_flush:
                    episode.bag.flush()
                    episode.size_bytes = episode.bag.size_bytes
                    self._check_space(episode.bag.folder)
                    next_flush = time.monotonic() + self.config.flush_period_s
        except BagError as error:
            episode.failure, episode.disk_full = str(error), error.disk_full
            if error.disk_full:
                self._close_after_failure(episode)

    def _drain(self, episode: _Episode) -> None:
        while self._queue:
            topic, data, receive_ns = self._queue.popleft()
            self._written_bytes += len(data)
            stamp_ns, sequence = receive_ns, None
            try:
                head = self._heads[topic].read(data)
                stamp_ns, sequence = head.stamp_ns or receive_ns, head.sequence
            except ValueError:
                episode.bad_heads += 1
            episode.bag.write(topic, data, receive_ns, stamp_ns, sequence or 0)
            episode.audit.saw(topic, receive_ns, stamp_ns, sequence)

    def _close_after_failure(self, episode: _Episode) -> None:
        try:
            episode.bag.close()
        except BagError as error:
            episode.failure = str(error)
        episode.size_bytes = episode.bag.size_bytes

    # Helpers of the control thread.

    def _enqueue(self, topic: str, data: bytes, receive_ns: int) -> None:
        if self._queued_bytes - self._written_bytes + len(data) > self.config.queue_bytes:
            self._episode.queue_dropped += 1
            return
        self._queued_bytes += len(data)
        self._queue.append((topic, data, receive_ns))

    def _finish(self, state: EpisodeState, outcome: dict[str, str], now_ns: int) -> str:
        if self.state != EpisodeState.RECORDING:
            raise RecorderError("no episode is being recorded; start one first")
        episode = self._episode
        self.state = state
        self._stop.set()
        self._thread.join()
        for topic, total in self._lost.items():
            episode.audit.lost(topic, total - self._lost_before.get(topic, 0))
        episode.end_ns = now_ns
        episode.outcome.update(outcome)
        try:
            if episode.failure:
                raise BagError(episode.failure, episode.disk_full)
            audit = {name: json.dumps(figures) for name, figures in episode.audit.summary().items()}
            episode.bag.close({"wbvla_outcome": episode.outcome, "wbvla_audit": audit})
        except BagError as error:
            episode.failure, episode.disk_full = str(error), error.disk_full
            self.state = EpisodeState.FAILED
            raise
        finally:
            episode.size_bytes = episode.bag.size_bytes
            self._write_episode_file()
        return episode.name

    def _write_episode_file(self) -> None:
        episode = self._episode
        content = {
            "episode": episode.name,
            "task": episode.task,
            "operator": episode.operator,
            "state": self.state.name.lower(),
            "start_ns": episode.start_ns,
            "end_ns": episode.end_ns,
            "outcome": dict(episode.outcome),
            "failure": episode.failure,
            "dropped": episode.dropped,
            "audit": episode.audit.summary(),
        }
        target = episode.bag.folder / EPISODE_FILE
        temporary = target.with_suffix(".new")
        try:
            temporary.write_text(
                yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8"
            )
            os.replace(temporary, target)
        except OSError as error:
            episode.failure = episode.failure or f"'{target}' was not written: {error.strerror}"

    def _check_space(self, folder: Path) -> None:
        free = self._free_bytes()
        if free < self.config.min_free_bytes:
            raise BagError(
                f"disk almost full: {free / 1e6:.0f} MB left at '{folder}', "
                f"{self.config.min_free_bytes / 1e6:.0f} MB stay free; make room or choose another folder",
                disk_full=True,
            )

    def _free_bytes(self) -> int:
        folder = self.config.folder
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def _free_name(self, now_ns: int) -> str:
        stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime(now_ns / 1e9))
        name, number = f"episode_{stamp}", 1
        while (self.config.folder / name).exists():
            number += 1
            name = f"episode_{stamp}_{number}"
        return name
