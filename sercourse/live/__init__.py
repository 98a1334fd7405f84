"""Live use: where sound comes from, where an utterance begins and ends, and what is heard in it.

A `Source` gives a signal in blocks, whether from a file or from a microphone. `utterances` waits
for a speaker and stops by itself when they do; `Bundle.predict_stream` judges windows
that slide along. What both compute does not depend on where blocks end.
"""

from __future__ import annotations

from sercourse.live.endpointing import Endpointing, Utterance, utterances
from sercourse.live.microphones import Device, devices
from sercourse.live.sources import FileSource, MicrophoneSource, MonitoredSource, Source

__all__ = [
    "Device",
    "Endpointing",
    "FileSource",
    "MicrophoneSource",
    "MonitoredSource",
    "Source",
    "Utterance",
    "devices",
    "utterances",
]
