// The bytes of a bundle, from one zip of it (FORMAT.md, sections 1 and 6), nothing trusted.
import { AetoolError } from './error.js';

const SEGMENT = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?$/;
const DEVICE_OF_WINDOWS = /^(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\.|$)/i;
const LOCAL = 30;
const CENTRAL = 46;
const END = 22;
const MOST_ENTRIES = 4096;

/** Where a bundle's files come from; names are those of the manifest.
 * @typedef {object} Files
 * @property {string} root for refusals
 * @property {(name: string, limit: number) => Promise<Uint8Array>} read at most `limit` bytes
 * @property {(name: string) => Promise<number>} size
 * @property {(listed: Set<string>) => void} refuseUnlisted
 */

/** @param {string} path @param {string} where */
export function checkPath(path, where) {
  const isSound = path.length <= 240 && path.split('/').every((part) => SEGMENT.test(part) && !DEVICE_OF_WINDOWS.test(part));
  if (!isSound) throw new AetoolError('unsafe', 'a path could leave the bundle', where);
}

/** @param {Uint8Array} bytes @param {number} at */
export const little16 = (bytes, at) => bytes[at] | (bytes[at + 1] << 8);
/** @param {Uint8Array} bytes @param {number} at */
export const little32 = (bytes, at) => (little16(bytes, at) | (little16(bytes, at + 2) << 16)) >>> 0;

/** Bytes that are being written. */
export class Growing {
  #bytes = new Uint8Array(256);
  length = 0;

  /** @param {number} more */
  #reserve(more) {
    if (this.length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.length + more, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
  }

  /** @param {number} value integer below 2^53 @param {number} bytes 1, 2 or 4: its lowest */
  put(value, bytes) {
    this.#reserve(bytes);
    for (let i = 0; i < bytes; i++) this.#bytes[this.length++] = value >>> (8 * i);
  }

  /** @param {number} value */
  varint(value) {
    for (; value >= 128; value = Math.floor(value / 128)) this.put((value % 128) | 128, 1);
    this.put(value, 1);
  }

  /** @param {number} value */
  f64(value) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    this.append(bytes);
  }

  /** @param {ArrayLike<number>} bytes */
  append(bytes) {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Some of what was written, where it lies: until more is. @param {number} start @param {number} [end] */
  view(start, end = this.length) {
    return this.#bytes.subarray(start, end);
  }

  /** What was written; a copy. */
  bytes() {
    return this.#bytes.slice(0, this.length);
  }
}

/** @typedef {{name: string, size: number, crc: number, offset: number}} Entry offset: where the content begins */

/** @param {string} where @returns {never} */
function strange(where) {
  throw new AetoolError('unsafe', 'the archive does not have the layout of a zipped bundle', where);
}

/** @param {Uint8Array} a @param {Uint8Array} b */
const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** @param {Growing} out @param {Entry} entry @param {number[]} fields two bytes each @param {number[]} between */
function putHeader(out, entry, fields, between) {
  for (const field of fields) out.put(field, 2);
  out.put(entry.crc, 4);
  out.put(entry.size, 4);
  out.put(entry.size, 4);
  out.put(entry.name.length, 2);
  for (const field of between) out.put(field, 2);
}

/** @param {Entry} entry */
function localHeader(entry) {
  const out = new Growing();
  out.append([0x50, 0x4b, 3, 4]);
  putHeader(out, entry, [20, 0, 0, 0, 0x21], [0]);
  out.append(new TextEncoder().encode(entry.name));
  return out.bytes();
}

/** The central directory and the end record. @param {Entry[]} entries @param {number} start */
function directoryOf(entries, start) {
  const out = new Growing();
  for (const entry of entries) {
    out.append([0x50, 0x4b, 1, 2]);
    putHeader(out, entry, [20, 20, 0, 0, 0, 0x21], [0, 0, 0, 0, 0, 0]); // extra field, remark, disk, attributes
    out.put(entry.offset - LOCAL - entry.name.length, 4);
    out.append(new TextEncoder().encode(entry.name));
  }
  const length = out.length;
  out.append([0x50, 0x4b, 5, 6, 0, 0, 0, 0]);
  out.put(entries.length, 2);
  out.put(entries.length, 2);
  out.put(length, 4);
  out.put(start, 4);
  out.put(0, 2);
  return out.bytes();
}

