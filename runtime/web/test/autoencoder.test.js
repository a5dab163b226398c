// Graphs through onnxruntime-web: the self-test, and the compressor that takes its latents from there.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { AetoolError, Autoencoder, Bundle, bytesOfValues, Compressor, StreamReader, valuesOf } from '../src/index.js';
import { fromHalf, realValues, elementsOf, toHalf } from '../src/elements.js';
import { worstShare } from '../src/parity.js';
import { openVector, pathOf, readVector } from './vectors.js';

const hasEngine = await import('onnxruntime-web').then(() => true, () => false);
const needsEngine = hasEngine ? {} : { skip: 'onnxruntime-web is not installed: npm ci' };
const BOTH_FORMATS = 'bundles/encoder-decoder-in-both-formats.aepkg';
const COMMAND = fileURLToPath(new URL('../bin/aetool-web.mjs', import.meta.url));

test('the self-test passes', needsEngine, async () => {
  const checks = await new Autoencoder(await Bundle.open(await readVector(BOTH_FORMATS))).selfTest();
  assert.deepEqual(checks.map(({ artifact, tensor, goldenCase, passed }) => [artifact, tensor, goldenCase, passed]), [
    ['encoder onnx float32', 'latent', 'held-out', true],
    ['decoder onnx float32', 'reconstruction', 'held-out', true],
    ['decoder onnx float32', 'reconstruction', 'corner', true],
    ['autoencoder onnx float32', 'reconstruction', 'held-out', true],
  ]);
});

test('encode, decode and reconstruct agree with each other and with the golden vectors', needsEngine, async () => {
  const bundle = await Bundle.open(await readVector(BOTH_FORMATS));
  const model = new Autoencoder(bundle);
  const golden = await bundle.read(bundle.manifest.goldenPath);
  const { input, latent } = Object.fromEntries(bundle.manifest.cases[0].tensors);
  const read = (/** @type {typeof input} */ { offset, bytes }) => new Float32Array(golden.slice(offset, offset + bytes).buffer);
  const met = await model.encode(read(input));
  read(latent).forEach((wanted, i) => assert.ok(Math.abs(met[i] - wanted) < 1e-4 * (1 + Math.abs(wanted))));
  const [whole, halves] = [await model.reconstruct(read(input)), await model.decode(met)];
  halves.forEach((value, i) => assert.ok(Math.abs(value - whole[i]) < 1e-3 * (1 + Math.abs(value))));
  await model.release();
});

test('what does not fit is refused by name', needsEngine, async () => {
  const model = new Autoencoder(await Bundle.open(await readVector(BOTH_FORMATS)));
  const refused = (/** @type {string} */ refusal) => (/** @type {unknown} */ error) => error instanceof AetoolError && error.refusal === refusal;
  await assert.rejects(model.encode(new Float32Array(7)), refused('input'));
  await assert.rejects(model.encode(new Float32Array(6), [3]), refused('input'));
  assert.throws(() => new Autoencoder(model.bundle, { precision: 'int8' }).inputShape('encoder'), refused('usage'));
});

test('parity is that of FORMAT.md, section 5', () => {
  const spec = { name: 'latent', type: /** @type {const} */ ('float32'), shape: [null, 2] };
  const tensor = (/** @type {number[]} */ values) => ({ type: spec.type, shape: [1, 2], data: bytesOfValues(values, 'float32') });
  const share = (/** @type {number[]} */ met) =>
    worstShare(spec, tensor([3, 4]), tensor(met), { center: [0], scale: [1] }, { atol: 0.25, rtol: 0 });
  const r = Math.sqrt(12.5);
  assert.ok(Math.abs(share([3, 5]) - 1 / (0.25 * r + 16 * 2 ** -23)) < 1e-12);
  assert.equal(share([3, 4]), 0);
  assert.ok(Number.isNaN(share([NaN, 4])));
});

test('float16 and quantized elements, there and back', () => {
  for (let bits = 0; bits < 0x7c00; bits += 7) assert.equal(toHalf(fromHalf(bits)), bits);
  assert.deepEqual([toHalf(65519.99), toHalf(65520), toHalf(-1), toHalf(2 ** -25), toHalf(NaN)], [0x7bff, 0x7c00, 0xbc00, 0, 0x7e00]);
  const quantization = { scale: [0.5, 2], zeroPoint: [0, 10], axis: 1 };
  const spec = { name: 'input', type: /** @type {const} */ ('int8'), shape: [null, 2], quantization };
  const data = elementsOf(spec, Float32Array.from([1.25, -4, 100, 4]), [2, 2]);
  assert.deepEqual(Array.from(new Int8Array(data.buffer)), [2, 8, 127, 12]);
  assert.deepEqual(Array.from(realValues(spec, [2, 2], data)), [1, -4, 63.5, 4]);
});

