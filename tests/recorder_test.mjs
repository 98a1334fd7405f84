// Run by test_recorder_js.py, or by hand: node --test tests/recorder_test.mjs
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

// From memory, as Jupyter does it: the module may import nothing.
const source = await readFile(new URL("../sercourse/recorder/recorder.js", import.meta.url));
const recorder = await import(`data:text/javascript;base64,${source.toString("base64")}`);
const { encodeWav, join, level, mono, progress, resample, statedRate, whyNoMicrophone } = recorder;

const RATES = [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000];

function tone(frequency, rate, { seconds = 1, amplitude = 0.5 } = {}) {
  const y = new Float32Array(Math.round(seconds * rate));
  return y.map((_, i) => amplitude * Math.sin((2 * Math.PI * frequency * i) / rate));
}

/** The largest difference, leaving out the edges, where the filter reaches beyond the signal. */
function difference(a, b, edge = 800) {
  let largest = 0;
  for (let i = edge; i < Math.min(a.length, b.length) - edge; i++)
    largest = Math.max(largest, Math.abs(a[i] - b[i]));
  return largest;
}

for (const rate of RATES) {
  test(`a tone sampled at ${rate} Hz keeps frequency, level and phase`, () => {
    for (const frequency of [100, 1_000, 0.42 * Math.min(rate, 16_000)]) {
      const resampled = resample(tone(frequency, rate), rate);
      assert.equal(resampled.length, 16_000);
      // Equal sample by sample to the tone as it would have been sampled at 16 kHz.
      assert.ok(difference(resampled, tone(frequency, 16_000)) < 1e-4, `${frequency} Hz`);
    }
  });
}

test("what 16 kHz cannot hold is silenced instead of folded back", () => {
  const power = (y) => y.slice(800, -800).reduce((sum, sample) => sum + sample ** 2, 0);
  for (const rate of [32_000, 44_100, 48_000, 96_000])
    for (const frequency of [8_100, 9_000, 12_000, 15_900]) {
      const y = tone(frequency, rate);
      const [kept, whole] = [power(resample(y, rate)) / 16_000, power(y) / rate];
      assert.ok(10 * Math.log10(kept / whole) < -75, `${frequency} Hz at ${rate} Hz`);
    }
});

test("a constant stays what it is, and equal rates change nothing", () => {
  const constant = new Float32Array(4_410).fill(0.25);
  assert.ok(difference(resample(constant, 44_100), new Float32Array(1_600).fill(0.25), 200) < 1e-7);
  const y = tone(440, 16_000);
  assert.deepEqual(resample(y, 16_000), y);
  assert.notEqual(resample(y, 16_000), y);
});

test("signals shorter than the filter, and none at all, are resampled too", () => {
  assert.equal(resample(new Float32Array(0), 48_000).length, 0);
  assert.equal(resample(new Float32Array(1), 48_000).length, 0);
  assert.equal(resample(new Float32Array(2), 48_000).length, 1);
  assert.equal(resample(new Float32Array(100), 44_100).length, 36);
});

test("the header of a WAV file is exact", () => {
  const wav = encodeWav(Float32Array.of(0, 0.5, -0.5, 1, -1, 2, -2), 16_000);
  const expected =
    "52494646" + "32000000" + "57415645" + // RIFF, 50 bytes follow, WAVE
    "666d7420" + "10000000" + "0100" + "0100" + // fmt, 16 bytes, PCM, 1 channel
    "803e0000" + "007d0000" + "0200" + "1000" + // 16000 Hz, 32000 bytes/s, 2 bytes, 16 bits
    "64617461" + "0e000000" + // data, 14 bytes
    "0000" + "0040" + "00c0" + "ff7f" + "0080" + "ff7f" + "0080"; // clipped, never wrapped
  assert.equal(Buffer.from(wav).toString("hex"), expected);
});

test("the rate that a sound file states is found, and only there", () => {
  const wav = encodeWav(new Float32Array(1), 44_100);
  assert.equal(statedRate(wav), 44_100);
  const remark = new TextEncoder().encode("LIST\x03\0\0\0abc\0"); // of odd length, so a byte is added
  const longer = [...wav.slice(0, 12), ...remark, ...wav.slice(12)];
  assert.equal(statedRate(Uint8Array.from(longer)), 44_100);
  const flac = new Uint8Array(44);
  flac.set([0x66, 0x4c, 0x61, 0x43]);
  flac.set([0x0b, 0xb8, 0x02, 0xf0], 18); // 48000 in 20 bits, then channels and bits
  assert.equal(statedRate(flac), 48_000);
  const vorbis = new Uint8Array(58);
  vorbis.set(new TextEncoder().encode("OggS"));
  vorbis.set(new TextEncoder().encode("\x01vorbis"), 28);
  vorbis.set([0x80, 0x3e, 0, 0], 40);
  assert.equal(statedRate(vorbis), 16_000);
  assert.equal(statedRate(new TextEncoder().encode("RIFF of a guitar, and no sound file at all: only words")), null);
  assert.equal(statedRate(new Uint8Array(3)), null);
});

test("channels are averaged, and blocks joined and cut", () => {
  assert.deepEqual(mono([Float32Array.of(1, 0), Float32Array.of(0, -1)]), Float32Array.of(0.5, -0.5));
  const blocks = [Float32Array.of(1, 2), Float32Array.of(3)];
  assert.deepEqual(join(blocks), Float32Array.of(1, 2, 3));
  assert.deepEqual(join(blocks, 2), Float32Array.of(1, 2));
});

test("the level is in decibel of full scale", () => {
  assert.ok(Math.abs(level(tone(1_000, 48_000, { amplitude: 1 })) + 3.01) < 0.01);
  assert.ok(Math.abs(level(tone(1_000, 48_000, { amplitude: 0.1 })) + 23.01) < 0.01);
  assert.equal(level(new Float32Array(128)), -60);
  assert.equal(level(new Float32Array(0)), -60);
});

test("the last seconds are counted down", () => {
  assert.equal(progress(3.14159, 20), "3.1 s of 20 s");
  assert.equal(progress(15.2, 20), "15.2 s, stops in 5 s");
  assert.equal(progress(19.9, 20), "19.9 s, stops in 1 s");
});

const page = { secure: true, vscode: false, allowed: true, host: "example.org" };
const error = (name, message = "") => ({ name, message });

for (const [expected, thrown, where] of [
  [/^VS Code/, error("NotAllowedError"), { vscode: true }],
  [/https or localhost.*http:\/\/example\.org/, error("NotSupportedError"), { secure: false }],
  [/browser offers pages no microphone/, error("NotSupportedError"), {}],
  [/inside another/, error("NotAllowedError"), { allowed: false }],
  [/not allowed/, error("NotAllowedError", "Permission denied"), {}],
  [/without an answer/, error("NotAllowedError", "Permission dismissed"), {}],
  [/No microphone was found/, error("NotFoundError"), {}],
  [/does not answer/, error("NotReadableError"), {}],
  [/AbortError: odd/, error("AbortError", "odd"), {}],
])
  test(`why there is no microphone: ${expected}`, () => {
    const sentence = whyNoMicrophone(thrown, { ...page, ...where });
    assert.match(sentence, expected);
    assert.match(sentence, /upload a sound file\.$/); // the way that is always open
  });
