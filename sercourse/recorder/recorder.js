/**
 * The browser's half of `sercourse.recorder`: a microphone or a sound file -> 16 kHz mono.
 *
 * Jupyter loads this module from memory, so it imports nothing. First come pure functions, exported
 * for the tests; then the microphone, sound files, and the recorder itself, which also serves the
 * course's page "Try your voice".
 */

export const RATE = 16_000; // [Hz], what every model of the course listens at
export const SILENCE = -60; // [dB of full scale], left end of the level meter
export const LARGEST_FILE = 16e6; // [bytes], the longest clip as 96 kHz stereo floats still fits

// ---- Sound: pure functions ---------------------------------------------------------------------

const ZERO_CROSSINGS = 64; // on each side of the low-pass filter
const KAISER_BETA = 9; // aliases stay 90 dB down
const PASSBAND = 0.955; // the filter's -6 dB point, as a share of half the lower rate

/**
 * Change the rate of a signal through a windowed-sinc low-pass filter.
 *
 * @param {Float32Array} y      signal
 * @param {number}       from   its rate [Hz], an integer
 * @param {number}       to     the rate wanted [Hz], an integer
 * @returns {Float32Array}      round(y.length * to / from) samples, in time with `y`
 */
export function resample(y, from, to = RATE) {
  if (from === to) return Float32Array.from(y);
  const common = greatestCommonDivisor(from, to);
  const [up, down] = [to / common, from / common];
  const filters = new Map(); // one for each of the `up` places that an output has between inputs
  const resampled = new Float32Array(Math.round((y.length * up) / down));
  for (let k = 0; k < resampled.length; k++) {
    const phase = (k * down) % up;
    if (!filters.has(phase)) filters.set(phase, lowPass(from, to, phase / up));
    resampled[k] = weightedSum(y, filters.get(phase), Math.floor((k * down) / up));
  }
  return resampled;
}

/** Return the weights of the inputs around one output that lies `offset` of a sample after its own. */
function lowPass(from, to, offset) {
  const reach = Math.ceil(ZERO_CROSSINGS * Math.max(1, from / to)); // [samples] to each side
  const bandwidth = PASSBAND * Math.min(1, to / from);
  const weights = new Float64Array(2 * reach);
  for (let j = 0; j < weights.length; j++) {
    const distance = j - reach + 1 - offset;
    weights[j] = sinc(bandwidth * distance) * kaiser(distance / reach);
  }
  const sum = weights.reduce((a, b) => a + b); // a constant stays exactly what it is
  return weights.map((weight) => weight / sum);
}

function weightedSum(y, weights, centre) {
  const start = centre - weights.length / 2 + 1;
  const end = Math.min(weights.length, y.length - start);
  let sum = 0;
  for (let j = Math.max(0, -start); j < end; j++) sum += weights[j] * y[start + j];
  return sum;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Kaiser's window at `x` in [-1, 1] (Kaiser 1974): sidelobes fall as beta grows. */
function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel(KAISER_BETA);
}

/** The modified Bessel function of order 0, by its power series. */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Average channels of one length. */
export function mono(channels) {
  const mixed = new Float32Array(channels[0].length);
  for (const channel of channels) channel.forEach((sample, i) => (mixed[i] += sample));
  return mixed.map((sample) => sample / channels.length);
}

/** Join blocks into one signal of at most `length` samples. */
export function join(blocks, length = Infinity) {
  const total = blocks.reduce((sum, block) => sum + block.length, 0);
  const joined = new Float32Array(total);
  let position = 0;
  for (const block of blocks) {
    joined.set(block, position);
    position += block.length;
  }
  return joined.slice(0, Math.min(total, length));
}

/**
 * Write a mono signal as a WAV file with 16-bit samples.
 *
 * @param {Float32Array} y     in [-1, 1]; what lies beyond is clipped
 * @param {number}       rate  [Hz]
 * @returns {Uint8Array}       44 + 2 * y.length bytes
 */
