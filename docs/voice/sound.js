/**
 * What is done with a signal before a model hears it, as `sercourse.audio` and
 * `sercourse.bundles.timeline` do it in Python. Pure functions; every limit comes from `voice.json`,
 * which `tools/voice_page.py` takes from there: `s` is its part "sound".
 */

/**
 * Make one channel of several: their average or, from where they cancel each other on, the loudest.
 *
 * @param {Float32Array[]} channels  of one length
 * @param {number}         rate      [Hz]
 * @returns {{y: Float32Array, warning: string}}
 */
export function mix(channels, rate, s) {
  const y = new Float32Array(channels[0].length);
  const length = Math.max(1, Math.min(Math.round(s.blockSeconds * rate), Math.floor(s.mostValues / channels.length)));
  let only = channels.length > 1 ? -1 : 0;
  let warning = "";
  for (let start = 0; start < y.length; start += length) {
    const block = channels.map((channel) => channel.subarray(start, start + length));
    const mean = block[0].map((_, i) => block.reduce((sum, channel) => sum + channel[i], 0) / block.length);
    if (only < 0) {
      const power = block.map(energy);
      const faint = Math.max(...block.map(peak)) < amplitude(s.silenceDb);
      const whole = power.reduce((a, b) => a + b);
      if (energy(mean) < (s.cancelled * whole) / block.length ** 2 && !faint) {
        only = power.findIndex((each) => each > 0.9 * Math.max(...power)); // the first of equal ones
        warning = `its channels cancel each other when averaged: channel ${only + 1} alone is used`;
      }
    }
    y.set(only < 0 ? mean : block[only], start);
  }
  return { y, warning };
}

/** Say what is wrong with a signal: a list of {kind, text}, empty for a sound one. */
export function qualityIssues(y, s) {
  const n = Math.max(1, y.length);
  let [lowest, highest, sum, clipped] = [Infinity, -Infinity, 0, 0];
  for (const sample of y) {
    lowest = Math.min(lowest, sample);
    highest = Math.max(highest, sample);
    sum += sample;
    if (Math.abs(sample) >= s.clippedLevel) clipped++;
  }
  const [mean, seconds] = [sum / n, y.length / s.sr]; // a constant is as silent as zero
  const issues = [];
  const add = (kind, detail) => issues.push({ kind, text: `${kind}: ${detail}` });
  if (Math.max(highest - mean, mean - lowest) < amplitude(s.silenceDb))
    add(s.silence, `its peak is below ${s.silenceDb.toFixed(0)} dB of full scale`);
  if (seconds < s.minSeconds)
    add(s.tooShort, `${seconds.toFixed(2)} s, at least ${s.minSeconds} s is needed`);
  if (clipped / n > s.clippedShare)
    add(s.clipped, `${((100 * clipped) / n).toFixed(1)} % of samples at full scale`);
  return issues;
}

/** Return the issues with which a signal cannot be judged: all but clipping. */
export function fatalIssues(y, s) {
  return qualityIssues(y, s).filter(({ kind }) => kind !== s.clipped);
}

/**
 * Find where the words are: without frames at both ends that lie `topDb` below the loudest.
 *
 * @returns {[number, number]} first sample, and the one after the last
 */
export function trim(y, { sr, topDb }) {
  if (!y.length) return [0, 0];
  const [length, hop] = [Math.round(0.064 * sr), Math.round(0.016 * sr)];
  const half = Math.floor(length / 2);
  const total = new Float64Array(y.length + 1);
  for (let i = 0; i < y.length; i++) total[i + 1] = total[i] + y[i] * y[i];
  const within = (at) => Math.max(0, Math.min(y.length, at));
  const power = [];
  for (let k = 0; k < 1 + Math.floor((y.length + 2 * half - length) / hop); k++) {
    const start = k * hop - half;
    power.push((total[within(start + length)] - total[within(start)]) / length);
  }
  const loudest = Math.max(1e-10, ...power);
  const loud = power.map((each) => 10 * Math.log10(Math.max(each, 1e-10) / loudest) > -topDb);
  return [loud.indexOf(true) * hop, Math.min(y.length, (loud.lastIndexOf(true) + 1) * hop)];
}

