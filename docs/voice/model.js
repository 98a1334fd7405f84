/**
 * The default model of the course in the browser: the same answers as `sercourse predict`, whose
 * steps in `sercourse.bundles` and `sercourse.features.whisper` this follows one by one.
 */
import { fatalIssues, measure, normalizePeak, padded, qualityIssues, segments, trim, windows } from "./sound.js";

export class Model {
  #ort;
  #sessions;
  #s; // part "sound" of the settings

  /** @param {object} settings  content of voice.json */
  constructor(ort, settings, sessions) {
    this.#ort = ort;
    this.settings = settings;
    this.#s = settings.sound;
    this.#sessions = sessions;
  }

  /**
   * Load the model, and let it hear a second of noise: the first answer would wait for the compiler.
   *
   * @param {object} ort   the module onnxruntime-web
   * @param {object<string, Uint8Array>} files  by the names in `settings.models`
   */
  static async load(ort, settings, files) {
    const sessions = {};
    for (const [name, file] of Object.entries(files))
      sessions[name] = await ort.InferenceSession.create(file, {
        executionProviders: ["wasm"],
        graphOptimizationLevel: "disabled", // loads twice as fast, and answers no slower
        enableMemPattern: false, // each clip has another length
      });
    const model = new Model(ort, settings, sessions);
    await model.#score(Float32Array.from({ length: settings.sound.sr }, () => 0.1 * (Math.random() - 0.5)));
    return model;
  }

