"""Live use: where sound comes from, and where an utterance begins and ends in it.

A `Source` gives a signal in blocks, whether from a file or from a microphone. `utterances` waits
for a speaker and stops by itself when they do; `Bundle.predict_stream` judges windows that slide
along. What both compute does not depend on where blocks end.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal

from sercourse import audio

# --- sources ----------------------------------------------------------------------------------

BLOCK_SECONDS = 0.1
"""Length of a block [s]: short beside the 0.3 s in which an answer is wanted."""

BACKLOG_SECONDS = 30.0
"""Sound [s] that waits while a model computes; beyond that it is lost, and counted."""

PATIENCE_SECONDS = 3.0
"""A microphone that sends nothing for so long [s], or always the same value, is not at work."""

_ELSEWHERE = "or use a sound file as the source, or the recorder in the browser"

Report = Callable[[str], object]


class Source(AbstractContextManager):
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
    >>> from sercourse import files
    >>> clip = files.home() / "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg"
    >>> with FileSource(clip, sr=16_000) as source:
    ...     [len(block) for block in source.blocks()][:2]
    [1600, 1600]
    """

    def __init__(self, path: str | Path, *, sr: int, realtime: bool = False) -> None:
        self.sr, self.realtime, self._path = sr, realtime, path

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
        self, *, sr: int, device: int | str | None = None, report: Report = lambda sentence: None
    ) -> None:
        self.sr, self.name, self.device_rate = sr, "", 0
        self._device, self._report = device, report
        self._stream: Any = None

    def __enter__(self) -> Self:
        sounddevice, device = _portaudio(), find(self._device)
        self.name = device.name
        self._waiting: queue.Queue[NDArray[np.float32] | None] = queue.Queue()  # None: the end
        try:
            settings = _accepted(sounddevice, device, sr=self.sr)
            self.device_rate = settings["samplerate"]
            settings["blocksize"] = round(BLOCK_SECONDS * self.device_rate)
            calls = {"callback": self._take, "finished_callback": lambda: self._waiting.put(None)}
            self._stream = sounddevice.InputStream(**settings, **calls)
            self._stream.start()
        except sounddevice.PortAudioError as error:
            self.__exit__()
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
    found = []
    for k, told in enumerate(sounddevice.query_devices()):
        if channels := told["max_input_channels"]:
            rate = round(told["default_samplerate"])
            found.append(Device(k, told["name"], channels, rate, default=k == default))
    return tuple(found)


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
        raise OSError(
            "a microphone needs the library PortAudio, which is not installed: sudo apt install "
            "libportaudio2 on Debian and Ubuntu, brew install portaudio on macOS, else python -m "
            f"pip install --force-reinstall sounddevice, {_ELSEWHERE}"
        ) from None
    return sounddevice


def _accepted(sounddevice: Any, device: Device, *, sr: int) -> dict[str, Any]:
    """Return the first rate [Hz] and number of channels that the device accepts."""
    refusal: Exception = OSError("no rate is accepted")
    for channels, rate in product((1, device.channels), (device.sample_rate, sr)):
        settings: Any = {"device": device.index, "channels": channels, "samplerate": rate}
        settings["dtype"] = "float32"
        try:
            sounddevice.check_input_settings(**settings)
            return settings
        except sounddevice.PortAudioError as error:
            refusal = error
    raise refusal


# --- endpointing ------------------------------------------------------------------------------
#
# Levels of frames of 25 ms in the band of voices are compared with the noise floor, which is
# estimated all the time. Every 0.1 s the last seconds are divided anew into speech and background:
# a speaker who begins at once is found as soon as a first pause shows how quiet the room is.

PAUSE, LONGEST, END = "pause", "longest", "end of the source"

_FRAME_SECONDS = 0.025
_FRAMES_A_LOOK = 4
_BAND_HZ = (150.0, 4000.0)  # of voices: hum, rumble, offset and hiss lie outside
_FLOOR_DB = -90.0  # of full scale
_QUIETEST_DB = -75.0  # what lies deeper is not speech, however quiet the room
_LOOK_BACK_SECONDS = 3.0  # of sound that is kept while nobody speaks
_ROOM_SECONDS = 5.0  # over which the background is measured
_ROOM_PERCENTILE = 10.0
_EDGE_DB = 5.0  # words begin and end where they leave the background by so much
_STEADY_SECONDS, _STEADY_DB = 1.5, 5.0
_SMALLEST_SPREAD_DB = 4.0  # between soft and loud frames of speech; noise has 1 or 2
_N_LOUD_FRAMES = 4  # 0.1 s, the length of a short syllable: a click is shorter


