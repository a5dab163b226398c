// Linear prediction of integers: BITSTREAM.md, section 7.
import { damaged } from './cursor.js';
import { coderOf, EntropyTable, PRECISION_TOTAL } from './entropy.js';
import { Growing } from './files.js';
import { product } from './integer_decoder.js';
import { shifted } from './step_checker.js';
/** @import { Cursor } from './cursor.js' */
/** @import { Compression } from './compression.js' */

export const MOST_STEP = 2 ** 21 - 1;
const VALUE_LIMIT = 2 ** 31;
const BLOCK_EXPONENT = 12;
const ORDERS = [2, 4, 8, 16];
/** Differences of the first to third kind. @type {Predictor[]} */
const DIFFERENCES = [[1], [2, -1], [3, -3, 1]].map((taps) => ({ taps: Float64Array.from(taps), shift: 0 }));

/** One kind of array, so that one piece of machine code serves. @typedef {{taps: Float64Array, shift: number}} Predictor */

/** Of d(t), given the values before `i` in the same block; t > 0 counts from its start.
 * @param {Predictor} predictor @param {Float64Array} line @param {number} i @param {number} t */
function predict({ taps, shift }, line, i, t) {
  if (taps.length === 0) return 0;
  if (t < taps.length) return line[i - 1];
  let sum = 0;
  for (let k = 0; k < taps.length; k++) sum += taps[k] * line[i - 1 - k];
  return shifted(sum, shift);
}

/** @param {Cursor} cursor */
function readPalette(cursor) {
  const count = cursor.varint();
  if (count < 2 || count > 65536 || count > cursor.left) damaged('a palette out of range');
  const palette = [cursor.zigzag()];
  while (palette.length < count) {
    const more = cursor.varint();
    if (more < 1 || more > 0xffffffff) damaged('a palette out of order');
    palette.push(palette[palette.length - 1] + more);
  }
  if (palette[0] <= -VALUE_LIMIT || palette[palette.length - 1] >= VALUE_LIMIT) damaged('a palette out of range');
  return palette;
}

/** @param {Cursor} cursor */
function readTable(cursor) {
  const low = cursor.zigzag();
  const count = cursor.varint();
  if (count < 2 || count > 4096 || low + count - 2 >= VALUE_LIMIT) damaged('a table out of range');
  const frequencies = Array.from({ length: count }, () => cursor.varint());
  if (frequencies.some((frequency) => frequency < 1 || frequency > PRECISION_TOTAL)) damaged('a table out of range');
  if (frequencies.reduce((all, frequency) => all + frequency, 0) !== PRECISION_TOTAL) damaged('a table of another sum');
  return new EntropyTable(low, frequencies);
}

/** @param {Cursor} cursor @param {number} flags @param {number} time */
function readExtras(cursor, flags, time) {
  const palette = flags & 1 ? readPalette(cursor) : null;
  const lag = flags & 2 ? cursor.varint() : 0;
  if (flags & 2 && (lag < 1 || lag > Math.max(time - 1, 1))) damaged('a lag out of range');
  return { palette, lag, table: flags & 4 ? readTable(cursor) : null };
}

/** @param {Cursor} cursor @returns {Predictor} */
function readPredictor(cursor) {
  const [order, shift] = [cursor.u8(), cursor.u8()];
  if (order > 32 || shift > 15) damaged('a predictor out of range');
  return { shift, taps: Float64Array.from(Int16Array.from({ length: order }, () => cursor.u16())) };
}

/** @param {Cursor} cursor @param {number} samples @param {readonly number[]} shape */
function readSettings(cursor, samples, shape) {
  const step = cursor.varint();
  if (step < 1 || step > MOST_STEP) damaged('a step out of range');
  const flags = cursor.u8();
  if (flags > 7) damaged('unknown extras');
  const dimensions = cursor.u8();
  if (dimensions < 1 || dimensions > shape.length) damaged('dimensions of time out of range');
  const exponent = cursor.u8();
  if (exponent < 4 || exponent > 16) damaged('a block size out of range');
  const time = samples * product(shape.slice(0, dimensions));
  const series = product(shape.slice(dimensions));
  const each = cursor.u8();
  if (each > 1 || (each === 1 && series > 256)) damaged('predictors out of range');
  const predictors = Array.from({ length: each ? series : 1 }, () => readPredictor(cursor));
  return { step, time, series, block: 2 ** exponent, predictors, ...readExtras(cursor, flags, time) };
}

/**
 * The payload of a chunk → r · n′, not yet clamped, in the order of the samples.
 * @param {Cursor} cursor @param {Compression} compression @param {number} samples @param {readonly number[]} shape
 */
