// Every vector of tests/vectors/compression: coded values, whole streams, refusals; then every bit of the short streams.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { StreamReader } from '../src/index.js';
import { Cursor } from '../src/cursor.js';
import { fromHex, openVector, readRows, verdictOf } from './vectors.js';

const SHORT = 400;

test('coded values', async () => {
  for (const { name, bundle, model, shape, values, bytes } of await readRows('compression/coded.json')) {
    const { coder } = (await openVector(bundle)).compression;
    const decode = (/** @type {Uint8Array} */ from) => {
      const cursor = new Cursor(from);
      const met = Array.from(coder.decode(cursor, shape, model));
      assert.equal(cursor.left, 0, name);
      return met;
    };
    assert.deepEqual(decode(fromHex(bytes)), values, name);
    for (const lanes of [0, 3]) {
      assert.deepEqual(decode(coder.encode(Int32Array.from(values), shape, model, lanes)), values, `${name}, written here`);
    }
  }
});

test('streams', async () => {
  for (const row of await readRows('compression/streams.json')) {
    const { bundle, compression } = await openVector(row.bundle);
    const stream = fromHex(row.stream);
    const read = () => [...new StreamReader(stream, bundle, compression)];
    assert.equal(await verdictOf(read), row.verdict, row.name);
    if (row.verdict !== 'ok') continue;
    const chunks = read();
    assert.deepEqual(chunks.map(({ count, path }) => ({ count, path })), row.chunks, row.name);
    assert.equal(Buffer.concat(chunks.map(({ values }) => values)).toString('hex'), row.values, row.name);
  }
});

test('a source that hands out a byte at a time', async () => {
  for (const row of (await readRows('compression/streams.json')).slice(0, 30)) {
    const { bundle, compression } = await openVector(row.bundle);
    const stream = fromHex(row.stream);
    let at = 0;
    const source = () => stream.subarray(at, Math.min(++at, stream.length));
    assert.equal(Buffer.from(new StreamReader(source, bundle, compression).readAll()).toString('hex'), row.values, row.name);
  }
});

test('every bit and every length of short streams', async () => {
  for (const row of await readRows('compression/streams.json')) {
    const stream = fromHex(row.stream);
    if (row.verdict !== 'ok' || stream.length > SHORT) continue;
    const { bundle, compression } = await openVector(row.bundle);
    const verdict = (/** @type {Uint8Array} */ of) => verdictOf(() => new StreamReader(of, bundle, compression).readAll());
    for (let bit = 0; bit < stream.length * 8; bit++) {
      const changed = stream.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      assert.notEqual(await verdict(changed), 'ok', `${row.name}, bit ${bit}`);
    }
    for (let length = 0; length < stream.length; length++) {
      assert.equal(await verdict(stream.subarray(0, length)), 'truncated', `${row.name}, length ${length}`);
    }
  }
});

test('changed bits behind no checksum: other values, or a refusal by name', async () => {
  for (const { name, bundle, model, shape, bytes } of await readRows('compression/coded.json')) {
    const { coder } = (await openVector(bundle)).compression;
    const coded = fromHex(bytes);
    for (let bit = 0; bit < Math.min(coded.length, 120) * 8; bit += 3) {
      const changed = coded.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      const verdict = await verdictOf(() => coder.decode(new Cursor(changed), shape, model));
      assert.ok(['ok', 'damaged'].includes(verdict), `${name}, bit ${bit}: ${verdict}`);
    }
  }
});
