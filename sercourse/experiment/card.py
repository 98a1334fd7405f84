"""The model card of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sercourse.recipes import Ensemble, Recipe


def model_card(
    recipe: Recipe | Ensemble, info: Mapping[str, Any], metrics: Mapping[str, Any], *, licence: str
) -> str:
    """Return the model card: intended use, training data, limits and results, as Markdown."""
    entries = metrics["protocols"]
    segments = any("segment_accuracy" in entry for entry in entries)
    rows = [_card_row(entry, segments=segments) for entry in entries]
    columns = ["Protocol", "Emotions", "Accuracy %", "UAR %", "F1 %", "Chance %"]
    columns += ["Per segment %"] * segments
    table = "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows])
    corpus = info["corpus"]
    return f"""# {info["name"]}

{recipe.title[0].upper()}{recipe.title[1:]}. It tells apart {", ".join(info["labels"])}.

## Use

For learning and for experiments: `sercourse predict FILE --model {info["name"]}`. It says which
acted emotion a short clip of one voice resembles most. It is not for judging what a person feels,
and not for decisions about anyone.

## Trained on

{corpus["name"]}: {corpus["n_clips"]} clips by {corpus["n_speakers"]} speakers. {licence}

## Results

{table if rows else "Not measured."}

With `random` and `recording` the same voices are on both sides of the split; with `speaker` every
test voice is new, which is what to expect for yours. In brackets: 95 % intervals over speakers;
after ±: standard deviations over seeds or folds. Every figure comes from `predictions.csv`.

## Limits

The emotions are acted, by few speakers, in one language, with few sentences, in a quiet room and
close to the microphone. Other voices, languages, rooms and feelings will give other, mostly worse,
results. Probabilities are calibrated on unheard voices of the same corpus, and on nothing else.
"""


def with_gender(card: str, told: Mapping[str, Any], *, title: str) -> str:
    """Return a model card with a section on voices, in place of an earlier one."""
    before, limits = card.split("\n## Limits", 1)
    before = before.split("\n## Female or male", 1)[0]
    rows = "\n".join(_gender_row(entry) for entry in told["protocols"])
    table = f"| Protocol | Accuracy % | Calibration error |\n|---|---|---|\n{rows}"
    return f"""{before}
## Female or male

A second model, {title}, says whether a voice sounds more like the women
or more like the men of the corpus. Every figure comes from `gender-predictions.csv`.

{table if rows else "Not measured."}

It hears pitch and the length of the vocal tract, in adults who were labelled one way or the other.
It cannot say who somebody is or how they see themselves; it has met no child and no voice that lies
between, and must take each for one of the two. Do not use it to address, sort or judge people.

## Limits{limits}"""


def _gender_row(entry: Mapping[str, Any]) -> str:
    cells = [entry["protocol"], _accuracy(entry), f"{entry['ece']:.3f}"]
    return f"| {' | '.join(cells)} |"


def _card_row(entry: Mapping[str, Any], *, segments: bool) -> str:
    figures = (entry[name] for name in ("uar", "macro_f1", "chance"))
    cells = [f"{value:.1%}".removesuffix("%") for value in figures]
    emotions = f"{len(entry['emotions'])} ({entry['labels']})"
    partial = f", {entry['n_folds']} of {entry['of_folds']} folds" if "n_folds" in entry else ""
    told = [entry["protocol"] + partial, emotions, _accuracy(entry), *cells]
    if segments:
        told += [f"{entry['segment_accuracy']:.1%}".removesuffix("%")]
    return f"| {' | '.join(told)} |"


def _accuracy(entry: Mapping[str, Any]) -> str:
    """Return the accuracy with its interval over speakers, or its deviation over repeats."""
    spread = ""
    if entry.get("accuracy_interval"):
        low, high = entry["accuracy_interval"]
        spread = f" [{low:.1%}, {high:.1%}]"
    elif entry.get("accuracy_sd"):
        spread = f" ± {entry['accuracy_sd']:.1%}"
    return f"{entry['accuracy']:.1%}{spread}".replace("%", "")
