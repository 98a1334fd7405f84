"""What is no list of emotions, no translation and no order is refused in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from sercourse import labels


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: labels.in_order("sad"), "emotions is the text 'sad': give a list of names"),
        (lambda: labels.parse_emotions("sad,"), "'sad,' names 1 emotion(s): give at least two"),
        (lambda: labels.parse_translation('{"a":' * 200_000), "the JSON is nested too deeply"),
        (lambda: labels.parse_translation("=sad"), "'=sad' names no label: write such as ang="),
        (lambda: labels.codes(["sad", "disgust"]), "there is no order of sad, disgust"),
    ],
)
def test_what_cannot_be_read_is_refused(ask: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        ask()
