// Checks a decoder's steps (BITSTREAM.md, section 4): what is refused here never runs.
import { AetoolError } from './error.js';

const LIMIT = 2 ** 31;
const MOST_VALUES = 2 ** 28;
const POWERS = Float64Array.from({ length: 41 }, (_, s) => 2 ** s);

/** @typedef {'dense' | 'conv' | 'conv_transposed' | 'table' | 'rescale' | 'add' | 'upsample' | 'reshape' | 'crop'
 *   | 'concatenate'} Op */
/**
 * @typedef {object} Step
 * @property {Op} op
 * @property {number[]} inputs
 * @property {number} low
 * @property {number} high
 * @property {Int16Array} weights [kernel …, in, out]
 * @property {number[]} kernel
 * @property {number[]} stride
 * @property {number[]} sizes of a reshape, or the factors of an upsample
 * @property {[number, number][]} margins
 * @property {number} channelsIn
 * @property {number} channelsOut
 * @property {Int32Array} bias
 * @property {Int32Array} multiplier
 * @property {Int32Array} values of a table
 * @property {Uint8Array} shift
 * @property {[number, number]} added multipliers of an addition
 * @property {number} addedShift
 */
/** factor · n + offset, n ≥ 1 the latent's free size at that place; fixed where factor is 0.
 * @typedef {{factor: number, offset: number}} Size */
/** @typedef {Size[]} FreeShape */

/** @param {number} size @returns {Size} */
const fixed = (size) => ({ factor: 0, offset: size });
/** @param {Size} a @param {Size} b */
const isSame = (a, b) => a.factor === b.factor && a.offset === b.offset;
/** @param {FreeShape} a @param {FreeShape} b */
export const isSameShape = (a, b) => a.length === b.length && a.every((size, i) => isSame(size, b[i]));

/** ⌊(x + 2^(s−1)) / 2^s⌋, x for s = 0. Exact: |x| is below 2^52. @param {number} x @param {number} s */
export const shifted = (x, s) => (s === 0 ? x : Math.floor((x + POWERS[s - 1]) / POWERS[s]));

/** Keeps what is known of each value, step by step. */
export class StepChecker {
  #where;
  /** @type {{low: number, high: number}[]} */
  #ranges = [{ low: -32768, high: 32767 }];

  /** @param {FreeShape} latent without the batch @param {string} where for refusals */
  constructor(latent, where) {
    this.shapes = [latent];
    this.#where = where;
  }

  /** @param {Step} step */
  add(step) {
    const isRight = step.op === 'concatenate' ? step.inputs.length >= 2 : step.inputs.length === (step.op === 'add' ? 2 : 1);
    this.#want(isRight, 'has another number of inputs');
    this.#want(step.inputs.every((input) => input < this.shapes.length), 'takes a later value');
    const shape = this.#shapeAfter(step);
    this.#want(shape.every(({ factor, offset }) => factor + offset >= 1), 'makes an empty value');
    const known = shape.reduce((all, { factor, offset }) => (factor === 0 ? all * offset : all), 1);
    this.#want(known <= MOST_VALUES, 'makes too large a value');
    this.#checkBounds(step);
    this.shapes.push(shape);
    this.#ranges.push(step);
  }

  /** @param {boolean} holds @param {string} what */
  #want(holds, what) {
    if (!holds) throw new AetoolError('manifest', `step ${this.shapes.length - 1} ${what}`, this.#where);
  }

  /** @param {Step} step @returns {FreeShape} */
  #shapeAfter(step) {
    const given = this.shapes[step.inputs[0]];
    const places = given.slice(0, -1);
    const channels = given[given.length - 1];
    const takes = (/** @type {number} */ count) => this.#want(isSame(channels, fixed(count)), 'takes another number of channels');
    switch (step.op) {
      case 'dense':
        takes(step.channelsIn);
        return [...places, fixed(step.channelsOut)];
      case 'conv':
      case 'conv_transposed':
        this.#want(places.length === step.kernel.length, 'takes another number of dimensions');
        takes(step.channelsIn);
        return [...places.map((size, i) => this.#convolved(step, size, i)), fixed(step.channelsOut)];
      case 'rescale':
        takes(step.bias.length);
        return given;
      case 'add':
        this.#want(isSameShape(given, this.shapes[step.inputs[1]]), 'adds two shapes');
        return given;
      case 'upsample':
        this.#want(places.length >= 1 && step.sizes.length === places.length, 'has other factors');
        return [...places.map(({ factor, offset }, i) => ({ factor: factor * step.sizes[i], offset: offset * step.sizes[i] })), channels];
      case 'reshape':
        return this.#reshaped(step, given);
      case 'crop':
        this.#want(places.length >= 1 && step.margins.length === places.length, 'crops other dimensions');
        return [...places.map(({ factor, offset }, i) => ({ factor, offset: offset - step.margins[i][0] - step.margins[i][1] })), channels];
      case 'concatenate':
        return this.#sideBySide(step, places);
      default:
        return given;
    }
  }

  /** @param {Step} step @param {Size} size @param {number} i @returns {Size} */
  #convolved(step, { factor, offset }, i) {
    const [k, s, margin] = [step.kernel[i], step.stride[i], step.margins[i][0] + step.margins[i][1]];
    if (step.op === 'conv_transposed') return { factor: factor * s, offset: (offset - 1) * s + k - margin };
    this.#want(factor % s === 0, 'has a stride that does not divide its free size');
    return { factor: factor / s, offset: Math.floor((offset + margin - k) / s) + 1 };
  }

