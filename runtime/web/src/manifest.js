// The manifest, version 1 (FORMAT.md, sections 2 to 5), read strictly.
import { checkPath } from './files.js';
import { Node, parse } from './json.js';

/** @type {Record<ElementType, number>} */
const BYTES_OF = { float32: 4, float16: 2, int8: 1, uint8: 1, int16: 2, int32: 4, int64: 8 };
const TYPES = /** @type {ElementType[]} */ (Object.keys(BYTES_OF));
const OPEN_NAME = /^[a-z][a-z0-9_]{0,31}$/;

/** @typedef {'float32' | 'float16' | 'int8' | 'uint8' | 'int16' | 'int32' | 'int64'} ElementType */
/** The batch first; null: free. @typedef {(number | null)[]} Shape */
/** real = scale · (q − zeroPoint): one of each, or one for each index of `axis`.
 * @typedef {{scale: number[], zeroPoint: number[], axis?: number}} Quantization */
/** @typedef {{name: string, type: ElementType, shape: Shape, quantization?: Quantization}} TensorSpec */
/** @typedef {{type: ElementType, shape: number[], offset: number, bytes: number}} GoldenTensor */
/** @typedef {{name: string, tensors: Map<string, GoldenTensor>}} GoldenCase */
/**
 * @typedef {object} Artifact
 * @property {'encoder' | 'decoder' | 'autoencoder'} role
 * @property {string} format
 * @property {string} precision
 * @property {string} path
 * @property {string} externalData empty: none
 * @property {TensorSpec[]} inputs
 * @property {TensorSpec[]} outputs
 * @property {number} atol
 * @property {number} rtol
 * @property {GoldenCase[]} cases its own
 */
/**
 * @typedef {object} Manifest
 * @property {string} name
 * @property {Artifact[]} artifacts
 * @property {Map<string, {sha256: string, bytes: number}>} files
 * @property {string} goldenPath
 * @property {Map<string, {center: number[], scale: number[]}>} scales
 * @property {GoldenCase[]} cases
 * @property {{minimum: number[], maximum: number[]}} inputRange seen in training, raw units; both empty: not known
 * @property {string} compression the path; empty: the bundle cannot compress
 */

/** @param {ElementType} type */
export const bytesOf = (type) => BYTES_OF[type];

/**
 * Whether an array of this type and shape is such a tensor; any batch will do.
 * @param {TensorSpec} spec @param {string} type @param {readonly number[]} shape
 */
export function takes(spec, type, shape) {
  return type === spec.type && shape.length === spec.shape.length &&
    spec.shape.every((size, i) => i === 0 || size === null || size === shape[i]);
}

/** Less than takes(): free dimensions may be too many. The self-test finds those.
 * @param {TensorSpec} spec @param {GoldenTensor} tensor */
function agrees(spec, tensor) {
  return tensor.type === spec.type && tensor.shape.length <= spec.shape.length &&
    spec.shape.every((size, i) => i === 0 || size === null || tensor.shape[i] === size);
}

/** @param {Node} root @returns {Manifest['files']} */
function readFiles(root) {
  const node = root.get('files');
  /** @type {Manifest['files']} */
  const files = new Map();
  for (const path of node.keys()) {
    checkPath(path, node.where);
    const entry = node.get(path);
    const sha256 = entry.get('sha256').text();
    if (!/^[0-9a-f]{64}$/.test(sha256)) entry.get('sha256').refuse('is not 64 lower-case hexadecimal digits');
    files.set(path, { sha256, bytes: entry.get('bytes').natural() });
  }
  const folded = new Set([...files.keys()].map((path) => path.toLowerCase()));
  if (folded.size !== files.size) node.refuse('lists two paths that are one on some systems');
  for (const path of folded) {
    for (let i = path.indexOf('/'); i >= 0; i = path.indexOf('/', i + 1)) {
      if (folded.has(path.slice(0, i))) node.refuse('lists a path that is the folder of another');
    }
  }
  if (folded.has('manifest.json') || folded.has('manifest.sha256')) node.refuse('lists the manifest or its digest');
  return files;
}

/** @param {Node} node @param {Manifest['files']} files */
function listed(node, files) {
  const path = node.text();
  checkPath(path, node.where);
  if (!files.has(path)) node.refuse('is not a listed file');
  return path;
}

/** @param {string} path */
const folderOf = (path) => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** @param {Node} node */
function openName(node) {
  const name = node.text();
  return OPEN_NAME.test(name) ? name : node.refuse('is not a-z, then a-z 0-9 _');
}

/** @param {Node} node @returns {Shape} */
function readShape(node) {
  const sizes = node.items().map((item) => (item.isNull ? null : item.natural(1)));
  if (sizes.length < 1 || sizes.length > 8) node.refuse('has not 1 to 8 dimensions');
  return sizes;
}

/** @param {Node} node */
function readFixedShape(node) {
  return readShape(node).map((size, i) => size ?? node.items()[i].natural());
}

