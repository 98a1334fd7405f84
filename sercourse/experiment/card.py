"""The model card of a bundle: intended use, training data, limits and results, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

METHODS = {"bootstrap": "bootstrap", "student-t": "Student's t"}
TEXTS = dict(
    re.findall(
        r"<!-- (\w+) -->\n(.*?)\n*(?=<!-- |\Z)",
        Path(__file__).with_name("card.md").read_text("utf-8"),
        flags=re.DOTALL,
    )
)
"""Parts of ``card.md``, by name."""

SHARE_ALIKE = "CC BY-NC-SA 4.0"


def model_licence(terms: str) -> str:
    """Return the licence of a model, from the terms of its corpora; empty where they leave it open.

    RAVDESS is shared alike. AESDD is taken by the stricter of the terms that its copies state.

    Examples
    --------
    >>> model_licence("Its terms: CC BY-NC-SA 4.0."), model_licence("Its terms: mine.")
    ('CC BY-NC-SA 4.0', '')
    """
    stated = (SHARE_ALIKE, "treat as non-commercial")
    return SHARE_ALIKE if any(each in terms for each in stated) else ""


def model_card(info: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Return the model card that follows from a bundle's ``bundle.json`` and ``metrics.json``."""
    corpus, title = info["corpus"], info["title"]
    parts = [
        f"- {name}: {part['n_clips']} clips by {part['n_speakers']} speakers, of "
        f"{', '.join(part['labels'])}\n"
        for name, part in corpus.get("parts", {}).items()
    ]
    unheard = any(entry["protocol"].startswith("corpus") for entry in metrics["protocols"])
    heard = "corpora that were not heard" if unheard else "unheard voices of the same corpus"
    speech = any("speech" in member for member in info["members"])
    return TEXTS["card"].format(
        name=info["name"],
        title=title[0].upper() + title[1:],
        labels=", ".join(info["labels"]),
        corpus=corpus,
        licence=corpus.get("licence", ""),
        parts="".join(["\n", *parts]) if parts else "",
        results=_results(metrics, n_members=len(info["members"])),
        conditions=_conditions(metrics["conditions"]) if "conditions" in metrics else "",
        gender=_gender(metrics["gender"]) if "gender" in metrics else "",
        languages="few languages" if parts else "one language",
        calibrated=heard,
        unlike_speech="\n" + TEXTS["unlike_speech"].format(**info) + "\n" if speech else "",
        terms=_terms(info) + "\n",
    )


def _terms(info: Mapping[str, Any]) -> str:
    """Return what may be done with the model itself."""
    if info.get("licence") != SHARE_ALIKE:
        return info.get("licence") or TEXTS["licence_open"]
    rests = any(each["recipe"]["features"]["name"] == "whisper" for each in info["members"])
    names = ["licence", *(["licence_aesdd"] if "aesdd" in info["corpus"]["name"] else [])]
    return "\n\n".join(TEXTS[name] for name in [*names, *(["licence_encoder"] if rests else [])])


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    first, *others = (f"| {' | '.join(cells)} |" for cells in (columns, *rows))
    return "\n".join([first, "|---" * len(columns) + "|", *others])


def _percent(*values: float | None) -> list[str]:
    return ["" if each is None else f"{each:.1%}".removesuffix("%") for each in values]


def _accuracy(entry: Mapping[str, Any]) -> str:
    """Return the accuracy with its interval over speakers, or its deviation over repeats [%]."""
    (shown,) = _percent(entry["accuracy"])
    if entry.get("accuracy_interval"):
        shown += f" [{', '.join(_percent(*entry['accuracy_interval']))}]"
    elif entry.get("accuracy_sd"):
        shown += f" ± {_percent(entry['accuracy_sd'])[0]}"
    return shown


