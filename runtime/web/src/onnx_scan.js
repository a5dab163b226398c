// Looks through an ONNX file for tensors kept in other files, before any engine would go and read those.
// Only the protobuf wire format is needed; the field numbers are those of onnx.proto. Bounded by the file and by depth.
import { AetoolError } from './error.js';

/** @typedef {'model' | 'training' | 'function' | 'graph' | 'node' | 'attribute' | 'sparse' | 'tensor'} Kind */

/** @type {Record<Kind, Record<number, Kind>>} */
const CHILDREN = {
  model: { 7: 'graph', 25: 'function', 20: 'training' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: {},
};
const MOST_DEPTH = 32;

class OnnxScan {
  #at = 0;
  pointsAway = false;

  /** @param {Uint8Array} bytes @param {string} where */
  constructor(bytes, where) {
    this.bytes = bytes;
    this.where = where;
    this.#walk(bytes.length, 'model', 0);
  }

  /** @returns {never} */
  #invalid() {
    throw new AetoolError('unavailable', 'the graph is not valid ONNX', this.where);
  }

  /** The number, rounded above 2^53, and its lowest 32 bits. @param {number} end */
  #varint(end) {
    let [value, low] = [0, 0];
    for (let shift = 0; shift <= 63; shift += 7) {
      if (this.#at === end) this.#invalid();
      const byte = this.bytes[this.#at++];
      value += (byte & 127) * 2 ** shift;
      if (shift < 32) low |= (byte & 127) << shift;
      if (byte < 128) return { value, low: low >>> 0 };
    }
    return this.#invalid();
  }

  /** @param {number} wire @param {number} end @returns {{length: number, low: number}} */
  #field(wire, end) {
    if (wire === 0) return { length: 0, low: this.#varint(end).low };
    if (wire === 2) return { length: this.#varint(end).value, low: 0 };
    if (wire === 1 || wire === 5) return { length: wire === 1 ? 8 : 4, low: 0 };
    return this.#invalid();
  }

  /** @param {number} end @param {Kind} kind @param {number} depth */
  #walk(end, kind, depth) {
    if (depth >= MOST_DEPTH) this.#invalid();
    while (this.#at !== end) {
      const key = this.#varint(end);
      if (key.value > 0xffffffff) this.#invalid(); // some readers keep 32 bits of a longer key, and see another field
      const [number, wire] = [key.low >>> 3, key.low & 7];
      const { length, low } = this.#field(wire, end);
      if (length > end - this.#at) this.#invalid();
      const isExternal = number === 13 || (number === 14 && wire === 0 && low === 1);
      if (kind === 'tensor' && isExternal) this.pointsAway = true;
      const behind = this.#at + length;
      const child = CHILDREN[kind][number];
      if (wire !== 0 && child) this.#walk(behind, child, depth + 1);
      this.#at = behind;
    }
  }
}

/**
 * Throws unsafe if any tensor points to another file, unavailable if the bytes are no protobuf message.
 * @param {Uint8Array} model @param {string} where
 */
export function refuseExternalData(model, where) {
  if (new OnnxScan(model, where).pointsAway) throw new AetoolError('unsafe', 'the graph keeps a tensor in another file', where);
}