/** @param {Node} node @param {Shape} shape @returns {Quantization} */
function readQuantization(node, shape) {
  const scale = node.get('scale').numbers();
  const zeroPoint = node.get('zero_point').items().map((item) => item.integer());
  const axis = node.has('axis') ? node.get('axis').natural() : undefined;
  if (!scale.length || scale.length !== zeroPoint.length || scale.some((s) => !(s > 0))) node.refuse('does not fit together');
  const size = axis === undefined ? 1 : axis < shape.length ? shape[axis] : -1;
  if (size !== null && size !== scale.length) node.refuse('has not one scale, or one for each index of its axis');
  return { scale, zeroPoint, axis };
}

/** @param {Node} node @param {string} first @param {boolean} one */
function readTensors(node, first, one) {
  const tensors = node.items().map((item) => {
    const name = item.get('name').text();
    const type = item.get('dtype').oneOf(TYPES);
    const shape = readShape(item.get('shape'));
    const quantization = item.has('quantization') ? readQuantization(item.get('quantization'), shape) : undefined;
    return { name, type, shape, quantization };
  });
  if (new Set(tensors.map(({ name }) => name)).size !== tensors.length) node.refuse('has a name twice');
  if (tensors[0]?.name !== first || (one && tensors.length > 1)) node.refuse('does not begin as its role says');
  return tensors;
}

/** @param {Node} node @param {number} size of the file @returns {GoldenTensor} */
function readGoldenTensor(node, size) {
  const shape = readFixedShape(node.get('shape'));
  const type = node.get('dtype').oneOf(TYPES);
  const offset = node.get('offset').natural();
  const bytes = shape.reduce((all, extent) => all * extent, BYTES_OF[type]); // inexact only where far too large
  if (!(offset + bytes <= size)) node.refuse('reaches past the golden file');
  return { type, shape, offset, bytes };
}

/** @param {Node} node @param {number} size of the golden file @returns {GoldenCase} */
function readCase(node, size) {
  const given = node.get('tensors');
  const tensors = new Map(given.members().map(([name, item]) => [name, readGoldenTensor(item, size)]));
  const batches = new Set([...tensors.values()].map(({ shape }) => shape[0]));
  if (batches.size > 1) given.refuse('disagree in their number of samples');
  return { name: node.get('name').text(), tensors };
}

/** @param {Node} node @param {Pick<Artifact, 'inputs' | 'outputs'>} artifact @param {number} size */
function readOwnCase(node, artifact, size) {
  const made = readCase(node, size);
  const specs = [...artifact.inputs, ...artifact.outputs];
  const fits = specs.every((spec) => {
    const tensor = made.tensors.get(spec.name);
    return tensor !== undefined && agrees(spec, tensor);
  });
  if (!fits || specs.length !== made.tensors.size) node.get('tensors').refuse("are not the artifact's");
  return made;
}

/** What this package does not use of an artifact; checked all the same. @param {Node} node */
function checkExtras(node) {
  if (node.has('opset')) node.get('opset').natural();
  if (node.has('signature')) node.get('signature').text();
  if (node.has('snr')) for (const [, item] of node.get('snr').members()) item.number();
  if (node.has('operators')) for (const [, item] of node.get('operators').members()) item.natural(1);
}

/** @param {Node} node @param {Manifest['files']} files @param {string} path */
function readExternalData(node, files, path) {
  if (!node.has('external_data')) return '';
  const other = listed(node.get('external_data'), files);
  if (other === path || folderOf(other) !== folderOf(path)) {
    node.get('external_data').refuse("is not another file in the graph's folder");
  }
  return other;
}

/** @param {Node} node @param {Manifest['files']} files @param {number} size @returns {Artifact} */
function readArtifact(node, files, size) {
  const role = node.get('role').oneOf(/** @type {const} */ (['encoder', 'decoder', 'autoencoder']));
  const [format, precision] = [openName(node.get('format')), openName(node.get('precision'))];
  const path = listed(node.get('path'), files);
  const inputs = readTensors(node.get('inputs'), role === 'decoder' ? 'latent' : 'input', true);
  const outputs = readTensors(node.get('outputs'), role === 'encoder' ? 'latent' : 'reconstruction', false);
  const tolerance = node.get('tolerance');
  const [atol, rtol] = [tolerance.get('atol').number(), tolerance.get('rtol').number()];
  if (atol <= 0 || rtol < 0) tolerance.refuse('is not atol > 0 and rtol >= 0');
  checkExtras(node);
  const externalData = readExternalData(node, files, path);
  const cases = node.has('cases') ? node.get('cases').items().map((item) => readOwnCase(item, { inputs, outputs }, size)) : [];
  if (node.has('cases') && !cases.length) node.get('cases').refuse('is empty');
  return { role, format, precision, path, externalData, inputs, outputs, atol, rtol, cases };
}

/** @param {Node} node @returns {{center: number[], scale: number[]}} */
function readScale(node) {
  const [center, scale] = [node.get('center').numbers(), node.get('scale').numbers()];
  if (!scale.length || scale.length !== center.length || scale.some((s) => !(s > 0))) node.refuse('does not fit together');
  return { center, scale };
}

