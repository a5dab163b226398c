// A bundle, opened: every listed file was hashed then, and is hashed again when it is read.
import { sha256 } from './checksum.js';
import { AetoolError } from './error.js';
import { Archive } from './files.js';
import { MAX_BYTES } from './json.js';
import { parseManifest } from './manifest.js';
/** @import { Files } from './files.js' */
/** @import { Manifest } from './manifest.js' */

export class Bundle {
  #files;

  /** @private @param {Files} files @param {Manifest} manifest @param {string} digest */
  constructor(files, manifest, digest) {
    this.#files = files;
    this.manifest = manifest;
    /** 64 hexadecimal digits; stands for every byte. */
    this.digest = digest;
  }

  /**
   * One zip of a bundle (FORMAT.md, section 6). Throws what FORMAT.md, section 1, names.
   * @param {Uint8Array} bytes not copied, not to be changed
   * @param {string} [where] for refusals
   */
  static async open(bytes, where = 'bundle') {
    return Bundle.fromFiles(new Archive(bytes, where));
  }

  /** @param {Files} files */
  static async fromFiles(files) {
    const text = await files.read('manifest.json', MAX_BYTES + 1);
    if (text.length > MAX_BYTES) throw new AetoolError('manifest', 'is larger than 16 MiB', `${files.root}/manifest.json`);
    const digest = await sha256(text);
    const line = `${digest}  manifest.json\n`;
    const met = await files.read('manifest.sha256', line.length + 1);
    if (String.fromCharCode(...met) !== line) {
      throw new AetoolError('digest', 'manifest.json does not match manifest.sha256', files.root);
    }
    const manifest = parseManifest(text, `${files.root}/manifest.json`);
    files.refuseUnlisted(new Set(['manifest.json', 'manifest.sha256', ...manifest.files.keys()]));
    const bundle = new Bundle(files, manifest, digest);
    for (const path of manifest.files.keys()) await bundle.read(path);
    return bundle;
  }

  /**
   * The bytes of a listed file, checked.
   * @param {string} path
   * @returns {Promise<Uint8Array>} not to be changed
   */
  async read(path) {
    const entry = this.manifest.files.get(path);
    if (!entry) throw new AetoolError('unsafe', `the manifest does not list ${path}`);
    const where = `${this.#files.root}/${path}`;
    const size = await this.#files.size(path);
    if (size !== entry.bytes) throw new AetoolError(size < entry.bytes ? 'truncated' : 'digest', 'has another size', where);
    const data = await this.#files.read(path, size);
    if (data.length !== size) throw new AetoolError('truncated', 'ends too early', where);
    if ((await sha256(data)) !== entry.sha256) throw new AetoolError('digest', 'has another sha256', where);
    return data;
  }
}
