#!/usr/bin/env node
// Self-test, compress a stream of int16 windows from standard input to standard output, and back.
//
//     aetool-web selftest BUNDLE
//     aetool-web compress BUNDLE [--max-error E | --quality N] < int16.raw > recording.aes
//     aetool-web decompress BUNDLE < recording.aes > int16.raw
import { readSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { openBundle } from '../src/folder.js';
import { AetoolError, Autoencoder, Compressor, readCompression, StreamReader } from '../src/index.js';

const PIECE = 2 ** 20;

/** Bytes of standard input, at most `wanted`; none at its end. @param {number} wanted */
function readInput(wanted) {
  const bytes = new Uint8Array(wanted);
  for (;;) {
    try {
      return bytes.subarray(0, readSync(0, bytes));
    } catch (error) {
      if (error.code === 'EOF') return bytes.subarray(0, 0); // a closed pipe on Windows
      if (error.code !== 'EAGAIN') throw new AetoolError('input', `standard input: ${error.message}`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); // a pipe that has nothing yet
    }
  }
}

/** @param {Uint8Array} bytes */
function writeOutput(bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw new AetoolError('input', `standard output: ${error.message}`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** @param {string} path */
async function selfTest(path) {
  const checks = await new Autoencoder(await openBundle(path)).selfTest();
  for (const { artifact, tensor, goldenCase, passed, error } of checks) {
    console.log(`${artifact.padEnd(32)} ${tensor.padEnd(16)} ${goldenCase.padEnd(16)} ${passed ? 'ok' : 'FAILED'} ${error}`);
  }
  if (!checks.length) throw new AetoolError('usage', 'the bundle has no ONNX graph');
  if (!checks.every(({ passed }) => passed)) throw new AetoolError('unavailable', 'the self-test failed');
}

/** @param {string | undefined} text @returns {number | undefined} */
function naturalOf(text) {
  if (text !== undefined && !/^[0-9]{1,7}$/.test(text)) throw new AetoolError('usage', `${text} is no whole number`);
  return text === undefined ? undefined : Number(text);
}

/** @param {string} path @param {Record<string, string | undefined>} values */
async function compress(path, values) {
  const bundle = await openBundle(path);
  const compression = await readCompression(bundle);
  const options = { type: /** @type {const} */ ('int16'), quality: naturalOf(values.quality), maxError: naturalOf(values['max-error']) };
  const compressor = new Compressor(writeOutput, bundle, compression, new Autoencoder(bundle), options);
  const row = 2 * compression.sampleShape.slice(1).reduce((all, size) => all * (size ?? 1), 1);
  let rest = new Uint8Array();
  for (let more = readInput(PIECE); more.length; more = readInput(PIECE)) {
    const bytes = Buffer.concat([rest, more]);
    const whole = bytes.length - (bytes.length % row);
    await compressor.write(bytes.subarray(0, whole));
    rest = bytes.subarray(whole);
  }
  if (rest.length) throw new AetoolError('input', `${rest.length} bytes are left over: rows have ${row}`);
  await compressor.finish();
}

/** @param {string} path */
async function decompress(path) {
  const bundle = await openBundle(path);
  for (const { values } of new StreamReader(readInput, bundle, await readCompression(bundle))) writeOutput(values);
}

async function main() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { 'max-error': { type: 'string' }, quality: { type: 'string' } },
  });
  const [verb, path] = positionals;
  if (positionals.length === 2 && verb === 'selftest') return selfTest(path);
  if (positionals.length === 2 && verb === 'compress') return compress(path, values);
  if (positionals.length === 2 && verb === 'decompress') return decompress(path);
  throw new AetoolError('usage', 'selftest, compress or decompress, and a bundle');
}

main().catch((error) => {
  const refusal = error instanceof AetoolError ? error.refusal : error.code === undefined ? 'internal' : 'usage';
  console.error(`aetool-web: ${refusal}: ${error.message}`);
  process.exitCode = 1;
});