/** @param {Node} node @param {GoldenCase} made @param {Manifest} manifest */
function checkCommonCase(node, made, manifest) {
  const { tensors } = made;
  if (!tensors.has('latent') || !(tensors.has('input') || tensors.has('reconstruction'))) {
    node.refuse('lack latent, or input and reconstruction');
  }
  const specs = manifest.artifacts.filter(({ cases }) => !cases.length).flatMap((a) => [...a.inputs, ...a.outputs]);
  for (const [name, tensor] of tensors) {
    const scales = manifest.scales.get(name)?.scale.length;
    const fits = name === 'input' || scales === 1 || scales === tensor.shape[tensor.shape.length - 1];
    if (!fits) node.refuse(`has ${name}, which golden.scales does not fit`);
    const declared = specs.filter((spec) => spec.name === name);
    if (declared.length && !declared.some((spec) => agrees(spec, tensor))) node.get(name).refuse('is not what the artifacts say');
  }
}

/** @param {Node} golden @param {Manifest} made @param {number} size */
function readGolden(golden, made, size) {
  for (const [name, item] of golden.get('scales').members()) made.scales.set(name, readScale(item));
  for (const item of golden.get('cases').items()) {
    const found = readCase(item, size);
    checkCommonCase(item.get('tensors'), found, made);
    made.cases.push(found);
  }
  if (!made.cases.length) golden.get('cases').refuse('is empty');
  for (const artifact of made.artifacts) {
    for (const { name } of artifact.cases.length ? artifact.outputs : []) {
      if (!made.scales.has(name)) golden.get('scales').refuse(`has none for ${name}`);
    }
  }
}

/** @param {Node} node */
function checkTokenizer(node) {
  if (node.get('rule').text() !== 'longest-match') node.get('rule').refuse('is unknown');
  node.get('length').natural(1);
  const pad = node.get('pad').natural();
  const entries = node.get('entries').items();
  if (entries.length > 2 ** 20 || pad >= entries.length) node.refuse('does not fit together');
  const seen = new Set();
  entries.forEach((entry, i) => {
    const text = entry.text();
    const isSound = /^(?:[0-9a-f]{2})*$/.test(text) && (text === '') === (i === pad) && !seen.has(text);
    if (!isSound) entry.refuse('is no entry of a tokenizer');
    seen.add(text);
  });
  if ([...seen].filter((text) => text.length === 2).length !== 256) node.get('entries').refuse('lacks a single byte');
}

/** The range of the input, and what this package does not use: a manifest is sound or it is not. @param {Node} root */
function readTheRest(root) {
  const normalization = root.get('normalization');
  const [offset, scale] = [normalization.get('offset').numbers(), normalization.get('scale').numbers()];
  if (!scale.length || offset.length !== scale.length || scale.includes(0)) normalization.refuse('does not fit together');
  const range = root.get('input_range');
  const inputRange = { minimum: range.get('minimum').numbers(), maximum: range.get('maximum').numbers() };
  if (inputRange.minimum.length !== inputRange.maximum.length) range.refuse('does not fit together');
  for (const [, item] of root.get('parameters').members()) item.natural();
  for (const [, item] of root.get('created_with').members()) item.text();
  if (root.has('latent_prior')) openName(root.get('latent_prior'));
  if (root.has('tokenizer')) checkTokenizer(root.get('tokenizer'));
  return inputRange;
}

/** @param {Node} root */
function checkVersion(root) {
  if (root.get('format').text() !== 'aetool.bundle') root.get('format').refuse('is not aetool.bundle');
  if (root.get('version').integer() !== 1) root.get('version').refuse('is not 1: update aetool', 'version');
  const required = root.get('requires').items().map((node) => node.text());
  if (required.length) root.get('requires').refuse('has unknown features: update aetool', 'version');
}

/**
 * @param {Uint8Array} bytes of manifest.json
 * @param {string} where for refusals
 * @returns {Manifest}
 */
export function parseManifest(bytes, where) {
  const root = parse(bytes, where);
  checkVersion(root);
  const files = readFiles(root);
  const name = root.get('name').text();
  const golden = root.get('golden');
  const goldenPath = listed(golden.get('path'), files);
  const size = files.get(goldenPath)?.bytes ?? 0;
  const artifacts = root.get('artifacts').items().map((node) => readArtifact(node, files, size));
  if (!artifacts.length) root.get('artifacts').refuse('is empty');
  const keys = new Set(artifacts.map((a) => `${a.role} ${a.format} ${a.precision}`));
  if (keys.size !== artifacts.length) root.get('artifacts').refuse('lists a role, format and precision twice');
  /** @type {Manifest} */
  const made = { name, artifacts, files, goldenPath, scales: new Map(), cases: [], inputRange: readTheRest(root), compression: '' };
  readGolden(golden, made, size);
  if (root.has('compression')) made.compression = listed(root.get('compression').get('path'), files);
  return made;
}