export function decodePredictive(cursor, compression, samples, shape) {
  const given = readSettings(cursor, samples, shape);
  const { time, series, palette, lag } = given;
  const codedShape = [1, series * time, 1];
  const coded = given.table
    ? coderOf(given.table).decode(cursor, codedShape, 0)
    : compression.coder.decode(cursor, codedShape, compression.residual);
  const out = new Float64Array(coded.length);
  const [line, sums] = [new Float64Array(time), new Float64Array(time)];
  for (let s = 0; s < series; s++) {
    const predictor = given.predictors[s % given.predictors.length];
    for (let i = 0, first = 0; i < time; i++) {
      const t = i % given.block;
      line[i] = coded[s * time + i] + (t === 0 ? first : predict(predictor, line, i, t));
      if (t === 0) first = line[i];
      sums[i] = line[i] + (lag > 0 && i >= lag ? sums[i - lag] : 0);
      if (Math.abs(line[i]) >= VALUE_LIMIT || Math.abs(sums[i]) >= VALUE_LIMIT) damaged('a value beyond 32 bits');
      const n = palette ? palette[sums[i]] ?? damaged('no number of the palette') : sums[i];
      out[i * series + s] = n * given.step;
    }
  }
  return out;
}

/** The nearest multiple, as its number; halves away from 0. @param {number} n @param {number} step odd */
export const nearestStep = (n, step) => Math.sign(n) * Math.floor((Math.abs(n) + (step - 1) / 2) / step);

/** @param {Float64Array} line @param {number} order */
function correlationsOf(line, order) {
  return Float64Array.from({ length: order + 1 }, (_, lag) => {
    let sum = 0;
    for (let i = lag; i < line.length; i++) sum += line[i] * line[i - lag];
    return sum;
  });
}

/** Autocorrelation and Levinson-Durbin (Levinson 1947, Durbin 1960), then taps of 16 bits.
 * @param {Float64Array} line @param {number} order @returns {Predictor} */
function fitPredictor(line, order) {
  const correlation = correlationsOf(line, order);
  const taps = new Float64Array(order);
  let error = correlation[0] * (1 + 1e-9) + 1e-9;
  for (let i = 0; i < order; i++) {
    let reflection = correlation[i + 1];
    for (let k = 0; k < i; k++) reflection -= taps[k] * correlation[i - k];
    reflection /= error;
    const before = taps.slice();
    taps[i] = reflection;
    for (let k = 0; k < i; k++) taps[k] -= reflection * before[i - 1 - k];
    error *= 1 - reflection * reflection;
  }
  const most = taps.reduce((largest, tap) => Math.max(largest, Math.abs(tap)), 1e-9);
  let shift = 0;
  while (shift < 15 && most * 2 ** (shift + 1) < 32767) shift++;
  return { shift, taps: taps.map((tap) => Math.round(Math.min(Math.max(tap * 2 ** shift, -32767), 32767))) };
}

/** What a predictor leaves over, as a sum of magnitudes. @param {Predictor} predictor @param {Float64Array} line */
function leftOver(predictor, line) {
  let sum = 0;
  for (let i = predictor.taps.length; i < line.length; i++) sum += Math.abs(line[i] - predict(predictor, line, i, i));
  return sum;
}

/** Of some orders, and of differences, the one that leaves least. @param {Float64Array} line */
function bestPredictor(line) {
  const fitted = ORDERS.filter((order) => line.length >= 32 * order).map((order) => fitPredictor(line, order));
  const candidates = [...DIFFERENCES, ...fitted].map((predictor) => ({ predictor, left: leftOver(predictor, line) }));
  return candidates.reduce((best, one) => (one.left < best.left ? one : best)).predictor;
}

/** What is coded for one series; null where a value leaves 32 bits. @param {Float64Array} line @param {Predictor} predictor */
function differences(line, predictor) {
  const coded = new Int32Array(line.length);
  for (let i = 0, first = 0; i < line.length; i++) {
    const t = i % 2 ** BLOCK_EXPONENT;
    const u = line[i] - (t === 0 ? first : predict(predictor, line, i, t));
    if (t === 0) first = line[i];
    if (u < -VALUE_LIMIT || u >= VALUE_LIMIT) return null;
    coded[i] = u;
  }
  return coded;
}

/**
 * n → the payload, in steps of r; time is the first dimension of samples. Null where this path cannot code them.
 * @param {Float64Array} n @param {Compression} compression @param {number} samples @param {readonly number[]} shape @param {number} r
 */
export function encodePredictive(n, compression, samples, shape, r) {
  const [time, series] = [samples * shape[0], product(shape.slice(1))];
  const each = series <= 256;
  const lines = Array.from({ length: series }, (_, s) =>
    Float64Array.from({ length: time }, (_, i) => nearestStep(n[i * series + s], r)));
  const predictors = each ? lines.map(bestPredictor) : [DIFFERENCES[0]];
  const coded = lines.map((line, s) => differences(line, predictors[s % predictors.length]));
  const all = new Int32Array(series * time);
  for (let s = 0; s < series; s++) {
    const one = coded[s];
    if (!one) return null;
    all.set(one, s * time);
  }
  const out = new Growing();
  out.varint(r);
  out.append([0, 1, BLOCK_EXPONENT, each ? 1 : 0]);
  for (const { taps, shift } of predictors) {
    out.append([taps.length, shift]);
    for (const tap of taps) out.put(tap, 2);
  }
  out.append(compression.coder.encode(all, [1, all.length, 1], compression.residual));
  return out.bytes();
}
