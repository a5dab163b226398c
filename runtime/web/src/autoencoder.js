// A bundle's encoder and decoder as functions on arrays, and the self-test.
import { elementsOf, realValues } from './elements.js';
import { AetoolError } from './error.js';
import { product } from './integer_decoder.js';
import { takes } from './manifest.js';
import { refuseExternalData } from './onnx_scan.js';
import { Session } from './onnxruntime.js';
import { worstShare } from './parity.js';
/** @import { Bundle } from './bundle.js' */
/** @import { Tensor } from './elements.js' */
/** @import { Artifact, GoldenCase, GoldenTensor } from './manifest.js' */
/** @import { OnnxRuntime } from './onnxruntime.js' */
/** @import { Check } from './parity.js' */

/** @typedef {Artifact['role']} Role */

/** @param {Artifact} artifact */
const titleOf = ({ role, format, precision }) => `${role} ${format} ${precision}`;
/** Files beside a graph, and ONNX Runtime's own format, are for other runtimes. @param {Artifact} artifact */
const isRunnable = ({ format, externalData }) => format === 'onnx' && !externalData;

export class Autoencoder {
  #engine;
  #precision;
  /** @type {Map<Role, Promise<Session>>} */
  #sessions = new Map();

  /**
   * @param {Bundle} bundle
   * @param {object} [options]
   * @param {string} [options.precision] else float32, or where there is none, the bundle's first
   * @param {OnnxRuntime} [options.engine] the module onnxruntime-web, where the program has loaded it; else it is imported
   */
  constructor(bundle, options = {}) {
    this.bundle = bundle;
    this.#engine = options.engine;
    const precisions = bundle.manifest.artifacts.map(({ precision }) => precision);
    this.#precision = options.precision ?? (precisions.includes('float32') ? 'float32' : precisions[0]);
  }

  /** Whether a graph for that is in the bundle. @param {Role} role */
  has(role) {
    return this.#find(role) !== undefined;
  }

  /** The shape of one sample or latent that a role takes, without the batch; null: any size. @param {Role} role */
  inputShape(role) {
    return this.#artifact(role).inputs[0].shape.slice(1);
  }

  /** Raw values in, latents out: [batch, …input] → [batch, …latent]; C order.
   * @param {Float32Array} samples @param {readonly number[]} [shape] of one sample, where the graph leaves sizes free */
  encode(samples, shape) {
    return this.#convert('encoder', samples, shape);
  }

  /** @param {Float32Array} latents @param {readonly number[]} [shape] of one latent, where the graph leaves sizes free */
  decode(latents, shape) {
    return this.#convert('decoder', latents, shape);
  }

  /** Raw values in, raw values out. @param {Float32Array} samples @param {readonly number[]} [shape] */
  reconstruct(samples, shape) {
    return this.#convert('autoencoder', samples, shape);
  }

  /**
   * Any types and shapes, as the graph has them: all outputs.
   * @param {Role} role @param {Tensor} input
   */
  async run(role, input) {
    const session = await this.#session(role);
    const spec = session.artifact.inputs[0];
    if (!takes(spec, input.type, input.shape)) {
      throw new AetoolError('input', `the input has another type or shape than ${spec.name}`);
    }
    return session.run(input);
  }

  /** Every ONNX artifact against its golden vectors: what `aetool verify` does, on this device. @returns {Promise<Check[]>} */
  async selfTest() {
    const { manifest } = this.bundle;
    const golden = await this.bundle.read(manifest.goldenPath);
    const checks = [];
    for (const artifact of manifest.artifacts.filter(isRunnable)) checks.push(...(await this.#tryArtifact(artifact, golden)));
    return checks;
  }

  /** Frees the engine's memory. */
  async release() {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session).release();
  }

  /** @param {Role} role */
  #find(role) {
    return this.bundle.manifest.artifacts.find((a) => a.role === role && a.precision === this.#precision && isRunnable(a));
  }

  /** @param {Role} role */
  #artifact(role) {
    const found = this.#find(role);
    if (!found) throw new AetoolError('usage', `the bundle has no ONNX ${role} of precision ${this.#precision}`);
    return found;
  }

