"""Commands on models: evaluate a recipe, train a bundle, predict, list the bundles."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sercourse.cli import corpus_options, options, over_time, text

if TYPE_CHECKING:
    from sercourse.audio import Channel
    from sercourse.bundles import Bundle, Prediction
    from sercourse.recipes import Ensemble, Recipe


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Register `evaluate`, `train`, `train-gender`, `predict` and `models`."""
    for add in (_add_evaluate, _add_train, _add_train_gender, _add_predict, _add_models):
        add(subparsers)


def _add_evaluate(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a recipe under a protocol",
        description="Measure a recipe under a protocol. Each fold is stored as it ends: after an "
        "interruption the same command goes on from there.",
    )
    _add_recipe(parser)
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="random, recording, speaker, speaker+norm, speaker+enrol, corpus, corpus+norm, "
        "corpus+enrol or given",
    )
    _add_conditions(parser)
    parser.add_argument(
        "--into",
        metavar="MODEL",
        help="with --conditions: also write the figures into this bundle, which was made by the "
        "recipe from the corpus",
    )
    parser.add_argument(
        "--target",
        default="emotion",
        metavar="NAME",
        help="what is asked of a clip: emotion, gender or emotion+gender; default: emotion",
    )
    _add_seeds(parser)
    parser.add_argument(
        "--folds", metavar="A,B", help='only these, such as "fold 1,fold 2"; default: all'
    )
    parser.add_argument(
        "--leave-out",
        metavar="A,B",
        help="speakers without whose clips all is done, such as those of a test fold while you "
        "compare recipes",
    )
    parser.add_argument(
        "--training-seed",
        type=options.seed,
        metavar="N",
        help="of a network: how it starts, and in which order it is shown the clips; default: 0",
    )
    parser.add_argument(
        "--precision",
        metavar="NAME",
        help="of a network's training: float32 (the default) or bfloat16, which takes half the "
        "time on processors made for it",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the result there")
    parser.set_defaults(run=_evaluate, writes=("json",))


def _add_train(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train a recipe on a corpus and save the bundle",
        description="Train a recipe on all clips of a corpus and save the bundle, with the figures "
        "of each protocol that --measure names (stored folds are used again).",
    )
    _add_recipe(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", type=Path, help="folder of the bundle"
    )
    parser.add_argument(
        "--measure",
        action="append",
        metavar="PROTOCOL[:EMOTIONS]",
        help="such as speaker or random:happy,sad; may be repeated; default: speaker, or random "
        "where speakers are unknown",
    )
    _add_conditions(parser)
    _add_seeds(parser)
    parser.set_defaults(run=_train)


def _add_train_gender(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "train-gender",
        help="let a trained model also say whether a voice is female or male",
        description="Train a second, small model on a corpus and put it into a bundle, whose "
        "models of emotions stay as they are. Do it again after the bundle was trained anew.",
    )
    parser.add_argument("model", metavar="MODEL", help="a bundle, by name or folder")
    _add_corpus(parser)
    parser.add_argument(
        "--recipe",
        metavar="RECIPE",
        help="default: a linear model on what the bundle's own models hear, trained with noise, "
        "rooms and narrow microphones",
    )
    parser.add_argument(
        "--elsewhere",
        nargs=2,
        metavar=("CORPUS", "ROOT"),
        help="also measure the trained model on another corpus, such as: aesdd data/aesdd",
    )
    parser.set_defaults(run=_train_gender)


def _add_predict(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "predict",
        help="name the emotion in sound files",
        description="Name the emotion in sound files of any format, rate and length. Exit status 1 "
        "if a file could not be judged; the others are done all the same.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="files or folders")
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument(
        "--channel",
        type=options.channel,
        metavar="WHICH",
        help="judge one channel only, left, right or a number, or each by itself, as of a call "
        "whose speakers are on two channels; default: their average",
    )
    over_time.add_arguments(parser)
    parser.set_defaults(run=_predict, writes=("csv", "plot"))


def _add_models(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("models", help="list the trained models and how good they are")
    parser.set_defaults(run=_models)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a trained model and what it may answer."""
    parser.add_argument("--model", metavar="NAME", help="a bundle; default: any-voice")
    parser.add_argument(
        "--enrol", metavar="DIR", type=Path, help="folder with a few clips of the same speaker"
    )
    parser.add_argument(
        "--emotions",
        metavar="A,B,C",
        help="answer with these only: the others are left out, and the rest scaled to 100 %%",
    )
    parser.add_argument(
        "--sure",
        metavar="P",
        type=float,
        help="answer unknown where no emotion reaches this probability, from 0 to 1; default: that "
        "of the model, 0.25 or none",
    )


def load_model(args: argparse.Namespace) -> Bundle:
    """Return the model that is asked for, and say what is left out of its answers."""
    from sercourse import bundles, labels

    bundle = bundles.load(args.model or bundles.DEFAULT_MODEL)
    if args.emotions:
        known = bundle.labels
        bundle = bundle.only(labels.parse_emotions(args.emotions))
        left_out = [emotion for emotion in known if emotion not in bundle.labels]
        if left_out:
            text.say(f"left out: {', '.join(left_out)}; the others are scaled to 100 %")
    if args.sure is not None:
        bundle = bundle.answering_from(args.sure)
    if args.enrol is None:
        return bundle
    return bundle.enrol(_voiced(_sound_files(args.enrol), sr=bundle.sample_rate))


def _voiced(paths: list[Path], *, sr: int) -> list[Path]:
    """Return the clips that tell of a voice; say what is wrong with the others."""
    from sercourse import audio

    found = []
    for path in paths:
        try:
            fatal_issues: list[str] = [*audio.fatal_issues(audio.read(path, sr=sr), sr=sr)]
        except audio.READ_ERRORS as error:
            fatal_issues = [audio.reason(error, path=path)]
        if fatal_issues:
            text.say(f"left out: {path}: {'; '.join(fatal_issues)}")
        else:
            found.append(path)
    return found


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="such as svm or svm-classic")
    _add_corpus(parser, several=True)
    parser.add_argument("--emotions", metavar="A,B,C", help="only these; default: all")
    parser.add_argument(
        "--encoder",
        type=Path,
        metavar="FILE",
        help="another speech encoder for the recipes that use one, made by "
        "tools/make_speech_encoder.py",
    )


def _recipe(args: argparse.Namespace) -> Recipe | Ensemble:
    """Return the recipe that was asked for, with the speech encoder that was."""
    from sercourse import recipes

    recipe = recipes.recipe(args.recipe)
    return recipes.with_encoder(recipe, args.encoder) if args.encoder else recipe


def _add_corpus(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    corpus_options.add(parser, several=several)
    parser.add_argument(
        "--jobs",
        type=options.processes,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes for features",
    )


def _add_conditions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--conditions",
        action="store_true",
        help="measure the folds of protocol speaker on their test clips as recorded, and in noise, "
        "babble, rooms, through a telephone, overdriven, and as MP3",
    )


def _add_seeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="for random; default: 10, for networks 3"
    )


def _seeds(args: argparse.Namespace, recipe: Recipe | Ensemble) -> range:
    """Return the seeds that are asked for, or as many as the recipe takes."""
    if args.seeds is not None and args.seeds < 1:
        raise ValueError(f"--seeds {args.seeds}: at least one repeat is needed")
    return range(args.seeds or recipe.seeds)


def _evaluate(args: argparse.Namespace) -> int:
    from sercourse import experiment, files, labels, recipes, splits

    recipe = _recipe(args)
    if args.training_seed is not None:
        recipe = recipes.seeded(recipe, args.training_seed)
    if args.precision is not None:
        recipe = recipes.in_precision(recipe, args.precision)
    _refuse_two_measurements(args)
    splits.refuse_unknown(args.protocol)
    if args.test and not _leaves_out(args.protocol):
        raise ValueError(
            f"protocol {args.protocol!r} tests the corpora that it learns from, and knows no "
            "--test: use corpus, corpus+norm, corpus+enrol or given"
        )
    emotions = labels.parse_emotions(args.emotions) if args.emotions else None
    clips = corpus_options.several_said(args, say=text.say)
    data = experiment.prepare(
        recipe,
        clips,
        emotions=emotions,
        target=args.target,
        n_jobs=args.jobs,
        report=text.say,
    )
    if args.leave_out:
        data = data.without_speakers([name.strip() for name in args.leave_out.split(",")])
    only = [name.strip() for name in args.folds.split(",")] if args.folds else None
    if args.conditions:
        evaluation = experiment.evaluate_conditions(
            recipe, data, only=only, n_jobs=args.jobs, report=text.say
        )
    else:
        evaluation = experiment.evaluate_recipe(
            recipe,
            data,
            protocol=args.protocol,
            seeds=_seeds(args, recipe),
            only=only,
            report=text.say,
        )
    if args.json:
        files.write_json(args.json, evaluation.metrics)
    if args.into:
        folder = experiment.add_conditions(args.into, recipe, data, evaluation)
        text.say(f"saved {folder}")
    print(_conditions(evaluation.metrics) if args.conditions else _summary(evaluation.metrics))
    return 0


def _refuse_two_measurements(args: argparse.Namespace) -> None:
    """Refuse what says nothing to measure, or two things at once; conditions have a protocol."""
    from sercourse import bundles

    if args.into and not args.conditions:
        raise ValueError("--into writes what --conditions measures: give both")
    if args.into:
        bundles.find(args.into)
    if not args.conditions and args.protocol is None:
        raise ValueError("nothing says what to measure: give --protocol NAME or --conditions")
    if args.conditions and args.protocol not in (None, "speaker"):
        raise ValueError(
            f"--conditions measures protocol speaker: leave out --protocol {args.protocol}"
        )
    args.protocol = args.protocol or "speaker"


def _train(args: argparse.Namespace) -> int:
    from sercourse import bundles, experiment, files, labels, splits

    recipe = _recipe(args)
    files.refuse_unwritable(args.out, replaces=bundles.INDEX)
    emotions = labels.parse_emotions(args.emotions) if args.emotions else None
    wanted = [_measurement(text) for text in args.measure or []]
    for protocol, _ in wanted:
        splits.refuse_unknown(protocol)
    clips = corpus_options.several_said(args, say=text.say)
    told: dict[str, Any] = {"emotions": emotions, "n_jobs": args.jobs, "report": text.say}
    data = whole = experiment.prepare(recipe, clips, **told)
    if args.test:
        learnt = clips[clips["split"] == "train"].reset_index(drop=True)
        data = experiment.prepare(recipe, learnt, **told)
    evaluations = []
    for protocol, subset in wanted or [(data.usual_protocol, None)]:
        part = whole if _leaves_out(protocol) else data
        part = part if subset is None else part.of_emotions(subset)
        text.say(f"{protocol}, {len(part.emotions)} emotions")
        evaluations.append(
            experiment.evaluate_recipe(
                recipe,
                part,
                protocol=protocol,
                seeds=_seeds(args, recipe),
                report=text.say,
            )
        )
    licence = _licence(args.roots, data.corpus.split("+"))
    folder = experiment.train(
        recipe, data, folder=args.out, evaluations=evaluations, licence=licence, report=text.say
    )
    for evaluation in evaluations:
        print(_summary(evaluation.metrics))
    if args.conditions:
        conditions = experiment.evaluate_conditions(recipe, data, n_jobs=args.jobs, report=text.say)
        experiment.add_conditions(folder, recipe, data, conditions)
        print(_conditions(conditions.metrics))
    print(f"saved {folder}: sercourse predict FILE --model {folder}")
    return 0


def _train_gender(args: argparse.Namespace) -> int:
    from sercourse import bundles, corpora, experiment, recipes

    folder = bundles.find(args.model)
    hears = any(member.feature_set.encoder for member in bundles.load(folder).members)
    usual = recipes.WHISPER_VOICES if hears else recipes.VOICES
    recipe = recipes.recipe(args.recipe) if args.recipe else usual
    if isinstance(recipe, recipes.Ensemble):
        raise ValueError(f"recipe {recipe.name!r} is an ensemble: choose a single model")
    told: dict[str, Any] = {"n_jobs": args.jobs, "report": text.say}
    clips = corpus_options.clips_said(args, say=text.say).clips
    data = experiment.prepare(recipe, clips, target="gender", **told)
    elsewhere = None
    if args.elsewhere:
        corpus, root = args.elsewhere
        elsewhere = experiment.prepare(recipe, corpora.scan(root, corpus=corpus).clips, **told)
    experiment.train_gender(folder, recipe, data, elsewhere=elsewhere, report=text.say)
    found = bundles.load(folder).metrics["gender"]
    for name, part in found["conditions"].items():
        sure = f", of which {part['accuracy_sure']:.1%} right" if part["coverage"] else ""
        print(f"{name}: {part['accuracy']:.1%} right; sure of {part['coverage']:.1%}{sure}")
    print(f"saved {folder}: sercourse predict FILE --model {folder}")
    return 0


def _predict(args: argparse.Namespace) -> int:
    paths, reasons = _all_sound_files(args.files)
    over_time.refuse(args)
    bundle = load_model(args)
    for reason in reasons:
        print(f"sercourse: {reason}", file=sys.stderr)
    takes, failed = _takes(paths, channel=args.channel)
    if args.every is not None:
        return max(over_time.run(args, bundle=bundle, takes=takes), int(bool(reasons or failed)))
    predictions: list[Prediction] = []
    try:
        for path, channel in takes:
            if (prediction := _predicted(bundle, path, channel=channel)) is None:
                continue
            predictions.append(prediction)
            if not args.json:
                print(_answer(prediction))
    finally:  # an interruption keeps what was finished
        if args.json:
            answers = [_as_json(each) for each in predictions]
            print(json.dumps(answers, indent=1, ensure_ascii=False))
    return int(bool(reasons or failed) or len(predictions) < len(takes))


def _takes(paths: list[Path], *, channel: Channel) -> tuple[list[tuple[Path, Channel]], bool]:
    """Return what is to be judged: files, or each of their channels; and whether one failed."""
    if channel != "each":
        return [(path, channel) for path in paths], False
    from sercourse import audio

    takes: list[tuple[Path, Channel]] = []
    failed = False
    for path in paths:
        try:
            takes += [(path, number + 1) for number in range(audio.info(path).channels)]
        except audio.READ_ERRORS as error:
            failed = True
            print(f"sercourse: {_reason(path, error)}", file=sys.stderr)
    return takes, failed


def _predicted(bundle: Bundle, path: Path, *, channel: Channel) -> Prediction | None:
    """Return what a bundle says of a file; say why if nothing can be said."""
    from sercourse import audio

    name = text.take(path, channel)
    try:
        prediction = bundle.predict_file(path, channel=channel)
    except audio.READ_ERRORS as error:
        print(f"sercourse: {name}: {audio.reason(error, path=path)}", file=sys.stderr)
        return None
    for warning in prediction.warnings:
        print(f"sercourse: {name}: {warning}", file=sys.stderr)
    return prediction


def _models(args: argparse.Namespace) -> int:
    from sercourse import bundles

    folders, failed = bundles.available(), False
    for folder in folders:
        try:
            print(_description(bundles.load(folder)))
        except (OSError, ValueError, LookupError) as error:
            failed = True
            print(f"sercourse: {error}", file=sys.stderr)
    if not folders:
        print("no trained model is here yet: make one with sercourse train")
    return int(failed)


def _measurement(text: str) -> tuple[str, tuple[str, ...] | None]:
    """Read PROTOCOL[:EMOTIONS]."""
    from sercourse import labels

    protocol, _, emotions = text.partition(":")
    return protocol, labels.parse_emotions(emotions) if emotions else None


def _leaves_out(protocol: str) -> bool:
    """Return whether there may be corpora that nothing learns from."""
    return protocol.startswith("corpus") or protocol == "given"


def _licence(roots: list[Path], corpora: list[str]) -> str:
    """Return the terms of the corpora, for the model card."""
    from sercourse import fetch, files

    sample = (files.home() / "data" / "sample").resolve()
    if any(root.resolve().is_relative_to(sample) for root in roots):
        return "These are the synthetic clips of the sample: its scores are not results."
    known = {name: fetch.REGISTRY[name] for name in corpora if name in fetch.REGISTRY}
    return " ".join(
        f"{'Its terms' if len(corpora) == 1 else f'Terms of {name}'}: {each.licence}. "
        f"Cite {each.cite}."
        for name, each in known.items()
    )


def _sound_files(path: Path) -> list[Path]:
    """Return the file, or the sound files of the folder, sorted.

    Raises
    ------
    ValueError
        If a folder holds none.
    """
    if not path.is_dir():
        return [path]
    from sercourse.corpora import list_files  # loads pandas

    found = list_files(path)
    for error in found.errors:
        print(f"sercourse: {_reason(Path(error.filename), error)}", file=sys.stderr)
    if found.note:
        text.say(f"{path}: {found.note}")
    if not found.sounds:
        raise ValueError(f"{path}: there is no sound file in this folder")
    return found.sounds


def _all_sound_files(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """Return the sound files of several paths, and what is wrong with the others."""
    found: list[Path] = []
    reasons = []
    for path in paths:
        try:
            found += _sound_files(path)
        except (OSError, ValueError) as error:
            reasons.append(_reason(path, error))
    return found, reasons


def _reason(path: Path, error: Exception) -> str:
    from sercourse import audio

    return f"{path}: {audio.reason(error, path=path)}"


def _answer(prediction: Prediction) -> str:
    """Return the emotion and its probabilities as bars."""
    name = text.take(prediction.path, prediction.channel)
    first = f"{name}  {prediction.duration:.1f} s  {prediction.emotion}"
    return f"{first}{text.judgement(prediction)}{_voice(prediction)}"


def _voice(prediction: Prediction) -> str:
    """Return a line on whose voice it sounds like, where the bundle has a model for it."""
    if prediction.gender is None or not prediction.speech:
        return ""
    likeliest = max(
        prediction.gender_probabilities, key=prediction.gender_probabilities.__getitem__
    )
    doubt = "" if prediction.gender == likeliest else f"{likeliest} "
    return (
        f"\n  voice: {prediction.gender} ({doubt}{prediction.gender_probabilities[likeliest]:.0%})"
    )


def _as_json(prediction: Prediction) -> dict[str, Any]:
    known = asdict(prediction)
    known.pop("warnings")
    if prediction.channel is None:
        del known["channel"]
    if prediction.gender is None:  # the model does not know
        del known["gender"], known["gender_probabilities"]
    return known


def _conditions(metrics: dict[str, Any]) -> str:
    """Return a table of what is lost in each recording condition."""
    lines = [
        f"{metrics['recipe']} on {metrics['corpus']}, {metrics['protocol']}{_part(metrics)}, "
        f"{len(metrics['classes'])} classes, {metrics['n_clips']} clips:"
    ]
    width = max(map(len, metrics["conditions"]))
    for name, told in metrics["conditions"].items():
        interval = told["accuracy_interval"]
        spread = f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else ""
        lines.append(
            f"  {name:{width}}  accuracy {told['accuracy']:6.1%}{spread}  "
            f"UAR {told['uar']:6.1%}  loss {100 * told['loss']:5.1f} points  "
            f"calibration error {told['ece']:.3f}"
        )
    return "\n".join([*lines, f"  mean loss {100 * metrics['mean_loss']:.1f} points"])


def _summary(metrics: dict[str, Any]) -> str:
    figures = "  ".join(
        f"{title} {metrics[name]:.1%}"
        for title, name in (("UAR", "uar"), ("F1", "macro_f1"), ("chance", "chance"))
    )
    return (
        f"{metrics['recipe']} on {metrics['corpus']}, {metrics['protocol']}{_part(metrics)}, "
        f"{_classes(metrics)} ({metrics['labels']}), {_clips(metrics)} clips: "
        f"accuracy {metrics['accuracy']:.1%}{_spread(metrics)}  {figures}  "
        f"calibration error {metrics['ece']:.3f}{_by_segment(metrics)}{_of_each(metrics)}"
        f"{_by_corpus(metrics)}"
    )


def _clips(metrics: dict[str, Any]) -> str:
    """Say how many clips there are or, where emotions are not shared, how many were scored."""
    if "shared" not in metrics["folds"][0]:
        return str(metrics["n_clips"])
    return f"{metrics['n_scored']} of {metrics['n_clips']}"


def _classes(metrics: dict[str, Any]) -> str:
    """Say how many labels were told apart."""
    if "classes" in metrics:
        return f"{len(metrics['classes'])} classes"
    return f"{len(metrics['emotions'])} emotions"


def _of_each(metrics: dict[str, Any]) -> str:
    """Give the accuracy of each kind of label where they are pairs."""
    return "".join(
        f"  {kind} {told['accuracy']:.1%}{_spread(told)}"
        for kind, told in metrics.get("of_each", {}).items()
    )


def _by_corpus(metrics: dict[str, Any]) -> str:
    """Give the accuracy in each of several corpora and, where one is left out, what was asked."""
    asked = {
        fold["fold"]: f" (learnt from {', '.join(fold['trained_on'])}; shared emotions only: "
        f"{', '.join(fold['shared'])})"
        for fold in metrics["folds"]
        if "shared" in fold
    }
    return "".join(
        f"\n  {corpus}: accuracy {told['accuracy']:.1%}{_spread(told)}  UAR {told['uar']:.1%}  "
        f"chance {told['chance']:.1%}{asked.get(corpus, '')}"
        for corpus, told in metrics.get("by_corpus", {}).items()
    )


def _by_segment(metrics: dict[str, Any]) -> str:
    """Give the accuracy per segment where the recipe judges segments."""
    if "segment_accuracy" not in metrics:
        return ""
    return f"  per segment {metrics['segment_accuracy']:.1%}"


def _part(metrics: dict[str, Any]) -> str:
    """Say where only some of a protocol's folds were run."""
    return f" ({metrics['n_folds']} of {metrics['of_folds']} folds)" if "n_folds" in metrics else ""


def _spread(metrics: dict[str, Any]) -> str:
    if metrics.get("accuracy_interval"):
        low, high = metrics["accuracy_interval"]
        return f" (95 % interval over speakers {low:.1%} to {high:.1%}, {_method(metrics)})"
    return f" (sd {metrics['accuracy_sd']:.1%})" if metrics.get("accuracy_sd") else ""


def _method(metrics: dict[str, Any]) -> str:
    return "Student's t" if metrics["interval"] == "student-t" else "bootstrap"


def _description(bundle: Bundle) -> str:
    lines = [f"{bundle.name}: {bundle.info['title']}"]
    corpus = bundle.info["corpus"]
    lines.append(f"  knows {', '.join(bundle.labels)}")
    lines.append(
        f"  from {corpus['name']}, {corpus['n_clips']} clips by {corpus['n_speakers']} speakers"
    )
    lines += [f"  {_summary(entry)}" for entry in bundle.metrics["protocols"]]
    return "\n".join(lines)
