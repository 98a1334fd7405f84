"""Where sound comes from: a file or a microphone, behind one interface."""

from __future__ import annotations

import contextlib
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import soxr
from numpy.typing import NDArray

from sercourse import audio, files
from sercourse.live import microphones

BLOCK_SECONDS = 0.1
"""Default length of a block [s]: short beside the 0.3 s in which an answer is wanted."""

BACKLOG_SECONDS = 30.0
"""Sound [s] that waits while a model computes; beyond that it is lost, and counted."""

PATIENCE_SECONDS = 3.0
"""A microphone that sends nothing for so long [s], or always the same value, is not at work."""

_ENDED = None  # in the queue: no more sound will come


@runtime_checkable
class Source(Protocol):
    """A signal that comes in blocks.

    Attributes
    ----------
    sr : int
        Its rate [Hz].
    overflows : int
        How often sound was lost because nobody fetched it in time.
    """

    sr: int

    @property
    def overflows(self) -> int:
        """How often sound was lost because nobody fetched it in time."""

    def __enter__(self) -> Self:
        """Make ready."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go."""

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the signal, in pieces of shape (n_samples,)."""


class FileSource:
    """A sound file as if it were live, or as fast as it can be read.

    Parameters
    ----------
    recording : str, Path or bytes
        A sound file that `audio.read` understands, or its content.
    sr : int
        Rate wanted [Hz].
    realtime : bool
        Give each block when its last sample would have been recorded.
    block_seconds : float
        Length of a block [s]; the last one may be shorter.

    Examples
    --------
    >>> import io, soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros(4_000), 16_000, format="WAV")
    >>> with FileSource(file.getvalue(), sr=16_000) as source:
    ...     [len(block) for block in source.blocks()]
    [1600, 1600, 800]
    """

    overflows = 0

    def __init__(
        self,
        recording: str | Path | bytes,
        *,
        sr: int,
        realtime: bool = False,
        block_seconds: float = BLOCK_SECONDS,
    ) -> None:
        self.sr = sr
        self.realtime = realtime
        self._recording = recording
        self._block_seconds = block_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the file is open only while blocks are read."""

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the signal, in float32 blocks of shape (n_samples,), from its beginning.

        Raises
        ------
        OSError, ValueError
            If it cannot be read, when the trouble is reached.
        """
        with _as_file(self._recording) as path:
            found = audio.blocks(path, sr=self.sr, seconds=self._block_seconds)
            yield from _paced(found, sr=self.sr) if self.realtime else found


@contextlib.contextmanager
def _as_file(recording: str | Path | bytes) -> Iterator[Path]:
    """Give bytes a file for as long as they are read: ffmpeg, for one, needs it."""
    if not isinstance(recording, bytes):
        yield files.user_path(recording)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(recording)
        try:
            yield path
        except ValueError as error:
            raise ValueError(f"the recording: {audio.reason(error, path=path)}") from None


def _paced(blocks: Iterator[NDArray[np.float32]], *, sr: int) -> Iterator[NDArray[np.float32]]:
    """Hold each block back until its last sample would have been recorded."""
    start, n_samples = time.monotonic(), 0
    for block in blocks:
        n_samples += len(block)
        time.sleep(max(0.0, start + n_samples / sr - time.monotonic()))
        yield block


class MicrophoneSource:
    """A microphone at the machine that runs Python, through PortAudio.

    It records from `__enter__` to `__exit__`, at the device's own rate, and is resampled on the way
    as files are: systems resample too, and some so coarsely that a model hears another voice. A
    device that refuses its own rate is asked for the one wanted; several channels are averaged.

    Parameters
    ----------
    sr : int
        Rate wanted [Hz].
    device : int or str, optional
        Number of a device or a part of its name, as `devices` lists them; default: the system's.
    block_seconds : float
        Length of a block [s].

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
        block_seconds: float = BLOCK_SECONDS,
    ) -> None:
        self.sr = sr
        self.overflows = 0
        self.name = ""
        self.device_rate = 0
        self._device = device
        self._block_seconds = block_seconds
        self._waiting: queue.Queue[NDArray[np.float32] | None] = queue.Queue()
        self._room = max(1, round(BACKLOG_SECONDS / block_seconds))
        self._stream: Any = None

    def __enter__(self) -> Self:
        sounddevice = microphones.portaudio()
        device = microphones.find(self._device)
        self.name = device.name
        self._waiting = queue.Queue()
        try:
            self.device_rate, channels = self._accepted(sounddevice, device)
            self._stream = sounddevice.InputStream(
                samplerate=self.device_rate,
                channels=channels,
                device=device.index,
                dtype="float32",
                blocksize=round(self._block_seconds * self.device_rate),
                callback=self._take,
                finished_callback=self._end,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise OSError(
                f"the microphone {device.name!r} cannot be opened ({_cause(error)}): end the "
                "program that holds it, or name another device"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        stream, self._stream = self._stream, None  # first, so that the end is known to be ours
        if stream is not None:
            stream.close()  # what is still in the queue can be fetched

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the signal, in float32 blocks of shape (n_samples,), until it is closed.

        Raises
        ------
        RuntimeError
            If it is not open.
        OSError
            If the device is taken away; what came before has been yielded by then.
        """
        if self._stream is None:
            raise RuntimeError("the microphone is not open: with MicrophoneSource(...) as source")
        if self.device_rate == self.sr:
            yield from self._raw()
            return
        resampler = soxr.ResampleStream(self.device_rate, self.sr, 1, dtype="float32", quality="HQ")
        for block in self._raw():
            changed = resampler.resample_chunk(block)
            if len(changed):  # it holds the first samples back
                yield changed

    def _accepted(self, sounddevice: Any, device: microphones.Device) -> tuple[int, int]:
        """Return the first rate [Hz] and number of channels that the device accepts."""
        refusal: Exception = OSError("no rate is accepted")
        for channels in (1, device.channels):
            for rate in (device.sample_rate, self.sr):
                try:
                    sounddevice.check_input_settings(
                        device=device.index, channels=channels, dtype="float32", samplerate=rate
                    )
                except sounddevice.PortAudioError as error:
                    refusal = error
                else:
                    return rate, channels
        raise refusal

    def _take(self, samples: NDArray[np.float32], _n: int, _time: Any, status: Any) -> None:
        """Keep what PortAudio's own thread brings; it must not wait for anyone."""
        self.overflows += bool(status.input_overflow)
        if self._waiting.qsize() < self._room:
            self._waiting.put(samples.mean(axis=1))  # a copy: the buffer is used again
        else:
            self.overflows += 1

    def _end(self) -> None:
        """Note that PortAudio will bring no more, because of us or because the device is gone."""
        self._waiting.put(_ENDED)

    def _raw(self) -> Iterator[NDArray[np.float32]]:
        """Yield blocks at the device's rate."""
        while True:
            try:
                block = self._waiting.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                block = _ENDED
            if block is not _ENDED:
                yield block
            elif self._stream is None:
                return
            else:
                raise OSError(
                    f"the microphone {self.name!r} sends no more sound: it was unplugged or taken "
                    "away; what was heard before is kept; connect it and start again"
                )


class MonitoredSource:
    """A source that also says what is wrong with its sound.

    Parameters
    ----------
    source : Source
    report : callable
        Takes one sentence: that the input has been zero or constant for 3 s, that sound was lost.

    Examples
    --------
    >>> import io, soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros(64_000), 16_000, format="WAV")
    >>> with MonitoredSource(FileSource(file.getvalue(), sr=16_000), report=print) as source:
    ...     n_blocks = len(list(source.blocks()))
    the input has been nothing but zeros for 3 s: ...
    """

    def __init__(self, source: Source, *, report: Callable[[str], None]) -> None:
        self.sr = source.sr
        self._source = source
        self._report = report

    @property
    def overflows(self) -> int:
        """How often sound was lost because nobody fetched it in time."""
        return self._source.overflows

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self._source.__exit__(*details)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the blocks of the source unchanged."""
        constant, lost = 0, self.overflows
        for block in self._source.blocks():
            if self.overflows > lost == 0:
                self._report("sound was lost: this computer does not keep up with the microphone")
            lost = self.overflows
            before = constant
            constant = constant + len(block) if np.ptp(block) == 0 else 0
            if before < PATIENCE_SECONDS * self.sr <= constant:
                what = "one constant value" if block.any() else "nothing but zeros"
                self._report(
                    f"the input has been {what} for {PATIENCE_SECONDS:g} s: "
                    f"{microphones.how_to_unmute()}"
                )
            yield block


def _cause(error: Exception) -> str:
    """Return PortAudio's own word for an error, without the codes that follow it."""
    return str(error.args[0] if error.args else error).partition(" [")[0]
