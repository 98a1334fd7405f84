"""Emotions over time while sound comes in."""

from __future__ import annotations

from collections.abc import Iterator

from sercourse import bundles, timeline
from sercourse.live.sources import Source


def predict_stream(
    source: Source,
    bundle: bundles.Bundle,
    *,
    every: float = 1.0,
    window: float = timeline.WINDOW_SECONDS,
) -> Iterator[timeline.Moment]:
    """Judge windows that slide over what a source gives, each as soon as its last sample is there.

    Windows, features and model are those of `Bundle.predict_over_time`, so live and stored sound
    give the same probabilities.

    Parameters
    ----------
    source : Source
        At the bundle's rate; a microphone must be open.
    bundle : bundles.Bundle
    every : float
        Time from one window's start to the next one's [s].
    window : float
        Length of a window [s].

    Returns
    -------
    iterator of timeline.Moment
        Its `probabilities` are in the order of `bundle.labels`, and NaN where nothing is said.

    Raises
    ------
    ValueError
        If the rate is another, or `every` or `window` is out of range.

    Examples
    --------
    >>> from sercourse import files, live
    >>> clip = files.home() / "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg"
    >>> bundle = bundles.load("ravdess-svm")
    >>> with live.FileSource(clip, sr=bundle.sample_rate) as source:
    ...     moments = list(live.predict_stream(source, bundle, every=0.5, window=1.0))
    >>> [moment.end for moment in moments[:2]], len(moments[0].probabilities)
    ([1.0, 1.5], 8)
    """
    return bundle.predict_stream(source.blocks(), sr=source.sr, every=every, window=window)
