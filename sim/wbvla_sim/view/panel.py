"""What a visitor of the browser view sees beside the scene and may press. Needs the extra ``view``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import viser

PICTURE_SHAPE = (240, 320, 3)


@dataclass(frozen=True)
class Wishes:
    """What is done when something is pressed; each may block and returns a sentence that tells what came of it."""

    say: Callable[[str], str]
    stop: Callable[[], str]
    estop: Callable[[], str]
    anew: Callable[[], str]


class Panel:
    """Sentence, buttons, picture and state; shared by everybody who is connected. One wish at a time, except for the
    stops, which never wait for another one."""

    def __init__(self, server: viser.ViserServer, wishes: Wishes) -> None:
        gui = server.gui
        self._busy = threading.Lock()
        with gui.add_folder("Sentence"):
            self._sentence = gui.add_text("say", "", multiline=True)
            say = gui.add_button("Do it", color="green", icon=viser.Icon.PLAYER_PLAY)
            self._examples = gui.add_dropdown("or choose", ("",))
            self._answer = gui.add_markdown("")
        stop = gui.add_button(
            "Stop (stand)", icon=viser.Icon.HAND_STOP, hint="Take the authority away: it stands"
        )
        estop = gui.add_button(
            "Emergency stop", color="red", icon=viser.Icon.ALERT_OCTAGON, hint="Joints only brake"
        )
        anew = gui.add_button(
            "New scene", icon=viser.Icon.REFRESH, hint="Next seed; hung up, and put on its feet"
        )
        self._state = gui.add_markdown("waiting for the robot")
        with gui.add_folder("Head camera"):
            self._picture = gui.add_image(np.zeros(PICTURE_SHAPE, np.uint8), format="jpeg", jpeg_quality=75)
        say.on_click(lambda _: self._wish(lambda: wishes.say(self._sentence.value.strip())))
        stop.on_click(lambda _: self._tell(wishes.stop()))
        estop.on_click(lambda _: self._tell(wishes.estop()))
        anew.on_click(lambda _: self._wish(wishes.anew))
        self._examples.on_update(self._choose)

    def offer(self, sentences: tuple[str, ...]) -> None:
        """Sentences to choose from; the first one is typed in when nothing is."""
        self._examples.options = sentences or ("",)
        if sentences and not self._sentence.value:
            self._sentence.value = sentences[0]

    def show(self, state: str) -> None:
        """Markdown about the robot."""
        if state != self._state.content:
            self._state.content = state

    def look(self, picture: np.ndarray) -> None:
        """What the head camera sees, uint8 [H, W, 3]."""
        self._picture.image = picture

    def _choose(self, _event: object) -> None:
        if self._examples.value:
            self._sentence.value = self._examples.value

    def _wish(self, wish: Callable[[], str]) -> None:
        if not self._busy.acquire(blocking=False):
            self._tell("one thing at a time")
            return
        try:
            self._tell(wish())
        finally:
            self._busy.release()

    def _tell(self, sentence: str) -> None:
        self._answer.content = sentence
