"""How a recipe fits a network: inner validation, members, temperature, files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import files, splits
from sercourse.networks import export
from sercourse.networks.backend import precision, refuse_unknown_precision, set_seed
from sercourse.networks.training import (
    Array,
    Codes,
    Examples,
    Progress,
    Report,
    Training,
    logits,
    softmax,
    temperature,
    train,
)
from sercourse.networks.wrapping import paired, standardized

if TYPE_CHECKING:
    import keras

VALIDATION_SHARE = 10  # one tenth of the groups


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A trained network, or the average of several.

    Attributes
    ----------
    members : tuple of keras.Model
        They return logits.
    temperatures : tuple of float
        What each member's logits are divided by.
    progress : tuple of Progress
        How each member's training went.
    selected : dict
        What validation found: `epochs` and `temperature`, means over the members.
    """

    members: tuple[keras.Model, ...]
    temperatures: tuple[float, ...]
    progress: tuple[Progress, ...]
    selected: dict[str, float]

    @cached_property
    def model(self) -> keras.Model:
        """One Keras model from input to calibrated probabilities."""
        return export.calibrated(self.members, temperatures=self.temperatures)

    @property
    def n_weights(self) -> int:
        """Numbers that the members have learnt or hold."""
        return sum(member.count_params() for member in self.members)

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape (n, n_labels)."""
        scores = [
            logits(member, X) / t for member, t in zip(self.members, self.temperatures, strict=True)
        ]
        return softmax(np.mean(scores, axis=0))

    def contents(self) -> dict[str, bytes]:
        """Return the model as files of a bundle, by suffix."""
        return {".onnx": export.to_onnx(self.model), ".keras": export.to_keras(self.model)}


@dataclass(frozen=True)
class NetworkLearner:
    """Trains a network on the training side of a split.

    Attributes
    ----------
    build : callable
        ``build(input_shape=..., n_labels=...)`` returns an unfitted `keras.Model` of logits.
    training : Training
    augment : callable, optional
        As `train` takes it.
    members : int
        Networks that are averaged. Each has another seed and is validated on other speakers.
    options : mapping
        Further arguments of `build`, as JSON can hold them.
    standardized : bool
        Whether inputs are standardised, each coefficient or feature by its mean and its spread over
        the clips that the network learns from. It becomes a part of the network.
    heads : tuple of int
        Labels are the pairs of two kinds of labels, so many of each: the network answers each kind
        with a head of its own, see `wrapping.paired`. () for one kind.
    """

    build: Callable[..., keras.Model]
    training: Training
    augment: Callable[..., tuple[Array, Array]] | None = None
    members: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    standardized: bool = False
    heads: tuple[int, ...] = ()

    takes_weights = True

    @property
    def packages(self) -> tuple[str, ...]:
        """What its models depend on, for the record."""
        return ("keras", "tensorflow", "tf2onnx")

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        return {
            "network": self.build.__name__,
            "training": self.training.settings,
            "augmentation": self.augment.__name__ if self.augment else None,
            "members": self.members,
            # What later versions added is told only where it is used: bundles are known by it.
            **({"options": dict(self.options)} if self.options else {}),
            **({"standardized": True} if self.standardized else {}),
            **({"heads": list(self.heads)} if self.heads else {}),
        }

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for `files.digest`: the code of its own functions too."""
        functions = [self.build, self.augment]
        return [self.settings, functions, files.versions("keras", "tensorflow", "numpy")]

    def seeded(self, seed: int) -> NetworkLearner:
        """Return the same with another seed."""
        return replace(self, training=replace(self.training, seed=seed))

    def in_precision(self, name: str) -> NetworkLearner:
        """Return the same, trained in another precision.

        Raises
        ------
        ValueError
            If there is no such precision.
        """
        refuse_unknown_precision(name)
        return replace(self, training=replace(self.training, precision=name))

    def with_heads(self, *sizes: int) -> NetworkLearner:
        """Return the same for labels that are pairs, with a head for each kind of label."""
        return replace(self, heads=sizes)

    def untrained(self, shape: tuple[int, ...], *, n_labels: int) -> FittedNetwork:
        """Return what `fit` would, as large and as fast, that has learnt nothing.

        Parameters
        ----------
        shape : tuple of int
            Of one input.
        n_labels : int
        """
        members = tuple(
            self.build(input_shape=shape, n_labels=n_labels, **self.options)
            for _ in range(self.members)
        )
        return FittedNetwork(members, (1.0,) * self.members, (), {})

    def fit(
        self,
        versions: Sequence[Array],
        y: Codes,
        *,
        groups: NDArray[Any],
        n_labels: int,
        rows: Codes | None = None,
        weights: NDArray[np.floating] | None = None,
        selected: Mapping[str, float] | None = None,
        folder: Path | None = None,
        report: Report = lambda line: None,
    ) -> FittedNetwork:
        """Train the members.

        Parameters
        ----------
        versions : sequence of ndarray, shape (n_rows, ...) each
            The clips, and copies of them.
        y : ndarray of int, shape (n_clips,)
        groups : ndarray, shape (n_clips,)
            What must not be on both sides of the inner split: speakers or groups of recordings.
        n_labels : int
        rows : ndarray of int, shape (n_clips,) or (n_versions, n_clips), optional
            Where the clips are in `versions`, or in each of them; by default they are all of it.
        weights : ndarray of float, shape (n_clips,), optional
            How much each clip counts, with a mean of 1.
        selected : mapping, optional
            What folds found, `epochs` and `temperature`: then every clip is trained on, and none
            is left for validation.
        folder : Path, optional
            Where checkpoints are kept, and looked for.
        report : callable
            Gets a line now and then.
        """
        examples = Examples(versions, y, n_labels, rows, weights)
        fitted = [
            self._fit_member(
                member,
                examples,
                groups=groups,
                selected=selected,
                folder=folder and folder / f"member-{member}",
                report=report,
            )
            for member in range(self.members)
        ]
        models, temperatures, progress = zip(*fitted, strict=True)
        epochs = [each.best or each.epoch for each in progress]
        found = {"epochs": float(np.mean(epochs)), "temperature": float(np.mean(temperatures))}
        return FittedNetwork(models, temperatures, progress, found)

    def _fit_member(
        self,
        member: int,
        examples: Examples,
        *,
        groups: NDArray[Any],
        selected: Mapping[str, float] | None,
        folder: Path | None,
        report: Report,
    ) -> tuple[keras.Model, float, Progress]:
        training = replace(self.training, seed=self.training.seed + member)
        validation = None
        if selected is None:
            inner = splits.inner_splits(examples.y, groups, n_folds=VALIDATION_SHARE)
            learn, check = inner[member % len(inner)]
            examples, validation = examples.of(learn), examples.of(check)
        else:
            training = replace(training, epochs=round(selected["epochs"]), patience=None)
        set_seed(training.seed)
        with precision(training.precision):
            trained = self._network(examples)
        progress = train(
            trained,
            examples,
            training=training,
            validation=validation,
            augment=self.augment,
            folder=folder,
            report=report,
        )
        model = trained
        if training.precision != "float32":
            model = self._network(examples)
            model.set_weights(trained.get_weights())
        if validation is None:
            return model, (selected or {})["temperature"], progress
        scores = logits(model, validation.plain())
        return model, temperature(scores, validation.y, weights=validation.weights), progress

    def _network(self, examples: Examples) -> keras.Model:
        """Return the unfitted network for what it will learn from."""
        n_labels = sum(self.heads) or examples.n_labels
        model = self.build(input_shape=examples.shape, n_labels=n_labels, **self.options)
        if self.heads:
            model = paired(model, sizes=self.heads)
        return standardized(model, examples.plain()) if self.standardized else model
