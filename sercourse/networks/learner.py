"""How a recipe fits a network: inner validation, members, temperature, segments, heads; files."""

from __future__ import annotations

import io
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sercourse import files, splits
from sercourse.networks import training
from sercourse.networks.training import Array, Augment, Build, Examples, Training, quiet_keras

if TYPE_CHECKING:
    import keras

VALIDATION_SHARE = 10  # one tenth of the groups
INPUT, OUTPUT, OPSET = "X", "probabilities", 17  # of the ONNX file
SMALLEST_VARIANCE = 1e-12


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
    segment_floor : float or None
        As of `NetworkLearner`.
    n_segments : int
        Of a clip at most; 1 where a clip is judged whole.
    """

    members: tuple[keras.Model, ...]
    temperatures: tuple[float, ...]
    progress: tuple[training.Progress, ...]
    selected: dict[str, float]
    segment_floor: float | None = None
    n_segments: int = 1

    @cached_property
    def model(self) -> keras.Model:
        """One Keras model from clips to calibrated probabilities, averaged over their segments."""
        keras: Any = quiet_keras()
        shape, ops = self.members[0].input_shape[1:], keras.ops
        inputs, scores = keras.Input(shape, name=INPUT), []
        for i, (member, t) in enumerate(zip(self.members, self.temperatures, strict=True)):
            # A copy that was never compiled: an optimizer triples the size of the file.
            copied = type(member).from_config({**member.get_config(), "name": f"member_{i}"})
            copied.set_weights(member.get_weights())
            scores.append(keras.layers.Rescaling(1 / t)(copied(inputs)))
        mean = scores[0] if len(scores) == 1 else keras.layers.Average()(scores)
        judge = keras.Model(inputs, keras.layers.Softmax(name=OUTPUT)(mean))
        if self.segment_floor is None:
            return judge
        clips = keras.Input((self.n_segments, *shape), name=INPUT)
        p = judge(ops.reshape(clips, (-1, *shape)))
        p = ops.reshape(p, (-1, self.n_segments, p.shape[-1]))
        highest = ops.max(clips, axis=tuple(range(2, 2 + len(shape))))
        there = ops.expand_dims(ops.cast(ops.greater(highest, self.segment_floor), "float32"), -1)
        mean = ops.sum(p * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)
        return keras.Model(clips, mean)

    def predict_segments(self, X: Array) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Judge each segment that is present; without segments, each clip as one.

        Parameters
        ----------
        X : ndarray, shape (n_clips, n_segments, ...)

        Returns
        -------
        owner : ndarray of int, shape (n,)
            The clip of each segment.
        probabilities : ndarray, shape (n, n_labels)
        """
        owner = np.arange(len(X))
        if self.segment_floor is not None:
            there = present_segments(X, floor=self.segment_floor)
            owner, X = np.nonzero(there)[0], X[there]
        pairs = zip(self.members, self.temperatures, strict=True)
        scores = [training.logits(member, X) / t for member, t in pairs]
        return owner, training.softmax(np.mean(scores, axis=0))

    def predict_proba(self, X: Array) -> NDArray[np.float64]:
        """Return calibrated probabilities, (n, n_labels), of clips: means over their segments."""
        owner, probabilities = self.predict_segments(X)
        sums = np.zeros((len(X), probabilities.shape[1]))
        np.add.at(sums, owner, probabilities)
        return sums / np.bincount(owner, minlength=len(X))[:, np.newaxis]

    def contents(self) -> dict[str, bytes]:
        """Return the model as files of a bundle, by suffix.

        Those are ONNX, with input `X` (n, ...) float32 and output `probabilities` (n, n_labels),
        and Keras's own format, without an optimizer.
        """
        import onnx

        spec = {"shape": self.model.input_shape, "name": INPUT, "dtype": "float32"}
        told = {"input_signature": [quiet_keras().InputSpec(**spec)], "opset_version": OPSET}
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Keras's converter looks for np.object
            path = Path(folder) / "model.onnx"
            self.model.export(path, format="onnx", verbose=False, **told)
            exported = onnx.load(path)
            self.model.save(path.with_suffix(".keras"), include_optimizer=False)
            kept = _reproducible(path.with_suffix(".keras"))
        exported.graph.CopyFrom(_in_order(exported.graph))
        return {".onnx": bytes(exported.SerializeToString()), ".keras": kept}


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
        with a head of its own, see `joint_head`. () for one kind.
    segment_floor : float or None
        Where a clip is an array (n_segments, ...) whose absent segments lie at one level
        throughout, that level: the network learns segments, and a clip's answer is the mean of
        those to its segments. None where the network takes the whole clip.
    """

    build: Build
    training: Training
    augment: Augment | None = None
    members: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    standardized: bool = False
    heads: tuple[int, ...] = ()
    segment_floor: float | None = None

    takes_weights = True
    packages = ("keras", "tensorflow", "tf2onnx")

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle tells of it, as JSON can hold it."""
        told = {
            "network": self.build.__name__,
            "training": self.training.settings,
            "augmentation": self.augment.__name__ if self.augment else None,
            "members": self.members,
            "options": dict(self.options),
            "standardized": self.standardized,
            "heads": list(self.heads),
            "absent_segments": self.segment_floor,
        }
        # What later versions added is told only where it is used: bundles are known by it.
        return {name: value for name, value in told.items() if value or name == "augmentation"}

    @property
    def key(self) -> list[Any]:
        """All that results depend on, for `files.digest`: the code of its own functions too."""
        versions = files.versions("keras", "tensorflow", "numpy")
        return [self.settings, [self.build, self.augment], versions]

    def fit(
        self,
        examples: Examples,
        *,
        groups: NDArray[Any],
        selected: Mapping[str, float] | None = None,
        folder: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> FittedNetwork:
        """Train the members.

        Parameters
        ----------
        examples : Examples
            The clips, and copies of them.
        groups : ndarray, shape (n_clips,)
            What must not be on both sides of the inner split: speakers or groups of recordings.
        selected : mapping, optional
            What folds found, `epochs` and `temperature`: then every clip is trained on, and none
            is left for validation.
        folder : Path, optional
            Where checkpoints are kept, and looked for.
        report : callable
            Gets a line now and then.
        """
        validation, n_segments = None, examples.versions[0].shape[1]
        if self.segment_floor is not None:
            # Groups are those of the clips: all segments of a clip are on one side.
            examples, owner = segments_of(examples, floor=self.segment_floor)
            groups = groups[owner]
        learn, members, plan = examples, [], self.training
        if selected is not None:
            t, plan = selected["temperature"], replace(plan, epochs=round(selected["epochs"]))
            plan = replace(plan, patience=None)
        for member in range(self.members):
            seeded = replace(plan, seed=plan.seed + member)
            if selected is None:
                inner = splits.inner_splits(examples.y, groups, n_folds=VALIDATION_SHARE)
                learn, validation = map(examples.of, inner[member % len(inner)])
            training.set_seed(seeded.seed)
            model = self._network(learn, precision=plan.precision)
            progress = training.train(
                model,
                learn,
                training=seeded,
                validation=validation,
                augment=self.augment,
                folder=folder and folder / f"member-{member}",
                report=report,
            )
            if plan.precision != "float32":
                trained, model = model, self._network(learn)
                model.set_weights(trained.get_weights())
            if validation is not None:
                scores = training.logits(model, validation.plain())
                t = training.temperature(scores, validation.y, weights=validation.weights)
            members.append((model, t, progress))
        models, temperatures, went = zip(*members, strict=True)
        epochs = float(np.mean([each.best or each.epoch for each in went]))
        found = {"epochs": epochs, "temperature": float(np.mean(temperatures))}
        return FittedNetwork(models, temperatures, went, found, self.segment_floor, n_segments)

    def _network(self, examples: Examples, *, precision: str = "float32") -> keras.Model:
        """Build the unfitted network for what it will learn from, its weights in float32."""
        config = quiet_keras().config
        before = config.dtype_policy()
        config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
        try:
            n_labels = sum(self.heads) or examples.n_labels
            shape = examples.versions[0].shape[1:]
            model = self.build(input_shape=shape, n_labels=n_labels, **self.options)
            if self.heads:
                model = joint_head(model, sizes=self.heads)
            return standardized(model, examples.plain()) if self.standardized else model
        finally:
            config.set_dtype_policy(before)


def standardized(model: keras.Model, X: Array) -> keras.Model:
    """Put a standardisation before a model: constants of the model, no weights.

    Parameters
    ----------
    model : keras.Model
    X : ndarray, shape (n_clips, ..., n_features)
        What the model will learn from. Each place of the last axis has one mean and one variance,
        over all clips and frames; one that never varies is left as wide as it is.

    Examples
    --------
    >>> keras = quiet_keras()
    >>> inputs = keras.Input((2,))
    >>> plain = keras.Model(inputs, keras.layers.Identity()(inputs))
    >>> X = np.array([[1.0, 7.0], [3.0, 7.0]], dtype=np.float32)
    >>> standardized(plain, X).predict_on_batch(X).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    keras: Any = quiet_keras()
    over = tuple(range(X.ndim - 1))
    mean, variance = X.mean(axis=over, dtype=np.float64), X.var(axis=over, dtype=np.float64)
    factor = 1 / np.sqrt(np.where(variance > SMALLEST_VARIANCE, variance, 1.0))
    inputs = keras.Input(model.input_shape[1:], name="raw")
    # Keras's Normalization would keep tensors of its own, which the export to ONNX loses.
    offset = (-mean * factor).tolist()
    scale = keras.layers.Rescaling(factor.tolist(), offset=offset, name="standardize")
    return keras.Model(inputs, model(scale(inputs)), name=model.name)


def joint_head(model: keras.Model, *, sizes: tuple[int, ...]) -> keras.Model:
    """Turn the logits of two heads, a and b, into those of pairs of labels: a_i + b_j.

    The softmax over all pairs is the product of both heads' softmaxes, and its cross-entropy the
    sum of theirs: training on pairs trains both heads at once.

    Parameters
    ----------
    model : keras.Model
        From inputs to logits, shape (n, sum(sizes)), those of the first head first.
    sizes : tuple of int
        Labels of the first and of the second head.

    Returns
    -------
    keras.Model
        To logits (n, sizes[0] * sizes[1]); the pair (i, j) is at ``i * sizes[1] + j``.

    References
    ----------
    Caruana, "Multitask learning", 1997, doi:10.1023/A:1007379606734.

    Examples
    --------
    >>> keras = quiet_keras()
    >>> inputs = keras.Input((5,))
    >>> plain = keras.Model(inputs, keras.layers.Identity()(inputs))
    >>> two = joint_head(plain, sizes=(3, 2))
    >>> two.predict_on_batch(np.array([[1.0, 2.0, 3.0, 10.0, 20.0]])).tolist()
    [[11.0, 21.0, 12.0, 22.0, 13.0, 23.0]]
    """
    keras: Any = quiet_keras()
    first, second = sizes
    inputs = keras.Input(model.input_shape[1:], name="input_of_both")
    scores = model(inputs)
    one = keras.ops.expand_dims(scores[:, :first], 2)
    other = keras.ops.expand_dims(scores[:, first:], 1)
    pairs = keras.layers.Reshape((first * second,), name="pairs")(one + other)
    return keras.Model(inputs, pairs, name=model.name)


def present_segments(X: Array, *, floor: float) -> NDArray[np.bool_]:
    """Return which segments are there: not at the floor in every frame and band.

    Examples
    --------
    >>> present_segments(np.array([[[0.0, -1.0], [-9.0, -9.0]]]), floor=-9.0)
    array([[ True, False]])
    """
    highest: Array = X.max(axis=tuple(range(2, X.ndim)))
    return highest > floor


def segments_of(examples: Examples, *, floor: float) -> tuple[Examples, NDArray[np.intp]]:
    """Take the segments of clips apart: each is an example, in each version of its clip.

    A copy that is slower or faster may have more or fewer segments than the clip. Each segment of
    the clip is matched with the copy's segment at the same place between first and last.

    Parameters
    ----------
    examples : Examples
        Versions have the shape (n_rows, n_segments, ...).
    floor : float
        Level of absent segments.

    Returns
    -------
    examples : Examples
        Of segments.
    owner : ndarray of int
        The clip of each segment.

    Examples
    --------
    >>> clip, slower = np.zeros((1, 4, 1)), np.zeros((1, 4, 1))
    >>> clip[0, 2:] = slower[0, 3:] = -9  # two segments, and three
    >>> found, owner = segments_of(Examples([clip, slower], np.array([0]), 2), floor=-9)
    >>> found.rows, owner
    (array([[0, 1],
           [0, 2]]), array([0, 0]))
    """
    clips = np.arange(len(examples.y)) if examples.rows is None else examples.rows
    n_segments = examples.versions[0].shape[1]
    # All up to the last that is present.
    number = np.arange(1, n_segments + 1)
    there = [present_segments(each, floor=floor)[clips] for each in examples.versions]
    counts = np.max(np.where(there, number, 1), axis=2)
    owner = np.repeat(np.arange(len(clips)), counts[0])
    first = np.cumsum(counts[0]) - counts[0]
    share = (np.arange(len(owner)) - first[owner]) / np.maximum(counts[0] - 1, 1)[owner]
    matched = np.round(share * (counts - 1)[:, owner]).astype(np.intp)
    return replace(
        examples,
        versions=[each.reshape(-1, *each.shape[2:]) for each in examples.versions],
        y=examples.y[owner],
        rows=clips[owner] * n_segments + matched,
        weights=None if examples.weights is None else examples.weights[owner],
    ), owner


def expected_codes(fitted: FittedNetwork, X: Array) -> NDArray[np.float64]:
    """Return the expected place among the labels of a network trained with the loss ``ordinal``.

    Parameters
    ----------
    fitted : FittedNetwork
    X : ndarray, shape (n_clips, ...)

    Returns
    -------
    ndarray, shape (n_clips,)
        From 0 to the number of labels less one; the mean over the members. Temperatures do not
        count, as no probability was trained.
    """
    scores = [training.logits(member, X) for member in fitted.members]
    return np.mean([training.softmax(each) @ np.arange(each.shape[1]) for each in scores], axis=0)


def _reproducible(archive: Path) -> bytes:
    """Return a model in Keras's format, of which the same training always gives the same bytes."""
    buffer, places = io.BytesIO(), dict[bytes, bytes]()
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            data = re.sub(rb'(?<="date_saved": ")[^"]*', b"", old.read(name))
            for each in re.findall(rb'"shared_object_id": (\d{9,})', data):  # a place in memory
                data = data.replace(each, places.setdefault(each, b"%d" % len(places)))
            new.writestr(zipfile.ZipInfo(name), data)  # which is of 1980
    return buffer.getvalue()


def _in_order(graph: Any) -> Any:
    """Name and order all that the output of an ONNX graph needs, as converters do by chance."""
    made = {name: node for node in graph.node for name in node.output}
    known = {each.name: each for each in graph.initializer}
    first, last, nodes, weights = graph.input[0], graph.output[0], list[Any](), list[Any]()
    names = {"": "", first.name: INPUT}

    def renamed(name: str) -> str:
        """Keep what gives a value, after all that it needs; return its new name."""
        if name in known and name not in names:
            names[name] = known[name].name = f"weights-{len(weights)}"
            weights.append(known[name])
        elif name not in names:
            node = made[name]
            node.input[:] = [renamed(each) for each in node.input]
            node.name = f"node-{len(nodes)}"
            names.update({each: f"{node.name}-{k}" for k, each in enumerate(node.output) if each})
            names.update({name: OUTPUT} if name == last.name else {})
            node.output[:] = [names[each] for each in node.output]
            for each in node.attribute:
                if each.HasField("t"):
                    each.t.name = ""
            nodes.append(node)
        return names[name]

    last.name, first.name = renamed(last.name), INPUT
    for size in (*first.type.tensor_type.shape.dim, *last.type.tensor_type.shape.dim):
        size.ClearField("dim_param")  # which counts what was exported before
    ends = {"input": [first], "output": [last]}
    return type(graph)(name="network", node=nodes, initializer=weights, **ends)