export function encodeWav(y, rate = RATE) {
  const view = new DataView(new ArrayBuffer(44 + 2 * y.length));
  const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * y.length, true); // bytes that follow
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // one channel
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes per second
  view.setUint16(32, 2, true); // bytes per frame
  view.setUint16(34, 16, true); // bits per sample
  text(36, "data");
  view.setUint32(40, 2 * y.length, true);
  y.forEach((sample, i) => view.setInt16(44 + 2 * i, toInt16(sample), true));
  return new Uint8Array(view.buffer);
}

function toInt16(sample) {
  return Math.max(-32768, Math.min(32767, Math.round(32768 * sample)));
}

/** Return the rate [Hz] that a WAV, FLAC or Ogg Vorbis file states; null for anything else. */
export function statedRate(bytes) {
  if (bytes.length < 44) return null;
  const text = (start, end) => String.fromCharCode(...bytes.subarray(start, end));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (text(0, 4) === "fLaC") return view.getUint32(18) >>> 12; // 20 bits
  if (text(0, 4) === "OggS" && text(29, 35) === "vorbis") return view.getUint32(40, true);
  if (text(0, 4) !== "RIFF" || text(8, 12) !== "WAVE") return null;
  // Each chunk has a name, its length, and an even number of bytes; others may precede the format.
  for (let at = 12; at + 16 <= bytes.length; at += 8 + view.getUint32(at + 4, true) + (bytes[at + 4] & 1))
    if (text(at, at + 4) === "fmt ") return view.getUint32(at + 12, true);
  return null;
}

/** Return the loudness of a block [dB of full scale]: its root mean square, at least `SILENCE`. */
export function level(block) {
  const power = block.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, block.length);
  return Math.max(SILENCE, 10 * Math.log10(power + 1e-12));
}

// ---- Words: pure functions ---------------------------------------------------------------------

/**
 * Say why there is no microphone, and what to do.
 *
 * @param {{name: string, message: string}} error   what the browser threw
 * @param {{secure: boolean, vscode: boolean, allowed: boolean, host: string}} page
 * @param {string} verb   what can be done with a sound file instead
 */
export function whyNoMicrophone(error, page, verb = "upload") {
  if (page.vscode)
    return `VS Code gives its notebooks no microphone: open this one in JupyterLab (make lab), or ${verb} a sound file.`;
  if (!page.secure)
    return `Browsers give a microphone only to pages at https or localhost, and this one is http://${page.host}: open it through https or an ssh tunnel, or ${verb} a sound file.`;
  if (error.name === "NotSupportedError")
    return `This browser offers pages no microphone: try another, or ${verb} a sound file.`;
  if (!page.allowed)
    return `This page is shown inside another that passes on no microphone: open it in a tab of its own, or ${verb} a sound file.`;
  const reasons = {
    NotAllowedError: /dismiss/i.test(error.message)
      ? `The question about the microphone was closed without an answer: press Record again and allow it, or ${verb} a sound file.`
      : `The microphone is not allowed: allow it in the browser's address bar (and in the system's privacy settings), then press Record again, or ${verb} a sound file.`,
    NotFoundError: `No microphone was found: plug one in and press Record again, or ${verb} a sound file.`,
    NotReadableError:
      `The microphone does not answer: close other programs that use it and press Record again, or ${verb} a sound file.`,
  };
  return reasons[error.name] ?? `The microphone cannot be used (${error.name}: ${error.message}): ${verb} a sound file.`;
}

/** Say how far a recording is, and when it will stop by itself. */
export function progress(seconds, longest) {
  const left = Math.ceil(longest - seconds);
  const passed = `${seconds.toFixed(1)} s`;
  return left <= 5 ? `${passed}, stops in ${left} s` : `${passed} of ${longest} s`;
}

// ---- The microphone ----------------------------------------------------------------------------

