// The stream: header, chunks, end (BITSTREAM.md, sections 5 and 6). Read strictly, a chunk at a time, in bounded memory.
import { crc32 } from './checksum.js';
import { Cursor, damaged } from './cursor.js';
import { Growing, little32 } from './files.js';
import { fromMemory, readHeader, SAMPLES, SourceReader, writeHeader } from './header.js';
import { product } from './integer_decoder.js';
import { decodePredictive, MOST_STEP } from './predictive.js';
import { shifted } from './step_checker.js';
/** @import { Bundle } from './bundle.js' */
/** @import { Compression } from './compression.js' */
/** @import { SampleType, Source, StreamHeader } from './header.js' */

const MOST_BODY = 2 ** 26;
const MOST_VALUES = 2 ** 24;

/** What a chunk returned: `count` rows of a recording, or samples, as little-endian values in C order; path 0: stored,
 * 1: predicted, 2 + i: codec i. @typedef {{count: number, path: number, values: Uint8Array}} Chunk */

/** Output ↔ samples for one stream. */
export class Scaling {
  /** @param {StreamHeader} header @param {Compression} compression */
  constructor(header, compression) {
    const from = header.type === 'float32' ? header : compression;
    this.low = SAMPLES[header.type].low;
    this.high = SAMPLES[header.type].high;
    this.multiplier = from.multiplier;
    this.shift = from.shift;
    this.grid = header.type === 'float32' ? header.grid ?? compression.outputUnit : 1;
  }

  /** @param {number} n */
  clamp(n) {
    return Math.min(Math.max(n, this.low), this.high);
  }

  /** @param {number} output of the decoder */
  predict(output) {
    return this.clamp(shifted(output * this.multiplier, this.shift));
  }
}

/** @typedef {{get: (i: number) => number, set: (i: number, value: number) => void}} Access */
/** @param {ArrayBufferLike} buffer @param {number} offset @param {SampleType} type @returns {Access} */
function accessOf(buffer, offset, type) {
  const view = new DataView(buffer, offset);
  switch (type) {
    case 'uint8':
      return { get: (i) => view.getUint8(i), set: (i, value) => view.setUint8(i, value) };
    case 'int8':
      return { get: (i) => view.getInt8(i), set: (i, value) => view.setInt8(i, value) };
    case 'uint16':
      return { get: (i) => view.getUint16(2 * i, true), set: (i, value) => view.setUint16(2 * i, value, true) };
    case 'int16':
      return { get: (i) => view.getInt16(2 * i, true), set: (i, value) => view.setInt16(2 * i, value, true) };
    case 'int32':
      return { get: (i) => view.getInt32(4 * i, true), set: (i, value) => view.setInt32(4 * i, value, true) };
    default: // one rounding
      return { get: (i) => view.getFloat32(4 * i, true), set: (i, value) => view.setFloat32(4 * i, value, true) };
  }
}

/** Little-endian bytes → numbers. @param {Uint8Array} bytes @param {SampleType} type */
export function valuesOf(bytes, type) {
  const access = accessOf(bytes.buffer, bytes.byteOffset, type);
  return Float64Array.from({ length: bytes.length / SAMPLES[type].bytes }, (_, i) => access.get(i));
}

/** The opposite. @param {ArrayLike<number>} values @param {SampleType} type @param {number} [grid] */
export function bytesOfValues(values, type, grid = 1) {
  const bytes = new Uint8Array(values.length * SAMPLES[type].bytes);
  const access = accessOf(bytes.buffer, 0, type);
  for (let i = 0; i < values.length; i++) access.set(i, values[i] * grid);
  return bytes;
}

/** @param {number} headerCrc @param {number} number @param {Uint8Array} body */
function chunkCrc(headerCrc, number, body) {
  const place = new Uint8Array(4);
  new DataView(place.buffer).setUint32(0, number, true);
  return crc32(crc32(headerCrc, place), body);
}

/** Of n as i32. @param {Float64Array} n */
export const valuesCrc = (n) => crc32(0, bytesOfValues(n, 'int32'));