  /** @param {Step} step @param {FreeShape} given */
  #reshaped(step, given) {
    this.#want(given.every(({ factor }) => factor === 0), 'reshapes a free size');
    const before = given.reduce((all, { offset }) => all * offset, 1);
    const after = step.sizes.reduce((all, size) => all * size, 1);
    this.#want(step.sizes.length > 0 && before === after, 'reshapes to another number of values');
    return step.sizes.map(fixed);
  }

  /** @param {Step} step @param {Size[]} places */
  #sideBySide(step, places) {
    let channels = 0;
    for (const input of step.inputs) {
      const other = this.shapes[input];
      this.#want(isSameShape(other.slice(0, -1), places), 'puts different shapes side by side');
      channels += other[other.length - 1].offset;
    }
    return [...places, fixed(channels)];
  }

  /** No overflow. @param {Step} step */
  #checkBounds(step) {
    const largest = largestOf(this.#ranges[step.inputs[0]]);
    const below = (/** @type {number} */ value) => this.#want(value < LIMIT, 'may reach 2^31');
    if (step.op === 'dense' || step.op === 'conv' || step.op === 'conv_transposed') {
      // A product of more than 53 bits is inexact, and too large with or without its rounding.
      meetingSums(step).forEach((sum, o) => below(Math.abs(step.bias[o]) + largest * sum));
    } else if (step.op === 'rescale') {
      step.bias.forEach((bias, c) => below(shifted(largest * step.multiplier[c], step.shift[c]) + Math.abs(bias)));
    } else if (step.op === 'add') {
      const other = largestOf(this.#ranges[step.inputs[1]]);
      below(shifted(largest * step.added[0] + other * step.added[1], step.addedShift));
    } else if (step.op === 'table') {
      const { low, high } = this.#ranges[step.inputs[0]];
      this.#want(step.values.length === high - low + 1 && step.values.length <= 65536, 'has a table of another size');
      this.#want(step.values.every((value) => value >= step.low && value <= step.high), 'has a table beyond its range');
    }
  }
}

/** @param {{low: number, high: number}} range */
const largestOf = ({ low, high }) => Math.max(Math.abs(low), Math.abs(high));

/**
 * The largest Σ |w| that meets in one place of each output channel: of a transposed convolution, places of the kernel with
 * the same remainders modulo the stride.
 * @param {Step} step
 */
function meetingSums(step) {
  /** @type {Map<number, Float64Array>} */
  const groups = new Map();
  const taps = step.weights.length / (step.channelsIn * step.channelsOut);
  for (let tap = 0; tap < taps; tap++) {
    const group = step.op === 'conv_transposed' ? remaindersOf(step, tap) : 0;
    const sums = groups.get(group) ?? new Float64Array(step.channelsOut);
    groups.set(group, sums);
    const start = tap * step.channelsIn * step.channelsOut;
    for (let i = 0; i < step.channelsIn * step.channelsOut; i++) sums[i % step.channelsOut] += Math.abs(step.weights[start + i]);
  }
  const largest = new Float64Array(step.channelsOut);
  for (const sums of groups.values()) sums.forEach((sum, o) => (largest[o] = Math.max(largest[o], sum)));
  return largest;
}

/** A number for the remainders of a place of the kernel. @param {Step} step @param {number} tap */
function remaindersOf(step, tap) {
  let group = 0;
  for (let d = step.kernel.length - 1; d >= 0; d--) {
    group = group * Math.min(step.stride[d], step.kernel[d]) + ((tap % step.kernel[d]) % step.stride[d]);
    tap = Math.floor(tap / step.kernel[d]);
  }
  return group;
}