// Runs in the browser's audio thread and passes every block on as it is: nothing is compressed.
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length) this.port.postMessage(channels[0].slice());
    return true;
  }
});`;

/** A microphone that is on, until `close`. */
class Microphone {
  #stream;
  #context;

  /**
   * Ask for the microphone and start to listen.
   *
   * @param {{processing: boolean, onBlock: function, onLost: function}} options
   */
  static async open({ processing, onBlock, onLost }) {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("none", "NotSupportedError");
    const wanted = {
      channelCount: 1,
      echoCancellation: processing,
      noiseSuppression: processing,
      autoGainControl: processing,
    };
    const microphone = new Microphone();
    microphone.#stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    try {
      await microphone.#listen(onBlock);
    } catch (error) {
      microphone.close();
      throw error;
    }
    microphone.#track.addEventListener("ended", onLost);
    return microphone;
  }

  get #track() {
    return this.#stream.getAudioTracks()[0];
  }

  get name() {
    return this.#track.label || "the microphone";
  }

  get rate() {
    return Math.round(this.#context.sampleRate);
  }

  async #listen(onBlock) {
    this.#context = new AudioContext();
    await this.#context.resume(); // Safari starts it suspended
    const address = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
    await this.#context.audioWorklet.addModule(address);
    URL.revokeObjectURL(address);
    const tap = new AudioWorkletNode(this.#context, "tap", {
      numberOfOutputs: 0,
      channelCount: 1, // a stereo microphone is mixed down
      channelCountMode: "explicit",
    });
    tap.port.onmessage = ({ data }) => onBlock(data);
    this.#context.createMediaStreamSource(this.#stream).connect(tap);
  }

  /** Switch it off: the browser's red dot goes out. */
  close() {
    this.#stream.getTracks().forEach((track) => track.stop());
    this.#context?.close();
  }
}

/** Tell `whyNoMicrophone` what this page is. */
function thisPage() {
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  return {
    secure: window.isSecureContext,
    vscode: /^vscode-|\.vscode-cdn\.net/.test(location.href),
    allowed: policy?.allowsFeature("microphone") ?? true,
    host: location.host,
  };
}

// ---- Sound files -------------------------------------------------------------------------------

/** Decode a sound file of any kind that the browser knows; what it cannot is an Error in words. */
async function readSound(file, { longestFile, largestFile, tooLong }) {
  if (file.size > largestFile)
    throw new Error(`${file.name} has ${(file.size / 1e6).toFixed(0)} MB and at most ${largestFile / 1e6} MB are read: cut it to ${longestFile} s first.`);
  const decoded = await decode(new Uint8Array(await file.arrayBuffer())).catch(() => null);
  if (!decoded?.length)
    throw new Error(`${file.name} holds no sound that this browser can read: choose a WAV, FLAC, MP3, OGG or M4A file.`);
  if (decoded.duration > longestFile)
    throw new Error(`${file.name} lasts ${decoded.duration.toFixed(1)} s and at most ${longestFile} s ${tooLong}`);
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, i) => decoded.getChannelData(i));
  return { channels, rate: decoded.sampleRate };
}

/** Decode at the file's own rate where it is known: our filter is then the only one. */
async function decode(bytes) {
  const known = statedRate(bytes);
  const rate = known >= 8_000 && known <= 96_000 ? known : 48_000; // what every browser takes
  return new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer);
}

// ---- The recorder ------------------------------------------------------------------------------

const LOOKS = `
  <div class="controls">
    <button type="button" class="record"></button>
    <button type="button" class="upload"></button>
    <input type="file" accept="audio/*,.wav,.flac,.mp3,.ogg,.opus,.m4a,.webm" hidden>
    <span class="time" role="timer" aria-live="off"></span>
  </div>
  <div class="meter" role="meter" aria-label="Level of the microphone in decibel"
       aria-valuemin="${SILENCE}" aria-valuemax="0"><div></div></div>
  <p class="message" role="status"></p>
  <audio controls hidden aria-label="What was recorded"></audio>`;

/**
 * What a recorder is part of, such as a notebook; it gets the sounds, and answers each.
 *
 * @typedef {object} Host
 * @property {number}  longest      after so long a recording stops [s]
 * @property {boolean} processing   whether the browser may suppress noise and echo
 * @property {number}  longestFile  of a file that is opened [s]
 * @property {number}  largestFile  [bytes]
 * @property {string}  tooLong      end of "a.wav lasts 90 s and at most 20 s ..."
 * @property {string}  stopped      end of "Stopped after 20 s, the longest that can be ..."
 * @property {string}  sent         what the reader is told until there is an answer
 * @property {string}  verb         what is done with a file: "Upload" or "Open"
 * @property {function(Float32Array[], number): Float32Array} toMono  channels and their rate -> 16 kHz
 * @property {function({y: Float32Array, wav: Uint8Array, note: string})} take  gets a sound
 * @property {function(string)} fail  hears why there is none
 */

/**
 * One recorder on the page. What it is doing stays here: its host hears of sounds and of failures,
 * and answers each sound. Its states: idle, asking, recording, reading, sent, ready, error.
 */
export class RecorderView {
  #host;
  #root;
  #state = "idle";
  #microphone = null; // while it records
  #blocks = [];
  #heard = 0; // [samples]
  #gone = false;

  /**
   * @param {Host} host
   * @param {HTMLElement} el  that it is put into
   */
  constructor(host, el) {
    this.#host = host;
    this.#root = document.createElement("div");
    this.#root.className = "sercourse-recorder";
    this.#root.setAttribute("role", "group");
    this.#root.setAttribute("aria-label", "Voice recorder");
    this.#root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes Enter and Space
    this.#root.innerHTML = LOOKS;
    this.#find(".upload").textContent = `${host.verb} a file`;
    el.append(this.#root);
    this.#find(".record").addEventListener("click", () => this.#toggle());
    this.#find(".upload").addEventListener("click", () => this.#choose());
    this.#find("input").addEventListener("change", () => this.#upload());
    this.#showLevel(SILENCE);
    this.refresh();
  }

  /** Leave the page: nothing goes on listening. */
  remove() {
    this.#gone = true;
    this.#silence();
    URL.revokeObjectURL(this.#find("audio").src);
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  get #busy() {
    return this.#state === "asking" || this.#state === "reading";
  }

  #tell(state, message) {
    this.#state = state;
    this.#find(".message").textContent = message;
    this.refresh();
  }

  #fail(message) {
    this.#tell("error", message);
    this.#host.fail(message);
  }

  /** Tell the reader what became of the sound: "ready" or "error", and a sentence. */
  answer({ state, message }) {
    if (this.#state === "sent") this.#tell(state, message);
  }

  /** Show what changed. */
  refresh() {
    const recording = this.#state === "recording";
    this.#root.dataset.state = this.#state;
    this.#find(".record").textContent = recording ? "Stop" : "Record";
    this.#grey(".record", this.#busy);
    this.#grey(".upload", this.#busy || recording);
    if (!recording) this.#find(".time").textContent = `up to ${this.#host.longest} s`;
  }

  /** Make a button look as if it were off; one that really is would lose the keyboard's focus. */
  #grey(button, off) {
    this.#find(button).setAttribute("aria-disabled", off);
  }

  #toggle() {
    if (this.#state === "recording") this.#finish();
    else if (!this.#busy) this.#record();
  }

  #choose() {
    if (this.#state !== "recording" && !this.#busy) this.#find("input").click();
  }

  async #record() {
    this.#find("audio").pause(); // else it would be recorded
    this.#tell("asking", "Waiting for the browser's permission to use the microphone ...");
    try {
      const microphone = await Microphone.open({
        processing: this.#host.processing,
        onBlock: (block) => this.#hear(block),
        onLost: () => this.#finish("The microphone was unplugged or switched off."),
      });
      if (this.#gone) return microphone.close(); // the cell was cleared while the browser asked
      this.#microphone = microphone;
      this.#tell("recording", `Recording from ${microphone.name}: speak.`);
    } catch (error) {
      this.#fail(whyNoMicrophone(error, thisPage(), this.#host.verb.toLowerCase()));
    }
  }

  #hear(block) {
    if (!this.#microphone) return; // not yet, or no longer
    this.#blocks.push(block);
    this.#heard += block.length;
    const seconds = this.#heard / this.#microphone.rate;
    // The screen is renewed 20 times a second, not with each of the 375 blocks.
    if (this.#blocks.length % 19 === 0) {
      this.#showLevel(level(join(this.#blocks.slice(-19))));
      this.#find(".time").textContent = progress(seconds, this.#host.longest);
    }
    if (seconds >= this.#host.longest) this.#finish(`Stopped after ${this.#host.longest} s, the longest that can be ${this.#host.stopped}.`);
  }

  #finish(note = "") {
    if (!this.#microphone) return;
    const rate = this.#microphone.rate;
    const y = join(this.#blocks, Math.round(this.#host.longest * rate));
    this.#silence();
    if (y.length) this.#send([y], rate, note);
    else this.#fail(`${note} Nothing was heard: press Record again.`.trim());
  }

  /** Switch the microphone off and forget what it said. */
  #silence() {
    this.#microphone?.close();
    this.#microphone = null;
    this.#blocks = [];
    this.#heard = 0;
    this.#showLevel(SILENCE);
  }

  async #upload() {
    const input = this.#find("input");
    const [file] = input.files;
    if (!file) return;
    await this.open(file);
    input.value = ""; // so that the same file can be chosen again
  }

  /** Take a sound file, unless a recording is under way. */
  async open(file) {
    if (this.#state === "recording" || this.#busy) return;
    this.#tell("reading", `Reading ${file.name} ...`);
    try {
      const { channels, rate } = await readSound(file, this.#host);
      this.#send(channels, rate, `${file.name} was read.`);
    } catch (error) {
      this.#fail(error.message);
    }
  }

  /** Give the host the sound, which answers with a message, and the reader something to play. */
  #send(channels, rate, note) {
    const y = this.#host.toMono(channels, rate);
    const wav = encodeWav(y);
    this.#tell("sent", `${note} ${this.#host.sent}`.trim());
    this.#host.take({ y, wav, note });
    const player = this.#find("audio");
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
    player.hidden = false;
  }

  #showLevel(decibel) {
    const meter = this.#find(".meter");
    meter.setAttribute("aria-valuenow", decibel.toFixed(0));
    meter.firstElementChild.style.width = `${100 * (1 - decibel / SILENCE)}%`;
  }
}

/** Let Python be the host: `model` is what anywidget shares with it. */
class PythonHost {
  #model;
  largestFile = LARGEST_FILE;
  tooLong = "can be sent: cut it, or read it in Python with sercourse.audio.read.";
  stopped = "sent";
  sent = "On its way to Python, which takes it when no cell is running.";
  verb = "Upload";

  constructor(model) {
    this.#model = model;
  }

  get longest() {
    return this.#model.get("max_seconds");
  }

  get longestFile() {
    return this.longest;
  }

  get processing() {
    return this.#model.get("processing");
  }

  toMono(channels, rate) {
    return resample(mono(channels), rate);
  }

  take({ wav, note }) {
    this.#model.send({ kind: "audio", note }, undefined, [wav.buffer]);
  }

  fail(message) {
    this.#model.send({ kind: "failure", message });
  }
}

export default {
  render({ model, el }) {
    const view = new RecorderView(new PythonHost(model), el);
    const [answered, changed] = [(message) => view.answer(message), () => view.refresh()];
    model.on("msg:custom", answered);
    model.on("change:max_seconds", changed);
    return () => {
      model.off("msg:custom", answered);
      model.off("change:max_seconds", changed);
      view.remove();
    };
  },
};
