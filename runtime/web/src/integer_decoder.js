// Symbols → samples by integers alone: BITSTREAM.md, section 4.
import { AetoolError } from './error.js';
import { shifted, StepChecker } from './step_checker.js';
/** @import { FreeShape, Step } from './step_checker.js' */

/** @typedef {Int32Array<ArrayBuffer>} Values */

/** @param {readonly number[]} sizes */
export const product = (sizes) => sizes.reduce((all, size) => all * size, 1);

/** @param {number} value @param {Step} step */
const clamped = (value, step) => (value < step.low ? step.low : value > step.high ? step.high : value);

/** Checked steps, run. */
export class IntegerDecoder {
  #steps;
  #shapes;

  /**
   * Throws manifest where the steps break the specification.
   * @param {Step[]} steps @param {FreeShape} latent without the batch @param {string} where
   */
  constructor(steps, latent, where) {
    if (steps.length < 1 || steps.length > 256) throw new AetoolError('manifest', 'has not 1 to 256 steps', where);
    const checker = new StepChecker(latent, where);
    for (const step of steps) checker.add(step);
    this.#steps = steps;
    this.#shapes = checker.shapes;
  }

  get outputShape() {
    return this.#shapes[this.#shapes.length - 1];
  }

  /**
   * One sample: the decoder's input, of the given sizes, → its output.
   * @param {Values} latent @param {readonly number[]} free the latent's sizes @returns {Values}
   */
  run(latent, free) {
    /** @type {Values[]} */
    const values = [latent];
    this.#steps.forEach((step, i) => {
      const after = sizesAt(this.#shapes[i + 1], free);
      const out = new Int32Array(product(after));
      if (step.op === 'concatenate') {
        this.#concatenate(step, values, free, out, after[after.length - 1]);
      } else {
        this.#apply(step, values, sizesAt(this.#shapes[step.inputs[0]], free), after, out);
      }
      values.push(out);
    });
    return values[values.length - 1];
  }

  /** @param {Step} step @param {Values[]} values @param {number[]} before @param {number[]} after @param {Values} out */
  #apply(step, values, before, after, out) {
    const given = values[step.inputs[0]];
    switch (step.op) {
      case 'dense':
        for (let row = 0; row * step.channelsOut < out.length; row++) {
          const sums = step.bias.slice();
          multiply(step, given, row * step.channelsIn, 0, sums);
          rescale(step, sums, out, row * step.channelsOut);
        }
        break;
      case 'conv':
        convolve(step, given, before, after, out);
        break;
      case 'conv_transposed':
        spread(step, given, before, after, out);
        break;
      case 'table': {
        const low = step.inputs[0] === 0 ? -32768 : this.#steps[step.inputs[0] - 1].low;
        for (let i = 0; i < out.length; i++) out[i] = step.values[given[i] - low];
        break;
      }
      case 'rescale':
        for (let i = 0, c = 0; i < out.length; i++, c = (c + 1) % step.bias.length) {
          out[i] = clamped(shifted(given[i] * step.multiplier[c], step.shift[c]) + step.bias[c], step);
        }
        break;
      case 'add': {
        const other = values[step.inputs[1]];
        for (let i = 0; i < out.length; i++) {
          out[i] = clamped(shifted(given[i] * step.added[0] + other[i] * step.added[1], step.addedShift), step);
        }
        break;
      }
      case 'reshape':
        for (let i = 0; i < out.length; i++) out[i] = clamped(given[i], step);
        break;
      case 'upsample':
        move(step, given, before, after, out, (i, at) => Math.floor(at / step.sizes[i]));
        break;
      case 'crop':
        move(step, given, before, after, out, (i, at) => at + step.margins[i][0]);
        break;
    }
  }

  /** @param {Step} step @param {Values[]} values @param {readonly number[]} free @param {Values} out @param {number} channels */
  #concatenate(step, values, free, out, channels) {
    let place = 0;
    for (const input of step.inputs) {
      const own = sizesAt(this.#shapes[input], free).at(-1) ?? 1;
      values[input].forEach((value, i) => (out[Math.floor(i / own) * channels + place + (i % own)] = clamped(value, step)));
      place += own;
    }
  }
}

/** @param {FreeShape} shape @param {readonly number[]} free */
export function sizesAt(shape, free) {
  return shape.map(({ factor, offset }, i) => (factor === 0 ? offset : factor * free[i] + offset));
}

