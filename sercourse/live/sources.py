"""Where sound comes from: a file or a microphone, behind one interface."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import soxr
from numpy.typing import NDArray

from sercourse import audio, files

BLOCK_SECONDS = 0.1
"""Length of a block [s]: short beside the 0.3 s in which an answer is wanted."""

BACKLOG_SECONDS = 30.0
"""Sound [s] that waits while a model computes; beyond that it is lost, and counted."""

PATIENCE_SECONDS = 3.0
"""A microphone that sends nothing for so long [s], or always the same value, is not at work."""

_INSTALL = (
    "a microphone needs the library PortAudio, which is not installed: sudo apt install "
    "libportaudio2 on Debian and Ubuntu, brew install portaudio on macOS, else python -m pip "
    "install --force-reinstall sounddevice"
)
_ELSEWHERE = "or use a sound file as the source, or the recorder in the browser"


class Source:
    """A signal that comes in blocks; a context manager that opens and closes it.

    Attributes
    ----------
    sr : int
        Its rate [Hz].
    overflows : int
        How often sound was lost because nobody fetched it in time.
    """

    sr: int
    overflows: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close what `__enter__` opened: nothing, here."""

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the signal, in float32 blocks of shape (n_samples,), from its beginning."""
        raise NotImplementedError


class FileSource(Source):
    """A sound file as if it were live, or as fast as it can be read.

    Parameters
    ----------
    path : path
        A sound file that `audio.read` understands.
    sr : int
        Rate wanted [Hz].
    realtime : bool
        Give each block when its last sample would have been recorded.

    Examples
    --------
    >>> clip = files.home() / "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg"
    >>> with FileSource(clip, sr=16_000) as source:
    ...     [len(block) for block in source.blocks()][:2]
    [1600, 1600]
    """

    def __init__(self, path: str | Path, *, sr: int, realtime: bool = False) -> None:
        self.sr, self.realtime, self._path = sr, realtime, files.user_path(path)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the signal; OSError or ValueError where it cannot be read."""
        start, n_samples = time.monotonic(), 0
        for block in audio.blocks(self._path, sr=self.sr, seconds=BLOCK_SECONDS):
            n_samples += len(block)
            if self.realtime:
                time.sleep(max(0.0, start + n_samples / self.sr - time.monotonic()))
            yield block


@dataclass(frozen=True)
class Device:
    """A device that sound can be recorded from.

    Attributes
    ----------
    index : int
        Its number, which may change when devices are plugged in or out.
    name : str
    channels : int
    sample_rate : int
        Its own rate [Hz].
    default : bool
        Whether it is the one that is used when none is named.
    """

    index: int
    name: str
    channels: int
    sample_rate: int
    default: bool


