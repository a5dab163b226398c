// Samples → a stream: for each chunk the path that takes the fewest bytes for what it returns.
import { crc32 } from './checksum.js';
import { roundEven } from './elements.js';
import { AetoolError } from './error.js';
import { Growing } from './files.js';
import { SAMPLES } from './header.js';
import { product } from './integer_decoder.js';
import { encodePredictive, MOST_STEP, nearestStep } from './predictive.js';
import { Scaling, StreamWriter, valuesCrc, valuesOf, valuesOfUnit } from './stream.js';
/** @import { Autoencoder } from './autoencoder.js' */
/** @import { Bundle } from './bundle.js' */
/** @import { Codec, Compression, Quality } from './compression.js' */
/** @import { SampleType, StreamHeader } from './header.js' */

const MOST_SYMBOL = 65536;
const MOST_VALUES = 2 ** 22; // of a chunk

/** @typedef {{path: number, payload: Uint8Array, n: Float64Array, cost: number}} Candidate */
/**
 * @typedef {object} CompressorOptions
 * @property {SampleType} type of the values
 * @property {number[]} [shape] of a sample; else the bundle's, where it is fixed
 * @property {boolean} [isRecording] consecutive rows, cut into samples of shape[0]; as if not given: true
 * @property {number} [quality] from coarse, 0; as if not given, or too large: the finest
 * @property {number} [codec] the one whose qualities are meant; as if not given: 0
 * @property {number} [maxError] integer samples: of every value; 0: lossless
 * @property {number} [chunkSamples]
 */

/** @param {Compression} compression @param {CompressorOptions} options @returns {StreamHeader} */
function headerOf(compression, options) {
  const shape = options.shape ?? compression.sampleShape.map((size) => {
    if (size === null) throw new AetoolError('usage', 'samples have free sizes: give their shape');
    return size;
  });
  const { maxError, type } = options;
  const isWhole = maxError === undefined || (Number.isInteger(maxError) && maxError >= 0 && 2 * maxError < MOST_STEP);
  if (!isWhole || (maxError !== undefined && type === 'float32')) throw new AetoolError('usage', 'maxError is for integer samples, a whole number from 0 to 2^20 - 1');
  const isRecording = options.isRecording ?? true;
  return { type, shape, isRecording, hasChecks: true, multiplier: 1, shift: 0, maxError, attachment: new Uint8Array() };
}

export class Compressor {
  #compression;
  #model;
  #options;
  #writer;
  #scaling;
  #waiting = new Growing();

  /**
   * @param {(bytes: Uint8Array) => void} sink takes the stream, piece by piece
   * @param {Bundle} bundle @param {Compression} compression
   * @param {Autoencoder | null} model null: codecs are left aside, no engine is needed
   * @param {CompressorOptions} options
   */
  constructor(sink, bundle, compression, model, options) {
    const { codecs } = compression;
    if (codecs.length && !codecs[options.codec ?? 0]) throw new AetoolError('usage', 'the bundle has no such codec');
    this.#compression = compression;
    this.#model = model;
    this.#options = options;
    const header = headerOf(compression, options);
    this.#writer = new StreamWriter(sink, bundle, header);
    this.#scaling = new Scaling(header, compression);
  }

