// All computing, away from the page: opens bundles, encodes, decodes, compresses, decompresses.
import { AetoolError, Autoencoder, Bundle, bytesOfValues, Compressor, readCompression, StreamReader, valuesOf } from './src/index.js';

/** @type {Promise<any> | undefined} */
let engine;
/** @type {{bundle: Bundle, compression: any, model: Autoencoder | null} | undefined} */
let opened;

/** onnxruntime-web, or null where its files are not beside the page. */
function loadEngine() {
  engine ??= import('./engine/ort.wasm.min.mjs').then((ort) => {
    ort.env.wasm.wasmPaths = new URL('./engine/', import.meta.url).href;
    ort.env.wasm.numThreads = 1; // more would need headers that plain servers do not send
    return ort;
  }).catch(() => null);
  return engine;
}

function current() {
  if (!opened) throw new AetoolError('usage', 'choose a bundle first');
  return opened;
}

/** @param {{bytes: Uint8Array}} message */
async function open({ bytes }) {
  opened = undefined;
  const bundle = await Bundle.open(bytes);
  const compression = bundle.manifest.compression ? await readCompression(bundle) : null;
  const ort = await loadEngine();
  const model = ort && new Autoencoder(bundle, { engine: ort });
  opened = { bundle, compression, model };
  const onnx = new Autoencoder(bundle);
  const canRun = onnx.has('encoder') && onnx.has('decoder');
  return {
    name: bundle.manifest.name,
    digest: bundle.digest,
    range: bundle.manifest.inputRange,
    hasEngine: Boolean(model),
    canRun,
    inputShape: compression?.sampleShape ?? (canRun ? onnx.inputShape('encoder') : null),
    qualities: compression ? Math.max(0, ...compression.codecs.map(({ qualities }) => qualities.length)) : null,
  };
}

/** @param {Float32Array} given @param {ArrayLike<number>} met @returns {number} dB */
function psnrOf(given, met) {
  let [squares, least, most] = [0, Infinity, -Infinity];
  given.forEach((value, i) => {
    squares += (value - met[i]) ** 2;
    least = Math.min(least, value);
    most = Math.max(most, value);
  });
  return 10 * Math.log10((most - least) ** 2 / (squares / given.length));
}

/** @param {Float32Array} values @param {number[]} shape @param {number | undefined} quality */
async function throughStream(values, shape, quality) {
  const { bundle, compression, model } = current();
  /** @type {Uint8Array[]} */
  const pieces = [];
  const options = { type: /** @type {const} */ ('float32'), shape, isRecording: false, quality };
  const compressor = new Compressor((piece) => pieces.push(piece), bundle, compression, model, options);
  await compressor.write(bytesOfValues(values, 'float32'));
  await compressor.finish();
  const stream = new Uint8Array(await new Blob(/** @type {BlobPart[]} */ (pieces)).arrayBuffer());
  const [chunk] = new StreamReader(stream, bundle, compression);
  const met = Float32Array.from(valuesOf(chunk.values, 'float32'));
  const path = chunk.path > 1 ? `codec ${compression.codecs[chunk.path - 2].name}` : ['stored', 'prediction'][chunk.path];
  return { bytes: stream.length, values: met, psnr: psnrOf(values, met), path };
}

/** @param {{values: Float32Array, shape: number[], quality?: number}} message */
async function run({ values, shape, quality }) {
  const { model, compression } = current();
  const canRun = model?.has('encoder') && model.has('decoder');
  let [latent, reconstruction] = [new Float32Array(), new Float32Array()];
  if (model && canRun) {
    latent = await model.encode(values, shape);
    const free = model.inputShape('decoder').filter((size) => size === null).length;
    reconstruction = free ? await model.reconstruct(values, shape) : await model.decode(latent);
  }
  const stream = compression ? await throughStream(values, shape, quality) : null;
  if (!canRun && !stream) throw new AetoolError('unavailable', 'the engine is not here, and the bundle does not compress');
  return { latent, reconstruction, psnr: canRun ? psnrOf(values, reconstruction) : NaN, stream };
}

/** @param {{bytes: Uint8Array}} message */
async function decompress({ bytes }) {
  const { bundle, compression } = current();
  if (!compression) throw new AetoolError('usage', 'the bundle cannot compress, and so not decompress');
  const reader = new StreamReader(bytes, bundle, compression);
  const { type, shape, isRecording } = reader.header;
  const values = reader.readAll();
  return { type, shape: isRecording ? shape.slice(1) : shape, values };
}

const verbs = { open, run, decompress };

self.onmessage = async ({ data: { id, verb, ...message } }) => {
  try {
    self.postMessage({ id, result: await verbs[/** @type {keyof typeof verbs} */ (verb)](message) });
  } catch (error) {
    const refusal = error instanceof AetoolError ? error.refusal : 'internal';
    self.postMessage({ id, error: { refusal, message: String(error instanceof Error ? error.message : error) } });
  }
};