class MicrophoneSource(Source):
    """A microphone at the machine that runs Python, through PortAudio.

    It records from `__enter__` to `__exit__`, at the device's own rate, and is resampled on the way
    as files are. A device that refuses its own rate is asked for the one wanted; several channels
    are averaged.

    Parameters
    ----------
    sr : int
        Rate wanted [Hz].
    device : int or str, optional
        Number of a device or a part of its name, as `devices` lists them; default: the system's.
    report : callable, optional
        Gets a sentence when the input has been zero or constant for 3 s, or sound was lost.

    Attributes
    ----------
    overflows : int
        How often sound was lost, by the system or because nobody fetched it in time.
    name : str
        Of the device; known once it is open.
    device_rate : int
        What it is recorded at [Hz]; known once it is open.

    Raises
    ------
    ModuleNotFoundError, OSError, LookupError
        On entering, if sounddevice, PortAudio or the device is missing or cannot be opened; while
        blocks are read, OSError if the device is taken away.

    Examples
    --------
    >>> with MicrophoneSource(sr=16_000) as source:  # doctest: +SKIP
    ...     for block in source.blocks():
    ...         print(np.abs(block).max())
    """

    def __init__(
        self,
        *,
        sr: int,
        device: int | str | None = None,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.sr, self.overflows = sr, 0
        self.name, self.device_rate = "", 0
        self._device, self._report = device, report
        self._waiting: queue.Queue[NDArray[np.float32] | None] = queue.Queue()  # None: the end
        self._stream: Any = None

    def __enter__(self) -> Self:
        sounddevice, device = _portaudio(), find(self._device)
        self.name = device.name
        self._waiting = queue.Queue()
        try:
            settings = _accepted(sounddevice, device, sr=self.sr)
            self.device_rate = settings["samplerate"]
            self._stream = sounddevice.InputStream(
                **settings,
                dtype="float32",
                blocksize=round(BLOCK_SECONDS * self.device_rate),
                callback=self._take,
                finished_callback=lambda: self._waiting.put(None),
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            reason = str(error).partition(" [")[0]  # without PortAudio's codes
            told = f"the microphone {device.name!r} cannot be opened ({reason})"
            raise OSError(f"{told}: end the program that holds it, or name another") from None
        return self

    def __exit__(self, *_: object) -> None:
        stream, self._stream = self._stream, None  # first, so that the end is known to be ours
        if stream is not None:
            stream.close()  # what is still in the queue can be fetched

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the signal until the source is closed.

        Raises
        ------
        RuntimeError
            If it is not open.
        OSError
            If the device is taken away; what came before has been yielded by then.
        """
        if self._stream is None:
            raise RuntimeError("the microphone is not open: with MicrophoneSource(...) as source")
        n_constant, is_told = 0, False
        resampler = soxr.ResampleStream(self.device_rate, self.sr, 1, dtype="float32", quality="HQ")
        while True:
            try:
                block = self._waiting.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                block = None
            if block is None and self._stream is None:
                return
            if block is None:
                raise OSError(
                    f"the microphone {self.name!r} sends no more sound: it was unplugged or taken "
                    "away; what was heard before is kept; connect it and start again"
                )
            y = block if self.device_rate == self.sr else resampler.resample_chunk(block)
            if not len(y):  # the resampler holds the first samples back
                continue
            if self.overflows and not is_told:
                self._report("sound was lost: this computer does not keep up with the microphone")
                is_told = True
            before, n_constant = n_constant, n_constant + len(y) if np.ptp(y) == 0 else 0
            if before < PATIENCE_SECONDS * self.sr <= n_constant:
                what = "one constant value" if y.any() else "nothing but zeros"
                told = f"the input has been {what} for {PATIENCE_SECONDS:g} s"
                self._report(f"{told}: unmute it, and let this program use it, in your settings")
            yield y

    def _take(self, samples: NDArray[np.float32], _n: int, _time: Any, status: Any) -> None:
        """Keep what PortAudio's own thread brings; it must not wait for anyone."""
        self.overflows += bool(status.input_overflow)
        if self._waiting.qsize() < BACKLOG_SECONDS / BLOCK_SECONDS:
            self._waiting.put(samples.mean(axis=1))  # a copy: the buffer is used again
        else:
            self.overflows += 1


def devices() -> tuple[Device, ...]:
    """Return the devices that sound can be recorded from, as PortAudio lists them.

    One that was plugged in after the first look shows only in a new process.

    Raises
    ------
    ModuleNotFoundError, OSError
        If sounddevice or PortAudio is not installed.
    """
    sounddevice = _portaudio()
    default = sounddevice.default.device[0]
    return tuple(
        Device(
            k,
            told["name"],
            told["max_input_channels"],
            round(told["default_samplerate"]),
            k == default,
        )
        for k, told in enumerate(sounddevice.query_devices())
        if told["max_input_channels"] > 0
    )


def find(device: int | str | None = None) -> Device:
    """Return a device by its number or a part of its name; the default one for None.

    Raises
    ------
    LookupError
        If there is none, or several have that name.
    OSError
        If the machine has no microphone at all.
    """
    known = devices()
    if not known:
        raise OSError(
            "the machine that runs Python has no microphone: connect one and choose it in the "
            f"sound settings of your system (a remote machine has none), {_ELSEWHERE}"
        )
    if device is None:
        return next((each for each in known if each.default), known[0])
    wanted = str(device).lower()
    fitting = [each for each in known if wanted in (str(each.index), each.name.lower())]
    if not fitting and not wanted.isdigit():
        fitting = [each for each in known if wanted in each.name.lower()]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{each.index} ({each.name})" for each in fitting or known)
    how_many = "several microphones have" if fitting else "no microphone has"
    raise LookupError(f"{how_many} the number or name {device!r}: choose among {listed}")


def _portaudio() -> ModuleType:
    """Return the module `sounddevice`, with PortAudio behind it."""
    try:
        import sounddevice
    except ModuleNotFoundError:
        needed = "a microphone needs sounddevice, which is not installed: pip install -e '.[live]'"
        raise ModuleNotFoundError(f"{needed}, {_ELSEWHERE}", name="sounddevice") from None
    except OSError:  # that is how it says that there is no PortAudio
        raise OSError(f"{_INSTALL}, {_ELSEWHERE}") from None
    return sounddevice


def _accepted(sounddevice: Any, device: Device, *, sr: int) -> dict[str, int]:
    """Return the first rate [Hz] and number of channels that the device accepts."""
    refusal: Exception = OSError("no rate is accepted")
    for channels, rate in product((1, device.channels), (device.sample_rate, sr)):
        settings = {"device": device.index, "channels": channels, "samplerate": rate}
        try:
            sounddevice.check_input_settings(**settings, dtype="float32")
            return settings
        except sounddevice.PortAudioError as error:
            refusal = error
    raise refusal