  /** @param {Artifact} artifact */
  async #load(artifact) {
    const graph = await this.bundle.read(artifact.path);
    refuseExternalData(graph, artifact.path);
    return Session.load(graph, artifact, this.#engine);
  }

  /** Loaded when it is first used, so a device that only encodes never loads the decoder. @param {Role} role */
  async #session(role) {
    const session = this.#sessions.get(role) ?? this.#load(this.#artifact(role));
    this.#sessions.set(role, session);
    try {
      return await session;
    } catch (error) {
      this.#sessions.delete(role); // another try may find the engine
      throw error;
    }
  }

  /** @param {Role} role @param {Float32Array} values @param {readonly number[]} [given] */
  async #convert(role, values, given) {
    const session = await this.#session(role);
    const { inputs: [spec], outputs: [output] } = session.artifact;
    const shape = spec.shape.slice(1).map((size, i) => size ?? given?.[i] ?? 0);
    const size = product(shape);
    if (size === 0) throw new AetoolError('usage', `the sizes of ${spec.name} are free: give its shape`);
    const fits = values.length % size === 0 && (!given || (given.length === shape.length && given.every((n, i) => n === shape[i])));
    if (!fits) throw new AetoolError('input', `${values.length} values are no ${spec.name} of shape ${shape.join(' × ')}`);
    if (values.length === 0) return new Float32Array();
    const sizes = [values.length / size, ...shape];
    const [found] = await session.run({ type: spec.type, shape: sizes, data: elementsOf(spec, values, sizes) });
    return Float32Array.from(realValues(output, found.shape, found.data));
  }

  /** @param {Artifact} artifact @param {Uint8Array} golden @returns {Promise<Check[]>} */
  async #tryArtifact(artifact, golden) {
    const failed = (/** @type {string} */ error) =>
      [{ artifact: titleOf(artifact), tensor: '', goldenCase: '', worst: NaN, passed: false, error }];
    try {
      const session = await this.#load(artifact);
      const cases = artifact.cases.length ? artifact.cases : this.bundle.manifest.cases;
      const checks = [];
      for (const given of cases) checks.push(...(await this.#tryCase(session, given, golden)));
      await session.release();
      return checks.length ? checks : failed('no golden case applies');
    } catch (error) {
      if (error instanceof AetoolError) return failed(error.message);
      throw error;
    }
  }

  /** @param {Session} session @param {GoldenCase} given @param {Uint8Array} golden @returns {Promise<Check[]>} */
  async #tryCase(session, given, golden) {
    const { inputs: [spec], outputs } = session.artifact;
    if (![spec, ...outputs].every(({ name }) => given.tensors.has(name))) return [];
    const tensorOf = (/** @type {string} */ name) => {
      const { type, shape, offset, bytes } = /** @type {GoldenTensor} */ (given.tensors.get(name));
      return { type, shape, data: golden.subarray(offset, offset + bytes) };
    };
    const input = tensorOf(spec.name);
    if (!takes(spec, input.type, input.shape)) throw new AetoolError('unavailable', 'a golden input has another shape');
    const found = await session.run(input);
    return outputs.map((output, i) => this.#compare(session.artifact, output.name, given.name, tensorOf(output.name), found[i]));
  }

  /** @param {Artifact} artifact @param {string} tensor @param {string} goldenCase @param {Tensor} wanted @param {Tensor} met */
  #compare(artifact, tensor, goldenCase, wanted, met) {
    const check = { artifact: titleOf(artifact), tensor, goldenCase, worst: NaN, passed: false, error: '' };
    const isAlike = wanted.type === met.type && String(wanted.shape) === String(met.shape);
    if (!isAlike) return { ...check, error: 'another type or shape came out' };
    const spec = artifact.outputs.find(({ name }) => name === tensor);
    const unit = this.bundle.manifest.scales.get(tensor);
    if (!spec || !unit) return { ...check, error: 'no scale for this output' };
    const worst = worstShare(spec, wanted, met, unit, artifact);
    return { ...check, worst, passed: worst <= 1 };
  }
}
