"""SIGINT and SIGTERM shut all contexts down, even while the main thread waits inside DDS."""

from __future__ import annotations

import os
import signal
import threading

from ._rclpy_pybind11 import SignalHandlerOptions

__all__ = ['SignalHandlerOptions', 'get_current_signal_handlers_options', 'install_signal_handlers',
           'uninstall_signal_handlers']

_SIGNALS = {SignalHandlerOptions.NO: (), SignalHandlerOptions.SIGINT: (signal.SIGINT,),
            SignalHandlerOptions.SIGTERM: (signal.SIGTERM,),
            SignalHandlerOptions.ALL: (signal.SIGINT, signal.SIGTERM)}
_current = SignalHandlerOptions.NO
_previous: dict = {}
_pipe: tuple[int, int] | None = None
_old_wakeup = -1


def _watch(read_end: int) -> None:
    """Runs in its own thread: Python handlers wait until the main thread is back from C, this one does not."""
    from .context import _shutdown_all_by_signal

    while True:
        try:
            received = os.read(read_end, 64)
        except OSError:
            return
        if not received or b'\0' in received:
            os.close(read_end)
            return
        if set(received) & {int(number) for number in _SIGNALS[_current]}:
            _shutdown_all_by_signal()


def _handler(number, frame):
    """Then does what the program had asked for: for SIGINT that is Python's KeyboardInterrupt."""
    previous = _previous.get(number)
    if callable(previous):
        previous(number, frame)


def install_signal_handlers(options=SignalHandlerOptions.ALL):
    """Handle the signals of `options`; outside the main thread Python cannot, and nothing is done."""
    global _current, _pipe, _old_wakeup
    if threading.current_thread() is not threading.main_thread():
        return
    uninstall_signal_handlers()
    if options is SignalHandlerOptions.NO:
        return
    _pipe = os.pipe()
    os.set_blocking(_pipe[1], False)
    _old_wakeup = signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)
    _current = options
    for number in _SIGNALS[options]:
        _previous[number] = signal.signal(number, _handler)
    threading.Thread(target=_watch, args=(_pipe[0],), name='rclpy_signals', daemon=True).start()


def get_current_signal_handlers_options():
    """What is handled now."""
    return _current


def uninstall_signal_handlers():
    """Give the signals back to their former handlers."""
    global _current, _pipe
    if _current is SignalHandlerOptions.NO or threading.current_thread() is not threading.main_thread():
        return
    for number, previous in _previous.items():
        signal.signal(number, previous if previous is not None else signal.SIG_DFL)
    _previous.clear()
    signal.set_wakeup_fd(_old_wakeup)
    if _pipe is not None:
        os.write(_pipe[1], b'\0')
        os.close(_pipe[1])
    _current, _pipe = SignalHandlerOptions.NO, None