  /**
   * Name the emotion in a signal, or say that it is not known.
   *
   * @param {Float32Array} y  mono, at the rate of the model
   * @returns {Promise<object>} as `sercourse.bundles.Prediction`; `error` where nothing can be judged
   */
  async answer(y) {
    const { labels, unknown, sureFrom, gender, words } = this.settings;
    const warnings = qualityIssues(y, this.#s).map(({ text }) => text);
    const { p, speech } = await this.#average(this.#parts(y));
    if (!p.length)
      return { error: fatalIssues(y, this.#s).map(({ text }) => text).join("; ") || words.notLoud };
    const emotions = p.slice(0, labels.length);
    const best = indexOfMax(emotions);
    const sure = emotions[best] >= sureFrom;
    if (!speech) warnings.push(words.notSpeech);
    else if (!sure) warnings.push(`${words.notSure}: no emotion reaches ${(100 * sureFrom).toFixed(0)}%`);
    const answer = {
      emotion: speech && sure ? labels[best] : unknown,
      probabilities: named(labels, emotions),
      duration: y.length / this.#s.sr,
      warnings,
      speech,
    };
    if (gender) {
      const voices = p.slice(labels.length);
      const likeliest = indexOfMax(voices);
      const certain = speech && voices[likeliest] >= gender.threshold;
      answer.gender = certain ? gender.labels[likeliest] : unknown;
      answer.genderProbabilities = named(gender.labels, voices);
    }
    return answer;
  }

  /**
   * Judge windows that slide over a signal, as `sercourse predict --every`.
   *
   * @param {function(number)} [progress]  hears which share is done, and may end it by an error
   * @returns {Promise<object[]>} start, end [s], note, and probabilities, null where not judged
   */
  async overTime(y, { every, window }, progress = () => {}) {
    const { labels, sureFrom, words, parts } = this.settings;
    const moments = [];
    for (const each of windows(y, { every, window, s: this.#s })) {
      const moment = { start: each.start, end: each.end, ...measure(each.y, this.#s), p: null };
      if (this.#isJudged(moment.note)) {
        const { p, speech } = await this.#average(this.#split(each.y).map((part) => ({ y: part, level: 0 })));
        const emotions = p.slice(0, labels.length);
        if (!speech) moment.note = this.#s.noSpeech;
        else if (Math.max(...emotions) < sureFrom) moment.note = words.notSure;
        else moment.p = emotions;
      }
      moments.push(moment);
      await pause();
      progress(each.end / (y.length / this.#s.sr));
    }
    const loudest = Math.max(...moments.filter(({ p }) => p).map(({ level }) => level));
    return moments.map(({ start, end, level, note, p }) => {
      const faint = p && level < loudest - parts.quietDb;
      const judged = p && !faint;
      return { start, end, note: faint ? words.tooQuiet : note, probabilities: judged ? named(labels, p) : null };
    });
  }

  #isJudged(note) {
    return note === "" || note === this.#s.clipped;
  }

  /** Return what is judged of a signal; beyond a minute only what is loud and not steady. */
  #parts(y) {
    const { parts } = this.settings;
    if (y.length <= Math.round(parts.longSeconds * this.#s.sr))
      return this.#split(y).map((part) => ({ y: part, level: 0 }));
    const seconds = Math.min(parts.seconds, parts.longestWords);
    return [...windows(y, { every: seconds, window: seconds, s: this.#s })]
      .map((each) => ({ y: each.y, ...measure(each.y, this.#s) }))
      .filter(({ note }) => this.#isJudged(note));
  }

  /** Return the signal, or parts of it if its words last longer than the model can take. */
  #split(y) {
    const { parts } = this.settings;
    const sr = this.#s.sr;
    if (fatalIssues(y, this.#s).length) return [];
    const longest = parts.longestWords * sr;
    const [first, last] = trim(y, { sr, topDb: this.#s.trimDb });
    if (y.length <= longest || last - first <= longest) return [y];
    return segments(y, { sr, seconds: Math.min(parts.seconds, parts.longestWords) }).filter(
      (part) => !fatalIssues(part, this.#s).length,
    );
  }

  /** Judge parts, and average over those that are loud and like speech. */
  async #average(parts) {
    const scores = [];
    for (const { y, level } of parts) {
      if (scores.length) await pause();
      scores.push({ level, ...(await this.#score(y)) });
    }
    if (!scores.length) return { p: [], speech: false };
    const loudest = Math.max(...scores.map(({ level }) => level));
    const loud = scores.filter(({ level }) => level >= loudest - this.settings.parts.quietDb);
    const spoken = loud.filter(({ speech }) => speech);
    const kept = spoken.length ? spoken : loud;
    const p = kept[0].p.map((_, k) => kept.reduce((sum, score) => sum + score.p[k], 0) / kept.length);
    return { p, speech: spoken.length > 0 };
  }

  /** Return probabilities of emotions, then of voices, and whether a signal is like speech. */
  async #score(y) {
    const x = await this.#statistics(y);
    const emotions = tempered(await this.#classify("emotion", x), this.settings.temperature, this.settings.smallest);
    const voices = this.#sessions.gender ? await this.#classify("gender", x) : [];
    return { p: [...emotions, ...voices], speech: this.#knows(x) };
  }

  async #classify(name, x) {
    const input = new this.#ort.Tensor("float32", Float32Array.from(x), [1, x.length]);
    const { probabilities } = await this.#sessions[name].run({ X: input });
    return [...probabilities.data];
  }

  /** Return mean and standard deviation over time of every layer of the speech encoder. */
  async #statistics(y) {
    const { topDb, marginSeconds, peak, shortestSeconds, longestSeconds } = this.settings.encoder;
    const sr = this.#s.sr;
    const margin = Math.round(marginSeconds * sr);
    const [first, last] = trim(y, { sr, topDb });
    const words = normalizePeak(y.slice(Math.max(0, first - margin), last + margin), peak);
    const long = padded(words, Math.round(shortestSeconds * sr));
    const parts = segments(long, { sr, seconds: Math.min(long.length / sr, longestSeconds) });
    const mean = new Float64Array(this.settings.nFeatures);
    for (const part of parts) {
      const waveform = new this.#ort.Tensor("float32", part.slice(), [1, part.length]);
      const { statistics } = await this.#sessions.encoder.run({ waveform });
      statistics.data.forEach((value, k) => (mean[k] += value / parts.length));
    }
    return mean;
  }

  /** Return whether the last layers lie within the distance of the speech of the training. */
  #knows(x) {
    const { speech } = this.settings;
    if (!speech) return true;
    const n = speech.mean.length;
    const scores = x.slice(-n).map((value, k) => ((value - speech.mean[k]) / speech.std[k]) ** 2);
    return scores.reduce((a, b) => a + b) / n <= speech.farthest;
  }
}

/** Calibrate probabilities by a temperature: above 1 for less certain answers, in the same order. */
function tempered(p, temperature, smallest) {
  const logarithms = p.map((each) => Math.log(Math.max(each, smallest)) / temperature);
  const highest = Math.max(...logarithms);
  const scaled = logarithms.map((each) => Math.exp(each - highest));
  const sum = scaled.reduce((a, b) => a + b);
  return scaled.map((each) => each / sum);
}

/** Let the page answer to its reader. */
function pause() {
  return new Promise((resolve) => setTimeout(resolve));
}

function indexOfMax(values) {
  return values.indexOf(Math.max(...values));
}

function named(labels, values) {
  return Object.fromEntries(labels.map((label, k) => [label, values[k]]));
}
