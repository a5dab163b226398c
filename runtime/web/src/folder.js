// A bundle that is a folder, or a zip on disk: Node only.
import { lstat, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { Bundle } from './bundle.js';
import { AetoolError } from './error.js';
import { Archive, checkPath } from './files.js';
/** @import { Files } from './files.js' */

/** @implements {Files} */
class Folder {
  /** @param {string} root */
  constructor(root) {
    this.root = root;
  }

  /** The file in the folder, which is a plain one and lies behind no link. @param {string} name */
  async #plain(name) {
    checkPath(name, this.root);
    let path = this.root;
    let status;
    for (const part of name.split('/')) {
      path = join(path, part);
      status = await lstat(path).catch(() => undefined);
      if (!status) throw new AetoolError('truncated', 'the file is missing', path);
      if (status.isSymbolicLink()) throw new AetoolError('unsafe', 'is a link', path);
    }
    if (!status?.isFile()) throw new AetoolError('unsafe', 'is no plain file', path);
    return { path, size: status.size };
  }

  /** @param {string} name @param {number} limit */
  async read(name, limit) {
    const { path, size } = await this.#plain(name);
    const file = await open(path);
    try {
      const bytes = new Uint8Array(Math.min(size, limit));
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
      return bytes.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  /** @param {string} name */
  async size(name) {
    return (await this.#plain(name)).size;
  }

  refuseUnlisted() {} // what else lies in the folder is not part of the bundle
}

/**
 * A folder, or one zip of it.
 * @param {string} path
 * @returns {Promise<Bundle>}
 */
export async function openBundle(path) {
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory()) return Bundle.fromFiles(new Folder(path));
  if (!status?.isFile()) throw new AetoolError('input', 'no such bundle', path);
  return Bundle.fromFiles(new Archive(await readFile(path), path));
}
