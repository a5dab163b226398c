// Values ↔ bytes by entropy tables: BITSTREAM.md, section 2. Integers only.
import { Cursor, damaged } from './cursor.js';
import { Growing, little16 } from './files.js';

export const PRECISION_BITS = 14;
export const PRECISION_TOTAL = 1 << PRECISION_BITS;
const LEAST_STATE = 2 ** 16;

export class EntropyTable {
  /** @param {number} low @param {ArrayLike<number>} frequencies each at least 1, sum 2^14 */
  constructor(low, frequencies) {
    this.low = low;
    this.frequency = Uint16Array.from(frequencies);
    this.start = new Uint16Array(this.frequency.length);
    this.entryAt = new Uint16Array(PRECISION_TOTAL);
    let at = 0;
    this.frequency.forEach((frequency, i) => {
      this.start[i] = at;
      this.entryAt.fill(i, at, at + frequency);
      at += frequency;
    });
    this.escape = this.frequency.length - 1;
    /** What each entry costs. */
    this.bits = Float64Array.from(this.frequency, (frequency) => PRECISION_BITS - Math.log2(frequency));
  }

  /** @param {number} value */
  entryOf(value) {
    return value < this.low || value - this.low >= this.escape ? this.escape : value - this.low;
  }
}

/**
 * @typedef {object} EntropyModel
 * @property {boolean} isNeighbors
 * @property {number} channels
 * @property {number} sets
 * @property {number} positions that share a set
 * @property {ArrayLike<number>} map [sets, channels] → table
 * @property {ArrayLike<number>} rawBits [sets], or empty
 * @property {ArrayLike<number>} selectors [sets] where there are several
 * @property {ArrayLike<number>} thresholds
 */

/** What an array of values is for a model, and the order in which its elements are decoded. */
class Walk {
  /** @param {EntropyModel} model @param {readonly number[]} shape [samples, positions …, channels] @param {number} lanes */
  constructor(model, shape, lanes) {
    const places = shape.slice(1, -1);
    this.model = model;
    this.lanes = lanes;
    this.channels = shape[shape.length - 1];
    this.positions = places.reduce((all, size) => all * size, 1);
    this.last = places.at(-1) ?? 1;
    this.before = places.at(-2) ?? 1;
    this.perSample = this.positions * this.channels;
    this.size = shape[0] * this.perSample;
    this.groupsOfSample = Math.ceil(this.positions / model.positions);
    this.hasSelectors = !model.isNeighbors && model.sets > 1;
    this.groups = this.hasSelectors ? shape[0] * this.groupsOfSample : 0;
    this.hasRaw = Array.from(model.rawBits).some((bits) => bits > 0);
  }

  /** @param {number} element */
  groupOf(element) {
    const position = Math.floor(element / this.channels) % this.positions;
    return Math.floor(element / this.perSample) * this.groupsOfSample + Math.floor(position / this.model.positions);
  }

  /** The set that earlier values of the same sample and channel call for. @param {Int32Array} values @param {number} element */
  context(values, element) {
    const position = Math.floor(element / this.channels) % this.positions;
    let a = 0;
    if (position % this.last !== 0) a += 2 * Math.min(Math.abs(values[element - this.channels]), 2 ** 20);
    if (Math.floor(position / this.last) % this.before !== 0) {
      a += Math.min(Math.abs(values[element - this.last * this.channels]), 2 ** 20);
    }
    let k = 0;
    while (k < this.model.thresholds.length && this.model.thresholds[k] <= a) k++;
    return k;
  }

  /** @param {Int32Array} values @param {Uint8Array} sets @param {number} element */
  setOf(values, sets, element) {
    if (this.model.isNeighbors) return this.context(values, element);
    return this.hasSelectors ? sets[this.groupOf(element)] : 0;
  }

  /** @param {number} total @param {number} unit @param {(lane: number, element: number) => void} visit */
  #each(total, unit, visit) {
    const run = Math.ceil(total / unit / this.lanes) * unit;
    for (let t = 0; t < run; t++) {
      for (let lane = 0; lane < this.lanes && lane * run + t < total; lane++) visit(lane, lane * run + t);
    }
  }

  /** @param {(lane: number, group: number) => void} visit */
  eachGroup(visit) {
    this.#each(this.groups, 1, visit);
  }

  /** @param {(lane: number, element: number) => void} visit */
  eachValue(visit) {
    this.#each(this.size, this.model.isNeighbors ? Math.max(this.perSample, 1) : 1, visit);
  }
}

