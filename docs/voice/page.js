/** The page "Try your voice": a recorder, the model, and what it says. */
import { encodeWav, RecorderView, resample } from "./recorder.js";
import { Model } from "./model.js";
import { fatalIssues, mix, peak, qualityIssues } from "./sound.js";

const FAINT_DB = -35; // a peak below it is worth a word, though the model does not mind

const INSTEAD = "You can still record or open a sound, hear it and save it, then ask sercourse predict on a computer.";

// What to do about a warning; their first words are those of the command line.
const ADVICE = {
  silence: "Is the microphone muted, or another one chosen in the system's settings?",
  "too short": "Say a whole sentence, two or three seconds long.",
  clipped: "Go a little away from the microphone, or turn its level down.",
  "not sure": "Say a longer sentence with more feeling, or take the answer for what it is.",
  unlike: "Music, noise and single sounds are not judged: let one person speak.",
  "no part": "Go closer to the microphone, or turn its level up.",
  "its channels": "Where that is wrong, open a file with one channel.",
  faint: "Go closer to the microphone, or turn its level up.",
};

// A program of a few bytes that uses one vector instruction.
const VECTORS = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);

/** Say why this browser cannot run the model; nothing if it can. */
export function whyNoModel(wasm = globalThis.WebAssembly) {
  if (!wasm) return `This browser has no WebAssembly, which the model runs in: use another browser. ${INSTEAD}`;
  if (!wasm.validate(VECTORS))
    return `This browser's WebAssembly has no SIMD instructions, which the model needs: use a newer browser or device. ${INSTEAD}`;
  return "";
}

/** Divide the time among windows that overlap: from halfway to the one before to halfway to the next. */
export function columns(moments, duration) {
  const middles = moments.map(({ start, end }) => (start + end) / 2);
  return middles.map((middle, k) => [
    k ? (middles[k - 1] + middle) / 2 : 0,
    k + 1 < middles.length ? (middle + middles[k + 1]) / 2 : duration,
  ]);
}

/** Join neighbouring columns of which the same is said: ["0–4 s happy", "4–6 s (silence)"]. */
export function runs(said, places) {
  const joined = [];
  said.forEach((words, k) => {
    const [start, end] = places[k];
    if (joined.at(-1)?.words === words) joined.at(-1).end = end;
    else joined.push({ start, end, words });
  });
  return joined.map(({ start, end, words }) => `${seconds(start)}–${seconds(end)} s ${words}`);
}

function seconds(time) {
  return Number(time.toFixed(1)).toString();
}