@dataclass(frozen=True)
class Endpointing:
    """How utterances are told from the background.

    Attributes
    ----------
    pause : float
        Silence after which an utterance has ended [s].
    shortest, longest : float
        Time for which a voice must be heard at least, and after which an utterance is cut [s].
    padding : float
        What is kept before and after the words [s]; at most `pause`.
    margin : float
        How far the loud parts of an utterance stand out from the background [dB].
    depth : float
        How far the softest parts of an utterance lie below its loud ones [dB].

    Examples
    --------
    >>> Endpointing(pause=0.1)
    Traceback (most recent call last):
    ValueError: pause 0.1, ...: give 0 <= padding <= pause, 0 < shortest < longest <= 60 s
    """

    pause: float = 0.7
    shortest: float = 0.2
    longest: float = 15.0
    padding: float = 0.2
    margin: float = 10.0
    depth: float = 30.0

    def __post_init__(self) -> None:
        told = ", ".join(f"{name} {value:g}" for name, value in vars(self).items())
        if not (0 <= self.padding <= self.pause and 0 < self.shortest < self.longest <= 60):
            raise ValueError(f"{told}: give 0 <= padding <= pause, 0 < shortest < longest <= 60 s")


@dataclass(frozen=True, eq=False)
class Utterance:
    """What somebody said, from the first word to the pause after the last.

    Attributes
    ----------
    start, end : float
        [s] from the beginning of the source, padding included.
    y : ndarray, shape (n_samples,)
    reason : str
        Why it ended: "pause", "longest" or "end of the source".
    """

    start: float
    end: float
    y: NDArray[np.float32]
    reason: str


def utterances(
    blocks: Iterable[NDArray[np.floating]], *, sr: int, endpointing: Endpointing | None = None
) -> Iterator[Utterance]:
    """Wait for speech and yield it, utterance by utterance, as each ends.

    Only the current utterance is kept in memory, and the 3 s before it. Sound without speech, such
    as a fan, a click or digital silence, yields nothing. Where the blocks end makes no difference.

    Parameters
    ----------
    blocks : iterable of ndarray, each of shape (n_samples,)
        Mono signal in [-1, 1], as `Source.blocks` gives it.
    sr : int
        Its rate [Hz].
    endpointing : Endpointing, optional

    Notes
    -----
    What was being said when the source fails is yielded before its error is raised, but for the
    last 0.1 s perhaps.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> words = rng.normal(scale=0.1, size=16_000) * np.sin(np.arange(16_000) / 800) ** 2
    >>> room = rng.normal(scale=0.001, size=48_000)
    >>> room[16_000:32_000] += words
    >>> [(round(each.start, 1), round(each.end, 1)) for each in utterances([room], sr=16_000)]
    [(0.8, 2.2)]
    """
    endpointer = Endpointer(sr=sr, settings=endpointing or Endpointing())
    length = _FRAMES_A_LOOK * endpointer.frame
    try:
        for piece in audio.equal_blocks(blocks, length=length):
            endpointer.hold(piece)
            yield from endpointer.ended()
    except (OSError, ValueError):
        yield from endpointer.ended(no_more=True)
        raise
    yield from endpointer.ended(no_more=True)


class _Span(NamedTuple):
    """Frames of an utterance, where the sound after its last word dies away, and its level [dB]."""

    start: int
    end: int
    tail: int
    loud: float


