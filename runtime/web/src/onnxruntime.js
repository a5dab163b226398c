// The only file that knows onnxruntime-web, and it loads it when the first graph runs.
import { AetoolError } from './error.js';
import { takes } from './manifest.js';
/** @import { Tensor } from './elements.js' */
/** @import { Artifact, ElementType } from './manifest.js' */
/** @typedef {typeof import('onnxruntime-web')} OnnxRuntime */

/** @type {Record<ElementType, {new (buffer: ArrayBuffer): any}>} */
const ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
};

/** @returns {Promise<OnnxRuntime>} */
async function load() {
  try {
    return await import('onnxruntime-web');
  } catch (error) {
    throw new AetoolError('unavailable', `no onnxruntime-web: npm install onnxruntime-web (${error})`);
  }
}

/** A graph, loaded; runs one call after the other. */
export class Session {
  #ort;
  #session;
  #artifact;
  /** @type {Promise<unknown>} */
  #before = Promise.resolve();

  /** @private @param {OnnxRuntime} ort @param {import('onnxruntime-web').InferenceSession} session @param {Artifact} artifact */
  constructor(ort, session, artifact) {
    this.#ort = ort;
    this.#session = session;
    this.#artifact = artifact;
  }

  /**
   * @param {Uint8Array} graph @param {Artifact} artifact
   * @param {OnnxRuntime} [engine] the module, where the caller has loaded it
   */
  static async load(graph, artifact, engine) {
    const ort = engine ?? (await load());
    try {
      // A copy: the engine may hand the buffer to a worker, and the bundle's bytes must stay.
      const session = await ort.InferenceSession.create(graph.slice(), { executionProviders: ['wasm'] });
      return new Session(ort, session, artifact);
    } catch (error) {
      throw new AetoolError('unavailable', `the graph cannot be loaded: ${error}`, artifact.path);
    }
  }

  get artifact() {
    return this.#artifact;
  }

  /**
   * All outputs, in the artifact's order.
   * @param {Tensor} input
   * @returns {Promise<Tensor[]>}
   */
  run(input) {
    const turn = this.#before.then(() => this.#run(input));
    this.#before = turn.catch(() => undefined); // the engine takes one call at a time
    return turn;
  }

  /** @param {Tensor} input */
  async #run({ type, shape, data }) {
    const { inputs, outputs, path } = this.#artifact;
    const array = new ARRAYS[type](data.slice().buffer);
    let found;
    try {
      const names = outputs.map(({ name }) => name);
      found = await this.#session.run({ [inputs[0].name]: new this.#ort.Tensor(type, array, shape) }, names);
    } catch (error) {
      throw new AetoolError('unavailable', `the graph cannot be run: ${error}`, path);
    }
    return outputs.map((spec) => {
      const met = found[spec.name];
      if (!met || !takes(spec, met.type, met.dims)) {
        throw new AetoolError('unavailable', `the output ${spec.name} is not what the manifest says`, path);
      }
      const view = /** @type {ArrayBufferView} */ (/** @type {unknown} */ (met.data));
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
      return { type: spec.type, shape: [...met.dims], data: bytes };
    });
  }

  async release() {
    await this.#before;
    await this.#session.release();
  }
}
