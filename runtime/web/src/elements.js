// Elements of every type as real numbers, and back; little-endian, as all machines that run this are.
import { bytesOf } from './manifest.js';
/** @import { ElementType, Quantization, TensorSpec } from './manifest.js' */

/** An array of any type, C order. @typedef {{type: ElementType, shape: number[], data: Uint8Array}} Tensor */

/** @type {Record<Exclude<ElementType, 'float32' | 'float16'>, [number, number]>} */
const RANGES = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 53), 2 ** 53],
};

/** IEEE 754 binary16 → number, exactly. @param {number} bits */
export function fromHalf(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const finite = exponent === 0 ? fraction * 2 ** -24 : (fraction + 1024) * 2 ** (exponent - 25);
  const size = exponent === 31 ? (fraction ? NaN : Infinity) : finite;
  return bits & 0x8000 ? -size : size;
}

/** The nearest integer; of two, the even one. @param {number} value */
export function roundEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

/** A float32 → binary16, to nearest, ties to even; beyond the range infinite. @param {number} value */
export function toHalf(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  let unit = -24; // the size of the last place, as a power of two
  while (size >= 2 ** (unit + 11)) unit++;
  // A binade's numbers follow those of the one below, so that a carry needs no care.
  return sign | ((unit + 24) * 1024 + roundEven(size / 2 ** unit));
}

/** Which scale goes with which value of an array of that shape. @param {Quantization} given @param {readonly (number | null)[]} shape */
function scaleIndex(given, shape) {
  if (given.axis === undefined) return () => 0;
  const inner = shape.slice(given.axis + 1).reduce((/** @type {number} */ all, size) => all * (size ?? 1), 1);
  return (/** @type {number} */ i) => Math.floor(i / inner) % given.scale.length;
}

/** @param {DataView} view @param {ElementType} type @returns {(i: number) => number} */
function readerOf(view, type) {
  switch (type) {
    case 'float32':
      return (i) => view.getFloat32(4 * i, true);
    case 'float16':
      return (i) => fromHalf(view.getUint16(2 * i, true));
    case 'int8':
      return (i) => view.getInt8(i);
    case 'uint8':
      return (i) => view.getUint8(i);
    case 'int16':
      return (i) => view.getInt16(2 * i, true);
    case 'int32':
      return (i) => view.getInt32(4 * i, true);
    default:
      return (i) => Number(view.getBigInt64(8 * i, true));
  }
}

/**
 * What an array stands for.
 * @param {TensorSpec} spec @param {readonly number[]} shape @param {Uint8Array} data
 * @returns {Float64Array}
 */
export function realValues(spec, shape, data) {
  const read = readerOf(new DataView(data.buffer, data.byteOffset, data.byteLength), spec.type);
  const values = Float64Array.from({ length: data.length / bytesOf(spec.type) }, (_, i) => read(i));
  if (!spec.quantization) return values;
  const { scale, zeroPoint } = spec.quantization;
  const index = scaleIndex(spec.quantization, shape);
  return values.map((value, i) => (value - zeroPoint[index(i)]) * scale[index(i)]);
}

/**
 * Real values as the tensor's own elements: the nearest integers, those out of range to its ends.
 * @param {TensorSpec} spec @param {Float32Array} values @param {readonly number[]} shape
 * @returns {Uint8Array}
 */
export function elementsOf(spec, values, shape) {
  const { type, quantization } = spec;
  const width = bytesOf(type);
  const data = new Uint8Array(values.length * width);
  const view = new DataView(data.buffer);
  const index = quantization ? scaleIndex(quantization, shape) : () => 0;
  values.forEach((value, i) => {
    if (type === 'float32') return view.setFloat32(4 * i, value, true);
    if (type === 'float16') return view.setUint16(2 * i, toHalf(value), true);
    const [least, most] = RANGES[type];
    const whole = quantization ? roundEven(value / quantization.scale[index(i)]) + quantization.zeroPoint[index(i)] : Math.trunc(value);
    const kept = BigInt(Math.min(Math.max(Number.isNaN(whole) ? least : whole, least), most));
    for (let byte = 0; byte < width; byte++) data[i * width + byte] = Number((kept >> BigInt(8 * byte)) & 255n);
  });
  return data;
}
