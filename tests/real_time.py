"""Marks of tests in which sound passes at its own pace.

A machine that is busy with other tests loses blocks of it. So these tests take turns, and one
that fails is run again, twice at most.
"""

import pytest

REAL_TIME = [
    pytest.mark.xdist_group("real time"),
    pytest.mark.flaky(reruns=2, reruns_delay=5),
]
