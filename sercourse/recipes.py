"""Named recipes: what is measured on a clip, which copies are added, and which model learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sercourse.features import FeatureSet, named

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Recipe:
    """How a model is made, from a clip to calibrated probabilities.

    Attributes
    ----------
    name : str
        What commands and bundles call it.
    title : str
        One line for people.
    feature_set : str
        Name in `features.SETS`.
    make : callable
        Returns the unfitted scikit-learn pipeline.
    speeds : tuple of float
        Further copies of each training clip, played so many times faster.
    grid : mapping
        Settings of the pipeline that inner validation chooses among.
    version : int
        Raised whenever the recipe gives other models, so that no stored result outlives it.
    """

    name: str
    title: str
    feature_set: str
    make: Callable[[], Pipeline]
    speeds: tuple[float, ...] = ()
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    version: int = 1

    @property
    def features(self) -> FeatureSet:
        """The feature set itself."""
        return named(self.feature_set)

    @property
    def settings(self) -> dict[str, Any]:
        """All that results depend on, as JSON can hold it."""
        return {
            "name": self.name,
            "version": self.version,
            "features": self.features.settings,
            "speeds": list(self.speeds),
            "grid": {name: list(values) for name, values in self.grid.items()},
            "model": " ".join(repr(self.make()).split()),
        }


def _svm_classic() -> Pipeline:
    from sercourse import classical  # loads scikit-learn, which inference does without

    return classical.svm_classic()


def _svm() -> Pipeline:
    from sercourse import classical

    return classical.svm_whitened()


_ALL = (
    Recipe(
        "svm-classic",
        "the ancestor's SVM: 200 statistics, F-test, 140 principal components",
        feature_set="statistics",
        make=_svm_classic,
    ),
    Recipe(
        "svm",
        "a linear SVM on whitened voice features, trained with slower and faster copies",
        feature_set="voice",
        make=_svm,
        speeds=(0.9, 1.1),
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({each.name: each for each in _ALL})
"""The recipes by name."""


def recipe(name: str) -> Recipe:
    """Return the recipe of that name.

    Raises
    ------
    ValueError
        If there is none; the sentence names those that there are.

    Examples
    --------
    >>> recipe("svm-classic").feature_set
    'statistics'
    """
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}: use one of {', '.join(RECIPES)}")
    return RECIPES[name]
