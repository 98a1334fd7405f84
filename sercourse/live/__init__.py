"""Live use: where sound comes from, and where an utterance begins and ends in it.

A `Source` gives a signal in blocks, whether from a file or from a microphone. `utterances` waits
for a speaker and stops by itself when they do; `Bundle.predict_stream` judges windows that slide
along. What both compute does not depend on where blocks end.
"""

from __future__ import annotations

from sercourse.live.endpointing import Endpointing as Endpointing
from sercourse.live.endpointing import Utterance as Utterance
from sercourse.live.endpointing import utterances as utterances
from sercourse.live.sources import Device as Device
from sercourse.live.sources import FileSource as FileSource
from sercourse.live.sources import MicrophoneSource as MicrophoneSource
from sercourse.live.sources import Source as Source
from sercourse.live.sources import devices as devices
