"""Commands on models: evaluate a recipe, train a bundle, search the zoo, list the bundles."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sercourse as ser
from sercourse import files, labels
from sercourse.cli import options

if TYPE_CHECKING:
    import pandas as pd

    from sercourse.recipes import Recipe

TESTS_OTHERS = ("corpus", "given")  # of these protocols some corpora may only be tested
FIGURES = ["accuracy", "low", "high", "accuracy_sd", "uar", "macro_f1", "chance", "ece"]
FIGURES += ["segment_accuracy", "loss"]  # in the order in which they are shown
TITLES = {"accuracy_sd": "sd", "uar": "UAR", "macro_f1": "F1", "ece": "calibration error"}
TITLES["segment_accuracy"] = "per segment"


def evaluate(args: argparse.Namespace) -> int:
    """Measure a recipe under a protocol.

    Each fold is stored as it ends: after an interruption the same command goes on from there.
    Protocols are random, recording, speaker, speaker+norm, speaker+enrol, corpus, corpus+norm,
    corpus+enrol and given; --conditions has that of speaker.
    """
    recipe = _recipe(args)
    if args.into and not args.conditions:
        raise ValueError("--into writes what --conditions measures: give both")
    if args.into:
        ser.bundles.load(args.into)
    if args.conditions == (args.protocol is not None):
        raise ValueError("say what to measure: give --protocol NAME or --conditions, not both")
    protocol = args.protocol or "speaker"
    if args.test and not protocol.startswith(TESTS_OTHERS):
        told = f"protocol {protocol!r} tests what it learns from, and knows no --test"
        raise ValueError(f"{told}: use corpus, corpus+norm, corpus+enrol or given")
    clips, unused = options.clips(args), args.leave_out or ()
    if unknown := set(unused) - set(known := sorted(clips["speaker"].dropna().unique())):
        raise ValueError(f"there is no speaker {min(unknown)!r}: use {', '.join(known)}")
    clips = clips[~clips["speaker"].isin(unused)].reset_index(drop=True)
    data = _prepared(args, recipe, clips, target=args.target)
    evaluation = _measured(args, recipe, data, protocol=args.protocol, only=args.folds)
    if args.into:
        options.say(f"saved {ser.experiment.add_conditions(args.into, recipe, data, evaluation)}")
    metrics = evaluation.metrics
    if options.prints_text(args):
        options.show(*_report(metrics).splitlines())
    options.write(args, content=metrics, tables=[_parts(metrics).reset_index(names="part")])
    return 0


def train(args: argparse.Namespace) -> int:
    """Train a recipe on all clips of a corpus and save the bundle.

    It comes with the figures of each protocol that --measure names; stored folds are used again.
    """
    recipe = _recipe(args)
    files.refuse_unwritable(args.out, replaces=ser.bundles.INDEX)
    clips = learnt = options.clips(args)
    data = whole = _prepared(args, recipe, clips)
    if args.test:
        learnt = clips[clips["split"] == "train"].reset_index(drop=True)
        data = _prepared(args, recipe, learnt, report=ser.recipes.silent)
    evaluations = []
    for protocol, subset in args.measure or [(data.usual_protocol, None)]:
        part, rows = (whole, clips) if protocol.startswith(TESTS_OTHERS) else (data, learnt)
        if subset:
            some = labels.subset(subset, part.emotions, lacks="the model is not to know")
            part = _prepared(args, recipe, rows, emotions=some, report=ser.recipes.silent)
        options.say(f"{protocol}, {len(part.emotions)} emotions")
        evaluations.append(_measured(args, recipe, part, protocol=protocol))
    told = {"evaluations": evaluations, "licence": _licence(args.roots, data.corpus.split("+"))}
    folder = ser.experiment.train(recipe, data, folder=args.out, report=options.say, **told)
    if args.conditions:
        evaluations.append(_measured(args, recipe, data, protocol=None))
        ser.experiment.add_conditions(folder, recipe, data, evaluations[-1])
    for each in evaluations:
        options.show(*_report(each.metrics).splitlines())
    options.show(f"saved {folder}: sercourse predict FILE --model {folder}")
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    """Return the recipe that was asked for, with the speech encoder and settings that were."""
    recipe = ser.recipes.recipe(args.recipe)
    recipe = ser.recipes.with_encoder(recipe, args.encoder) if args.encoder else recipe
    given = {name: getattr(args, name, None) for name in ("seed", "precision")}
    given = {name: value for name, value in given.items() if value is not None}
    return ser.recipes.with_settings(recipe, **given) if given else recipe


def _prepared(args: argparse.Namespace, recipe: Any, clips: pd.DataFrame, **more: Any) -> Any:
    told = {"emotions": getattr(args, "emotions", None), "n_jobs": args.jobs, "report": options.say}
    return ser.experiment.prepare(recipe, clips, **told | more)


def _measured(
    args: argparse.Namespace, recipe: Any, data: Any, *, protocol: str | None, **more: Any
) -> Any:
    """Evaluate a recipe under a protocol or, without one, in all recording conditions."""
    more["report"] = options.say
    if protocol is None:
        return ser.experiment.evaluate_conditions(recipe, data, n_jobs=args.jobs, **more)
    seeds = range(args.seeds or recipe.seeds)
    return ser.experiment.evaluate_recipe(recipe, data, protocol=protocol, seeds=seeds, **more)


def _licence(places: list[options.Place], corpora: list[str]) -> str:
    """Return the terms of the corpora, for the model card."""
    sample = (files.home() / "data" / "sample").resolve()
    if any(place.root.resolve().is_relative_to(sample) for place in places):
        return "These are the synthetic clips of the sample: its scores are not results."
    return " ".join(
        f"{'Its terms' if len(corpora) == 1 else f'Terms of {name}'}: {each.licence}. "
        f"Cite {each.cite}."
        for name, each in ser.fetch.REGISTRY.items()
        if name in corpora
    )


def train_gender(args: argparse.Namespace) -> int:
    """Let a trained model also say whether a voice is female or male.

    A second, small model is trained on a corpus, with noise, rooms and narrow microphones, and put
    into the bundle, whose models of emotions stay as they are. Do it again after the bundle was
    trained anew.
    """
    folder = ser.bundles.find(args.model)
    hears = any(member.feature_set.encoder for member in ser.bundles.load(folder).members)
    usual = ser.recipes.WHISPER_VOICES if hears else ser.recipes.VOICES
    recipe = ser.recipes.recipe(args.recipe) if args.recipe else usual
    if recipe.members:
        raise ValueError(f"recipe {recipe.name!r} is an ensemble: choose a single model")
    data = _prepared(args, recipe, options.clips(args), target="gender")
    elsewhere = None
    if args.elsewhere:
        corpus, root = args.elsewhere
        elsewhere = _prepared(args, recipe, ser.corpora.scan(root, corpus=corpus).clips)
    ser.experiment.train_gender(folder, recipe, data, elsewhere=elsewhere, report=options.say)
    for name, part in ser.bundles.load(folder).metrics["gender"]["conditions"].items():
        sure = f", of which {part['accuracy_sure']:.1%} right" if part["coverage"] else ""
        options.show(f"{name}: {part['accuracy']:.1%} right; sure of {part['coverage']:.1%}{sure}")
    options.show(f"saved {folder}: sercourse predict FILE --model {folder}")
    return 0


def search(args: argparse.Namespace) -> int:
    """Try every estimator of the zoo with several settings.

    They are scikit-learn's classifiers or regressors. The settings are chosen on validation clips,
    and the best of each estimator is tested once. What ends is kept in tables: after an
    interruption the same command goes on from there.
    """
    any_recipe = ser.recipes.from_zoo("svc", feature_set=args.features)  # all see the same features
    data = _prepared(args, any_recipe, options.clips(args))
    protocol = args.protocol or data.usual_protocol
    folds = ser.experiment.make_folds(data, protocol=protocol, seeds=[0])
    fold, *_ = ser.experiment.evaluation.chosen_folds(folds, args.fold and [args.fold])
    settings = (args.features, args.task, args.balance)
    plan = ser.experiment.SearchConfig(data, fold, protocol, *settings)
    shares = ser.experiment.SHARES if args.sizes else ()
    told = {"estimators": args.estimators, "folder": args.out, "n_jobs": args.jobs}
    tables, kept = ser.experiment.run_search(plan, shares=shares, report=options.say, **told)
    options.show("{task} on {corpus}, {protocol}, {fold}, chance {chance:.3f}".format(**plan.told))
    shown = tables["finalists"].drop(columns=["settings"])
    options.show(*shown.to_string(index=False, float_format="%.3f").splitlines())
    best = shown["estimator"].iloc[0]
    options.show(f"best on validation clips: {best}; tables in {kept}")
    return 0


def models(args: argparse.Namespace) -> int:
    """List the trained models and how good they are."""
    failed = False
    for folder in (folders := ser.bundles.available()):
        try:
            bundle = ser.bundles.load(folder)
            told = bundle.metrics["protocols"]
        except (OSError, ValueError, LookupError) as error:
            failed = True
            options.say(f"sercourse: {error}")
            continue
        title, known = f"{bundle.name}: {bundle.info['title']}", ", ".join(bundle.labels)
        source = "  from {name}, {n_clips} clips by {n_speakers} speakers"
        options.show(title, f"  knows {known}", source.format(**bundle.info["corpus"]))
        parts = {f"{each['protocol']}, {len(each['emotions'])} emotions": each for each in told}
        if parts:
            options.show(*_figures(parts).to_string(float_format="%.1f", na_rep="").splitlines())
    if not folders:
        options.show("no trained model is here yet: make one with sercourse train")
    return int(failed)


def _report(metrics: Mapping[str, Any]) -> str:
    """Return what was measured as a table, with what must be known to read it."""
    some = f" ({metrics['n_folds']} of {metrics['of_folds']} folds)" if "n_folds" in metrics else ""
    lines = [
        f"{metrics['recipe']} on {metrics['corpus']}, {metrics['protocol']}{some}, "
        f"{len(metrics.get('classes') or metrics['emotions'])} classes, {metrics['n_clips']} clips",
        _parts(metrics).to_string(float_format="%.1f", na_rep=""),
    ]
    if metrics.get("interval"):
        lines.append(f"low, high: 95 % interval over speakers, {metrics['interval']}")
    if "mean_loss" in metrics:
        lines.append(f"mean loss {100 * metrics['mean_loss']:.1f} points")
    for fold in (fold for fold in metrics.get("folds", ()) if "shared" in fold):
        asked, learnt = ", ".join(fold["shared"]), ", ".join(fold["trained_on"])
        lines.append(f"{fold['fold']}: learnt from {learnt}; shared emotions only: {asked}")
    return "\n".join(lines)


def _parts(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Return the figures of all clips, of each kind of label, and of each corpus or condition."""
    if "conditions" in metrics:
        return _figures(metrics["conditions"])
    return _figures({"all": metrics, **metrics.get("of_each", {}), **metrics.get("by_corpus", {})})


def _figures(parts: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a table of figures [%], a row for each part."""
    import pandas as pd

    table = pd.DataFrame(list(parts.values()), index=list(parts))
    ends = [each.get("accuracy_interval") or (None, None) for each in parts.values()]
    table[["low", "high"]] = pd.DataFrame(ends, index=table.index)
    table = table.reindex(columns=FIGURES).astype(float)
    return 100 * table.dropna(axis="columns", how="all").rename(columns=TITLES)