/** Scale a signal so that its largest magnitude is `wanted`; silence stays silence. */
export function normalizePeak(y, wanted) {
  const loudest = peak(y);
  const gain = loudest < 1.1754944e-38 ? 1 : Math.fround(wanted / loudest); // smallest normal float
  return y.map((sample) => sample * gain);
}

/** Cut a signal into equal parts of `seconds` that overlap evenly and end with it. */
export function segments(y, { sr, seconds }) {
  const length = Math.round(seconds * sr);
  if (y.length <= length) return [padded(y, length)];
  const n = Math.ceil(y.length / length);
  return Array.from({ length: n }, (_, k) => {
    const start = Math.floor((k * (y.length - length)) / (n - 1));
    return y.subarray(start, start + length);
  });
}

/** Add zeros at the end of a signal that is shorter than `length`. */
export function padded(y, length) {
  if (y.length >= length) return y;
  const longer = new Float32Array(length);
  longer.set(y);
  return longer;
}

/** Slide a window over a signal; the last ends with it. Yields {start, end, y}, in seconds. */
export function* windows(y, { every, window, s }) {
  const [step, length] = [Math.max(1, Math.round(every * s.sr)), Math.round(window * s.sr)];
  let start = 0;
  for (; start + length <= y.length; start += step)
    yield { start: start / s.sr, end: (start + length) / s.sr, y: y.subarray(start, start + length) };
  const fresh = y.length - Math.max(start, start - step + length);
  if (y.length && (start === 0 || fresh >= s.minSeconds * s.sr)) {
    const last = y.subarray(Math.max(0, y.length - length));
    yield { start: (y.length - last.length) / s.sr, end: y.length / s.sr, y: last };
  }
}

/** Return the level [dB of full scale] that the loudest 0.3 s of a window reach, and what is wrong. */
export function measure(y, s) {
  const nFrames = Math.max(1, Math.floor(y.length / (s.frameSeconds * s.sr)));
  const nLoud = Math.min(Math.round(s.minSeconds / s.frameSeconds), Math.ceil(nFrames / 3));
  const level = levels(y, s)[nLoud - 1];
  const [issue] = qualityIssues(y, s);
  if (issue && issue.kind !== s.clipped) return { level, note: issue.kind };
  // Without what is below the voice: a hum or a rumble must not hide what is said.
  const clear = levels(preEmphasis(y, s.preEmphasis), s);
  const [highest, loud] = [clear[Math.max(0, Math.floor(nLoud / 5) - 1)], clear[nLoud - 1]];
  const soft = clear[clear.length - 1 - Math.floor(clear.length / 10)];
  if (loud - soft < s.smallestContrastDb || highest - loud < s.smallestPeakDb)
    return { level, note: s.noSpeech };
  return { level, note: issue ? issue.kind : "" };
}

function levels(y, s) {
  const length = Math.min(Math.round(s.frameSeconds * s.sr), y.length);
  const found = new Float64Array(Math.floor(y.length / length));
  for (let k = 0; k < found.length; k++) {
    const power = energy(y.subarray(k * length, (k + 1) * length)) / length;
    found[k] = 10 * Math.log10(power + 10 ** (s.floorDb / 10));
  }
  return found.sort().reverse();
}

function preEmphasis(y, coefficient) {
  return Float64Array.from(y, (sample, i) => (i ? sample - coefficient * y[i - 1] : sample));
}

export function peak(y) {
  return y.reduce((highest, sample) => Math.max(highest, Math.abs(sample)), 0);
}

function energy(y) {
  return y.reduce((sum, sample) => sum + sample * sample, 0);
}

function amplitude(decibel) {
  return 10 ** (decibel / 20);
}
