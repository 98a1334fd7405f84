"""A microphone in the notebook: recorded where the browser is, heard where Python runs.

The parts, from the reader's mouth to a prediction:

1. `recorder.js` runs in the browser. *Record* asks for the microphone, with the browser's own echo
   cancellation, noise suppression and gain control off, so that a voice arrives as it was.
2. An audio worklet hands over the samples as they are; nothing is compressed on the way.
3. *Stop*, or the longest length that is allowed, closes the microphone at once.
4. A low-pass filter changes the rate to 16 kHz, and the samples become a mono WAV file of 16 bits.
   *Upload* decodes a sound file in the browser, and goes on from here.
5. The file goes to Python as one message: 20 s are 640 kB, and Colab loses messages above 1 MB.
6. `Recorder` checks what arrives and keeps it in `Recorder.audio`; bad content changes nothing.
7. `Recorder.clip` returns the signal. It is read in the next cell: a cell that waited for a message
   would wait for ever, because messages arrive between cells.
8. Nothing is on disk, nor in the notebook, until `Recorder.save` is called.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import soxr
import traitlets
from numpy.typing import NDArray

from sercourse import audio, files

RATE = 16_000
"""Rate of what the browser sends [Hz]."""

MAX_SECONDS = 20.0
"""The longest recording [s]: 640 kB, or 853 kB as text; Colab loses messages above about 1 MB."""

_FOLDER = Path(__file__).parent


class Recorder(anywidget.AnyWidget):
    """A recorder to show in a notebook: record, stop, play, or upload a sound file.

    It works in JupyterLab, Notebook 7 and Colab. The browser gives a microphone to pages that are
    opened over https or at localhost only, and VS Code gives none: upload a file there.

    Parameters
    ----------
    max_seconds : float
        When a recording stops by itself [s], above 0 and at most `MAX_SECONDS`.
    processing : bool
        Whether the browser cancels echoes, suppresses noise and adjusts the gain. Models were
        trained on speech without.

    Attributes
    ----------
    audio : bytes
        The last recording: a WAV file, 16 kHz, mono, 16 bits; empty before the first. Observe it
        with ``recorder.observe(function, "audio")``.
    message : str
        What the recorder said last: what arrived, or why nothing did.

    Raises
    ------
    ValueError
        If `max_seconds` is out of range.

    Examples
    --------
    >>> recorder = Recorder(max_seconds=5)
    >>> recorder.clip(sr=16_000)
    Traceback (most recent call last):
    ...
    ValueError: nothing has been recorded yet: ...
    """

    _esm = _FOLDER / "recorder.js"
    _css = _FOLDER / "recorder.css"

    max_seconds = traitlets.Float(MAX_SECONDS).tag(sync=True)
    processing = traitlets.Bool(False).tag(sync=True)
    # These two come and go as messages: a synchronised trait would be stored in the notebook.
    audio = traitlets.Bytes(b"")
    message = traitlets.Unicode("")

    def __init__(self, *, max_seconds: float = MAX_SECONDS, processing: bool = False) -> None:
        super().__init__(max_seconds=max_seconds, processing=processing)
        self.on_msg(self._receive)

    def clip(self, *, sr: int) -> NDArray[np.float32]:
        """Return the last recording.

        Parameters
        ----------
        sr : int
            Rate wanted [Hz].

        Returns
        -------
        ndarray, shape (n_samples,), float32
            Mono, in [-1, 1].

        Raises
        ------
        ValueError
            If nothing has been recorded yet.
        """
        y = _samples(self._recorded(), longest=self.max_seconds)
        return y if sr == RATE else soxr.resample(y, RATE, sr, quality="HQ")

    def save(self, path: str | Path) -> Path:
        """Write the last recording to a WAV file, whole or not at all.

        Raises
        ------
        ValueError
            If nothing has been recorded yet, or the name does not end in .wav.
        OSError
            If the file cannot be written.
        """
        path = files.user_path(path)
        if path.suffix.lower() != ".wav":
            raise ValueError(f"{path}: a recording is a WAV file: give a name that ends in .wav")
        recorded = self._recorded()
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(recorded)
        return path

    def _recorded(self) -> bytes:
        if self.audio:
            return self.audio
        said = f" (the recorder says: {self.message})" if self.message else ""
        raise ValueError(
            "nothing has been recorded yet: run the cell that shows the recorder, press Record, "
            f"speak, press Stop, and then run this cell{said}"
        )

    @traitlets.validate("max_seconds")
    def _refuse_length(self, proposal: Mapping[str, Any]) -> float:
        seconds = float(proposal["value"])
        if not 0 < seconds <= MAX_SECONDS:
            wanted = f"give a length above 0 and up to {MAX_SECONDS:g} s"
            why = "because Colab loses longer recordings; read longer ones from a file"
            raise ValueError(f"max_seconds is {seconds:g}: {wanted}, {why}")
        return seconds

    def _receive(self, _widget: object, content: Any, buffers: Sequence[Any]) -> None:
        """Take a recording over and answer, or keep the earlier one and say why."""
        kind = content.get("kind") if isinstance(content, Mapping) else None
        if kind == "failure":
            self.message = str(content.get("message", ""))
        if kind != "audio":
            return
        received, state = bytes(buffers[0]) if buffers else b"", "ready"
        try:
            y = _samples(received, longest=self.max_seconds)
        except ValueError as error:
            state, self.message = "error", f"What the browser sent was not taken over: {error}."
        else:
            arrived = f"{len(y) / RATE:.1f} s are in Python: go on with the next cell."
            told = [content.get("note"), arrived]
            if issues := audio.quality_issues(y, sr=RATE):
                told.append(f"Mind that it is doubtful: {'; '.join(issues)}.")
            self.message = " ".join(str(each) for each in told if each)
            self.audio = received
        self.send({"state": state, "message": self.message})


def _samples(content: bytes, *, longest: float) -> NDArray[np.float32]:
    """Return the signal of a WAV file as the browser's half writes it, and of no other.

    Raises
    ------
    ValueError
        If it is too large or too small, no WAV file, or one of another kind.
    """
    most = 44 + 2 * round((longest + 0.1) * RATE)
    if len(content) > most:
        raise ValueError(f"it has {len(content)} bytes and {longest:g} s take at most {most}")
    try:
        with wave.open(io.BytesIO(content)) as file:
            told, pcm = file.getparams(), file.readframes(file.getnframes())
    except (wave.Error, EOFError):
        raise ValueError(f"its {len(content)} bytes are no WAV file") from None
    if (told.framerate, told.nchannels, told.sampwidth) != (RATE, 1, 2):
        seen = f"{told.framerate} Hz, {told.nchannels} channels, {8 * told.sampwidth} bits"
        raise ValueError(f"it has {seen} and {RATE} Hz, 1 channel, 16 bits are wanted")
    if not pcm or len(pcm) != 2 * told.nframes:
        raise ValueError(f"it holds {len(pcm) // 2} samples and its header says {told.nframes}")
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)
