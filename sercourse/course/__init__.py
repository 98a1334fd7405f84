"""The lessons: find them, run them in order, publish their outputs, say which are stale."""

from sercourse.course.execute import Result, run
from sercourse.course.exercises import check, quiz, solve
from sercourse.course.lesson import NOTEBOOKS, Lesson, describe, find, lessons
from sercourse.course.published import Stale, publish, stale

__all__ = [
    "NOTEBOOKS",
    "Lesson",
    "Result",
    "Stale",
    "check",
    "describe",
    "find",
    "lessons",
    "publish",
    "quiz",
    "run",
    "solve",
    "stale",
]
