// The header of a stream (BITSTREAM.md, section 6), read and written.
import { hexadecimal } from './checksum.js';
import { damaged, readVarint } from './cursor.js';
import { AetoolError } from './error.js';
import { Growing, little32 } from './files.js';
import { product } from './integer_decoder.js';

const MAGIC = [0x93, 0x41, 0x45, 0x5a];
const MOST_VALUES = 2 ** 24;
const PIECE = 2 ** 20;

/** @typedef {'uint8' | 'int8' | 'uint16' | 'int16' | 'int32' | 'float32'} SampleType */
/** Hands out the next bytes, at most `wanted`; none at the end. @typedef {(wanted: number) => Uint8Array} Source */

/** @type {Record<SampleType, {bytes: number, low: number, high: number}>} */
export const SAMPLES = {
  uint8: { bytes: 1, low: 0, high: 255 },
  int8: { bytes: 1, low: -128, high: 127 },
  uint16: { bytes: 2, low: 0, high: 65535 },
  int16: { bytes: 2, low: -32768, high: 32767 },
  int32: { bytes: 4, low: -(2 ** 31), high: 2 ** 31 - 1 },
  float32: { bytes: 4, low: 1 - 2 ** 31, high: 2 ** 31 - 1 },
};
const TYPES = /** @type {SampleType[]} */ (Object.keys(SAMPLES));

/**
 * @typedef {object} StreamHeader
 * @property {SampleType} type
 * @property {number[]} shape of a sample
 * @property {boolean} isRecording chunks count rows of the first dimension
 * @property {boolean} hasChecks
 * @property {number} [grid] float32: what 1 stands for; else the bundle's output unit
 * @property {number} multiplier
 * @property {number} shift
 * @property {number} [maxError] what the compressor promised: raw units; whole for integers
 * @property {{height: number, width: number, halo: number}} [picture] the samples are its tiles
 * @property {Uint8Array} attachment
 */

/** @param {Uint8Array} bytes @returns {Source} */
export function fromMemory(bytes) {
  let at = 0;
  return (wanted) => bytes.subarray(at, (at = Math.min(bytes.length, at + wanted)));
}

/** Numbers from a source, all of whose bytes are kept until they are dropped. */
export class SourceReader {
  #source;
  #kept = new Growing();

  /** @param {Source} source */
  constructor(source) {
    this.#source = source;
  }

  /** The bytes, where they lie: until more are taken. @param {number} count */
  take(count) {
    const start = this.#kept.length;
    while (this.#kept.length < start + count) {
      // Memory follows what came, not what was claimed.
      const more = this.#source(Math.min(PIECE, start + count - this.#kept.length));
      if (more.length === 0) throw new AetoolError('truncated', 'the stream ends too early');
      this.#kept.append(more);
    }
    return this.#kept.view(start);
  }

  u8() {
    return this.take(1)[0];
  }

  u32() {
    return little32(this.take(4), 0);
  }

  f64() {
    const bytes = this.take(8);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  }

  varint() {
    return readVarint(() => this.u8());
  }

  get isAtEnd() {
    return this.#source(1).length === 0;
  }

  /** All that was taken since drop(). */
  kept() {
    return this.#kept.view(0);
  }

  drop() {
    this.#kept = new Growing();
  }
}

/** @param {SourceReader} reader */
function readShape(reader) {
  const rank = reader.u8();
  if (rank < 1 || rank > 7) damaged('samples of no rank');
  /** @type {number[]} */
  const shape = [];
  while (shape.length < rank) {
    shape.push(reader.varint());
    if (shape[shape.length - 1] < 1 || product(shape) > MOST_VALUES) damaged('samples of a size out of range');
  }
  return shape;
}

