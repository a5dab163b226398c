// What a bundle brings for compression (BITSTREAM.md, sections 1 to 4), read strictly.
import { EntropyTable, Coder, PRECISION_TOTAL } from './entropy.js';
import { AetoolError } from './error.js';
import { checkPath } from './files.js';
import { IntegerDecoder, product, sizesAt } from './integer_decoder.js';
import { parse } from './json.js';
import { isSameShape } from './step_checker.js';
/** @import { Bundle } from './bundle.js' */
/** @import { EntropyModel } from './entropy.js' */
/** @import { Refusal } from './error.js' */
/** @import { Node } from './json.js' */
/** @import { FreeShape, Step } from './step_checker.js' */

const LIMIT = 2 ** 31;
const MOST_MULTIPLIER = 2 ** 21 - 1;
const DTYPES = /** @type {const} */ (['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32']);
const OPS = /** @type {const} */ ([
  'dense', 'conv', 'conv_transposed', 'table', 'rescale', 'add', 'upsample', 'reshape', 'crop', 'concatenate',
]);

/** @typedef {typeof DTYPES[number]} Dtype */
/** rmse: raw units, on held-out data; 0 when it is not told.
 * @typedef {{step: Int32Array, rounding: number, model: number, rmse: number}} Quality */

/** Latents ↔ symbols → samples. */
export class Codec {
  /**
   * @param {object} given
   * @param {string} given.name
   * @param {boolean} given.isAdjoint its encoder is the transpose of its one linear step; else the encoder artifact
   * @param {(number | null)[]} given.latentShape without the batch; null: free
   * @param {number[]} given.downsampling
   * @param {number[]} given.unit
   * @param {Int32Array} given.center
   * @param {Quality[]} given.qualities
   * @param {IntegerDecoder} given.decoder
   */
  constructor(given) {
    this.name = given.name;
    this.isAdjoint = given.isAdjoint;
    this.latentShape = given.latentShape;
    this.downsampling = given.downsampling;
    this.unit = given.unit;
    this.center = given.center;
    this.qualities = given.qualities;
    this.decoder = given.decoder;
  }

  /**
   * The sizes of a latent for samples of these sizes; refused where they do not go together.
   * @param {readonly number[]} sample @param {Refusal} refusal
   */
  latentOf(sample, refusal) {
    const sizes = this.latentShape.map((size, i) => size ?? sample[i] / this.downsampling[i]);
    const output = sizesAt(this.decoder.outputShape, sizes);
    const fits = sizes.every(Number.isInteger) && output.length === sample.length && output.every((size, i) => size === sample[i]);
    if (!fits) throw new AetoolError(refusal, `samples of another size than the codec ${this.name} takes`);
    return sizes;
  }

  /** Symbols of one sample → the decoder's output. @param {Int32Array} symbols @param {number[]} latent @param {Quality} quality */
  decode(symbols, latent, quality) {
    const input = new Int32Array(product(latent));
    for (let i = 0, c = 0; i < input.length; i++, c = (c + 1) % this.unit.length) {
      input[i] = Math.min(Math.max(symbols[i] * quality.step[c] + this.center[c], -32768), 32767);
    }
    return this.decoder.run(input, latent);
  }
}

/**
 * @typedef {object} Compression
 * @property {(number | null)[]} sampleShape without the batch; null: free
 * @property {number} outputUnit
 * @property {number} multiplier
 * @property {number} shift
 * @property {number} residual the model's index
 * @property {Coder} coder
 * @property {Codec[]} codecs
 */

/** @param {Node} node */
function readShape(node) {
  const sizes = node.items().map((item) => (item.isNull ? null : item.natural(1)));
  if (sizes.length < 1 || sizes.length > 7) node.refuse('has not 1 to 7 sizes');
  return sizes;
}

/** @param {Node} node */
function positive(node) {
  const value = node.number();
  return value > 0 ? value : node.refuse('is not > 0');
}

/** @param {Node} node @returns {[number, number][]} */
function readMargins(node) {
  return node.items().map((item) => {
    const pair = item.items();
    if (pair.length !== 2) item.refuse('has not two values');
    return [pair[0].integer(0, LIMIT - 1), pair[1].integer(0, LIMIT - 1)];
  });
}

/** @param {Node} node */
function readName(node) {
  const name = node.text();
  return /^[a-z][a-z0-9_]{0,31}$/.test(name) ? name : node.refuse('is not a-z, then a-z 0-9 _');
}

/** @param {Node} root */
function checkVersion(root) {
  if (root.get('version').integer() !== 1) root.get('version').refuse('is not 1: update aetool', 'version');
}