class RansReader {
  #states;
  #words;
  #at = 0;

  /** @param {Uint32Array} states @param {Uint8Array} words */
  constructor(states, words) {
    this.#states = states;
    this.#words = words;
  }

  /** @param {number} lane @param {EntropyTable} table */
  entry(lane, table) {
    const state = this.#states[lane];
    const slot = state & (PRECISION_TOTAL - 1);
    const entry = table.entryAt[slot];
    let next = table.frequency[entry] * (state >>> PRECISION_BITS) + slot - table.start[entry];
    if (next < LEAST_STATE) {
      if (this.#at === this.#words.length) damaged('too few words');
      next = next * 65536 + little16(this.#words, this.#at);
      this.#at += 2;
    }
    this.#states[lane] = next;
    return entry;
  }

  get isDone() {
    return this.#at === this.#words.length && this.#states.every((state) => state === LEAST_STATE);
  }
}

/** Entries are given last first; words come out last first, too. */
class RansWriter {
  /** @type {number[]} */
  words = [];

  /** @param {number} lanes */
  constructor(lanes) {
    this.states = new Uint32Array(lanes).fill(LEAST_STATE);
  }

  /** @param {number} lane @param {number} frequency @param {number} start */
  put(lane, frequency, start) {
    let state = this.states[lane];
    if (state >= frequency * 2 ** (32 - PRECISION_BITS)) {
      this.words.push(state & 65535);
      state >>>= 16;
    }
    this.states[lane] = Math.floor(state / frequency) * PRECISION_TOTAL + (state % frequency) + start;
  }
}

/** The coder of a bundle's tables and models. */
export class Coder {
  #tables;
  #models;

  /** @param {EntropyTable[]} tables @param {EntropyModel[]} models */
  constructor(tables, models) {
    this.#tables = tables;
    this.#models = models;
  }

  /**
   * Values [samples, positions …, channels] from where the cursor stands. Callers bound the shape.
   * @param {Cursor} cursor @param {readonly number[]} shape @param {number} index of the model
   * @returns {Int32Array}
   */
  decode(cursor, shape, index) {
    const model = this.#models[index];
    const exponent = cursor.u8();
    if (exponent > 12) damaged('more than 2^12 lanes');
    const walk = new Walk(model, shape, 2 ** exponent);
    const words = cursor.varint();
    const states = Uint32Array.from({ length: walk.lanes }, () => cursor.u32());
    if (states.some((state) => state < LEAST_STATE)) damaged('a state out of range');
    const reader = new RansReader(states, cursor.take(words * 2));
    const escapes = new Cursor(cursor.take(cursor.varint()));
    const sets = this.#decodeSets(reader, walk);
    const values = new Int32Array(walk.size);
    const raw = new Uint8Array(walk.hasRaw ? walk.size : 0);
    walk.eachValue((lane, element) => {
      const set = walk.setOf(values, sets, element);
      const table = this.#tables[model.map[set * model.channels + (element % model.channels)]];
      const entry = reader.entry(lane, table);
      let value = entry === table.escape ? escapes.zigzag() : table.low + entry;
      if (walk.hasRaw) {
        raw[element] = model.rawBits[set];
        value *= 2 ** raw[element];
      }
      if (value < -(2 ** 31) || value >= 2 ** 31) damaged('a value beyond 32 bits');
      values[element] = value;
    });
    if (!reader.isDone || escapes.left !== 0) damaged('coded values do not end where they should');
    if (walk.hasRaw) readRaw(cursor, raw, values);
    return values;
  }

  /** @param {RansReader} reader @param {Walk} walk */
  #decodeSets(reader, walk) {
    const sets = new Uint8Array(walk.groups);
    const before = new Uint16Array(walk.lanes);
    walk.eachGroup((lane, group) => {
      const table = this.#tables[walk.model.selectors[before[lane]]];
      const entry = reader.entry(lane, table);
      if (entry === table.escape) damaged('an unknown set');
      before[lane] = sets[group] = entry;
    });
    return sets;
  }

  /**
   * The opposite.
   * @param {Int32Array} values @param {readonly number[]} shape @param {number} index of the model
   * @param {number} [exponent] lanes: 2^`exponent`; each costs four bytes and makes decoding by vector units quicker
   * @returns {Uint8Array}
   */
  encode(values, shape, index, exponent = 0) {
    const model = this.#models[index];
    const walk = new Walk(model, shape, 2 ** exponent);
    const sets = this.#chooseSets(values, walk);
    /** @type {number[]} */
    const steps = []; // lane, table, entry
    const before = new Uint16Array(walk.lanes);
    walk.eachGroup((lane, group) => {
      steps.push(lane, model.selectors[before[lane]], sets[group]);
      before[lane] = sets[group];
    });
    const escapes = new Growing();
    const raw = new Uint8Array(values.length);
    walk.eachValue((lane, element) => {
      const set = walk.setOf(values, sets, element);
      const number = model.map[set * model.channels + (element % model.channels)];
      raw[element] = model.rawBits[set] ?? 0;
      const symbol = values[element] >> raw[element];
      const entry = this.#tables[number].entryOf(symbol);
      if (entry === this.#tables[number].escape) escapes.varint(symbol >= 0 ? 2 * symbol : -2 * symbol - 1);
      steps.push(lane, number, entry);
    });
    const out = this.#written(steps, walk.lanes, exponent);
    out.varint(escapes.length);
    out.append(escapes.bytes());
    if (walk.hasRaw) writeRaw(values, raw, out);
    return out.bytes();
  }

  /** @param {number[]} steps @param {number} lanes @param {number} exponent */
  #written(steps, lanes, exponent) {
    const writer = new RansWriter(lanes);
    for (let i = steps.length - 3; i >= 0; i -= 3) {
      const table = this.#tables[steps[i + 1]];
      writer.put(steps[i], table.frequency[steps[i + 2]], table.start[steps[i + 2]]);
    }
    const out = new Growing();
    out.put(exponent, 1);
    out.varint(writer.words.length);
    for (const state of writer.states) out.put(state, 4);
    for (let i = writer.words.length - 1; i >= 0; i--) out.put(writer.words[i], 2);
    return out;
  }

  /**
   * For each group the set that codes it and its own index shortest, the index before given: dynamic programming would
   * save little more.
   * @param {Int32Array} values @param {Walk} walk
   */
  #chooseSets(values, walk) {
    const { model } = walk;
    const sets = new Uint8Array(walk.groups);
    if (!walk.hasSelectors) return sets;
    const costs = new Float64Array(walk.groups * model.sets);
    for (let element = 0; element < values.length; element++) {
      const group = walk.groupOf(element);
      for (let set = 0; set < model.sets; set++) {
        const table = this.#tables[model.map[set * model.channels + (element % model.channels)]];
        const bits = model.rawBits[set] ?? 0;
        costs[group * model.sets + set] += bits + bitsOf(table, values[element] >> bits);
      }
    }
    for (let group = 0, before = 0; group < walk.groups; group++) {
      const table = this.#tables[model.selectors[before]];
      const cost = Array.from({ length: model.sets }, (_, set) => costs[group * model.sets + set] + bitsOf(table, set));
      before = sets[group] = cost.indexOf(Math.min(...cost));
    }
    return sets;
  }
}

