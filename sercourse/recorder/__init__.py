"""A microphone in the notebook: recorded where the browser is, heard where Python runs.

The parts, from the reader's mouth to a prediction:

1. `recorder.js` runs in the browser. *Record* asks for the microphone, with the browser's own echo
   cancellation, noise suppression and gain control off, so that a voice arrives as it was.
2. An audio worklet hands over the samples as they are; nothing is compressed on the way.
3. *Stop*, or the longest length that is allowed, closes the microphone at once.
4. A low-pass filter changes the rate to 16 kHz, and the samples become a mono WAV file of 16 bits.
   *Upload* decodes a sound file in the browser, and goes on from here.
5. The file goes to Python as one message: 20 s are 640 kB, and Colab loses messages above 1 MB.
6. `widget.py` checks what arrives and keeps it in `Recorder.audio`; bad content changes nothing.
7. `Recorder.clip` returns the signal. It is read in the next cell: a cell that waited for a message
   would wait for ever, because messages arrive between cells.
8. Nothing is on disk, nor in the notebook, until `Recorder.save` is called.
"""

from __future__ import annotations

from sercourse.recorder.widget import MAX_SECONDS, RATE, Recorder

__all__ = ["MAX_SECONDS", "RATE", "Recorder"]