/** Values of a sample, or of a row of a recording. @param {StreamHeader} header */
export const valuesOfUnit = (header) => product(header.isRecording ? header.shape.slice(1) : header.shape);

/** Reads a stream chunk by chunk. */
export class StreamReader {
  #in;
  #compression;
  #scaling;
  #headerCrc;
  /** @type {{count: number, size: number}[]} */
  #seen = [];
  #isLast = false;
  #isDone = false;

  /** @param {Source | Uint8Array} source @param {Bundle} bundle @param {Compression} compression */
  constructor(source, bundle, compression) {
    this.#in = new SourceReader(source instanceof Uint8Array ? fromMemory(source) : source);
    this.header = readHeader(this.#in, bundle.digest);
    this.#compression = compression;
    this.#scaling = new Scaling(this.header, compression);
    this.#headerCrc = crc32(0, this.#in.kept());
  }

  /** @returns {Chunk | null} the next chunk; null at the end of the stream, which is checked, too */
  next() {
    if (this.#isDone) return null;
    this.#in.drop();
    const size = this.#in.varint();
    if (size === 0) return this.#finish();
    if (size > MOST_BODY) damaged('a chunk too large');
    this.#in.drop();
    const bytes = this.#in.take(size + 4);
    const body = bytes.subarray(0, size);
    const number = this.#seen.length;
    if (little32(bytes, size) !== chunkCrc(this.#headerCrc, number, body)) damaged(`chunk ${number} has another checksum`);
    if (this.#isLast) damaged('a chunk behind the last one');
    const chunk = this.#decode(body);
    this.#seen.push({ count: chunk.count, size });
    return chunk;
  }

  /** @returns {Generator<Chunk, void>} */
  *[Symbol.iterator]() {
    for (let chunk = this.next(); chunk; chunk = this.next()) yield chunk;
  }

  /** All values, for those that fit in memory. */
  readAll() {
    const all = new Growing();
    for (const { values } of this) all.append(values);
    return all.bytes();
  }

  /** @param {Uint8Array} body @returns {Chunk} */
  #decode(body) {
    const { shape, type, isRecording, hasChecks } = this.header;
    const cursor = new Cursor(body);
    const count = cursor.varint();
    const samples = isRecording ? Math.ceil(count / shape[0]) : count;
    if (count > MOST_VALUES || samples * product(shape) > MOST_VALUES) damaged('a chunk of too many values');
    if (count === 0 && this.#seen.length) damaged('an empty chunk');
    this.#isLast = count === 0 || (isRecording && count % shape[0] !== 0);
    const path = cursor.u8();
    const check = hasChecks ? cursor.u32() : 0;
    const kept = count * valuesOfUnit(this.header);
    let [values, crc] = [new Uint8Array(), 0];
    if (path === 0 && type === 'float32') {
      values = cursor.take(samples * product(shape) * 4).slice(0, kept * 4);
      crc = crc32(0, values);
    } else {
      const n = this.#path(cursor, path, samples).subarray(0, kept);
      crc = valuesCrc(n);
      values = bytesOfValues(n, type, this.#scaling.grid);
    }
    if (hasChecks && crc !== check) damaged('a chunk returned other values than its compressor saw');
    if (cursor.left !== 0) damaged("bytes behind a chunk's payload");
    return { count, path, values };
  }

  /** @param {Cursor} cursor @param {number} path @param {number} samples */
  #path(cursor, path, samples) {
    const { shape, type } = this.header;
    if (path === 0) return valuesOf(cursor.take(samples * product(shape) * SAMPLES[type].bytes), type);
    if (samples === 0) damaged('an empty chunk that is not stored');
    if (path > 1) return this.#byCodec(cursor, path - 2, samples);
    return decodePredictive(cursor, this.#compression, samples, shape).map((n) => this.#scaling.clamp(n));
  }

  /** @param {Cursor} cursor @param {number} index @param {number} samples */
  #byCodec(cursor, index, samples) {
    const { coder, codecs, residual: model } = this.#compression;
    const codec = codecs[index] ?? damaged('an unknown path');
    const latent = codec.latentOf(this.header.shape, 'damaged');
    const quality = codec.qualities[cursor.u8()] ?? damaged('an unknown quality');
    const step = cursor.varint();
    if (step !== 0 && (step % 2 === 0 || step > MOST_STEP)) damaged('a step that is even or too large');
    const [symbolsOfSample, valuesOfSample] = [product(latent), product(this.header.shape)];
    if (symbolsOfSample * samples > MOST_VALUES) damaged('a latent too large');
    const symbols = coder.decode(cursor, [samples, ...latent], quality.model);
    const n = new Float64Array(samples * valuesOfSample);
    for (let sample = 0; sample < samples; sample++) {
      const output = codec.decode(symbols.subarray(sample * symbolsOfSample, (sample + 1) * symbolsOfSample), latent, quality);
      for (let i = 0; i < output.length; i++) n[sample * valuesOfSample + i] = this.#scaling.predict(output[i]);
    }
    if (step === 0) return n;
    const residual = coder.decode(cursor, [1, n.length, 1], model);
    return n.map((p, i) => this.#scaling.clamp(p + step * residual[i]));
  }

  #finish() {
    this.#isDone = true;
    if (!this.#seen.length) damaged('a stream without a chunk');
    const { picture, shape } = this.header;
    if (picture) {
      const along = (/** @type {number} */ size, /** @type {number} */ tile) => Math.ceil(size / (tile - 2 * picture.halo));
      const total = this.#seen.reduce((all, { count }) => all + count, 0);
      const tiles = along(picture.height, shape[0]) * along(picture.width, shape[1]);
      if (total !== tiles) damaged('another number of tiles than the picture has');
    }
    this.#in.drop();
    const count = this.#in.varint();
    if (count !== 0) this.#checkIndex(count);
    if (!this.#in.isAtEnd) damaged('bytes behind the end');
    return null;
  }

  /** @param {number} count */
  #checkIndex(count) {
    const fits = (/** @type {boolean} */ holds) => void (holds || damaged('an index that does not fit the chunks'));
    fits(count === this.#seen.length);
    for (const chunk of this.#seen) {
      fits(this.#in.varint() === chunk.count);
      fits(this.#in.varint() === chunk.size);
    }
    const crc = crc32(this.#headerCrc, this.#in.kept());
    fits(this.#in.u32() === crc);
    const bytes = this.#in.kept().length + 4;
    fits(this.#in.u32() === bytes);
    fits(this.#in.u8() === 1);
  }
}

/** Writes header, chunks and end. Give it chunks in order; finish() ends the stream. */
export class StreamWriter {
  #sink;
  #headerCrc;
  /** @type {{count: number, size: number}[]} */
  #chunks = [];

  /** @param {(bytes: Uint8Array) => void} sink @param {Bundle} bundle @param {StreamHeader} header */
  constructor(sink, bundle, header) {
    this.#sink = sink;
    this.header = header;
    const bytes = writeHeader(header, bundle.digest);
    this.#headerCrc = crc32(0, bytes);
    sink(bytes);
  }

  get chunks() {
    return this.#chunks.length;
  }

  /** @param {number} count @param {number} path @param {Uint8Array} payload @param {number} check crc32 of what it returns */
  write(count, path, payload, check) {
    const body = new Growing();
    body.varint(count);
    body.put(path, 1);
    if (this.header.hasChecks) body.put(check, 4);
    body.append(payload);
    const out = new Growing();
    out.varint(body.length);
    out.append(body.view(0));
    out.put(chunkCrc(this.#headerCrc, this.#chunks.length, body.view(0)), 4);
    this.#sink(out.bytes());
    this.#chunks.push({ count, size: body.length });
  }

  finish() {
    const out = new Growing();
    out.put(0, 1);
    if (this.#chunks.length > 1) {
      const index = new Growing();
      index.varint(this.#chunks.length);
      for (const { count, size } of this.#chunks) {
        index.varint(count);
        index.varint(size);
      }
      index.put(crc32(this.#headerCrc, index.view(0)), 4);
      index.put(index.length + 4, 4);
      out.append(index.view(0));
    }
    out.put(this.#chunks.length > 1 ? 1 : 0, 1);
    this.#sink(out.bytes());
  }
}