/** @param {Uint8Array} directory @param {number} length @param {number} count @param {string} where */
function parseDirectory(directory, length, count, where) {
  /** @type {Entry[]} */
  const entries = [];
  const names = new Set();
  for (let i = 0, at = 0; i < count; i++) {
    if (at + CENTRAL > length) strange(where);
    const nameLength = little16(directory, at + 28);
    if (at + CENTRAL + nameLength > directory.length) strange(where);
    const name = String.fromCharCode(...directory.subarray(at + CENTRAL, at + CENTRAL + nameLength));
    checkPath(name, where);
    if (names.has(name)) throw new AetoolError('unsafe', 'lists a file twice', where);
    names.add(name);
    entries.push({ name, size: little32(directory, at + 24), crc: little32(directory, at + 16), offset: 0 });
    at += CENTRAL + nameLength;
  }
  return entries;
}

/**
 * The one layout of a zipped bundle: written out again from what the central directory says, and compared.
 * @param {Uint8Array} bytes @param {string} where
 */
function readLayout(bytes, where) {
  const tail = bytes.subarray(Math.max(0, bytes.length - END));
  if (tail.length !== END || little32(tail, 0) !== 0x06054b50) {
    throw new AetoolError('truncated', 'does not end as a zipped bundle does', where);
  }
  const [count, length, start] = [little16(tail, 10), little32(tail, 12), little32(tail, 16)];
  if (start + length + END !== bytes.length || length > count * (CENTRAL + 240) || count > MOST_ENTRIES) strange(where);
  const directory = bytes.subarray(start);
  const entries = parseDirectory(directory, length, count, where);
  let at = 0;
  for (const entry of entries) {
    entry.offset = at + LOCAL + entry.name.length;
    at = entry.offset + entry.size;
  }
  if (at !== start || !equal(directory, directoryOf(entries, at))) strange(where);
  for (const entry of entries) {
    const header = localHeader(entry);
    if (!equal(bytes.subarray(entry.offset - header.length, entry.offset), header)) strange(where);
  }
  return entries;
}

/** Whether bytes are meant to be a zip: they begin as one, as far as they go, or end as one. @param {Uint8Array} bytes */
function resembles(bytes) {
  const first = [0x50, 0x4b, 3, 4];
  return bytes.subarray(0, 4).every((byte, i) => byte === first[i]) ||
    (bytes.length >= END && little32(bytes, bytes.length - END) === 0x06054b50);
}

/** @implements {Files} */
export class Archive {
  #bytes;
  /** @type {Map<string, Entry>} */
  #entries;

  /** @param {Uint8Array} bytes of the archive; not copied, not to be changed @param {string} root for refusals */
  constructor(bytes, root) {
    if (!resembles(bytes)) throw new AetoolError('input', 'is no bundle', root);
    this.root = root;
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length); // no Buffer of Node's, whose slice() is no copy
    this.#entries = new Map(readLayout(bytes, root).map((entry) => [entry.name, entry]));
  }

  /** @param {string} name */
  #entry(name) {
    const entry = this.#entries.get(name);
    if (!entry) throw new AetoolError('truncated', `holds no ${name}`, this.root);
    return entry;
  }

  /** @param {string} name @param {number} limit */
  async read(name, limit) {
    const { offset, size } = this.#entry(name);
    return this.#bytes.subarray(offset, offset + Math.min(size, limit));
  }

  /** @param {string} name */
  async size(name) {
    return this.#entry(name).size;
  }

  /** @param {Set<string>} listed */
  refuseUnlisted(listed) {
    for (const name of this.#entries.keys()) {
      if (!listed.has(name)) throw new AetoolError('unsafe', `holds ${name}, which the manifest does not list`, this.root);
    }
  }
}