def _results(metrics: Mapping[str, Any], *, n_members: int) -> str:
    entries: Sequence[Mapping[str, Any]] = metrics["protocols"]
    if not entries:
        return "Not measured."
    columns = ["Protocol", "Emotions", "Accuracy %", "UAR %", "F1 %", "Chance %"]
    columns += ["Calibration error", "Per segment %"]
    rows = []
    for entry in entries:
        partial = f", {entry['n_folds']} of {entry['of_folds']} folds" if "n_folds" in entry else ""
        row = [f"{entry['protocol']}{partial}", f"{len(entry['emotions'])} ({entry['labels']})"]
        row += [_accuracy(entry), *_percent(entry["uar"], entry["macro_f1"], entry["chance"])]
        rows.append([*row, f"{entry['ece']:.3f}", *_percent(entry.get("segment_accuracy"))])
    if not any("segment_accuracy" in entry for entry in entries):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    methods = dict.fromkeys(METHODS[e["interval"]] for e in entries if e.get("interval"))
    notes = [note for entry in entries for note in _notes(entry, n_members=n_members)]
    listed = [f"- {note}\n" for note in dict.fromkeys([*notes, *_selection(metrics)])]
    return (
        TEXTS["results"]
        .format(
            table=_table(columns, rows),
            methods=f" ({', '.join(methods)})" if methods else "",
            notes="".join(["\n", *listed]) if listed else "",
        )
        .rstrip("\n")
    )


def _notes(entry: Mapping[str, Any], *, n_members: int) -> list[str]:
    """Return what a reader has to know of an entry beside its figures."""
    told: dict[str, dict[str, Any]] = {}
    if by_corpus := entry.get("by_corpus"):
        figures = (f"{name} {_accuracy(part)}" for name, part in by_corpus.items())
        told["by_corpus"] = {"figures": ", ".join(figures)}
    shared = [
        f"{fold['fold']}, learnt from {', '.join(fold['trained_on'])}: {', '.join(fold['shared'])}"
        for fold in entry["folds"]
        if "shared" in fold
    ]
    if shared:
        told["shared"] = {"told": "; ".join(shared)}
    for note, names in (
        ("weighted", entry.get("corpora_weighted")),
        ("normalized", entry.get("normalized")),
    ):
        if names is not None and len(names) < n_members:
            listed = ", ".join(f"`{name}`" for name in names) or "no member"
            told[note] = {"names": listed, "kind": entry["protocol"].partition("+")[0]}
    if plain := entry.get("without_enrolment"):
        reach = plain["gain_interval"]
        spread = f" [{reach[0]:+.1%}, {reach[1]:+.1%}]" if reach else ""
        told["enrolled"] = {"plain": plain, "spread": spread}
    if thresholds := [each for each in entry.get("answered", []) if each["accuracy"] is not None]:
        steps = [f"{e['from']:.0%}: {e['coverage']:.1%}, {e['accuracy']:.1%}" for e in thresholds]
        told["answered"] = {"steps": "; ".join(steps)}
    if entry.get("inner_validation") == "recordings" and "accuracy_interval" in entry:
        told["by_recording"] = {}
    return [TEXTS[note].format(**{**entry, **values}) for note, values in told.items()]


def _selection(metrics: Mapping[str, Any]) -> list[str]:
    told = metrics.get("selection")
    return TEXTS["selection"].format(**told).splitlines() if told else []


def _conditions(told: Mapping[str, Any]) -> str:
    columns = ["Condition", "Accuracy %", "UAR %", "Loss, points", "Calibration error"]
    rows = [
        [name, _accuracy(part), *_percent(part["uar"], part["loss"]), f"{part['ece']:.3f}"]
        for name, part in told["conditions"].items()
    ]
    (loss,) = _percent(told["mean_loss"])
    table = _table(columns, rows)
    return TEXTS["conditions"].format(**{**told, "mean_loss": loss, "table": table}) + "\n\n"


def _gender(told: Mapping[str, Any]) -> str:
    other, note = told.get("elsewhere"), ""
    if other and other["truth"] != "known":
        note = (
            f" Nobody says whose voices those of\n{other['corpus']} are: there an answer is "
            "right if it is that for most clips of the speaker."
        )
    rows = [
        [
            f"{each['corpus']}, {name}",
            *_percent(part["accuracy"], part["coverage"], part["accuracy_sure"]),
        ]
        for each in filter(None, (told, other))
        for name, part in each["conditions"].items()
    ]
    figures = {
        "table": _table(["Clips", "Right %", "Sure of %", "Right when sure %"], rows),
        "accuracy": _accuracy(told["protocols"][0]),
        "ece": told["protocols"][0]["ece"],
        "worst": min((part["accuracy"], name) for name, part in told["by_emotion"].items()),
        "note": note,
        "selection": " ".join(_selection(told)),
    }
    return TEXTS["gender"].format(**{**told, **figures}) + "\n\n"
