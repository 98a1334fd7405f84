"""The model card of a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sercourse.recipes import Ensemble, Recipe

METHODS = {"bootstrap": "bootstrap", "student-t": "Student's t"}


def model_card(
    recipe: Recipe | Ensemble, info: Mapping[str, Any], metrics: Mapping[str, Any], *, licence: str
) -> str:
    """Return the model card: intended use, training data, limits and results, as Markdown."""
    corpus = info["corpus"]
    languages = "few languages" if "parts" in corpus else "one language"
    return f"""# {info["name"]}

{recipe.title[0].upper()}{recipe.title[1:]}. It tells apart {", ".join(info["labels"])}.

## Use

For learning and for experiments: `sercourse predict FILE --model {info["name"]}`. It says which
acted emotion a short clip of one voice resembles most. It is not for judging what a person feels,
and not for decisions about anyone.

## Trained on

{corpus["name"]}: {corpus["n_clips"]} clips by {corpus["n_speakers"]} speakers. {licence}
{_parts(corpus)}
## Results

{_results(metrics, n_members=len(recipe.members) if isinstance(recipe, Ensemble) else 1)}

## Limits

The emotions are acted, by few speakers, in {languages}, with few sentences, in a quiet room and
close to the microphone. Other voices, languages, rooms and feelings will give other, mostly worse,
results. Probabilities are calibrated on {_calibrated_on(metrics)}, and on nothing else: the
calibration error above, the mean distance of certainty and accuracy, is that of such voices.
{_unlike_speech(info)}"""


def _calibrated_on(metrics: Mapping[str, Any]) -> str:
    protocols = [entry["protocol"] for entry in metrics["protocols"]]
    unheard = any(name.startswith("corpus") for name in protocols)
    return "corpora that were not heard" if unheard else "unheard voices of the same corpus"


def _unlike_speech(info: Mapping[str, Any]) -> str:
    """Return what a bundle does with music and noise, where it does something."""
    if not any("speech" in member for member in info["members"]):
        return ""
    return f"""
It answers *unknown* where no emotion reaches {info["sure_from"]:.0%}; `--sure` sets another
threshold. Music, drums and noise are not judged: where the last two layers of the speech encoder
give statistics farther from the typical voice than nearly all clips of the training, with a margin,
the answer is *unknown*. A cough or a sound between speech and noise may pass.
"""


def _parts(corpus: Mapping[str, Any]) -> str:
    """Return what each of several corpora holds, as a Markdown list."""
    lines = [
        f"- {name}: {part['n_clips']} clips by {part['n_speakers']} speakers, of "
        f"{', '.join(part['labels'])}"
        for name, part in corpus.get("parts", {}).items()
    ]
    return "\n".join(["", *lines, ""]) if lines else ""


def _results(metrics: Mapping[str, Any], *, n_members: int) -> str:
    """Return the section of results, as Markdown."""
    entries: Sequence[Mapping[str, Any]] = metrics["protocols"]
    if not entries:
        return "Not measured."
    segments = any("segment_accuracy" in entry for entry in entries)
    rows = [_card_row(entry, segments=segments) for entry in entries]
    columns = ["Protocol", "Emotions", "Accuracy %", "UAR %", "F1 %", "Chance %"]
    columns += ["Calibration error", *["Per segment %"] * segments]
    table = "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows])
    methods = dict.fromkeys(METHODS[e["interval"]] for e in entries if e.get("interval"))
    how = f" ({', '.join(methods)})" if methods else ""
    notes = [note for entry in entries for note in _notes(entry, n_members=n_members)]
    notes += _selection(metrics.get("selection"))
    listed = "\n".join(f"- {note}" for note in dict.fromkeys(notes))
    return f"""{table}

