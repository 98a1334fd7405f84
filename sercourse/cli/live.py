"""Commands that name emotions: in files, while somebody speaks; and one that records a clip."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

import sercourse as ser
from sercourse import __version__, files, remote
from sercourse.cli import options

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


class Journal:
    """Records by name, a line each, in a file beside the output: cut, a command goes on from there.

    They are written as they come, each with its checksum, and read one by one.

    Parameters
    ----------
    target : path or None
        Output that the records are for; None where they need not outlast the command.
    key : str
        What the records depend on: those of another key are not taken over.
    """

    def __init__(self, target: Path | None, *, key: str) -> None:
        self._path = None if target is None else target.with_name(f".{target.name}-{key}.jsonl")
        self._file: BinaryIO = io.BytesIO() if self._path is None else self._path.open("a+b")
        self.names = {name for name, _ in self._whole()}
        self._file.truncate()

    def _whole(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield names and records, up to a line that is damaged or was being written."""
        with files.naming(self._path):  # what could not be written yet is tried again
            self._file.seek(0)
        for line in self._file:
            try:
                name, record, _ = json.loads(line)
                seen = isinstance(record.get("over_time", []), list)
                if seen and line == self._line(name, record):
                    yield str(name), dict(record)
                    continue
            except (ValueError, TypeError, AttributeError, RecursionError):
                pass
            self._file.seek(-len(line), io.SEEK_CUR)
            return

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the records; of two with one name, as two runs at once write them, the first."""
        left = set(self.names)
        for name, record in self._whole():
            if name in left:
                left.remove(name)
                yield record

    def add(self, name: str, record: dict[str, Any]) -> None:
        """Keep a record; OSError if the disk is full."""
        with files.naming(self._path):
            self._file.seek(0, io.SEEK_END)
            self._file.write(self._line(name, record))
            self._file.flush()
        self.names.add(name)

    @staticmethod
    def _line(name: str, record: Mapping[str, Any]) -> bytes:
        seal = zlib.crc32(json.dumps([name, record]).encode())
        return json.dumps([name, record, seal]).encode() + b"\n"

    def done(self) -> None:
        """Delete the file: the output is complete."""
        self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _warn(sentence: object) -> None:
    options.say(f"sercourse: {sentence}")


def _load_model(args: argparse.Namespace) -> Bundle:
    """Return the model that is asked for, and say what is left out of its answers."""
    bundle = ser.bundles.load(args.model or ser.bundles.DEFAULT_MODEL)
    if args.emotions:
        known, bundle = bundle.labels, bundle.only(args.emotions)
        if left_out := [emotion for emotion in known if emotion not in bundle.labels]:
            options.say(f"left out: {', '.join(left_out)}; the others are scaled to 100 %")
    if args.sure is not None:
        bundle = bundle.answering_from(args.sure)
    if args.enrol is None:
        return bundle

    def voiced(take: Take) -> list[str | Path]:
        if issues := ser.audio.fatal_issues(ser.audio.read(take.path, sr=sr), sr=sr):
            raise ValueError("; ".join(issues))
        return [take.path]

    sr = bundle.sample_rate
    return bundle.enrol(_each(_sound_files(Take(args.enrol)), do=voiced, failed=[]))


def _each(takes: list[Take], *, do: Callable[[Take], list[T]], failed: list[Take]) -> list[T]:
    """Collect what each recording gives; say why some give nothing, and add them to a list."""
    found: list[T] = []
    for take in takes:
        try:
            found += do(take)
        except ser.audio.READ_ERRORS as error:
            _warn(f"{take}: {ser.audio.reason(error, path=take.path)}")
            failed.append(take)
    return found


def _sound_files(take: Take) -> list[Take]:
    """Return the file, or the sound files of the folder, sorted; ValueError if it holds none."""
    if isinstance(take.path, str):
        versions, known = remote.listed(take.path), ser.audio.SUFFIXES
        sounds = [each for each in versions if PurePosixPath(each).suffix.lower() in known]
        sounds = [take.path] if take.path in versions else sounds
        takes = [Take(each, take.channel, versions[each]) for each in sounds]
    elif take.path.is_dir():
        found = ser.corpora.list_files(take.path)
        for error in found.errors:
            _warn(f"{error.filename}: {error.strerror}")
        if found.note:
            options.say(f"{take}: {found.note}")
        takes = [Take(path, take.channel) for path in found.sounds]
    else:
        takes = [take]
    if not takes:
        raise ValueError(f"{take.path}: there is no sound file in this folder")
    return takes


def _channels(take: Take) -> list[Take]:
    """Return the recording, or each of its channels where that is asked for."""
    if take.channel != "each":
        return [take]
    return [take._replace(channel=n + 1) for n in range(ser.audio.info(take.path).channels)]


# --- files ----------------------------------------------------------------------------------------


def predict(args: argparse.Namespace) -> int:
    """Name the emotion in sound files of any format, rate and length.

    Exit status 1 if a file could not be judged; the others are done all the same. With --every
    the result is a row for each window, in which pauses have no emotion. Called again after it was
    cut, the command goes on: what was found is kept beside the file that --out names.
    """
    if args.every is None and (args.window is not None or args.plot):
        raise ValueError("--window and --plot are about emotions over time: add --every 1.0")
    window = ser.bundles.timeline.WINDOW_SECONDS if args.window is None else args.window
    steps = {} if args.every is None else {"every": args.every, "window": window}
    if steps:
        ser.bundles.timeline.refuse_steps(**steps)
    if args.plot and args.plot.suffix.lower() not in PICTURES:
        raise ValueError(f"--plot {args.plot}: give a name that ends with {', '.join(PICTURES)}")
    bundle, failed = _load_model(args), list[Take]()
    takes = [Take(path, args.channel) for path in args.files]
    for divided in (_sound_files, _channels):
        takes = _each(takes, do=divided, failed=failed)
    if args.plot and len(takes) > 1:
        raise ValueError(f"--plot draws one recording and {len(takes)} are given: give one of them")
    depends = [bundle.info, bundle.emotions, [each.voice for each in bundle.members]]
    key = files.digest([depends, steps, __version__])
    is_kept = args.out_file not in (None, options.STDOUT) and not files.is_stream(args.out_file)
    journal = Journal(args.out_file if is_kept else None, key=key)
    if journal.names:
        options.say(f"{len(journal.names)} recordings are known from a run that was cut")

    todo = {_identity(take): take for take in takes}
    todo = {name: take for name, take in todo.items() if name not in journal.names}
    judge = partial(_judge, bundle=bundle, steps=steps)
    asked = (each._replace(path=remote.known(each.path)) for each in todo.values())
    judged = options.spread(judge, asked, cluster=args.cluster)
    try:
        for (name, take), (lines, record, warnings) in zip(todo.items(), judged, strict=True):
            for warning in warnings:
                _warn(f"{take}: {warning}")
            if not record:
                failed.append(take)
                continue
            if options.prints_text(args):
                options.show(f"{take}  {lines[0]}", *lines[1:])
            journal.add(name, {"path": str(take.path)} | record)
    finally:  # an interruption keeps what was finished
        options.write(args, content=journal, tables=_tables(journal) if journal.names else ())
    if args.plot and journal.names:
        _draw(args.plot, takes[0], next(_tables(journal)), sr=bundle.sample_rate)
    journal.done()
    return int(bool(failed))


def _identity(take: Take) -> str:
    """Return what tells a recording, as it is now, from all others."""
    if isinstance(take.path, str):
        return f"{take} {take.version}"
    with contextlib.suppress(OSError):
        about = take.path.stat()
        return f"{take} {about.st_size} {about.st_mtime_ns}"
    return str(take)


Judged = tuple[list[str], dict[str, Any], tuple[str, ...]]
"""What is printed of a recording, what programs get, and what makes it doubtful or unfit."""


def _judge(take: Take, *, bundle: Bundle, steps: dict[str, float]) -> Judged:
    """Judge a recording, on this machine or a worker; one that cannot be judged has no record."""
    try:
        return _over_time(bundle, take, steps) if steps else _judge_clip(bundle, take)
    except ser.audio.READ_ERRORS as error:
        return [], {}, (ser.audio.reason(error, path=take.path),)


def _judge_clip(bundle: Bundle, take: Take) -> Judged:
    found = bundle.predict_file(take.path, channel=take.channel)
    first, *lines = _answer(found)
    if found.gender and found.speech:
        shares = ", ".join(f"{name} {p:.0%}" for name, p in found.gender_probabilities.items())
        lines.append(f"  voice: {found.gender} ({shares})")
    # What is not asked for, or the model does not know, is left out.
    record = {name: told for name, told in asdict(found).items() if told not in (None, {})}
    del record["warnings"], record["path"]  # a worker knows the file by another name
    return [f"{found.duration:.1f} s  {first}", *lines], record, found.warnings


def _over_time(bundle: Bundle, take: Take, steps: dict[str, float]) -> Judged:
    heard = bundle.predict_file_over_time(take.path, channel=take.channel, **steps)
    if not heard.judged.any():
        raise ValueError(f"nothing in it can be judged: {', '.join(sorted(set(heard.notes)))}")
    table, clipped = heard.table(), heard.notes.count(ser.audio.CLIPPED)
    shares = table.filter(like="p_").max(axis=1).map("{:.0%}".format, na_action="ignore")
    said = table["emotion"].fillna("(" + table["note"] + ")")
    shown = table[["start", "end"]].assign(emotion=said, probability=shares.fillna(""))
    head = "windows of {window:g} s every {every:g} s".format(**steps)
    told = steps if take.channel is None else {"channel": take.channel, **steps}
    record = {**told, "over_time": json.loads(table.to_json(orient="records"))}
    doubts = (f"clipped in {clipped} of {len(heard)} windows",) if clipped else ()
    return [head, *shown.to_string(index=False).splitlines()], record, doubts


def _tables(journal: Journal) -> Iterator[pd.DataFrame]:
    """Yield a row for each recording or, over time, for each window, a thousand records at once."""
    import pandas as pd

    records = iter(journal)
    while portion := list(islice(records, 1000)):
        over_time = "over_time" if "over_time" in portion[0] else None
        about: Any = [each for each in ("path", "channel") if over_time and each in portion[0]]
        # The name of a file need not be text, and Arrow's strings must be.
        with pd.option_context("mode.string_storage", "python"):
            table = pd.json_normalize(portion, over_time, meta=about)
        yield table


def _draw(target: Path, take: Take, table: pd.DataFrame, *, sr: int) -> None:
    """Draw emotions over time, with the lowest and highest sample of each millisecond.

    That looks like the signal, and of an hour it takes 29 MB.
    """
    import matplotlib as mpl
    import numpy as np

    mpl.use("Agg")  # a file is drawn, no window is opened
    ser.plots.use_style()
    step, pieces = sr // 1000, []
    for block in ser.audio.blocks(take.path, sr=sr, channel=take.channel):
        columns = block[: len(block) // step * step].reshape(-1, step)
        pieces.append(np.column_stack([columns.min(axis=1), columns.max(axis=1)]).ravel())
    ax = ser.plots.emotions_over_time(table, y=np.concatenate(pieces), sr=2 * (sr // step))
    with files.atomic_path(target) as temporary:
        ax.figure.canvas.print_figure(temporary, dpi=200, bbox_inches="tight")


def _answer(found: Prediction) -> list[str]:
    """Return the answer, and a line with a bar for each emotion, the most probable first."""
    ranked = sorted(found.probabilities.items(), key=lambda item: -item[1]) if found.speech else []
    bars = (f"  {name:<10}{p:6.1%}  {'█' * round(20 * p)}".rstrip() for name, p in ranked)
    return [found.emotion, *bars]


# --- a microphone ---------------------------------------------------------------------------------


def listen(args: argparse.Namespace) -> int:
    """Name the emotion while somebody speaks.

    The command waits for speech at a microphone, names the emotion when the speaker pauses, and
    goes on until Ctrl-C. Nothing is kept unless --save says so.
    """
    import numpy as np

    if args.list_devices:
        for each in ser.live.devices():
            about = f"{each.name}, {each.channels} channels, {each.sample_rate} Hz"
            options.show(f"{each.index:3d}  {about}" + ("  (default)" if each.default else ""))
        return 0
    if args.source and args.device:
        raise ValueError("--source is a file and --device a microphone: give one of them")
    if args.every is not None:
        ser.bundles.timeline.refuse_steps(every=args.every)
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
    if getattr(args, "source", None):
        yield ser.live.FileSource(args.source, sr=sr)
        return
    with ser.live.MicrophoneSource(sr=sr, device=args.device, report=_warn) as source:
        options.say(f"microphone: {source.name}, {source.device_rate} Hz")
        try:
            yield source
        finally:
            if source.overflows:
                _warn(f"sound was lost {source.overflows} times")


def _hear_utterances(args: argparse.Namespace, *, source: Source, bundle: Bundle) -> Iterator[bool]:
    """Judge what is said, whenever the speaker pauses; yield whether it could be."""
    for utterance in ser.live.utterances(source.blocks(), sr=source.sr):
        when, emotion = _span(utterance.start, utterance.end), None
        try:
            found = bundle.answer(utterance.y, sr=bundle.sample_rate)
        except ValueError as error:
            _warn(f"{when}: {error}")
        else:
            emotion = found.emotion
            for warning in found.warnings:
                _warn(f"{when}: {warning}")
            first, *bars = _answer(found)
            options.show(f"{when}  {first}", *bars)
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
    for moment in bundle.predict_stream(source.blocks(), sr=source.sr, every=args.every):
        judged, p = moment.note in ser.bundles.timeline.JUDGED, moment.probabilities
        said = f"{bundle.labels[p.argmax()]} {p.max():.0%}" if judged else f"({moment.note})"
        options.show(f"{_span(moment.start, moment.end)}  {said}")
        yield judged


def _span(start: float, end: float) -> str:
    """Return a stretch of time in minutes and seconds.

    >>> _span(3, 83.5)
    '0:03.00 – 1:23.50'
    """
    return " – ".join(f"{int(each // 60)}:{each % 60:05.2f}" for each in (start, end))


def record(args: argparse.Namespace) -> int:
    """Record a clip of fixed length from a microphone.

    Ctrl-C ends it earlier, and what was recorded by then is kept.
    """
    import numpy as np

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
    for issue in ser.audio.quality_issues(y, sr=sr):
        _warn(f"{path}: {issue}")
    return int(bool(problems))


def _write_sound(path: Path, y: np.ndarray, *, sr: int) -> None:
    import soundfile

    sound = io.BytesIO()  # of a full disk libsndfile tells nothing
    soundfile.write(sound, y, sr, format=path.suffix[1:], subtype="PCM_16")
    with files.atomic_path(path) as temporary:
        # Not getbuffer: where writing fails, it crashes Python 3.12.1 (python/cpython#111049).
        temporary.write_bytes(sound.getvalue())


@contextlib.contextmanager
def _until_interrupted(heard: list[Any]) -> Iterator[list[Exception]]:
    """Let Ctrl-C, or a request of the system to end, leave the block without a complaint.

    So does a microphone that goes away, once something was `heard`; the error is yielded.
    """
    problems: list[Exception] = []
    with contextlib.ExitStack() as handlers:
        for each in (signal.SIGINT, signal.SIGTERM):
            handlers.callback(signal.signal, each, signal.signal(each, signal.default_int_handler))
        try:
            with contextlib.suppress(KeyboardInterrupt):
                yield problems
        except (OSError, ValueError) as error:
            if not heard:
                raise
            _warn(error)
            problems.append(error)