class CompressionReader {
  #root;
  #data;

  /** @param {Node} root @param {Uint8Array} data */
  constructor(root, data) {
    this.#root = root;
    this.#data = data;
  }

  /** @returns {Compression} */
  read() {
    const root = this.#root;
    const sampleShape = readShape(root.get('sample_shape'));
    const tables = root.get('tables').items().map((node) => this.#table(node));
    const models = root.get('models').items().map((node) => this.#model(node, tables));
    const residual = root.get('residual').integer(0, models.length - 1);
    if (models[residual].isNeighbors || models[residual].channels !== 1) root.get('residual').refuse('is a model of another kind');
    const outputUnit = positive(root.get('output_unit'));
    const multiplier = root.get('integer').get('multiplier').integer(1, MOST_MULTIPLIER);
    const shift = root.get('integer').get('shift').integer(0, 40);
    const nodes = root.get('codecs').items();
    if (nodes.length > 14) root.get('codecs').refuse('has more than 14 codecs');
    const codecs = nodes.map((node) => this.#codec(node, sampleShape, models));
    return { sampleShape, outputUnit, multiplier, shift, residual, coder: new Coder(tables, models), codecs };
  }

  /** @param {Node} node */
  #array(node) {
    const dtype = node.get('dtype').oneOf(DTYPES);
    const shape = node.get('shape').items().map((item) => item.natural(1));
    if (shape.length < 1 || shape.length > 8) node.get('shape').refuse('has not 1 to 8 sizes');
    const width = dtype.endsWith('8') ? 1 : dtype.endsWith('16') ? 2 : 4;
    const offset = node.get('offset').natural();
    const count = product(shape); // inexact only where far too large
    if (!(offset + count * width <= this.#data.length)) node.refuse('reaches past the data file');
    const view = new DataView(this.#data.buffer, this.#data.byteOffset + offset, count * width);
    /** @type {Record<Dtype, (i: number) => number>} */
    const read = {
      int8: (i) => view.getInt8(i),
      uint8: (i) => view.getUint8(i),
      int16: (i) => view.getInt16(2 * i, true),
      uint16: (i) => view.getUint16(2 * i, true),
      int32: (i) => view.getInt32(4 * i, true),
      uint32: (i) => view.getUint32(4 * i, true),
    };
    return { dtype, shape, values: Float64Array.from({ length: count }, (_, i) => read[dtype](i)) };
  }

  /**
   * An array of that type, of one dimension.
   * @param {Node} node @param {Dtype} dtype @param {number} [count] any length where it is missing
   */
  #vector(node, dtype, count) {
    const array = this.#array(node);
    const fits = array.dtype === dtype && array.shape.length === 1 && (count === undefined || array.values.length === count);
    return fits ? array.values : node.refuse(`is not ${dtype} of that length`);
  }

  /** @param {Node} node */
  #table(node) {
    const frequencies = this.#vector(node.get('frequencies'), 'uint16');
    const sum = frequencies.reduce((all, frequency) => all + frequency, 0);
    const fits = frequencies.length >= 2 && frequencies.length <= 4096 && sum === PRECISION_TOTAL && !frequencies.includes(0);
    if (!fits) node.get('frequencies').refuse('has not 2 to 4096 entries, none 0, of the sum 2^14');
    const low = node.get('low').integer(-LIMIT, LIMIT - 1);
    if (low + frequencies.length - 2 >= LIMIT) node.get('low').refuse('is too large');
    return new EntropyTable(low, frequencies);
  }

  /** @param {Node} node @param {EntropyTable[]} tables @returns {EntropyModel} */
  #model(node, tables) {
    const isNeighbors = node.get('kind').oneOf(['sets', 'neighbors']) === 'neighbors';
    const channels = node.get('channels').integer(1, 65536);
    const { dtype, shape, values: map } = this.#array(node.get('map'));
    const fits = dtype === 'uint16' && shape.length === 2 && shape[1] === channels && shape[0] <= 256;
    if (!fits) node.get('map').refuse('is not uint16 [sets, channels]');
    if (map.some((index) => index >= tables.length)) node.get('map').refuse('names an unknown table');
    const made = { isNeighbors, channels, sets: shape[0], positions: 1, map };
    if (isNeighbors) return { ...made, rawBits: [], selectors: [], thresholds: this.#thresholds(node, shape[0]) };
    const rawBits = node.has('raw_bits') ? this.#vector(node.get('raw_bits'), 'uint8', shape[0]) : [];
    if (rawBits.some((bits) => bits > 24)) node.get('raw_bits').refuse('has more than 24');
    const positions = node.get('positions').natural(1);
    return { ...made, positions, rawBits, thresholds: [], selectors: this.#selectors(node, shape[0], tables) };
  }

  /** @param {Node} node @param {number} sets */
  #thresholds(node, sets) {
    if (node.has('raw_bits')) node.get('raw_bits').refuse('is given for the kind neighbors');
    const thresholds = sets > 1 ? this.#vector(node.get('thresholds'), 'uint32', sets - 1) : new Float64Array();
    if (thresholds.some((value, i) => i > 0 && value < thresholds[i - 1])) node.get('thresholds').refuse('is not sorted');
    return thresholds;
  }

  /** @param {Node} node @param {number} sets @param {EntropyTable[]} tables */
  #selectors(node, sets, tables) {
    const selectors = sets > 1 ? this.#vector(node.get('selectors'), 'uint16', sets) : new Float64Array();
    const fits = selectors.every((index) => tables[index]?.low === 0 && tables[index].frequency.length === sets + 1);
    return fits ? selectors : node.get('selectors').refuse('names a table that does not code a set');
  }

  /** @param {Node} node @param {(number | null)[]} latentShape */
  #downsampling(node, latentShape) {
    if (!node.has('downsampling')) return latentShape.includes(null) ? node.refuse("has no 'downsampling'") : [];
    const factors = node.get('downsampling').items().map((item) => item.natural(1));
    return factors.length === latentShape.length ? factors : node.get('downsampling').refuse('has another number of factors');
  }

  /** @param {Node} node @param {(number | null)[]} sampleShape @param {EntropyModel[]} models */
  #codec(node, sampleShape, models) {
    const name = readName(node.get('name'));
    const isAdjoint = node.get('encoder').oneOf(['artifact', 'adjoint']) === 'adjoint';
    const latentShape = readShape(node.get('latent_shape'));
    const channels = latentShape[latentShape.length - 1] ?? node.get('latent_shape').refuse('ends with null');
    const downsampling = this.#downsampling(node, latentShape);
    if (latentShape.some((size, i) => size === null && i >= sampleShape.length)) {
      node.get('latent_shape').refuse('is free where samples have no size');
    }
    const unit = node.get('unit').items().map(positive);
    if (unit.length !== channels) node.get('unit').refuse('has not one number for each channel');
    const center = Int32Array.from(this.#vector(node.get('center'), 'int32', channels));
    if (center.some((value) => value <= -32768 || value >= 32768)) node.get('center').refuse('has a value out of range');
    const qualities = node.get('qualities').items().map((item) => this.#quality(item, models, channels));
    if (qualities.length < 1 || qualities.length > 64) node.get('qualities').refuse('has not 1 to 64 qualities');
    const steps = node.get('steps').items().map((item) => this.#step(item));
    if (isAdjoint && !isLinear(steps)) node.get('encoder').refuse('is adjoint of other steps than one linear one');
    /** @type {FreeShape} */
    const latent = latentShape.map((size) => (size === null ? { factor: 1, offset: 0 } : { factor: 0, offset: size }));
    const decoder = new IntegerDecoder(steps, latent, `${node.where}: ${name}`);
    const wanted = sampleShape.map((size, i) =>
      (size === null ? { factor: downsampling[i] ?? 1, offset: 0 } : { factor: 0, offset: size }));
    if (!isSameShape(decoder.outputShape, wanted)) node.get('steps').refuse('return samples of another shape');
    return new Codec({ name, isAdjoint, latentShape, downsampling, unit, center, qualities, decoder });
  }

  /** @param {Node} node @param {EntropyModel[]} models @param {number} channels @returns {Quality} */
  #quality(node, models, channels) {
    const step = Int32Array.from(this.#vector(node.get('step'), 'int32', channels));
    if (step.some((value) => value < 1 || value > 65535)) node.get('step').refuse('has a value out of range');
    const rounding = node.get('rounding').number();
    const model = node.get('model').integer(0, models.length - 1);
    if (models[model].channels !== channels) node.get('model').refuse('has another number of channels');
    if (node.has('bits')) node.get('bits').number();
    return { step, rounding, model, rmse: node.has('rmse') ? node.get('rmse').number() : 0 };
  }

  /** @param {Node} node @returns {Step} */
  #step(node) {
    const op = node.get('op').oneOf(OPS);
    const inputs = node.get('inputs').items().map((item) => item.natural());
    const range = node.get('range').items();
    if (range.length !== 2) node.get('range').refuse('has not two values');
    const low = range[0].integer(1 - LIMIT, LIMIT - 1);
    const high = range[1].integer(low, LIMIT - 1);
    return { ...EMPTY_STEP, op, inputs, low, high, ...this.#members(op, node) };
  }

  /** @param {Step['op']} op @param {Node} node @returns {Partial<Step>} */
  #members(op, node) {
    const sizes = (/** @type {string} */ member) => node.get(member).items().map((item) => item.integer(1, 2 ** 28));
    switch (op) {
      case 'dense':
      case 'conv':
      case 'conv_transposed':
        return this.#kernel(op, node);
      case 'table': {
        const { dtype, shape, values } = this.#array(node.get('values'));
        if (shape.length !== 1 || (dtype !== 'int16' && dtype !== 'int32')) node.get('values').refuse('is not int16 or int32');
        return { values: Int32Array.from(values) };
      }
      case 'rescale': {
        const scaling = this.#rescaling(node);
        return { ...scaling, bias: Int32Array.from(this.#vector(node.get('bias'), 'int32', scaling.multiplier.length)) };
      }
      case 'add': {
        const added = node.get('multipliers').items().map((item) => item.integer(1, 2 ** 20));
        if (added.length !== 2) node.get('multipliers').refuse('has not two values');
        return { added: [added[0], added[1]], addedShift: node.get('shift').integer(0, 40) };
      }
      case 'upsample':
        return { sizes: sizes('factors') };
      case 'reshape':
        return { sizes: sizes('shape') };
      case 'crop':
        return { margins: readMargins(node.get('crop')) };
      default:
        return {};
    }
  }

  /** @param {Node} node @param {number} [channels] */
  #rescaling(node, channels) {
    const multiplier = Int32Array.from(this.#vector(node.get('multiplier'), 'int32', channels));
    const shift = Uint8Array.from(this.#vector(node.get('shift'), 'uint8', multiplier.length));
    if (multiplier.some((value) => value < 1 || value > MOST_MULTIPLIER)) node.get('multiplier').refuse('has a value out of range');
    if (shift.some((value) => value > 40)) node.get('shift').refuse('has a value out of range');
    return { multiplier, shift };
  }

  /** @param {'dense' | 'conv' | 'conv_transposed'} op @param {Node} node @returns {Partial<Step>} */
  #kernel(op, node) {
    const { dtype, shape, values } = this.#array(node.get('weights'));
    const fits = op === 'dense' ? shape.length === 2 : shape.length === 3 || shape.length === 4;
    if ((dtype !== 'int8' && dtype !== 'int16') || !fits) node.get('weights').refuse('is not a kernel of int8 or int16');
    const [channelsIn, channelsOut] = shape.slice(-2);
    const kernel = shape.slice(0, -2);
    const bias = Int32Array.from(this.#vector(node.get('bias'), 'int32', channelsOut));
    const made = { weights: Int16Array.from(values), channelsIn, channelsOut, kernel, bias, ...this.#rescaling(node, channelsOut) };
    if (op === 'dense') return made;
    const stride = node.get('stride').items().map((item) => item.integer(1, 2 ** 28));
    const margins = readMargins(node.get(op === 'conv' ? 'padding' : 'crop'));
    if (stride.length !== kernel.length || margins.length !== kernel.length) node.refuse('has another number of strides or margins');
    return { ...made, stride, margins };
  }
}

/** What a step has of the members of others. */
const EMPTY_STEP = {
  weights: new Int16Array(), kernel: [], stride: [], sizes: [], margins: [], channelsIn: 0, channelsOut: 0,
  bias: new Int32Array(), multiplier: new Int32Array(), values: new Int32Array(), shift: new Uint8Array(),
  added: /** @type {[number, number]} */ ([1, 1]), addedShift: 0,
};

/** @param {Step[]} steps */
function isLinear([first, ...others]) {
  if (!first) return false;
  const isBlockwise = first.op === 'conv_transposed' && first.kernel.every((size, i) => size === first.stride[i]);
  return (first.op === 'dense' || isBlockwise) && others.every(({ op }) => op === 'reshape' || op === 'crop');
}

/**
 * Throws usage where the bundle brings nothing, manifest and version where it breaks the format.
 * @param {Bundle} bundle
 * @returns {Promise<Compression>}
 */
export async function readCompression(bundle) {
  const path = bundle.manifest.compression;
  if (!path) throw new AetoolError('usage', 'the bundle cannot compress: it brings no entropy tables');
  const root = parse(await bundle.read(path), path);
  checkVersion(root);
  const data = root.get('data').text();
  checkPath(data, path);
  if (!bundle.manifest.files.has(data)) root.get('data').refuse('is not a listed file');
  return new CompressionReader(root, await bundle.read(data)).read();
}
