"""Commands that name emotions: in files, while somebody speaks; and one that records a clip."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sercourse import __version__, files, remote
from sercourse.cli import options
from sercourse.cli.journal import Journal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from sercourse.audio import Channel
    from sercourse.bundles import Bundle, Prediction
    from sercourse.live import Source

T = TypeVar("T")
LONGEST_RECORDING = 600.0  # [s]
PICTURES = (".png", ".svg", ".pdf", ".jpg")
SOUND_SUFFIXES = (".wav", ".flac")


class Take(NamedTuple):
    """A recording, or one of its channels; of one elsewhere also what tells its version."""

    path: Path | str
    channel: Channel = None
    version: str = ""

    def __str__(self) -> str:
        return str(self.path) if self.channel is None else f"{self.path} (channel {self.channel})"


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Register `predict`, `listen` and `record`."""
    model = options.parent("--model", help="a bundle; default: any-voice")
    option = model.add_argument
    option("--enrol", type=options.path, help="folder with a few clips of the same speaker")
    option("--emotions", type=options.emotions, help="answer with these only, scaled to 100 %%")
    option("--sure", type=float, help="answer unknown where no emotion reaches this probability")
    device = options.parent("--device", help="number or part of the name of a microphone")

    parents = (model, options.cluster(), options.outputs())
    option = options.command(commands, "predict", _predict, *parents)
    text = "files or folders, also elsewhere, such as s3://bucket/folder"
    option("files", nargs="+", metavar="FILE", type=options.recording, help=text)
    option("--channel", type=_channel, help="left, right, a number, or each; default: the average")
    option("--every", type=float, metavar="SECONDS", help="judge a window that moves on by so much")
    option("--window", type=float, metavar="SECONDS", help="its length, 0.5 to 8; default: 3")
    option("--plot", type=options.path, help="also draw emotions over time: .png, .svg, .pdf")

    option = options.command(commands, "listen", _listen, model, device)
    option("--source", type=options.path, help="listen to a sound file instead; ends with it")
    option("--once", action="store_true", help="end after the first utterance")
    option("--every", type=float, metavar="SECONDS", help="judge the last 3 s every so often")
    option("--save", type=options.path, metavar="DIR", help="keep the utterances as WAV files")
    option("--list-devices", action="store_true", help="list the microphones and end")

    option = options.command(commands, "record", _record, device)
    option("out_file", metavar="OUT.wav", type=options.path, help="file to write; it must be new")
    option("--seconds", type=float, default=4.0, help="length; default: %(default)g")
    rate, text = options.whole(4_000, 192_000), "sampling rate [Hz]; default: %(default)s"
    option("--sr", type=rate, default=16_000, help=text)


@options.reader
def _channel(text: str) -> Channel:
    if text in ("left", "right", "each"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text}: give left, right, each or a number from 1")
    return int(text)


def _warn(sentence: object) -> None:
    options.say(f"sercourse: {sentence}")


def _load_model(args: argparse.Namespace) -> Bundle:
    """Return the model that is asked for, and say what is left out of its answers."""
    from sercourse import audio, bundles

    bundle = bundles.load(args.model or bundles.DEFAULT_MODEL)
    if args.emotions:
        known, bundle = bundle.labels, bundle.only(args.emotions)
        if left_out := [emotion for emotion in known if emotion not in bundle.labels]:
            options.say(f"left out: {', '.join(left_out)}; the others are scaled to 100 %")
    if args.sure is not None:
        bundle = bundle.answering_from(args.sure)
    if args.enrol is None:
        return bundle

    def voiced(take: Take) -> list[Path]:
        if issues := audio.fatal_issues(audio.read(take.path, sr=sr), sr=sr):
            raise ValueError("; ".join(issues))
        return [Path(take.path)]

    sr = bundle.sample_rate
    return bundle.enrol(_each(_sound_files(Take(args.enrol)), do=voiced)[0])


