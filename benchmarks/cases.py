"""What `bench.py` measures, group by group: each function of `GROUPS` returns the cases of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from sercourse import audio, augment, bundles, files, live
from sercourse.features import SETS, extract

# The plain version is the one that the tests hold the package to.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import reference_short_term as reference

SR = 16_000
N_CLIPS = 12
SAMPLE = files.home() / "data" / "sample" / "ravdess"
CLIP = SAMPLE / "Actor_01" / "03-01-05-01-01-01-01.ogg"
ALLOWED = {"ravdess-svm": 0.10, "ravdess-cnn-lstm": 0.25}  # of one core, while listening
THIRD_OF_AN_OCTAVE = 4.0  # [semitones]


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes
    ----------
    name : str
    run : callable
    n : int
        Clips, steps or seconds that one run is about.
    reference : str
        The case of the same group that ratios are against.
    note : str
    warm : bool
        Whether it runs once before anything is measured.
    tells_time : bool
        Whether `run` returns processor time and time on the wall [s], as of another process.
    """

    name: str
    run: Callable[[], Any]
    n: int = 1
    reference: str = ""
    note: str = ""
    warm: bool = True
    tells_time: bool = False


@cache
def sample_clips(n: int, *, sr: int = SR) -> list[np.ndarray]:
    """Return clips of the sample corpus, from all of its speakers."""
    paths = sorted(SAMPLE.rglob("*.ogg"))
    return [audio.read(path, sr=sr) for path in paths[:: len(paths) // n][:n]]


def cold_start() -> Iterator[Case]:
    """Return processes from their start to their end."""

    def process(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    yield Case("python alone", partial(process, "-c", "pass"))
    yield Case("import sercourse", partial(process, "-c", "import sercourse"))
    yield Case("sercourse predict CLIP", partial(process, "-m", "sercourse", "predict", str(CLIP)))


def feature_sets() -> Iterator[Case]:
    """Return every feature set, a plain version of `statistics`, and librosa called plainly."""
    seconds = np.mean([len(y) / SR for y in sample_clips(N_CLIPS)])

    def measured(name: str) -> list[np.ndarray]:
        feature_set = SETS[name]
        clips = sample_clips(N_CLIPS, sr=feature_set.sr)
        return [extract(y, sr=feature_set.sr, feature_set=feature_set) for y in clips]

    def plain() -> list[np.ndarray]:
        return [reference.statistics(reference.short_term(y)) for y in sample_clips(N_CLIPS)]

    def librosa_plainly() -> list[np.ndarray]:
        warnings.simplefilter("ignore", UserWarning)  # of short clips
        return [plain_means(y) for y in sample_clips(N_CLIPS)]

    np.testing.assert_allclose(measured("statistics"), plain(), rtol=1e-6, atol=1e-11)
    np.testing.assert_allclose(measured("librosa"), librosa_plainly(), atol=1e-4)
    for name in SETS:
        note = f"clips of {seconds:.1f} s, {SETS[name].sr} Hz"
        yield Case(name, partial(measured, name), n=N_CLIPS, reference="statistics", note=note)
    note = "frame by frame; the same numbers to 1e-6"
    yield Case("statistics as written", plain, n=N_CLIPS, reference="statistics", note=note)
    note = "each descriptor on its own; the same numbers to 1e-4"
    yield Case("librosa as its course", librosa_plainly, n=N_CLIPS, reference="librosa", note=note)


def plain_means(y: np.ndarray) -> np.ndarray:
    """Return the set `librosa` as github.com/x4nth055/emotion-recognition-using-speech calls it."""
    import librosa

    stft = np.abs(librosa.stft(y))
    parts = [
        librosa.feature.mfcc(y=y, sr=SR, n_mfcc=40),
        librosa.feature.chroma_stft(S=stft, sr=SR),
        librosa.feature.melspectrogram(y=y, sr=SR),
        librosa.feature.spectral_contrast(S=stft, sr=SR),
        librosa.feature.tonnetz(y=librosa.effects.harmonic(y), sr=SR),
    ]
    return np.concatenate([np.mean(each.T, axis=0) for each in parts])


def corpus() -> Iterator[Case]:
    """Return the scan of a corpus, and what recipes cost with an empty and with a full cache."""
    from sercourse import corpora

    n = len(corpora.scan(SAMPLE, corpus="ravdess").clips)
    yield Case("scan", lambda: corpora.scan(SAMPLE, corpus="ravdess"), n=n, note="a clip")
    work = Path(tempfile.mkdtemp())
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def command(*arguments: str, cached: bool) -> None:
        if not cached:
            shutil.rmtree(work, ignore_errors=True)
        environment = {**os.environ, "SERCOURSE_CACHE": str(work)}
        told = [sys.executable, "-m", "sercourse", *arguments, "--corpus", "ravdess", "--jobs", "1"]
        subprocess.run(told, check=True, env=environment, **quiet)

    evaluate = ("evaluate", "svm-classic", str(SAMPLE), "--protocol", "speaker")
    search = ("search", str(SAMPLE), "--features", "statistics", "--estimators", "svc")
    search += ("--out", str(work / "search"))
    for name, arguments in (("evaluate svm-classic", evaluate), ("search svc", search)):
        first = f"{name}, first time"
        yield Case(first, partial(command, *arguments, cached=False), note=f"{n} clips", warm=False)
        again = partial(command, *arguments, cached=True)
        yield Case(f"{name}, again", again, reference=first, warm=False)


def inference() -> Iterator[Case]:
    """Return every bundle, from the signal to its answer."""
    for folder in bundles.available():
        bundle = bundles.load(folder)
        clips = sample_clips(N_CLIPS, sr=bundle.sample_rate)

        def judge(bundle: bundles.Bundle = bundle, clips: list[np.ndarray] = clips) -> None:
            for y in clips:
                bundle.answer(y, sr=bundle.sample_rate)

        seconds = np.mean([len(y) / bundle.sample_rate for y in clips])
        note = f"clips of {seconds:.1f} s"
        yield Case(bundle.name, judge, n=N_CLIPS, reference="any-voice", note=note)


def listening(seconds: int = 30) -> Iterator[Case]:
    """Return what it costs to listen, and how long a speaker waits for the answer."""
    clip = audio.read(CLIP, sr=SR)
    spoken = np.concatenate([clip, np.zeros(SR, dtype=np.float32)])  # with pauses, in a quiet room
    y = np.resize(spoken, seconds * SR)
    y = y + 1e-4 * np.random.default_rng(0).normal(size=len(y)).astype(np.float32)
    blocks = [y[at : at + SR // 10] for at in range(0, len(y), SR // 10)]  # as of a microphone

    def endpointing() -> None:
        assert sum(1 for _ in live.utterances(iter(blocks), sr=SR)) > 0

    yield Case("finding utterances", endpointing, n=seconds, note="a second of sound")
    for name in (bundles.DEFAULT_MODEL, *ALLOWED):
        bundle = bundles.load(name)

        def stream(bundle: bundles.Bundle = bundle) -> None:
            assert sum(1 for _ in bundle.predict_stream(iter(blocks), sr=SR, every=1.0)) > 0

        note = f"a second of sound; allowed are {1000 * ALLOWED.get(name, 0.25):.0f} ms"
        yield Case(f"{name}, a window a second", stream, n=seconds, note=note)
        (utterance, *_) = live.utterances(iter(blocks), sr=SR)
        answer = partial(bundle.answer, utterance.y, sr=SR)
        yield Case(
            f"{name}, the answer", answer, note="after the pause of 0.8 s; allowed are 300 ms"
        )


def augmentation() -> Iterator[Case]:
    """Return each augmentation, and librosa's where it has one; of a clip and of spectrograms."""
    import librosa

    sr, rng = 44_100, np.random.default_rng(0)
    y = np.resize(audio.read(CLIP, sr=sr), round(4.09 * sr))  # mean length of the clips of AESDD
    third = THIRD_OF_AN_OCTAVE
    theirs = {
        "pitch up": lambda: librosa.effects.pitch_shift(y, sr=sr, n_steps=third),
        "pitch down": lambda: librosa.effects.pitch_shift(y, sr=sr, n_steps=-third),
        "stretch": lambda: librosa.effects.time_stretch(y, rate=1.1),
    }
    ours = {
        "pitch up": lambda: augment.pitch_shift(y, sr=sr, semitones=third),
        "pitch down": lambda: augment.pitch_shift(y, sr=sr, semitones=-third),
        "stretch": lambda: augment.time_stretch(y, sr=sr, rate=1.1),
        "white noise": lambda: augment.add_noise(y, snr=20, rng=rng),
        "pink noise": lambda: augment.add_noise(y, snr=20, rng=rng, colour="pink"),
        "room": lambda: augment.reverberate(y, sr=sr, rt60=0.5, rng=rng),
    }
    for name, run in ours.items():
        note = f"peaks kept: {crest(run()) / crest(y):.0%}" if name in theirs else "4.1 s, 44.1 kHz"
        yield Case(name, run, note=note)
        if name in theirs:
            note = f"peaks kept: {crest(theirs[name]()) / crest(y):.0%}"
            yield Case(f"{name} by librosa", theirs[name], reference=name, note=note)
    X = rng.normal(-40, 10, size=(32, 400, 64)).astype(np.float32)
    T = np.eye(8, dtype=np.float32)[rng.integers(8, size=len(X))]
    batch = {
        "warp": lambda: augment.vtlp(X, rng=rng),
        "mask bands": lambda: augment.freq_mask(X, rng=rng, n=2, widest=10),
        "mask frames": lambda: augment.time_mask(X, rng=rng, n=2, widest=40),
        "mix noise": lambda: augment.mix_noise(X, rng=rng, share=1, level=(-30, -10)),
        "tilt": lambda: augment.spectral_tilt(X, rng=rng),
        "mixup": lambda: augment.mixup(X, T, rng=rng, alpha=0.3),
    }
    for name, run in batch.items():
        yield Case(f"spectrogram, {name}", run, n=len(X), note="400 x 64, in a batch of 32")


def crest(y: np.ndarray) -> float:
    """Return how far the pulses of a voice stand out: peak over mean level in 20 ms, median.

    A phase vocoder lets the harmonics drift apart, and the pulses melt.
    """
    frames = y[: y.size // 882 * 882].reshape(-1, 882).astype(np.float64)
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = level > 0.1 * level.max()
    return float(np.median(np.abs(frames[loud]).max(axis=1) / level[loud]))


def training(n_clips: int = 16) -> Iterator[Case]:
    """Return a training step of the classic network with each kind of layers, if Keras is there."""
    from sercourse import networks

    try:
        keras = networks.quiet_keras()
    except ModuleNotFoundError as error:
        print(f"training: left out; {error}")
        return
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    X = rng.uniform(-80, 0, (n_clips, 5, 128, 128)).astype(np.float32)
    y = np.arange(n_clips) % 7

    def compiled() -> Any:
        networks.set_seed(0)
        model = networks.builders.cnn_lstm_classic(n_labels=7)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        # Compiling by XLA would make it far slower.
        model.compile(keras.optimizers.SGD(0.01, momentum=0.8), loss, jit_compile=False)
        return model

    plain, fused = compiled(), compiled()
    with networks.training.fused_ops():  # the first step builds the graph, and keeps it
        fused.train_on_batch(X, y)
    note = f"a clip of a step of {n_clips}, one thread"
    run = partial(plain.train_on_batch, X, y)
    yield Case("plain layers", run, n=n_clips, reference="fused layers", note=note)
    yield Case("fused layers", partial(fused.train_on_batch, X, y), n=n_clips, note=note)


GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    "cold": cold_start,
    "features": feature_sets,
    "corpus": corpus,
    "inference": inference,
    "listening": listening,
    "augmentation": augmentation,
    "training": training,
}