/** @param {SourceReader} reader @param {SampleType} type */
function readGrid(reader, type) {
  const [grid, multiplier, shift] = [reader.f64(), reader.varint(), reader.u8()];
  const isSound = grid > 0 && Number.isFinite(grid) && multiplier >= 1 && multiplier < 2 ** 21 && shift <= 40;
  if (type !== 'float32' || !isSound) damaged('a grid out of range');
  return { grid, multiplier, shift };
}

/** @param {SourceReader} reader @param {SampleType} type */
function readMaxError(reader, type) {
  const error = type === 'float32' ? reader.f64() : reader.varint();
  return error >= 0 && Number.isFinite(error) ? error : damaged('an error out of range');
}

/** @param {SourceReader} reader @param {readonly number[]} shape @param {boolean} isRecording */
function readPicture(reader, shape, isRecording) {
  const [height, width, halo] = [reader.varint(), reader.varint(), reader.varint()];
  const isSound = height >= 1 && width >= 1 && height <= MOST_VALUES && width <= MOST_VALUES;
  if (isRecording || shape.length < 2 || !isSound || 2 * halo >= Math.min(shape[0], shape[1])) damaged('a picture out of range');
  return { height, width, halo };
}

/** @param {SourceReader} reader */
function readAttachment(reader) {
  const bytes = reader.varint();
  return bytes >= 1 && bytes <= 2 ** 20 ? reader.take(bytes).slice() : damaged('an attachment out of range');
}

/**
 * @param {SourceReader} reader @param {string} bundleDigest
 * @returns {StreamHeader}
 */
export function readHeader(reader, bundleDigest) {
  for (const wanted of MAGIC) if (reader.u8() !== wanted) damaged('is no stream');
  const version = reader.u8();
  if (version !== 1) throw new AetoolError('version', `a stream of version ${version}: update aetool`);
  if (hexadecimal(reader.take(8)) !== bundleDigest.slice(0, 16)) {
    throw new AetoolError('bundle', 'the stream was made with another bundle');
  }
  const flags = reader.u8();
  if (flags > 63) throw new AetoolError('version', 'a stream with unknown flags: update aetool');
  const type = TYPES[reader.u8()] ?? damaged('an unknown type of samples');
  const shape = readShape(reader);
  const isRecording = (flags & 4) !== 0;
  return {
    type, shape, isRecording,
    hasChecks: (flags & 16) !== 0,
    ...(flags & 1 ? readGrid(reader, type) : { multiplier: 1, shift: 0 }),
    maxError: flags & 2 ? readMaxError(reader, type) : undefined,
    picture: flags & 8 ? readPicture(reader, shape, isRecording) : undefined,
    attachment: flags & 32 ? readAttachment(reader) : new Uint8Array(),
  };
}

/** @param {StreamHeader} header */
function flagsOf(header) {
  const flags = [header.grid !== undefined, header.maxError !== undefined, header.isRecording, header.picture, header.hasChecks,
    header.attachment.length > 0];
  return flags.reduce((all, isSet, i) => all | (isSet ? 2 ** i : 0), 0);
}

/** @param {StreamHeader} header @param {string} bundleDigest */
export function writeHeader(header, bundleDigest) {
  const out = new Growing();
  out.append([...MAGIC, 1]);
  for (let i = 0; i < 16; i += 2) out.put(parseInt(bundleDigest.slice(i, i + 2), 16), 1);
  out.append([flagsOf(header), TYPES.indexOf(header.type), header.shape.length]);
  for (const size of header.shape) out.varint(size);
  if (header.grid !== undefined) {
    out.f64(header.grid);
    out.varint(header.multiplier);
    out.put(header.shift, 1);
  }
  if (header.maxError !== undefined) header.type === 'float32' ? out.f64(header.maxError) : out.varint(header.maxError);
  if (header.picture) for (const size of [header.picture.height, header.picture.width, header.picture.halo]) out.varint(size);
  if (header.attachment.length) {
    out.varint(header.attachment.length);
    out.append(header.attachment);
  }
  return out.bytes();
}