/** Two wandering channels. @param {number} rows */
function recording(rows) {
  const values = new Int16Array(2 * rows);
  for (let i = 0, x = 0; i < rows; i++) {
    x += ((i * 7919) % 41) - 20;
    values.set([x, (i * 7) % 1000], 2 * i);
  }
  return new Uint8Array(values.buffer);
}

/** @param {string} name @param {Uint8Array} bytes @param {object} options @param {boolean} [withModel] */
async function roundTrip(name, bytes, options, withModel = false) {
  const { bundle, compression } = await openVector(name);
  /** @type {Uint8Array[]} */
  const pieces = [];
  const model = withModel ? new Autoencoder(bundle) : null;
  const compressor = new Compressor((piece) => pieces.push(piece), bundle, compression, model, { type: 'int16', ...options });
  for (let at = 0; at < bytes.length; at += 4000) await compressor.write(bytes.subarray(at, at + 4000));
  await compressor.finish();
  const stream = new Uint8Array(Buffer.concat(pieces));
  const chunks = [...new StreamReader(stream, bundle, compression)];
  return { stream, paths: new Set(chunks.map(({ path }) => path)), values: new Uint8Array(Buffer.concat(chunks.map(({ values }) => values))) };
}

test('without loss, and within an error', async () => {
  const bytes = recording(5003);
  for (const name of ['bare', 'fixed']) {
    const lossless = await roundTrip(name, bytes, { maxError: 0 });
    assert.deepEqual(lossless.values, bytes);
    assert.ok(lossless.stream.length < 0.8 * bytes.length);
    const within = await roundTrip(name, bytes, { maxError: 3 });
    const [given, met] = [valuesOf(bytes, 'int16'), valuesOf(within.values, 'int16')];
    assert.equal(met.length, given.length);
    assert.ok(given.every((value, i) => Math.abs(value - met[i]) <= 3));
    assert.ok(within.stream.length < lossless.stream.length);
  }
});

test('nothing, noise, and float32 off the grid are stored or predicted, and come back', async () => {
  assert.equal((await roundTrip('bare', new Uint8Array(), {})).values.length, 0);
  const noise = Uint8Array.from({ length: 4096 }, (_, i) => Math.imul(i * i + 7, 2654435761) >>> 13);
  assert.deepEqual((await roundTrip('bare', noise, { maxError: 0 })).values, noise);
  const odd = bytesOfValues([NaN, Infinity, 1e30, ...new Array(13).fill(0.1)], 'float32');
  assert.deepEqual((await roundTrip('bare', odd, { type: 'float32' })).values, odd);
});

test('an encoder artifact is asked where a codec wants it', async () => {
  const { bundle, compression } = await openVector('fixed');
  const index = compression.codecs.findIndex(({ isAdjoint }) => !isAdjoint);
  assert.ok(index >= 0);
  let calls = 0;
  const asked = { has: () => true, encode: async (/** @type {Float32Array} */ of) => {
    calls++;
    const samples = of.length / 16;
    return new Float32Array(samples * compression.codecs[index].latentOf([8, 2], 'input').reduce((a, b) => a * b, 1));
  } };
  /** @type {Uint8Array[]} */
  const pieces = [];
  const model = /** @type {Autoencoder} */ (/** @type {unknown} */ (asked));
  const compressor = new Compressor((piece) => pieces.push(piece), bundle, compression, model, { type: 'int16', maxError: 0 });
  const bytes = new Uint8Array(32 * 64); // silence
  await compressor.write(bytes);
  await compressor.finish();
  assert.deepEqual(new StreamReader(new Uint8Array(Buffer.concat(pieces)), bundle, compression).readAll(), bytes);
  assert.equal(calls, 1);
});

test('the command compresses and decompresses', needsEngine, () => {
  const bundle = pathOf('compression/bare.aepkg');
  const input = recording(1001);
  const call = (/** @type {string} */ verb, /** @type {Uint8Array} */ given, /** @type {string[]} */ ...rest) =>
    execFileSync(process.execPath, [COMMAND, verb, bundle, ...rest], { input: given, stdio: ['pipe', 'pipe', 'pipe'] });
  const stream = call('compress', input, '--max-error', '0');
  assert.deepEqual(new Uint8Array(call('decompress', stream)), input);
  assert.throws(() => call('decompress', stream.subarray(0, 100)), (/** @type {any} */ error) =>
    error.status === 1 && String(error.stderr).startsWith('aetool-web: truncated: '));
  assert.throws(() => call('compress', input, '--max-error', 'x'), (/** @type {any} */ error) =>
    String(error.stderr).startsWith('aetool-web: usage: '));
});