With `random` and `recording` the same voices are on both sides of the split; with `speaker` every
test voice is new, which is what to expect for yours. In brackets: 95 % intervals over
speakers{how}; after ±: standard deviations over seeds or folds. Every figure comes from
`predictions.csv`.
{f"{chr(10)}{listed}{chr(10)}" if listed else ""}""".rstrip("\n")


def _notes(entry: Mapping[str, Any], *, n_members: int) -> list[str]:
    """Return what a reader has to know of an entry beside its figures."""
    notes = []
    if by_corpus := entry.get("by_corpus"):
        figures = ", ".join(f"{name} {_accuracy(part)}" for name, part in by_corpus.items())
        notes.append(f"`{entry['protocol']}`, {entry['labels']}, by corpus: {figures}.")
    if shared := [fold for fold in entry["folds"] if "shared" in fold]:
        told = "; ".join(
            f"{fold['fold']}, learnt from {', '.join(fold['trained_on'])}: "
            f"{', '.join(fold['shared'])}"
            for fold in shared
        )
        notes.append(
            f"`{entry['protocol']}` tests a corpus that training never heard, among the emotions "
            f"that both have ({told})."
        )
    if "corpora" in entry and len(entry["corpora_weighted"]) < n_members:
        weighing = ", ".join(f"`{name}`" for name in entry["corpora_weighted"]) or "no member"
        notes.append(f"All corpora weigh the same in the training of {weighing} only.")
    if len(entry.get("normalized", [])) < n_members and "normalized" in entry:
        kind = entry["protocol"].partition("+")[0]
        notes.append(
            f"In `{kind}+norm` and `{kind}+enrol` the voice is taken out of the features of "
            f"{', '.join(f'`{name}`' for name in entry['normalized']) or 'no member'} only."
        )
    if plain := entry.get("without_enrolment"):
        reach = plain["gain_interval"]
        spread = f" [{reach[0]:+.1%}, {reach[1]:+.1%}]" if reach else ""
        notes.append(
            f"`{entry['protocol']}` is the mean of {entry['n_draws']} draws of the eight clips "
            f"(standard deviation {entry['accuracy_sd_of_draws']:.1%}). The same clips without "
            f"enrolment: {plain['accuracy']:.1%}, so it gains {plain['gain']:+.1%}{spread}."
        )
    if thresholds := entry.get("answered"):
        steps = "; ".join(
            f"{each['from']:.0%}: {each['coverage']:.1%}, {each['accuracy']:.1%}"
            for each in thresholds
            if each["accuracy"] is not None
        )
        notes.append(
            f"`{entry['protocol']}`, {entry['labels']}: share of clips whose likeliest emotion "
            f"reaches a threshold, and how many of these are right: {steps}."
        )
    if entry.get("inner_validation") == "recordings" and "accuracy_interval" in entry:
        notes.append(
            f"`{entry['protocol']}`: a training side has one speaker of an emotion, so settings "
            "and calibration were validated by recording, on voices that the model had heard."
        )
    return notes


def _selection(told: Mapping[str, Any] | None) -> list[str]:
    """Return what was known of the test clips before."""
    if not told:
        return []
    return [
        "Candidates that had been scored on these test folds before: "
        f"{told['candidates_before']} at least.",
        f"Set by hand: {told['by_hand']}.",
        f"Untouched by such choices: {told['untouched']}.",
    ]


def with_conditions(card: str, told: Mapping[str, Any]) -> str:
    """Return a model card with a section on recording conditions, in place of an earlier one."""
    rows = [
        f"| {name} | {_accuracy(part)} | {100 * part['uar']:.1f} | {100 * part['loss']:.1f} "
        f"| {part['ece']:.3f} |"
        for name, part in told["conditions"].items()
    ]
    table = "\n".join(rows)
    section = f"""
## In other conditions

The same models and test clips as in `{told["protocol"]}`, with the clips made noisy, reverberant,
narrow, clipped or compressed. No copy that any model was trained with was made by these means. On
average over the conditions {100 * told["mean_loss"]:.1f} points are lost. Every figure comes from
`conditions.csv`.

| Condition | Accuracy % | UAR % | Loss, points | Calibration error |
|---|---|---|---|---|
{table}
"""
    card = re.sub(r"\n## In other conditions\n.*?(?=\n## )", "", card, flags=re.DOTALL)
    return re.sub(r"(?=\n## (?:Female or male|Limits)\n)", lambda _: section, card, count=1)


def with_gender(card: str, told: Mapping[str, Any], *, title: str) -> str:
    """Return a model card with a section on voices, in place of an earlier one."""
    before, limits = card.split("\n## Limits", 1)
    before = before.split("\n## Female or male", 1)[0]
    (entry,) = told["protocols"]
    rows = [_gender_row(told["corpus"], name, part) for name, part in told["conditions"].items()]
    note = ""
    if other := told.get("elsewhere"):
        rows += [
            _gender_row(other["corpus"], name, part) for name, part in other["conditions"].items()
        ]
        if other["truth"] != "known":
            note = (
                f" Nobody says whose voices those of\n{other['corpus']} are: there an answer is "
                "right if it is that for most clips of the speaker."
            )
    table, known = "\n".join(rows), " ".join(_selection(told.get("selection")))
    share, worst = min((part["accuracy"], name) for name, part in told["by_emotion"].items())
    return f"""{before}
## Female or male

A second model, {title}, says
whether a voice sounds more like the women or more like the men of {told["corpus"]}. Where its
probability is below {told["threshold"]:.2f}, it says *unknown*: a threshold found on voices that
the models tested had not heard. Every figure comes from `gender-predictions.csv`.

| Clips | Right % | Sure of % | Right when sure % |
|---|---|---|---|
{table}

The first row with its 95 % interval over speakers: {_accuracy(entry)}; calibration error
{entry["ece"]:.3f}; worst emotion: {worst}, {share:.1%}. Noise, rooms and bands are of the kinds
that it was trained with.{note}
Expect less of voices, languages, ages and microphones that are in no row. {known}

It hears pitch and the length of the vocal tract, in adults who were labelled one way or the other.
It cannot say who somebody is or how they see themselves; it has met no child and no voice that lies
between, and may take each for one of the two. Do not use it to address, sort or judge people.

## Limits{limits}"""


def _gender_row(corpus: str, condition: str, part: Mapping[str, Any]) -> str:
    figures = (part["accuracy"], part["coverage"], part["accuracy_sure"])
    cells = ["" if value is None else f"{value:.1%}".removesuffix("%") for value in figures]
    return f"| {corpus}, {condition} | {' | '.join(cells)} |"


def _card_row(entry: Mapping[str, Any], *, segments: bool) -> str:
    figures = (entry[name] for name in ("uar", "macro_f1", "chance"))
    cells = [f"{value:.1%}".removesuffix("%") for value in figures]
    emotions = f"{len(entry['emotions'])} ({entry['labels']})"
    partial = f", {entry['n_folds']} of {entry['of_folds']} folds" if "n_folds" in entry else ""
    told = [entry["protocol"] + partial, emotions, _accuracy(entry), *cells, f"{entry['ece']:.3f}"]
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
