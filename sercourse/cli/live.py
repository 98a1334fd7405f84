"""Commands that listen: name the emotion while somebody speaks, record a clip."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sercourse.cli import models, text

if TYPE_CHECKING:
    import numpy as np

    from sercourse.bundles import Bundle
    from sercourse.live import Source, Utterance

RECORDING_RATE = 16_000  # [Hz] of the models that come with the project
LONGEST_RECORDING = 600.0  # [s]
SOUND_SUFFIXES = (".wav", ".flac")


@dataclass
class _Tally:
    """What has been heard so far."""

    n_heard: int = 0
    n_judged: int = 0


def add_parsers(subparsers: argparse._SubParsersAction) -> None:
    """Register `listen` and `record`."""
    listen = subparsers.add_parser(
        "listen",
        help="name the emotion while somebody speaks",
        description="Wait for speech at a microphone, name the emotion when the speaker pauses, "
        "and go on until Ctrl-C. Nothing is kept unless --save says so.",
    )
    listen.add_argument(
        "--source", metavar="FILE", type=Path, help="listen to a sound file instead; ends with it"
    )
    models.add_model(listen)
    listen.add_argument("--once", action="store_true", help="end after the first utterance")
    listen.add_argument(
        "--every",
        type=float,
        metavar="SECONDS",
        help="do not wait for pauses: judge the last 3 s every so often, a line each",
    )
    listen.add_argument(
        "--save", metavar="DIR", type=Path, help="keep the utterances there, as WAV files"
    )
    _add_device(listen)
    listen.add_argument("--list-devices", action="store_true", help="list the microphones and end")
    listen.set_defaults(run=_listen)

    record = subparsers.add_parser(
        "record",
        help="record a clip of fixed length",
        description="Record a clip of fixed length from a microphone. Ctrl-C ends it earlier, and "
        "what was recorded by then is kept.",
    )
    record.add_argument("out", metavar="OUT.wav", type=Path, help="file to write; it must be new")
    record.add_argument(
        "--seconds", type=float, default=4.0, metavar="N", help="length; default: 4"
    )
    record.add_argument(
        "--sr",
        type=int,
        default=RECORDING_RATE,
        metavar="HZ",
        help=f"sampling rate; default: {RECORDING_RATE}",
    )
    _add_device(record)
    record.set_defaults(run=_record, writes=("out",))


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", metavar="NAME", help="number or part of the name of a microphone"
    )


def _listen(args: argparse.Namespace) -> int:
    if args.list_devices:
        return _list_devices()
    _refuse(args)
    tally, problem = _Tally(), None
    with _until_interrupted():
        bundle = models.load_model(args)
        _warm_up(bundle)
        try:
            _hear(args, bundle=bundle, tally=tally)
        except BrokenPipeError:  # who reads the answers has had enough
            raise
        except (OSError, ValueError) as error:
            if not tally.n_heard:
                raise
            problem = str(error)
    if problem:
        text.say(f"sercourse: {problem}")
    text.say(_closing(args, tally))
    return int(problem is not None or (args.source is not None and not tally.n_judged))


def _refuse(args: argparse.Namespace) -> None:
    """Refuse options that cannot be followed, before any work is done."""
    from sercourse import files
    from sercourse.bundles import timeline

    if args.source and args.device:
        raise ValueError("--source is a file and --device a microphone: give one of them")
    if args.every is not None:
        timeline.refuse_steps(every=args.every)
        for option in ("once", "save"):
            if getattr(args, option):
                raise ValueError(f"--{option} is about utterances, which --every does not wait for")
    if args.save:
        if args.save.exists() and not args.save.is_dir():
            raise NotADirectoryError(f"--save {args.save} is a file: give the name of a folder")
        files.refuse_unwritable_file(args.save / "utterance.wav")


def _hear(args: argparse.Namespace, *, bundle: Bundle, tally: _Tally) -> None:
    """Listen until the source or the patience of the user ends."""
    with _source(args, sr=bundle.sample_rate) as source:
        listen = _utterances if args.every is None else _windows
        text.say(_opening(args, bundle=bundle))
        try:
            listen(args, source=source, bundle=bundle, tally=tally)
        finally:
            if source.overflows:
                text.say(f"sound was lost {source.overflows} times")


@contextlib.contextmanager
def _source(args: argparse.Namespace, *, sr: int) -> Iterator[Source]:
    """Open the file or the microphone; what is wrong with the sound of a microphone is said."""
    from sercourse import live

    if args.source:
        with live.FileSource(args.source, sr=sr) as file:
            yield file
        return
    with live.MicrophoneSource(sr=sr, device=args.device, report=_warn) as microphone:
        text.say(f"microphone: {microphone.name}, {microphone.device_rate} Hz")
        yield microphone


def _utterances(args: argparse.Namespace, *, source: Source, bundle: Bundle, tally: _Tally) -> None:
    """Judge what is said, whenever the speaker pauses."""
    from sercourse import live

    for utterance in live.utterances(source.blocks(), sr=source.sr):
        tally.n_heard += 1
        emotion = _judge(utterance, bundle=bundle)
        tally.n_judged += emotion is not None
        if args.save:
            _save(utterance, folder=args.save, sr=source.sr, name=_name(args, utterance, emotion))
        if args.once:
            return


def _judge(utterance: Utterance, *, bundle: Bundle) -> str | None:
    """Print the emotion of an utterance, and return it; None if it cannot be judged."""
    when = text.span(utterance.start, utterance.end)
    try:
        found = bundle.answer(utterance.y, sr=bundle.sample_rate)
    except ValueError as error:
        _warn(f"{when.strip()}: {error}")
        return None
    for warning in found.warnings:
        _warn(f"{when.strip()}: {warning}")
    print(f"{when}  {found.emotion}{text.judgement(found)}", flush=True)
    return found.emotion


def _windows(args: argparse.Namespace, *, source: Source, bundle: Bundle, tally: _Tally) -> None:
    """Judge windows that slide along, a line each."""
    from sercourse.bundles import timeline

    for moment in bundle.predict_stream(source.blocks(), sr=source.sr, every=args.every):
        tally.n_heard += 1
        when = text.span(moment.start, moment.end)
        judged = moment.note in timeline.JUDGED
        tally.n_judged += judged
        best = int(moment.probabilities.argmax())
        said = bundle.labels[best] if judged else f"({moment.note})"
        p = float(moment.probabilities[best]) if judged else None
        print(text.moment(when, said=said, p=p), flush=True)


def _warm_up(bundle: Bundle) -> None:
    """Judge noise once: the first answer would otherwise wait for the model to load."""
    import numpy as np

    noise = np.random.default_rng(0).normal(scale=0.1, size=bundle.sample_rate)
    bundle.predict(noise.astype(np.float32), sr=bundle.sample_rate)


def _name(args: argparse.Namespace, utterance: Utterance, emotion: str | None) -> str:
    """Name a recording by its time and emotion, so that a scan of such files knows the labels."""
    when = time.strftime("%Y%m%d_%H%M%S")
    if args.source:
        when = f"{args.source.stem}_{utterance.start:07.2f}s"
    return f"{when}_{emotion or 'unknown'}.wav"


def _save(utterance: Utterance, *, folder: Path, sr: int, name: str) -> None:
    path = folder / name
    for number in itertools.count(2):
        if not path.exists():
            break
        when, _, emotion = name.rpartition("_")
        path = folder / f"{when}-{number}_{emotion}"
    _write(path, utterance.y, sr=sr)
    text.say(f"kept {path}")


def _record(args: argparse.Namespace) -> int:
    import numpy as np

    from sercourse import live

    _refuse_recording(args)
    blocks: list[np.ndarray] = []
    problem = None
    microphone = live.MicrophoneSource(sr=args.sr, device=args.device, report=_warn)
    with _until_interrupted():
        try:
            with microphone as source:
                text.say(f"recording {args.seconds:g} s from {microphone.name}: speak")
                _take(source, n_samples=round(args.seconds * args.sr), into=blocks.append)
        except OSError as error:
            if not blocks:
                raise
            problem = str(error)
    if problem:
        _warn(problem)
    if not blocks:
        raise ValueError("nothing was recorded: it was ended too early")
    _write(args.out, np.concatenate(blocks), sr=args.sr)
    _report(args.out, np.concatenate(blocks), sr=args.sr, overflows=microphone.overflows)
    return int(problem is not None)


def _refuse_recording(args: argparse.Namespace) -> None:
    if not 0.1 <= args.seconds <= LONGEST_RECORDING:
        raise ValueError(f"--seconds {args.seconds:g}: give 0.1 to {LONGEST_RECORDING:g} seconds")
    if not 4_000 <= args.sr <= 192_000:
        raise ValueError(f"--sr {args.sr}: give a sampling rate of 4000 to 192000 Hz")
    if args.out.suffix.lower() not in SOUND_SUFFIXES:
        raise ValueError(f"{args.out}: give a name that ends with {' or '.join(SOUND_SUFFIXES)}")
    if args.out.exists():
        raise FileExistsError(f"{args.out} exists and is not overwritten: give another name")


def _take(source: Source, *, n_samples: int, into: Callable[[np.ndarray], None]) -> None:
    """Hand over exactly so many samples of a source."""
    for block in source.blocks():
        into(block[:n_samples])
        n_samples -= len(block)
        if n_samples <= 0:
            return


def _report(path: Path, y: np.ndarray, *, sr: int, overflows: int) -> None:
    from sercourse import audio

    print(f"saved {path}: {len(y) / sr:.1f} s, loudest sample at {100 * abs(y).max():.0f} %")
    for problem in audio.quality_issues(y, sr=sr):
        _warn(f"{path}: {problem}")
    if overflows:
        _warn(f"{path}: sound was lost {overflows} times")


def _write(path: Path, y: np.ndarray, *, sr: int) -> None:
    import soundfile

    from sercourse import files

    with files.atomic_path(path) as temporary:
        soundfile.write(temporary, y, sr, subtype="PCM_16")


def _list_devices() -> int:
    from sercourse import live

    known = live.devices()
    for device in known:
        default = "  (default)" if device.default else ""
        print(
            f"{device.index:3d}  {device.name}, {device.channels} channels, "
            f"{device.sample_rate} Hz{default}"
        )
    if not known:
        print("no microphone is known to PortAudio at the machine that runs Python")
    return 0


def _opening(args: argparse.Namespace, *, bundle: Bundle) -> str:
    kept = f"; utterances are kept in {args.save}" if args.save else ""
    where = f"{args.source}" if args.source else "speak; Ctrl-C ends it"
    return f"listening with {bundle.name}: {where}{kept}"


def _closing(args: argparse.Namespace, tally: _Tally) -> str:
    if args.source and not tally.n_heard:
        return f"sercourse: {args.source}: no speech was found in it"
    unit = "utterance" if args.every is None else "window"
    return f"stopped: {tally.n_judged} of {tally.n_heard} {unit}{'s' * (tally.n_heard != 1)} judged"


def _warn(sentence: str) -> None:
    text.say(f"sercourse: {sentence}")


@contextlib.contextmanager
def _until_interrupted() -> Iterator[None]:
    """Let Ctrl-C, and a request of the system to end, leave the block without a complaint."""
    requests = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, signal.default_int_handler) for each in requests]
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for each, handler in zip(requests, before, strict=True):
            signal.signal(each, handler)
