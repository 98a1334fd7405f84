"""A module `sounddevice` whose microphone does what no real one would do on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class PortAudioError(Exception):
    """As the real one: a text with codes in brackets."""


@dataclass
class Microphone:
    """What the device is like, and what it will hear.

    Attributes
    ----------
    rates : sequence of int
        Those that it accepts [Hz]; the first is its own.
    channels : int
        How many it has; it accepts no other number.
    sound : sequence of ndarray, each of shape (n_samples, channels)
        What comes in, block by block; None is a block before which the system lost some.
    gone : bool
        Whether it is unplugged after the sound.
    busy : bool
        Whether another program holds it.
    fails : bool
        Whether it opens and then does not start.
    closed : int
        How often it was closed.
    opened : list of dict
        With what settings it was opened.
    """

    rates: Sequence[int] = (16_000,)
    channels: int = 1
    sound: Sequence[np.ndarray | None] = ()
    gone: bool = True
    busy: bool = False
    fails: bool = False
    closed: int = 0
    opened: list[dict[str, Any]] = field(default_factory=list)


def module(microphone: Microphone | None, *others: str) -> ModuleType:
    """Return the module, with one microphone and perhaps more names of devices."""
    fake = ModuleType("sounddevice")
    known = [] if microphone is None else [_device("speaker", 0, 48_000)]
    if microphone is not None:
        for name in ("Built-in Mic", *others):
            known.append(_device(name, microphone.channels, microphone.rates[0]))

    class InputStream:
        def __init__(self, **wanted: Any) -> None:
            assert microphone is not None
            if microphone.busy:
                raise PortAudioError(
                    "Error opening InputStream: Device unavailable [PaError -9985]"
                )
            self.wanted = wanted
            microphone.opened.append(wanted)

        def start(self) -> None:
            assert microphone is not None
            if microphone.fails:
                raise PortAudioError(
                    "Error starting stream: Unanticipated host error [PaError -9999]"
                )
            for block in microphone.sound:
                lost = SimpleNamespace(input_overflow=block is None)
                samples = np.zeros((10, microphone.channels)) if block is None else block
                self.wanted["callback"](samples.astype(np.float32), len(samples), None, lost)
            if microphone.gone:
                self.wanted["finished_callback"]()

        def close(self) -> None:
            assert microphone is not None
            microphone.closed += 1
            self.wanted["finished_callback"]()

    def check_input_settings(*, samplerate: int, channels: int, **_: Any) -> None:
        assert microphone is not None
        if samplerate not in microphone.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        if channels != microphone.channels:
            raise PortAudioError("Invalid number of channels [PaErrorCode -9998]")

    names: dict[str, Callable[..., Any] | Any] = {
        "PortAudioError": PortAudioError,
        "InputStream": InputStream,
        "check_input_settings": check_input_settings,
        "query_devices": lambda: known,
        "default": SimpleNamespace(device=[1 if known else -1, 0]),
    }
    for name, content in names.items():
        setattr(fake, name, content)
    return fake


def _device(name: str, channels: int, rate: int) -> dict[str, Any]:
    return {"name": name, "max_input_channels": channels, "default_samplerate": float(rate)}
