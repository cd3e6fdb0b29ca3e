"""Service clients."""

from __future__ import annotations

import struct
import threading
import time

from wbvla_embedded import cdr, dds

from .logging import get_logger
from .service import HEADER, _read_identity
from .task import Future


class Client:
    """Made by `Node.create_client`."""

    def __init__(self, context, client_impl, srv_type, srv_name, qos_profile, callback_group) -> None:
        """`client_impl`: (reader of responses, writer of requests, logger name)."""
        self.context, (self._reader, self._writer, self._logger_name) = context, client_impl
        self._wait_handle = dds.call('create_readcondition', self._reader, dds.ANY_SAMPLE)
        self._id = dds.instance_handle(self._writer)
        self.srv_type, self.srv_name = srv_type, srv_name
        self.qos_profile, self.callback_group = qos_profile, callback_group
        self._pending: dict[int, Future] = {}
        self._sequence, self._lock = 0, threading.Lock()

    def call(self, request):
        """Ask and wait; an executor must spin in another thread. Raises what the answer's future raises."""
        if not isinstance(request, self.srv_type.Request):
            raise TypeError()
        event = threading.Event()
        future = self.call_async(request)
        future.add_done_callback(lambda _: event.set())
        event.wait()
        return future.result()

    def call_async(self, request):
        """Ask; returns a Future of the response. Raises TypeError for another type than the request."""
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(f"request of service '{self.srv_name}' must be {self.srv_type.Request}, "
                            f'got {type(request)}')
        future = Future()
        with self._lock:
            self._sequence += 1
            number = self._sequence
            self._pending[number] = future
        future.add_done_callback(self.remove_pending_request)
        dds.write(self._writer, cdr.serialize(request, HEADER.pack(self._id, number)))
        return future

    def get_pending_request(self, sequence_number):
        """The future of a request without answer; raises KeyError when there is none."""
        with self._lock:
            return self._pending[sequence_number]

    def remove_pending_request(self, future):
        """Ignore the answer that a future waits for."""
        with self._lock:
            for number, pending in list(self._pending.items()):
                if pending is future:
                    del self._pending[number]

    def _take(self):
        sample = dds.take(self._reader)
        if sample is None:
            return None
        try:
            asker, number = HEADER.unpack_from(sample[0], 4)
            if asker != self._id:
                return None  # the answer to another client of the same service
            response = cdr.deserialize(sample[0], self.srv_type.Response, HEADER.size)
        except (cdr.CdrError, struct.error) as error:
            get_logger(self._logger_name).warning(
                f"dropped a response of service '{self.srv_name}' that cannot be read: {error}",
                throttle_duration_sec=1.0)
            return None
        with self._lock:
            future = self._pending.get(number)
        return None if future is None else (future.set_result, (response,))

    def service_is_ready(self):
        """Whether a server is there: the same one behind our requests and our answers."""
        readers = dds.matched(self._writer, 'subscriptions')
        writers = dds.matched(self._reader, 'publications')
        if not readers or not writers:
            return False
        asked = {_read_identity(dds.matched_user_data(self._writer, handle, 'subscription'), 'serviceid')
                 for handle in readers} - {None}
        answering = {_read_identity(dds.matched_user_data(self._reader, handle, 'publication'), 'serviceid')
                     for handle in writers}
        return not asked or bool(asked & answering)

    def wait_for_service(self, timeout_sec=None):
        """Wait until a server is there; False after the timeout (None: no limit) or at shutdown."""
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        while self.context.ok():
            if self.service_is_ready():
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return False

    @property
    def handle(self):
        """Number of the DDS writer of requests."""
        return self._writer

    def destroy(self):
        """Free it; nodes do this."""
        dds.delete(self._reader)
        dds.delete(self._writer)
