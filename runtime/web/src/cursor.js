// Numbers from bytes: BITSTREAM.md, "Notation".
import { AetoolError } from './error.js';
import { little16, little32 } from './files.js';

/** @param {string} what @returns {never} */
export function damaged(what) {
  throw new AetoolError('damaged', what);
}

/** Reads numbers from bytes that others own. */
export class Cursor {
  #bytes;
  #at = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  get left() {
    return this.#bytes.length - this.#at;
  }

  /** @param {number} count */
  take(count) {
    if (count > this.left) damaged('ends too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  u8() {
    if (this.left < 1) damaged('ends too early');
    return this.#bytes[this.#at++];
  }

  u16() {
    return little16(this.take(2), 0);
  }

  u32() {
    return little32(this.take(4), 0);
  }

  varint() {
    return readVarint(() => this.u8());
  }

  /** −2^31 ≤ s < 2^31, by its zigzag code. */
  zigzag() {
    const code = this.varint();
    if (code > 0xffffffff) damaged('a number beyond 32 bits');
    return code % 2 ? -(code - 1) / 2 - 1 : code / 2;
  }
}

/**
 * Rounded above 2^53, where every number is out of any range.
 * @param {() => number} nextByte
 */
export function readVarint(nextByte) {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = nextByte();
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) {
      if (byte === 0 && i > 0) damaged('a number with superfluous bytes');
      return value;
    }
  }
  return damaged('a number of more than 9 bytes');
}
