"""Pictures for the lessons: every function draws on matplotlib Axes and returns them."""

from __future__ import annotations

from sercourse.plots.results import clip_counts as clip_counts
from sercourse.plots.results import confusion as confusion
from sercourse.plots.results import emotion_shares as emotion_shares
from sercourse.plots.results import intervals as intervals
from sercourse.plots.results import learning_curves as learning_curves
from sercourse.plots.results import matrix as matrix
from sercourse.plots.results import trade_off as trade_off
from sercourse.plots.signals import spans as spans
from sercourse.plots.signals import spectrogram as spectrogram
from sercourse.plots.signals import spectrograms as spectrograms
from sercourse.plots.signals import under_waveform as under_waveform
from sercourse.plots.signals import waveform as waveform
from sercourse.plots.style import EMOTION_COLOURS as EMOTION_COLOURS
from sercourse.plots.style import INK as INK
from sercourse.plots.style import compact_png as compact_png
from sercourse.plots.style import palette as palette
from sercourse.plots.style import use_style as use_style
from sercourse.plots.timeline import emotions_over_time as emotions_over_time
