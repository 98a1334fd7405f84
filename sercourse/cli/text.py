"""How commands show times and probabilities."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sercourse.bundles import Prediction

BAR_WIDTH = 20
SHORT_BAR_WIDTH = 10


def say(line: str) -> None:
    """Print what is no result, such as progress and warnings, where it cannot mix with results."""
    print(line, file=sys.stderr, flush=True)


def take(path: object, channel: int | str | None) -> str:
    """Name a recording, and which of its channels is meant.

    >>> take("call.wav", None), take("call.wav", 2), take("call.wav", "left")
    ('call.wav', 'call.wav (channel 2)', 'call.wav (channel left)')
    """
    return str(path) if channel is None else f"{path} (channel {channel})"


def judgement(prediction: Prediction) -> str:
    """Return the probabilities of a prediction as lines; none for what is no speech."""
    return f"\n{bars(prediction.probabilities)}" if prediction.speech else ""


def bars(probabilities: Mapping[str, float]) -> str:
    """Return a line with a bar for each emotion, the most probable first.

    >>> print(bars({"happy": 0.25, "sad": 0.75}))
      sad        75.0%  ███████████████
      happy      25.0%  █████
    """
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    longest = max(map(len, probabilities))
    return "\n".join(_bar(emotion.ljust(longest), p, width=BAR_WIDTH) for emotion, p in ranked)


def moment(when: str, *, said: str, p: float | None = None) -> str:
    """Return what was heard in a stretch of time as one line.

    >>> moment(span(0.0, 3.0), said="sad", p=0.75)
    '   0:00.00 –  0:03.00  sad        75.0%  ████████'
    >>> moment(span(3.0, 6.0), said="(silence)")
    '   0:03.00 –  0:06.00  (silence)'
    """
    return f"  {when}" + (f"  {said}" if p is None else _bar(said, p, width=SHORT_BAR_WIDTH))


def span(start: float, end: float, *, hours: bool = False) -> str:
    """Return a stretch of time, all equally wide."""
    return f"{clock(start, hours=hours)} – {clock(end, hours=hours)}"


def clock(seconds: float, *, hours: bool) -> str:
    """Return a time as minutes and seconds, all equally wide.

    >>> clock(83.5, hours=False), clock(83.5, hours=True)
    (' 1:23.50', '0:01:23.50')
    """
    minutes, rest = divmod(round(seconds, 2), 60)
    if not hours:
        return f"{int(minutes):2d}:{rest:05.2f}"
    return f"{int(minutes // 60)}:{int(minutes % 60):02d}:{rest:05.2f}"


def _bar(emotion: str, p: float, *, width: int) -> str:
    return f"  {emotion:<10}{p:6.1%}  {'█' * round(width * p)}".rstrip()