def _each(takes: Iterable[Take], *, do: Callable[[Take], Iterable[T]]) -> tuple[list[T], bool]:
    """Collect what each recording gives; say why some give nothing, and whether there are any."""
    from sercourse import audio

    found: list[T] = []
    failed = False
    for take in takes:
        try:
            found += do(take)
        except audio.READ_ERRORS as error:
            _warn(f"{take}: {audio.reason(error, path=take.path)}")
            failed = True
    return found, failed


def _sound_files(take: Take) -> list[Take]:
    """Return the file, or the sound files of the folder, sorted; ValueError if it holds none."""
    if isinstance(take.path, str):
        return _elsewhere(take.path, take.channel)
    if not take.path.is_dir():
        return [take]
    from sercourse.corpora import list_files  # loads pandas

    found = list_files(take.path)
    for error in found.errors:
        _warn(f"{error.filename}: {error.strerror}")
    if found.note:
        options.say(f"{take}: {found.note}")
    if not found.sounds:
        raise ValueError(f"{take}: there is no sound file in this folder")
    return [Take(path, take.channel) for path in found.sounds]


def _elsewhere(url: str, channel: Channel) -> list[Take]:
    """Return the file, or the files of the folder whose names end as those of sounds do."""
    from sercourse import audio

    found, known = remote.listed(url), audio.SUFFIXES
    sounds = [each for each in found if PurePosixPath(each).suffix.lower() in known]
    if not (sounds := list(found) if url in found else sounds):
        raise ValueError(f"{url}: there is no sound file in this folder")
    return [Take(each, channel, found[each]) for each in sounds]


def _channels(take: Take) -> list[Take]:
    """Return the recording, or each of its channels where that is asked for."""
    from sercourse import audio

    if take.channel != "each":
        return [take]
    return [take._replace(channel=n + 1) for n in range(audio.info(take.path).channels)]


# --- files ----------------------------------------------------------------------------------------


def _predict(args: argparse.Namespace) -> int:
    """Name the emotion in sound files of any format, rate and length.

    Exit status 1 if a file could not be judged; the others are done all the same. With --every
    the result is a row for each window, in which pauses have no emotion. Called again after it was
    cut, the command goes on: what was found is kept beside the file that --out names.
    """
    from sercourse.bundles import timeline

    if args.every is None and (args.window is not None or args.plot):
        raise ValueError("--window and --plot are about emotions over time: add --every 1.0")
    args.window = timeline.WINDOW_SECONDS if args.window is None else args.window
    if args.every is not None:
        timeline.refuse_steps(every=args.every, window=args.window)
    if args.plot and args.plot.suffix.lower() not in PICTURES:
        raise ValueError(f"--plot {args.plot}: give a name that ends with {', '.join(PICTURES)}")
    bundle = _load_model(args)
    sounds, missing = _each([Take(path, args.channel) for path in args.files], do=_sound_files)
    takes, unread = _each(sounds, do=_channels)
    if args.plot and len(takes) > 1:
        raise ValueError(f"--plot draws one recording and {len(takes)} are given: give one of them")
    depends = [bundle.info, bundle.emotions, [each.voice for each in bundle.members]]
    key = files.digest([depends, args.every, args.window, __version__])
    is_kept = args.out_file not in (None, options.STDOUT) and not files.is_stream(args.out_file)
    journal = Journal(args.out_file if is_kept else None, key=key)
    if journal.names:
        options.say(f"{len(journal.names)} recordings are known from a run that was cut")

    todo = {_identity(take): take for take in takes}
    todo = {name: take for name, take in todo.items() if name not in journal.names}
    steps = {} if args.every is None else {"every": args.every, "window": args.window}
    judge = partial(_judge, bundle=bundle, steps=steps)
    asked = (each._replace(path=remote.known(each.path)) for each in todo.values())
    unjudged = False
    try:
        portions = options.spread(judge, asked, cluster=args.cluster)
        judged = itertools.chain.from_iterable(portions)
        for (name, take), (text, record, warnings) in zip(todo.items(), judged, strict=True):
            for warning in warnings:
                _warn(f"{take}: {warning}")
            unjudged |= not record
            if not record:
                continue
            if options.prints_text(args):
                first, *more = text.splitlines()
                options.show(f"{take}  {first}", *more)
            journal.add(name, {"path": str(take.path)} | record)
    finally:  # an interruption keeps what was finished
        if args.json:
            options.write(args, content=list(journal))
        if args.out_file and journal.names:
            options.write_tables(args.out_file, map(_as_table, journal.batches()))
    if args.plot and journal.names:
        _draw(args.plot, takes[0], _as_table(next(journal.batches())), sr=bundle.sample_rate)
    journal.done()
    return int(missing or unread or unjudged)


