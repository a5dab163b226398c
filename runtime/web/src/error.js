// What can go wrong, by name: the refusals of FORMAT.md, section 7, and BITSTREAM.md, section 8, and a few more.

/**
 * manifest, version, digest, truncated, damaged, bundle, unsafe: as FORMAT.md and BITSTREAM.md call them.
 * input: data or a path that the caller gave. usage: what was asked for is not in the bundle.
 * unavailable: onnxruntime-web, or what the graph needs of it, is not here.
 * @typedef {'manifest' | 'version' | 'digest' | 'truncated' | 'damaged' | 'bundle' | 'unsafe' | 'input' | 'usage'
 *   | 'unavailable'} Refusal
 */

/** What every function of this package throws, and nothing else by intention. */
export class AetoolError extends Error {
  /**
   * @param {Refusal} refusal
   * @param {string} what
   * @param {string} [where] the file, or the member of the manifest
   */
  constructor(refusal, what, where = '') {
    super(where ? `${what} (${where})` : what);
    this.name = 'AetoolError';
    /** @type {Refusal} */
    this.refusal = refusal;
  }
}