/** sums += the inputs from `from` on · the kernel's matrix [in, out] at `tap`.
 * @param {Step} step @param {Values} given @param {number} from @param {number} tap @param {Int32Array} sums */
function multiply(step, given, from, tap, sums) {
  const { weights, channelsIn, channelsOut } = step;
  let at = tap * channelsIn * channelsOut;
  for (let i = 0; i < channelsIn; i++, at += channelsOut) {
    const x = given[from + i];
    if (x === 0) continue;
    for (let o = 0; o < channelsOut; o++) sums[o] += x * weights[at + o];
  }
}

/** @param {Step} step @param {Int32Array} sums @param {Values} out @param {number} at */
function rescale(step, sums, out, at) {
  for (let o = 0; o < sums.length; o++) out[at + o] = clamped(shifted(sums[o] * step.multiplier[o], step.shift[o]), step);
}

/**
 * Each output position takes the channels of the input position that `source` names, dimension by dimension.
 * @param {Step} step @param {Values} given @param {number[]} before @param {number[]} after @param {Values} out
 * @param {(dimension: number, at: number) => number} source
 */
function move(step, given, before, after, out, source) {
  const channels = after[after.length - 1];
  const at = new Array(after.length - 1).fill(0);
  for (let target = 0; target < out.length; target += channels) {
    const from = at.reduce((place, index, i) => place * before[i] + source(i, index), 0) * channels;
    for (let c = 0; c < channels; c++) out[target + c] = clamped(given[from + c], step);
    for (let i = at.length - 1; i >= 0 && ++at[i] === after[i]; i--) at[i] = 0;
  }
}

/** One dimension is a picture of one row. @param {Step} step @param {number[]} sizes */
function planeOf(step, sizes) {
  const isFlat = step.kernel.length === 1;
  const pair = (/** @type {number[]} */ of, /** @type {number} */ flat) => (isFlat ? [flat, of[0]] : of);
  const [height, width] = pair(sizes.slice(0, step.kernel.length), 1);
  const [kernelHeight, kernelWidth] = pair(step.kernel, 1);
  const [strideY, strideX] = pair(step.stride, 1);
  const [top, left] = pair(step.margins.map(([first]) => first), 0);
  return { height, width, kernelHeight, kernelWidth, strideY, strideX, top, left };
}

/** @param {Step} step @param {Values} given @param {number[]} before @param {number[]} after @param {Values} out */
function convolve(step, given, before, after, out) {
  const plane = planeOf(step, before);
  const width = after[step.kernel.length - 1];
  for (let position = 0; position * step.channelsOut < out.length; position++) {
    const y = Math.floor(position / width) * plane.strideY - plane.top;
    const x = (position % width) * plane.strideX - plane.left;
    const sums = step.bias.slice();
    for (let ky = Math.max(0, -y); ky < plane.kernelHeight && y + ky < plane.height; ky++) {
      for (let kx = Math.max(0, -x); kx < plane.kernelWidth && x + kx < plane.width; kx++) {
        const from = (y + ky) * plane.width + x + kx;
        multiply(step, given, from * step.channelsIn, ky * plane.kernelWidth + kx, sums);
      }
    }
    rescale(step, sums, out, position * step.channelsOut);
  }
}

/** Transposed: each output position gathers from the inputs that reach it.
 * @param {Step} step @param {Values} given @param {number[]} before @param {number[]} after @param {Values} out */
function spread(step, given, before, after, out) {
  const plane = planeOf(step, before);
  const width = after[step.kernel.length - 1];
  for (let position = 0; position * step.channelsOut < out.length; position++) {
    const y = Math.floor(position / width) + plane.top;
    const x = (position % width) + plane.left;
    const sums = step.bias.slice();
    for (let ky = y % plane.strideY; ky < plane.kernelHeight && ky <= y; ky += plane.strideY) {
      const row = (y - ky) / plane.strideY;
      for (let kx = x % plane.strideX; row < plane.height && kx < plane.kernelWidth && kx <= x; kx += plane.strideX) {
        const column = (x - kx) / plane.strideX;
        if (column >= plane.width) continue;
        multiply(step, given, (row * plane.width + column) * step.channelsIn, ky * plane.kernelWidth + kx, sums);
      }
    }
    rescale(step, sums, out, position * step.channelsOut);
  }
}
