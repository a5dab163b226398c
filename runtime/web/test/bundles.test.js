// Every vector that is about manifests and bundles: the same verdicts as every other reader.
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { openBundle } from '../src/folder.js';
import { Bundle, refuseExternalData } from '../src/index.js';
import { parseManifest } from '../src/manifest.js';
import { pathOf, readRows, readVector, verdictOf } from './vectors.js';

test('manifests', async () => {
  for (const { name, verdict, manifest, base64 } of await readRows('manifests.json')) {
    const bytes = new Uint8Array(base64 === undefined ? Buffer.from(manifest, 'utf8') : Buffer.from(base64, 'base64'));
    assert.equal(await verdictOf(() => parseManifest(bytes, name)), verdict, name);
  }
});

/** Open, then look at every graph as it is looked at before an engine gets it. @param {Bundle} bundle */
async function load(bundle) {
  for (const { format, path } of bundle.manifest.artifacts) {
    if (format === 'onnx') refuseExternalData(await bundle.read(path), path);
  }
}

test('bundles', async () => {
  for (const { name, verdict, at, digest } of await readRows('bundles.json')) {
    const bytes = await readVector(`bundles/${name}.aepkg`);
    const open = async () => {
      const bundle = await Bundle.open(bytes);
      if (digest) assert.equal(bundle.digest, digest, name);
      if (at === 'load') await load(bundle);
    };
    assert.equal(await verdictOf(open), verdict, name);
    assert.equal(await verdictOf(async () => load(await openBundle(pathOf(`bundles/${name}.aepkg`)))), verdict, `${name}, on disk`);
  }
});

test('every byte of an archive matters, and every length', async () => {
  const whole = await readVector('bundles/encoder.aepkg');
  for (let i = 0; i < whole.length; i++) {
    const changed = whole.slice();
    changed[i] ^= 1 << i % 8;
    assert.notEqual(await verdictOf(() => Bundle.open(changed)), 'ok', `byte ${i}`);
    assert.notEqual(await verdictOf(() => Bundle.open(whole.subarray(0, i))), 'ok', `length ${i}`);
  }
});

/** Writes an archive's files to a folder. @param {string} folder */
async function unpack(folder) {
  const bytes = await readVector('bundles/encoder.aepkg');
  const { manifest } = await Bundle.open(bytes);
  for (let at = 0; at < bytes.length && bytes[at + 2] === 3; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const [size, length] = [view.getUint32(18, true), view.getUint16(26, true)];
    const name = Buffer.from(bytes.subarray(at + 30, at + 30 + length)).toString();
    await writeFile(join(folder, name), bytes.subarray(at + 30 + length, at + 30 + length + size));
    at += 30 + length + size;
  }
  return [...manifest.files.keys()];
}

test('a folder is a bundle, unless a file is missing, a link, or another one', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'aetool-web-'));
  t.after(() => rm(root, { recursive: true }));
  const [path] = await unpack(root);
  assert.equal(await verdictOf(() => openBundle(root)), 'ok');
  await cp(join(root, path), join(root, 'elsewhere'));
  await rm(join(root, path));
  assert.equal(await verdictOf(() => openBundle(root)), 'truncated');
  await symlink('elsewhere', join(root, path));
  assert.equal(await verdictOf(() => openBundle(root)), 'unsafe');
  await rm(join(root, path));
  await writeFile(join(root, path), 'another');
  assert.notEqual(await verdictOf(() => openBundle(root)), 'ok');
  assert.equal(await verdictOf(() => openBundle(join(root, 'nowhere'))), 'input');
});
