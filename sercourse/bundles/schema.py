"""What `bundle.json` and `metrics.json` have to hold: types and ranges of all that is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

LARGEST_JSON = 2**24  # [bytes]; that of the shipped bundles has 240,000
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Prose = Annotated[str, Meta(max_length=20_000)]
Count = Annotated[int, Meta(ge=1, le=10**9)]
Factor = Annotated[float, Meta(ge=0.01, le=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
Figure = Annotated[float, Meta(ge=-1, le=1)]
Labels = Annotated[list[Text], Meta(min_length=2, max_length=1000)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Features(Struct):
    """Of a feature set; all of it is compared with what this version computes."""

    name: Text


class Recipe(Struct):
    """Of a model."""

    name: Text
    features: Features


class Files(Struct, forbid_unknown_fields=True):
    """Names of a model's files."""

    model: Text
    enrolled: Text | UnsetType = UNSET
    voice: Text | UnsetType = UNSET
    encoder: Text | UnsetType = UNSET


class Speech(Struct):
    """How far from the typical voice a sound may lie to be taken for speech."""

    n_features: Count
    farthest: Annotated[float, Meta(gt=0, le=1e6)]


class Model(Struct):
    """A model, and what it takes."""

    recipe: Recipe
    sample_rate: Count
    feature_names: Annotated[list[Text], Meta(min_length=1)]
    files: Files
    speech: Speech | UnsetType = UNSET


class Gender(Model, kw_only=True):
    """The model that tells female from male voices."""

    labels: Annotated[list[Text], Meta(min_length=2, max_length=2)]
    threshold: Share = 0.0


class Part(Struct):
    """Of a corpus."""

    n_clips: Count
    n_speakers: Annotated[int, Meta(ge=0)]


class Corpus(Part):
    """What was learnt from."""

    name: Text
    fingerprint: Text
    licence: Prose = ""
    parts: dict[Text, Part] = {}


class Index(Struct):
    """`bundle.json`."""

    name: Text
    title: Prose
    members: Annotated[list[Model], Meta(min_length=1, max_length=100)]
    labels: Labels
    corpus: Corpus
    files: dict[Text, Hash]
    temperature: dict[Text, Factor] = {}
    weights: list[Factor] = []
    sure_from: Share = 0.0
    gender: Gender | UnsetType = UNSET


class Entry(Struct):
    """What a protocol, or one of its folds, gave."""

    accuracy: Share
    uar: Share
    macro_f1: Share
    ece: Share
    chance: Share


class Fold(Entry):
    """Of a protocol."""

    fold: Text


class Protocol(Entry):
    """Of a model."""

    protocol: Text
    labels: Text
    emotions: Labels
    n_clips: Count
    folds: list[Fold]
    accuracy_interval: tuple[Figure, Figure] | None = None
    accuracy_sd: Share | None = None
    segment_accuracy: Share | None = None


class Metrics(Struct):
    """`metrics.json`."""

    recipe: Text
    corpus: Text
    protocols: list[Protocol]


def read_json(path: Path, kind: Any = dict[str, Any]) -> dict[str, Any]:
    """Return the object that a JSON file of a bundle holds.

    Raises
    ------
    ValueError
        If it is not of that kind; the sentence names the file and the field.
    """
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path} has more than {LARGEST_JSON:,} bytes: get the model again")
    content = path.read_bytes()
    try:
        msgspec.json.decode(content, type=kind)
        found: dict[str, Any] = msgspec.json.decode(content)
        return found
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, or of a nest without end
        raise ValueError(f"{path}: {error}: get the model again") from None
