"""Service servers."""

from __future__ import annotations

import inspect
import struct
import time

from wbvla_embedded import cdr, dds

from .logging import get_logger

# Request header of rmw_cyclonedds: who asks, and its number.
HEADER = struct.Struct('<Qq')


def _identity(kind: str, guid: bytes, number: int) -> bytes:
    """User data by which rmw_cyclonedds pairs the two endpoints of a client ('clientid') or server ('serviceid')."""
    return f"{kind}={'.'.join(f'{byte:x}' for byte in guid + number.to_bytes(4, 'big'))};".encode()


def _read_identity(user_data: bytes | None, kind: str) -> str | None:
    """The id in user data, None when there is none."""
    for part in (user_data or b'').split(b';'):
        key, _, value = part.partition(b'=')
        if key == kind.encode():
            return value.decode(errors='replace')
    return None


class Service:
    """Made by `Node.create_service`."""

    def __init__(self, service_impl, srv_type, srv_name, callback, callback_group, qos_profile) -> None:
        """`service_impl`: (context, reader of requests, writer of responses, logger name)."""
        self._context, self._reader, self._writer, self._logger_name = service_impl
        self._wait_handle = dds.call('create_readcondition', self._reader, dds.ANY_SAMPLE)
        self.srv_type, self.srv_name, self.callback = srv_type, srv_name, callback
        self.callback_group, self.qos_profile = callback_group, qos_profile
        self._known_clients: set[int] = set()
        self._deferred = False  # actions answer later: their callback gets the header instead of a response

    def _take(self):
        sample = dds.take(self._reader)
        if sample is None:
            return None
        data, info = sample
        try:
            header = HEADER.unpack_from(data, 4)
            request = cdr.deserialize(data, self.srv_type.Request, HEADER.size)
        except (cdr.CdrError, struct.error) as error:
            get_logger(self._logger_name).warning(
                f"dropped a request to service '{self.srv_name}' that cannot be read: {error}",
                throttle_duration_sec=1.0)
            return None
        return self._answer, (request, (header, info.publication_handle))

    def _answer(self, request, header):
        if self._deferred:
            return self.callback(request, header)
        response = self.callback(request, self.srv_type.Response())
        if inspect.iscoroutine(response):
            return self._answer_later(response, header)
        self.send_response(response, header)
        return None

    async def _answer_later(self, coroutine, header):
        self.send_response(await coroutine, header)

    def send_response(self, response, header) -> None:
        """Answer the request that came with `header`; raises TypeError for another type than the response."""
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(f"response of service '{self.srv_name}' must be {self.srv_type.Response}, "
                            f'got {type(response)}')
        identifiers, publication = header
        if publication not in self._known_clients:
            self._await_client(publication)
        dds.write(self._writer, cdr.serialize(response, HEADER.pack(*identifiers)))

    def _await_client(self, publication: int) -> None:
        """Wait up to 100 ms until our writer knows the client's reader, else the answer would go nowhere."""
        client = _read_identity(dds.matched_user_data(self._reader, publication, 'publication'), 'clientid')
        deadline = time.monotonic() + 0.1
        while client is not None and time.monotonic() < deadline:
            for handle in dds.matched(self._writer, 'subscriptions'):
                if _read_identity(dds.matched_user_data(self._writer, handle, 'subscription'), 'clientid') == client:
                    self._known_clients.add(publication)
                    return
            time.sleep(0.001)

    @property
    def handle(self):
        """Number of the DDS reader of requests."""
        return self._reader

    def destroy(self):
        """Free it; nodes do this."""
        dds.delete(self._reader)
        dds.delete(self._writer)