  /**
   * Little-endian values of the stream's type, in C order: whole samples, or of a recording any number of rows.
   * @param {Uint8Array} bytes
   */
  async write(bytes) {
    if (bytes.length % this.#unitBytes !== 0) throw new AetoolError('input', `${bytes.length} bytes are no whole rows or samples`);
    this.#waiting.append(bytes);
    const whole = this.#chunkUnits * this.#unitBytes;
    let done = 0;
    for (; this.#waiting.length - done >= whole; done += whole) {
      await this.#compress(this.#waiting.view(done, done + whole).slice());
    }
    const rest = this.#waiting.view(done).slice();
    this.#waiting = new Growing();
    this.#waiting.append(rest);
  }

  async finish() {
    if (this.#waiting.length || this.#writer.chunks === 0) await this.#compress(this.#waiting.bytes());
    this.#waiting = new Growing();
    this.#writer.finish();
  }

  get #unitBytes() {
    return valuesOfUnit(this.#writer.header) * SAMPLES[this.#writer.header.type].bytes;
  }

  get #chunkUnits() {
    const { shape, isRecording } = this.#writer.header;
    const samples = Math.max(1, Math.min(this.#options.chunkSamples ?? 256, Math.floor(MOST_VALUES / product(shape))));
    return isRecording ? samples * shape[0] : samples;
  }

  /** Whole samples, the last row again where rows lack. @param {Uint8Array} bytes @param {number} samples */
  #padded(bytes, samples) {
    const { shape, type } = this.#writer.header;
    const padded = new Uint8Array(samples * product(shape) * SAMPLES[type].bytes);
    padded.set(bytes);
    for (let at = bytes.length; at < padded.length; at += this.#unitBytes) padded.copyWithin(at, at - this.#unitBytes, at);
    return padded;
  }

  /** @param {Uint8Array} bytes */
  async #compress(bytes) {
    const { shape, type, isRecording } = this.#writer.header;
    const count = bytes.length / this.#unitBytes;
    const samples = Math.ceil(count / (isRecording ? shape[0] : 1));
    const padded = this.#padded(bytes, samples);
    const real = valuesOf(padded, type);
    const kept = count * valuesOfUnit(this.#writer.header);
    const store = () => {
      const crc = type === 'float32' ? crc32(0, bytes) : valuesCrc(real.subarray(0, kept));
      this.#writer.write(count, 0, padded, crc);
    };
    if (samples === 0 || !this.#isOnGrid(real)) return store();
    const n = real.map((value) => roundEven(value / this.#scaling.grid));
    const candidates = [await this.#byCodec(real, n, samples), this.#byPrediction(n, samples)].filter((one) => one !== null);
    const best = candidates.reduce((/** @type {Candidate | null} */ least, one) => (least && least.cost <= one.cost ? least : one), null);
    if (!best || best.cost >= 8 * padded.length) return store();
    this.#writer.write(count, best.path, best.payload, valuesCrc(best.n.subarray(0, kept)));
  }

  /** @param {Float64Array} real */
  #isOnGrid(real) {
    const most = this.#scaling.high * this.#scaling.grid;
    return this.#writer.header.type !== 'float32' || real.every((value) => Math.abs(value) <= most); // NaN is not
  }

  /** The quality that was asked for. @param {Codec} codec */
  #qualityOf(codec) {
    const index = Math.min(this.#options.quality ?? Infinity, codec.qualities.length - 1);
    return { index, quality: codec.qualities[index] };
  }

  /** @returns {Quality | null} */
  get #target() {
    const codec = this.#compression.codecs[this.#options.codec ?? 0];
    return codec ? this.#qualityOf(codec).quality : null;
  }

  /** Bits and, without a promise, what the distortion is worth: at high rates dR/dD = 1 / (2 ln 2 · D).
   * @param {number} path @param {Uint8Array} payload @param {Float64Array} made @param {Float64Array} n @returns {Candidate} */
  #candidate(path, payload, made, n) {
    let cost = 8 * payload.length;
    const rmse = this.#target?.rmse ?? 0;
    if (this.#options.maxError === undefined && rmse > 0) {
      const squares = n.reduce((all, value, i) => all + (((value - made[i]) * this.#scaling.grid) / rmse) ** 2, 0);
      cost += squares / (2 * Math.LN2);
    }
    return { path, payload, n: made, cost };
  }

  /** The cheapest codec. @param {Float64Array} real @param {Float64Array} n @param {number} samples */
  async #byCodec(real, n, samples) {
    let best = null;
    for (const [index, codec] of this.#compression.codecs.entries()) {
      if (codec.isAdjoint || !this.#model?.has('encoder')) continue; // the transpose is the Python runtime's affair
      const made = await this.#tryCodec(index, codec, this.#model, real, n, samples);
      if (!best || made.cost < best.cost) best = made;
    }
    return best;
  }

  /** @param {number} index @param {Codec} codec @param {Autoencoder} model
   * @param {Float64Array} real @param {Float64Array} n @param {number} samples */
  async #tryCodec(index, codec, model, real, n, samples) {
    const { shape } = this.#writer.header;
    const latent = codec.latentOf(shape, 'input');
    const { index: q, quality } = this.#qualityOf(codec);
    const symbols = symbolsOf(codec, quality, await model.encode(Float32Array.from(real), shape));
    const [symbolsOfSample, valuesOfSample] = [product(latent), product(shape)];
    let made = new Float64Array(n.length);
    for (let s = 0; s < samples; s++) {
      const output = codec.decode(symbols.subarray(s * symbolsOfSample, (s + 1) * symbolsOfSample), latent, quality);
      output.forEach((value, i) => (made[s * valuesOfSample + i] = this.#scaling.predict(value)));
    }
    const step = this.#options.maxError === undefined ? 0 : 2 * this.#options.maxError + 1;
    const { coder, residual: residualModel } = this.#compression;
    const payload = new Growing();
    payload.put(q, 1);
    payload.varint(step);
    payload.append(coder.encode(symbols, [samples, ...latent], quality.model));
    if (step !== 0) {
      const residual = Int32Array.from(n, (value, i) => nearestStep(value - made[i], step));
      made = made.map((value, i) => this.#scaling.clamp(value + step * residual[i]));
      payload.append(coder.encode(residual, [1, n.length, 1], residualModel));
    }
    return this.#candidate(index + 2, payload.bytes(), made, n);
  }

  /** @param {Float64Array} n @param {number} samples */
  #byPrediction(n, samples) {
    const { maxError } = this.#options;
    const wanted = (Math.sqrt(12) * (this.#target?.rmse ?? 0)) / this.#scaling.grid;
    const r = maxError === undefined ? Math.min(2 * Math.floor(wanted / 2) + 1, MOST_STEP) : 2 * maxError + 1;
    const payload = encodePredictive(n, this.#compression, samples, this.#writer.header.shape, r);
    return payload && this.#candidate(1, payload, n.map((value) => this.#scaling.clamp(r * nearestStep(value, r))), n);
  }
}

/** @param {Codec} codec @param {Quality} quality @param {Float32Array} latents */
function symbolsOf(codec, quality, latents) {
  const channels = codec.unit.length;
  return Int32Array.from(latents, (latent, i) => {
    const v = latent / codec.unit[i % channels] - codec.center[i % channels];
    const size = Math.floor(Math.abs(v) / quality.step[i % channels] + quality.rounding);
    return Number.isFinite(size) ? Math.sign(v) * Math.min(size, MOST_SYMBOL) : 0;
  });
}
