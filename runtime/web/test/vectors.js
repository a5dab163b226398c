// The vectors of tests/vectors, which hold for every language.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { AetoolError, Bundle, readCompression } from '../src/index.js';

export const ROOT = new URL('../../../tests/vectors/', import.meta.url);

/** @param {string} path */
export const readVector = async (path) => new Uint8Array(await readFile(new URL(path, ROOT)));
/** @param {string} path */
export const readRows = async (path) => JSON.parse(await readFile(new URL(path, ROOT), 'utf8'));
/** @param {string} path */
export const pathOf = (path) => fileURLToPath(new URL(path, ROOT));
/** @param {string} text */
export const fromHex = (text) => new Uint8Array(Buffer.from(text, 'hex'));

const opened = new Map();

/** A bundle that compresses, opened once. @param {string} name */
export async function openVector(name) {
  if (!opened.has(name)) {
    const bundle = await Bundle.open(await readVector(`compression/${name}.aepkg`));
    opened.set(name, { bundle, compression: await readCompression(bundle) });
  }
  return opened.get(name);
}

/** 'ok', or the refusal's name; another error passes through. @param {() => unknown} action */
export async function verdictOf(action) {
  try {
    await action();
    return 'ok';
  } catch (error) {
    if (error instanceof AetoolError) return error.refusal;
    throw error;
  }
}
