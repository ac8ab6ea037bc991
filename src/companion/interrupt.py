"""Ctrl-C that waits for the end of an update."""

import signal
import threading


class CtrlC:
    """While it is entered, Ctrl-C only sets `pressed`, so that training can stop between two updates, never within one.

    Outside the main thread, where Python allows no signal handlers, it does nothing.
    """

    def __init__(self):
        self.pressed = False

    def press(self, *_) -> None:
        self.pressed = True

    def __enter__(self) -> "CtrlC":
        self.main = threading.current_thread() is threading.main_thread()
        if self.main:
            self.before = signal.signal(signal.SIGINT, self.press)
        return self

    def __exit__(self, *_) -> None:
        if self.main:
            signal.signal(signal.SIGINT, self.before)