class Endpointer:
    """Buffered audio, its frame levels and the noise floor."""

    def __init__(self, *, sr: int, settings: Endpointing) -> None:
        low, high = _BAND_HZ
        self._sr, self._settings = sr, settings
        self.frame = round(_FRAME_SECONDS * sr)  # [samples]
        self._band = signal.butter(2, (low, min(high, 0.45 * sr)), "bandpass", output="sos", fs=sr)
        self._state = np.zeros((len(self._band), 2))  # of the filter
        self._held = np.zeros(0, dtype=np.float32)
        self._level = np.zeros(0)  # [dB] of each frame of what is held
        self._first = 0  # number of the first frame that is held
        self._room = np.zeros(0)  # levels [dB] of the background before that
        self._floor = np.inf  # level of the background [dB]
        self._speaking = False
        self._died_away, self._loud = -1, -np.inf  # frame and level [dB] of the last utterance

    def hold(self, piece: NDArray[np.floating]) -> None:
        """Buffer the whole frames of a piece, and measure their levels."""
        piece = piece[: len(piece) // self.frame * self.frame].astype(np.float32)
        if len(piece):
            y, self._state = signal.sosfilt(self._band, np.nan_to_num(piece), zi=self._state)
            power = np.square(y).reshape(-1, self.frame).mean(axis=1)
            level = 10 * np.log10(power + 10 ** (_FLOOR_DB / 10))
            self._held = np.concatenate([self._held, piece])
            self._level = np.concatenate([self._level, level])

    def ended(self, *, no_more: bool = False) -> Iterator[Utterance]:
        """Yield the utterances that have ended in what is held, and drop what is not needed."""
        while True:
            self._floor = self._noise_floor()
            span = next(self._spans(), None)
            self._speaking = span is not None
            if span is None:
                break
            if span.end - span.start > _frames(self._settings.longest):
                end = span.start + _frames(self._settings.longest)
                span, reason = _Span(span.start, end, end, span.loud), LONGEST
            elif len(self._level) - span.end >= _frames(self._settings.pause):
                reason = PAUSE
            elif no_more:
                reason = END
            else:
                break
            yield from self._cut(span, reason=reason)
        unneeded = (span.start if span else len(self._level)) - _frames(_LOOK_BACK_SECONDS)
        if unneeded > 0:
            self._drop(unneeded, n_room=unneeded)

    def _noise_floor(self) -> float:
        """Return the level of the background [dB]; while one speaks, it can only seem louder."""
        recent = self._level[-_frames(_STEADY_SECONDS) :]
        if len(recent) == _frames(_STEADY_SECONDS):
            low, middle, high = np.percentile(recent, [5, 50, 95])
            if high - low < _STEADY_DB:  # no speech is so even, however loud
                return float(middle)
        known = self._level if self._speaking else np.concatenate([self._room, self._level])
        if not len(known):
            return self._floor
        floor = float(np.percentile(known[-_frames(_ROOM_SECONDS) :], _ROOM_PERCENTILE))
        return min(floor, self._floor) if self._speaking else floor

    def _spans(self) -> Iterator[_Span]:
        """Yield what is speech in what is held, from the first to the last."""
        edge = max(self._floor + _EDGE_DB, _QUIETEST_DB)
        for first, last in self._runs(self._level > edge):
            level = self._level[first:last]
            loud = np.partition(level, -_N_LOUD_FRAMES)[-_N_LOUD_FRAMES]
            if loud < self._floor + self._settings.margin:
                continue
            if self._first + first <= self._died_away:
                loud = max(loud, self._loud)  # what is left of the utterance before is no new one
            # In a silent room even the last breath stands out: it is not part of the words.
            for start, end in self._runs(level > loud - self._settings.depth):
                yield _Span(first + start, first + end, last, loud)

    def _runs(self, active: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
        """Yield first and last + 1 of runs of active frames, shorter pauses included."""
        shortest = max(_N_LOUD_FRAMES, _frames(self._settings.shortest))
        for run in _pieces(np.flatnonzero(active), gap=_frames(self._settings.pause)):
            # A syllable lasts; a click or a key does not, however many there are.
            unbroken = max(map(len, _pieces(run, gap=1)))
            if len(run) >= shortest and unbroken >= _N_LOUD_FRAMES:
                yield int(run[0]), int(run[-1]) + 1

    def _cut(self, span: _Span, *, reason: str) -> Iterator[Utterance]:
        """Yield an utterance, if it is one, and drop it from the buffer."""
        padding = _frames(self._settings.padding)
        first, last = max(0, span.start - padding), min(len(self._level), span.end + padding)
        if reason == LONGEST:
            last = span.end
        y = self._held[first * self.frame : last * self.frame].copy()
        start, end = ((self._first + k) * self.frame / self._sr for k in (first, last))
        spread = np.ptp(np.percentile(self._level[span.start : span.end], [10, 90]))
        self._drop(span.tail, n_room=span.start)
        self._died_away, self._loud = self._first + _frames(self._settings.pause), span.loud
        is_fit = np.isfinite(y).all() and not audio.fatal_issues(y, sr=self._sr)
        if spread >= _SMALLEST_SPREAD_DB and is_fit:
            yield Utterance(start, end, y, reason)

    def _drop(self, n_frames: int, *, n_room: int) -> None:
        """Drop the oldest frames; the levels of some of them were those of the room."""
        room = np.concatenate([self._room, self._level[:n_room]])
        self._room = room[-_frames(_ROOM_SECONDS) :]
        self._held = self._held[n_frames * self.frame :]
        self._level = self._level[n_frames:]
        self._first += n_frames


def _pieces(numbers: NDArray[np.intp], *, gap: int) -> list[NDArray[np.intp]]:
    """Split increasing numbers where they are more than `gap` apart.

    >>> [piece.tolist() for piece in _pieces(np.array([1, 2, 4, 9]), gap=2)]
    [[1, 2, 4], [9]]
    """
    return np.split(numbers, np.flatnonzero(np.diff(numbers) > gap) + 1)


def _frames(seconds: float) -> int:
    return round(seconds / _FRAME_SECONDS)