function percent(share) {
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

/** Return the most probable label and its share. */
function likeliest(probabilities) {
  return Object.entries(probabilities).reduce((best, each) => (each[1] > best[1] ? each : best));
}

/** Make an element with a class, a text, and children. */
function make(tag, { text = "", children = [], ...properties } = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** What fetches and loads: `read(name)` gives bytes, `load(name)` a module. */
export async function start(files) {
  const root = document.querySelector("#sercourse-voice");
  const settings = JSON.parse(new TextDecoder().decode(await files.read("voice.json")));
  return new Page(root, settings, files);
}

class Page {
  #root;
  #settings;
  #files;
  #model; // promised
  #recorder;
  #turn = 0; // number of the sound that is being judged
  #warning = ""; // of mixing its channels
  #address = ""; // of the sound, to be saved

  constructor(root, settings, files) {
    [this.#root, this.#settings, this.#files] = [root, settings, files];
    const { limits } = settings;
    this.#recorder = new RecorderView(
      {
        longest: limits.recording,
        processing: false,
        longestFile: limits.file,
        largestFile: limits.bytes,
        tooLong: "are judged here: cut it, or use sercourse predict, which takes any length.",
        stopped: "recorded here",
        sent: "The model listens ...",
        verb: "Open",
        toMono: (channels, rate) => this.#toMono(channels, rate),
        take: (sound) => this.#judge(sound),
        fail: () => this.#clear(),
      },
      this.#find(".recorder"),
    );
    this.#acceptDrops();
    this.#describe();
    this.#model = this.#load();
    this.#model.catch(() => {}); // said on the page
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  #toMono(channels, rate) {
    const { y, warning } = mix(channels, rate, this.#settings.sound);
    this.#warning = warning;
    return resample(y, rate, this.#settings.sound.sr);
  }

  /** Load the model, and say how it goes. */
  async #load() {
    const say = (state, text) => {
      this.#root.dataset.model = state;
      this.#find(".status").textContent = text;
    };
    const began = performance.now();
    try {
      const { missing, bytes, name, models } = this.#settings;
      const reason = missing ? `${missing}. ${INSTEAD}` : whyNoModel();
      if (reason) throw new Error(reason);
      say("loading", `Loading the model (${(bytes / 1e6).toFixed(0)} MB from this page's own folder) ...`);
      const names = ["ort.wasm", ...Object.values(models)];
      const [ort, program, ...read] = await Promise.all([
        this.#files.load("ort.js"),
        ...names.map((file) => this.#files.read(file)),
      ]);
      ort.env.wasm.wasmBinary = program.buffer;
      ort.env.wasm.numThreads = 1; // more need headers that a simple server does not send
      const files = Object.fromEntries(Object.keys(models).map((kind, k) => [kind, read[k]]));
      const model = await Model.load(ort, this.#settings, files);
      const took = ((performance.now() - began) / 1000).toFixed(1);
      say("ready", `The model ${name} is ready (${took} s). It runs in this browser: no sound leaves it.`);
      return model;
    } catch (error) {
      say("failed", error.message.endsWith(INSTEAD) ? error.message : `The model cannot run: ${error.message}. ${INSTEAD}`);
      throw error;
    }
  }

  #acceptDrops() {
    const over = (on) => (event) => {
      event.preventDefault();
      this.#root.classList.toggle("dropping", on);
    };
    this.#root.addEventListener("dragover", over(true));
    this.#root.addEventListener("dragleave", over(false));
    this.#root.addEventListener("drop", (event) => {
      over(false)(event);
      const [file] = event.dataTransfer.files;
      if (file) this.#recorder.open(file);
    });
  }

  #clear() {
    this.#turn++;
    this.#find(".answer").hidden = true;
    this.#find(".over-time").hidden = true;
  }

  /** Let the model hear a sound, and show what it says. */
  async #judge({ y, wav, note }) {
    this.#clear();
    const turn = this.#turn;
    const mine = () => turn === this.#turn; // else a newer sound has taken over
    const warnings = this.#warning ? [this.#warning] : [];
    this.#offerToSave(wav);
    const tell = (state, message) => this.#recorder.answer({ state, message: `${note} ${message}`.trim() });
    let model;
    try {
      model = await this.#model;
    } catch {
      if (!mine()) return;
      warnings.push(...qualityIssues(y, this.#settings.sound).map(({ text }) => text));
      this.#showNothing("There is no answer without the model", [...warnings, ...this.#faint(y)]);
      return tell("error", "The model cannot judge it in this browser.");
    }
    await new Promise((resolve) => setTimeout(resolve)); // lets the browser show what is said so far
    const began = performance.now();
    const answer = await model.answer(y);
    const took = ((performance.now() - began) / 1000).toFixed(2);
    if (!mine()) return;
    if (answer.error) {
      this.#showNothing("This cannot be judged", [...warnings, ...answer.error.split("; ")]);
      return tell("error", "It cannot be judged.");
    }
    const headline = this.#show(answer, [...warnings, ...answer.warnings, ...this.#faint(y)]);
    this.#root.dataset.answer = JSON.stringify(answer); // for tests and the curious
    tell("ready", `${headline}. Judged in ${took} s.`);
    await this.#judgeOverTime(model, y, mine);
  }

  #faint(y) {
    const decibel = 20 * Math.log10(Math.max(peak(y), 1e-6));
    const silent = fatalIssues(y, this.#settings.sound).length > 0;
    return decibel < FAINT_DB && !silent ? [`faint: its peak is at ${decibel.toFixed(0)} dB of full scale`] : [];
  }

  #offerToSave(wav) {
    URL.revokeObjectURL(this.#address);
    this.#address = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
    this.#find(".save").href = this.#address;
  }

  #showNothing(headline, warnings) {
    this.#fill({ headline, state: "nothing", warnings, bars: [], voice: "" });
  }

  #show({ emotion, probabilities, speech, gender, genderProbabilities }, warnings) {
    const { unknown, labels, colours } = this.#settings;
    const known = emotion !== unknown;
    const ranked = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
    const bars = ranked.map(([name, share]) => {
      const fill = make("i", { style: `width: ${100 * share}%; background: ${colours[labels.indexOf(name)]}` });
      return make("li", {
        children: [
          make("span", { text: name }),
          make("b", { "aria-hidden": "true", children: [fill] }),
          make("span", { text: percent(share), class: "share" }),
        ],
      });
    });
    const voices = Object.entries(genderProbabilities ?? {}).map(([name, share]) => `${name} ${percent(share)}`);
    const headline = known ? `It sounds ${emotion}` : "I do not know";
    this.#fill({
      headline,
      state: known ? "known" : "unknown",
      warnings,
      bars: speech ? bars : [],
      voice: speech && gender ? `The voice: ${gender} (${voices.join(", ")}).` : "",
    });
    return headline;
  }

  #fill({ headline, state, warnings, bars, voice }) {
    const answer = this.#find(".answer");
    answer.dataset.state = state;
    this.#find(".headline").textContent = headline;
    this.#find(".warnings").replaceChildren(
      ...warnings.map((text) => {
        const [, advice] = Object.entries(ADVICE).find(([kind]) => text.startsWith(kind)) ?? [];
        return make("li", { text: advice ? `${text}. ${advice}` : `${text}.` });
      }),
    );
    this.#find(".bars").replaceChildren(...bars);
    this.#find(".bars").hidden = !bars.length;
    this.#find(".voice").textContent = voice;
    answer.hidden = false;
  }

  /** Judge windows one by one, and draw them. */
  async #judgeOverTime(model, y, mine) {
    const { windows, sound, parts } = this.#settings;
    const duration = y.length / sound.sr;
    if (duration <= windows.seconds) return;
    const every = duration <= parts.longSeconds ? windows.every : windows.everyLong;
    const note = this.#find(".over-time .progress");
    this.#find(".over-time .drawn").hidden = true;
    this.#find(".over-time").hidden = false;
    const progress = (share) => {
      if (!mine()) throw new Error("another sound is being judged");
      note.textContent = `Windows of ${windows.seconds} s, one every ${every} s: ${Math.round(100 * share)} % judged ...`;
    };
    try {
      const moments = await model.overTime(y, { every, window: windows.seconds }, progress);
      note.textContent = `Windows of ${windows.seconds} s, one every ${every} s, as sercourse predict --every ${every} judges them. Each column stands at the middle of its window; a gap is a pause, or not sure.`;
      this.#draw(moments, duration);
      this.#root.dataset.overTime = JSON.stringify(moments);
    } catch (error) {
      if (mine()) note.textContent = `The windows could not be judged: ${error.message}.`;
    }
  }

  #draw(moments, duration) {
    const { labels, colours } = this.#settings;
    const said = moments.map(({ start, end, note, probabilities }) => {
      const [name, share] = probabilities ? likeliest(probabilities) : ["", 0];
      return { start, end, words: name || `(${note})`, share: name ? percent(share) : "" };
    });
    const places = columns(moments, duration);
    const words = runs(said.map((each) => each.words), places).join(", ");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${duration} 1`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `Emotion over time: ${words}`);
    for (const [i, { probabilities }] of moments.entries()) {
      const [left, right] = places[i];
      let top = 1;
      for (const [k, name] of labels.entries()) {
        const share = probabilities?.[name] ?? 0;
        top -= share;
        const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        const place = { x: left, y: top, width: 0.97 * (right - left), height: share, fill: colours[k] };
        for (const [key, value] of Object.entries(place)) bar.setAttribute(key, value);
        if (share > 0) svg.append(bar);
      }
    }
    this.#find(".chart").replaceChildren(svg);
    this.#find(".axis").replaceChildren(...[0, 0.5, 1].map((part) => make("span", { text: `${seconds(part * duration)} s` })));
    this.#find(".legend").replaceChildren(
      ...labels.map((name, k) => make("li", { text: name, style: `--colour: ${colours[k]}` })),
    );
    this.#find(".runs").textContent = `${words}.`;
    this.#find(".over-time tbody").replaceChildren(
      ...said.map((row) =>
        make("tr", {
          children: [`${seconds(row.start)}–${seconds(row.end)} s`, row.words, row.share].map((text) => make("td", { text })),
        }),
      ),
    );
    this.#find(".over-time .drawn").hidden = false;
  }

  /** Say what the model knows and what it does not, in the words of its card. */
  #describe() {
    this.#find(".made").textContent = this.#settings.made;
    for (const [part, paragraphs] of Object.entries(this.#settings.card))
      this.#find(`.card-${part}`).replaceChildren(...paragraphs.map((text) => make("p", { text })));
  }
}