def _identity(take: Take) -> str:
    """Return what tells a recording, as it is now, from all others."""
    if isinstance(take.path, str):
        return f"{take} {take.version}"
    with contextlib.suppress(OSError):
        about = take.path.stat()
        return f"{take} {about.st_size} {about.st_mtime_ns}"
    return str(take)


Judged = tuple[str, dict[str, Any], tuple[str, ...]]
"""What is printed of a recording, what programs get, and what makes it doubtful or unfit."""


def _judge(takes: list[Take], *, bundle: Bundle, steps: dict[str, float]) -> list[Judged]:
    """Judge recordings, on this machine or a worker; one that cannot be judged has no record."""
    from sercourse import audio

    found: list[Judged] = []
    for take in takes:
        try:
            found.append(
                _judge_windows(bundle, take, steps) if steps else _judge_clip(bundle, take)
            )
        except audio.READ_ERRORS as error:
            found.append(("", {}, (audio.reason(error, path=take.path),)))
    return found


def _judge_clip(bundle: Bundle, take: Take) -> Judged:
    found = bundle.predict_file(take.path, channel=take.channel)
    text = f"{found.duration:.1f} s  {_answer(found)}"
    record = asdict(found)
    for name in ("channel", "gender", "gender_probabilities"):
        if not record[name]:  # is not asked for, or the model does not know
            del record[name]
    del record["warnings"], record["path"]  # a worker knows the file by another name
    if found.gender and found.speech:
        shares = ", ".join(f"{name} {p:.0%}" for name, p in found.gender_probabilities.items())
        text += f"\n  voice: {found.gender} ({shares})"
    return text, record, found.warnings


def _judge_windows(bundle: Bundle, take: Take, steps: dict[str, float]) -> Judged:
    from sercourse.bundles.timeline import CLIPPED

    heard = bundle.predict_file_over_time(take.path, channel=take.channel, **steps)
    if not heard.judged.any():
        reasons = ", ".join(sorted(set(heard.notes)))
        raise ValueError(f"nothing in it can be judged: {reasons}")
    table, clipped = heard.table(), heard.notes.count(CLIPPED)
    shares = table.filter(like="p_").max(axis=1).map("{:.0%}".format, na_action="ignore")
    said = table["emotion"].fillna("(" + table["note"] + ")")
    shown = table[["start", "end"]].assign(emotion=said, probability=shares.fillna(""))
    length, every = steps["window"], steps["every"]
    text = f"windows of {length:g} s every {every:g} s\n{shown.to_string(index=False)}"
    told = steps if take.channel is None else {"channel": take.channel, **steps}
    record = {**told, "over_time": json.loads(table.to_json(orient="records"))}
    return text, record, (f"clipped in {clipped} of {len(heard)} windows",) if clipped else ()