/** @param {EntropyTable} table @param {number} symbol */
function bitsOf(table, symbol) {
  const entry = table.entryOf(symbol);
  if (entry !== table.escape) return table.bits[entry];
  return table.bits[entry] + 8 * Math.ceil(Math.log2(2 * Math.abs(symbol) + 2) / 7); // and its varint
}

/** @param {Cursor} cursor @param {Uint8Array} raw bits of each value @param {Int32Array} values */
function readRaw(cursor, raw, values) {
  const data = cursor.take(Math.ceil(raw.reduce((all, bits) => all + bits, 0) / 8));
  let [held, filled, at] = [0, 0, 0]; // at most 31 bits
  for (let i = 0; i < values.length; i++) {
    for (; filled < raw[i]; filled += 8) held |= data[at++] << filled;
    values[i] += held & ((1 << raw[i]) - 1); // multiples of 2^bits: no carry
    held >>>= raw[i];
    filled -= raw[i];
  }
  if (held !== 0) damaged('bits behind the last value');
}

/** @param {Int32Array} values @param {Uint8Array} raw @param {Growing} out */
function writeRaw(values, raw, out) {
  let [held, filled] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    held |= (values[i] & ((1 << raw[i]) - 1)) << filled;
    for (filled += raw[i]; filled >= 8; filled -= 8) {
      out.put(held & 255, 1);
      held >>>= 8;
    }
  }
  if (filled > 0) out.put(held, 1);
}

/** A coder of one table, for values of one channel. @param {EntropyTable} table */
export function coderOf(table) {
  const model = { isNeighbors: false, channels: 1, sets: 1, positions: 1, map: [0], rawBits: [], selectors: [], thresholds: [] };
  return new Coder([table], [model]);
}
