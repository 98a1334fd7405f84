"""The model card of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sercourse.recipes import Ensemble, Recipe


def model_card(
    recipe: Recipe | Ensemble, info: Mapping[str, Any], metrics: Mapping[str, Any], *, licence: str
) -> str:
    """Return the model card: intended use, training data, limits and results, as Markdown."""
    rows = [_card_row(entry) for entry in metrics["protocols"]]
    table = "\n".join(
        [
            "| Protocol | Emotions | Accuracy % | UAR % | F1 % | Chance % |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
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
after ±: standard deviations over repeats. Every figure comes from `predictions.csv`.

## Limits

The emotions are acted, by few speakers, in one language, with few sentences, in a quiet room and
close to the microphone. Other voices, languages, rooms and feelings will give other, mostly worse,
results. Probabilities are calibrated on unheard voices of the same corpus, and on nothing else.
"""


def _card_row(entry: Mapping[str, Any]) -> str:
    spread = ""
    if entry.get("accuracy_interval"):
        low, high = entry["accuracy_interval"]
        spread = f" [{low:.1%}, {high:.1%}]".replace("%", "")
    elif entry.get("accuracy_sd"):
        spread = f" ± {entry['accuracy_sd']:.1%}".replace("%", "")
    figures = (entry[name] for name in ("uar", "macro_f1", "chance"))
    cells = [f"{value:.1%}".removesuffix("%") for value in figures]
    emotions = f"{len(entry['emotions'])} ({entry['labels']})"
    partial = f", {entry['n_folds']} of {entry['of_folds']} folds" if "n_folds" in entry else ""
    accuracy = f"{entry['accuracy']:.1%}".removesuffix("%") + spread
    return f"| {' | '.join([entry['protocol'] + partial, emotions, accuracy, *cells])} |"