def _as_table(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row for each recording or, over time, for each window."""
    import pandas as pd

    # The name of a file need not be text, and Arrow's strings must be.
    with pd.option_context("mode.string_storage", "python"):
        if "over_time" not in records[0]:
            return pd.json_normalize(records)
        about: Any = [name for name in ("path", "channel") if name in records[0]]
        return pd.json_normalize(records, "over_time", meta=about)


def _draw(target: Path, take: Take, table: pd.DataFrame, *, sr: int) -> None:
    """Draw emotions over time, with the lowest and highest sample of each millisecond.

    That looks like the signal, and of an hour it takes 29 MB.
    """
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")  # a file is drawn, no window is opened
    from sercourse import audio, plots

    plots.use_style()
    step, pieces = sr // 1000, []
    for block in audio.blocks(take.path, sr=sr, channel=take.channel):
        columns = block[: len(block) // step * step].reshape(-1, step)
        pieces.append(np.column_stack([columns.min(axis=1), columns.max(axis=1)]).ravel())
    ax = plots.emotions_over_time(table, y=np.concatenate(pieces), sr=2 * (sr // step))
    with files.atomic_path(target) as temporary:
        ax.figure.canvas.print_figure(temporary, dpi=200, bbox_inches="tight")


def _answer(found: Prediction) -> str:
    """Return the answer, and a line with a bar for each emotion, the most probable first."""
    ranked = sorted(found.probabilities.items(), key=lambda item: -item[1]) if found.speech else []
    bars = (f"\n  {name:<10}{p:6.1%}  {'█' * round(20 * p)}".rstrip() for name, p in ranked)
    return "".join([found.emotion, *bars])


# --- a microphone ---------------------------------------------------------------------------------


def _listen(args: argparse.Namespace) -> int:
    """Name the emotion while somebody speaks.

    The command waits for speech at a microphone, names the emotion when the speaker pauses, and
    goes on until Ctrl-C. Nothing is kept unless --save says so.
    """
    import numpy as np

    from sercourse import live
    from sercourse.bundles import timeline

    if args.list_devices:
        for each in live.devices():
            about = f"{each.name}, {each.channels} channels, {each.sample_rate} Hz"
            options.show(f"{each.index:3d}  {about}" + ("  (default)" if each.default else ""))
        return 0
    if args.source and args.device:
        raise ValueError("--source is a file and --device a microphone: give one of them")
    if args.every is not None:
        timeline.refuse_steps(every=args.every)
        if args.once or args.save:
            raise ValueError("--once and --save are about utterances: leave out --every")
    if args.save:
        files.refuse_unwritable_file(args.save / "utterance.wav")
    judged: list[bool] = []
    with _until_interrupted(judged) as problems:
        bundle = _load_model(args)
        noise = np.random.default_rng(0).normal(scale=0.1, size=bundle.sample_rate)
        # The first answer would otherwise wait for the model to load.
        bundle.predict(noise.astype(np.float32), sr=bundle.sample_rate)
        hear = _hear_utterances if args.every is None else _hear_windows
        with _source(args, sr=bundle.sample_rate) as source:
            kept = f"; utterances are kept in {args.save}" if args.save else ""
            where = args.source or "speak; Ctrl-C ends it"
            options.say(f"listening with {bundle.name}: {where}{kept}")
            for answered in hear(args, source=source, bundle=bundle):
                judged.append(answered)  # one by one: an interruption keeps them
    if args.source and not judged:
        _warn(f"{args.source}: no speech was found in it")
    else:
        unit = "utterances" if args.every is None else "windows"
        options.say(f"stopped: {sum(judged)} of {len(judged)} {unit} judged")
    return int(bool(problems) or (args.source is not None and not any(judged)))


@contextlib.contextmanager
def _source(args: argparse.Namespace, *, sr: int) -> Iterator[Source]:
    """Open the file or the microphone; what is wrong with the sound of a microphone is said."""
    from sercourse import live

    if getattr(args, "source", None):
        yield live.FileSource(args.source, sr=sr)
        return
    with live.MicrophoneSource(sr=sr, device=args.device, report=_warn) as source:
        options.say(f"microphone: {source.name}, {source.device_rate} Hz")
        try:
            yield source
        finally:
            if source.overflows:
                _warn(f"sound was lost {source.overflows} times")


def _hear_utterances(args: argparse.Namespace, *, source: Source, bundle: Bundle) -> Iterator[bool]:
    """Judge what is said, whenever the speaker pauses; yield whether it could be."""
    from sercourse import live

    for utterance in live.utterances(source.blocks(), sr=source.sr):
        when, emotion = _span(utterance.start, utterance.end), None
        try:
            found = bundle.answer(utterance.y, sr=bundle.sample_rate)
        except ValueError as error:
            _warn(f"{when}: {error}")
        else:
            emotion = found.emotion
            for warning in found.warnings:
                _warn(f"{when}: {warning}")
            first, *more = _answer(found).splitlines()
            options.show(f"{when}  {first}", *more)
        if args.save:
            time = datetime.now().strftime("%Y%m%d_%H%M%S_%f")
            # A scan of such files knows the labels.
            path = args.save / f"{time}_{emotion or 'unknown'}.wav"
            _write_sound(path, utterance.y, sr=source.sr)
            options.say(f"kept {path}")
        yield emotion is not None
        if args.once:
            return


def _hear_windows(args: argparse.Namespace, *, source: Source, bundle: Bundle) -> Iterator[bool]:
    """Judge windows that slide along, a line each; yield whether each could be judged."""
    from sercourse.bundles import timeline

    for moment in bundle.predict_stream(source.blocks(), sr=source.sr, every=args.every):
        judged, p = moment.note in timeline.JUDGED, moment.probabilities
        said = f"{bundle.labels[p.argmax()]} {p.max():.0%}" if judged else f"({moment.note})"
        options.show(f"{_span(moment.start, moment.end)}  {said}")
        yield judged


def _span(start: float, end: float) -> str:
    """Return a stretch of time in minutes and seconds.

    >>> _span(3, 83.5)
    '0:03.00 – 1:23.50'
    """
    return " – ".join(f"{int(each // 60)}:{each % 60:05.2f}" for each in (start, end))


def _record(args: argparse.Namespace) -> int:
    """Record a clip of fixed length from a microphone.

    Ctrl-C ends it earlier, and what was recorded by then is kept.
    """
    import numpy as np

    from sercourse import audio

    path, sr = args.out_file, args.sr
    if not 0.1 <= args.seconds <= LONGEST_RECORDING:
        raise ValueError(f"--seconds {args.seconds:g}: give 0.1 to {LONGEST_RECORDING:g} seconds")
    if path.suffix.lower() not in SOUND_SUFFIXES:
        raise ValueError(f"{path}: give a name that ends with {' or '.join(SOUND_SUFFIXES)}")
    n_samples = round(args.seconds * sr)
    blocks: list[np.ndarray] = []
    with _until_interrupted(blocks) as problems, _source(args, sr=sr) as source:
        options.say(f"recording {args.seconds:g} s: speak")
        for block in source.blocks():
            blocks.append(block)
            if sum(map(len, blocks)) >= n_samples:
                break
    if not blocks:
        raise ValueError("nothing was recorded: it was ended too early")
    y = np.concatenate(blocks)[:n_samples]
    _write_sound(path, y, sr=sr)
    options.show(f"saved {path}: {len(y) / sr:.1f} s, loudest sample at {100 * abs(y).max():.0f} %")
    for issue in audio.quality_issues(y, sr=sr):
        _warn(f"{path}: {issue}")
    return int(bool(problems))


def _write_sound(path: Path, y: np.ndarray, *, sr: int) -> None:
    import soundfile

    sound = io.BytesIO()  # of a full disk libsndfile tells nothing
    soundfile.write(sound, y, sr, format=path.suffix[1:], subtype="PCM_16")
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(sound.getbuffer())


@contextlib.contextmanager
def _until_interrupted(heard: list[Any]) -> Iterator[list[Exception]]:
    """Let Ctrl-C, or a request of the system to end, leave the block without a complaint.

    So does a microphone that goes away, once something was `heard`; the error is yielded.
    """
    requests = (signal.SIGINT, signal.SIGTERM)
    problems: list[Exception] = []
    before = [signal.signal(each, signal.default_int_handler) for each in requests]
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield problems
    except (OSError, ValueError) as error:
        if not heard:
            raise
        _warn(error)
        problems.append(error)
    finally:
        for each, handler in zip(requests, before, strict=True):
            signal.signal(each, handler)
