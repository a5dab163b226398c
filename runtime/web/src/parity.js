// The self-test's verdict on one output: FORMAT.md, section 5.
import { realValues } from './elements.js';
/** @import { Tensor } from './elements.js' */
/** @import { Artifact, TensorSpec } from './manifest.js' */

const EPSILON = 2 ** -23;

/**
 * How one output of one artifact compares with its golden vectors; worst: share of what is allowed, above 1 it fails;
 * error: why it could not be compared.
 * @typedef {{artifact: string, tensor: string, goldenCase: string, worst: number, passed: boolean, error: string}} Check
 */

/**
 * The largest share of what is allowed; NaN where a value is.
 * @param {TensorSpec} spec @param {Tensor} wanted @param {Tensor} met
 * @param {{center: number[], scale: number[]}} unit @param {Pick<Artifact, 'atol' | 'rtol'>} tolerance
 */
export function worstShare(spec, wanted, met, unit, tolerance) {
  const e = realValues(spec, wanted.shape, wanted.data);
  const a = realValues(spec, met.shape, met.data);
  const channels = unit.scale.length;
  const size = e.length / met.shape[0];
  const u = e.map((value, i) => (value - unit.center[i % channels]) / unit.scale[i % channels]);
  let worst = 0;
  for (let start = 0; start < e.length; start += size) {
    const squares = u.subarray(start, start + size).reduce((all, value) => all + value * value, 0);
    const r = Math.max(1, Math.sqrt(squares / size));
    for (let i = start; i < start + size; i++) {
      const relative = tolerance.atol * r + tolerance.rtol * Math.abs(u[i]);
      const share = Math.abs(a[i] - e[i]) / (unit.scale[i % channels] * relative + 4 * EPSILON * Math.abs(e[i]));
      worst = Math.max(worst, share); // NaN stays
    }
  }
  return worst;
}
