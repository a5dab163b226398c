// The page: what is chosen, what is shown. Computing is the worker's.
import { makePad, valuesOfPicture } from './drawing.js';
import { readSensor } from './sensors.js';
import { pictureOf, rangeOf, showBars, showCurves, showPicture } from './views.js';

const FREE_PICTURE = 128; // sizes that a graph leaves free
const FREE_ROWS = 256;

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);
const worker = new Worker('worker.js', { type: 'module' });
/** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
let [calls, bundle, sample, recording] = [0, /** @type {any} */ (null), /** @type {any} */ (null), /** @type {any} */ (null)];

worker.onmessage = ({ data: { id, result, error } }) => {
  const call = waiting.get(id);
  waiting.delete(id);
  if (error) call?.reject(new Error(`${error.refusal}: ${error.message}`));
  else call?.resolve(result);
};

/** @param {string} verb @param {object} message @returns {Promise<any>} */
function ask(verb, message) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    worker.postMessage({ id: calls, verb, ...message });
  });
}

/** Runs an action; what it returns, or why it was refused, is said. @param {string} id @param {() => Promise<string>} action */
async function telling(id, action) {
  const status = element(id);
  status.classList.remove('refused');
  status.textContent = 'Working …';
  try {
    status.textContent = await action();
  } catch (error) {
    status.classList.add('refused');
    status.textContent = `Refused. ${/** @type {Error} */ (error).message}`;
  }
}

/** The raw range of drawings: what training saw, else bytes. */
function inputRange() {
  const { minimum, maximum } = bundle.range;
  return minimum.length ? [Math.min(...minimum), Math.max(...maximum)] : [0, 255];
}

/** @param {number} free @returns {number[]} */
function sampleShape(free) {
  if (!bundle) throw new Error('choose a bundle first');
  if (!bundle.inputShape) throw new Error('the bundle says nothing of its samples');
  return bundle.inputShape.map((/** @type {number | null} */ size) => size ?? free);
}

function updateRun() {
  element('run').disabled = !(bundle && sample);
}

/** @param {any} given */
function setSample(given) {
  sample = given;
  show('original', sample.values, 'Original');
  updateRun();
}

/** @param {string} id @param {Float32Array} values @param {string} title */
function show(id, values, title) {
  const canvas = element(id);
  if (sample.isPicture) showPicture(canvas, values, sample.shape, sample.range);
  else showCurves(canvas, values, sample.shape.length > 1 ? sample.shape[sample.shape.length - 1] : 1, sample.range);
  canvas.setAttribute('aria-label', `${title}: ${values.length} values, ${rangeOf(values).map((v) => v.toPrecision(4)).join(' to ')}`);
}

/** @param {CanvasImageSource} source @param {string} name */
function usePicture(source, name) {
  const shape = sampleShape(FREE_PICTURE);
  const range = inputRange();
  setSample({ values: valuesOfPicture(source, pictureOf(shape), range), shape, range, isPicture: true });
  return `${name}: ${shape.join(' × ')}.`;
}

function useWindow() {
  if (!recording) return 'No recording yet.';
  const shape = sampleShape(FREE_ROWS);
  const size = shape.reduce((all, n) => all * n, 1);
  const windows = Math.floor(recording.values.length / size);
  const number = Math.min(Math.max(0, Math.floor(element('window').valueAsNumber || 0)), windows - 1);
  if (windows === 0) throw new Error(`${recording.values.length} values; a sample has ${size}`);
  const values = recording.values.slice(number * size, (number + 1) * size);
  setSample({ values, shape, range: rangeOf(values), isPicture: false });
  return `${recording.name}: window ${number} of ${windows}, ${shape.join(' × ')}.`;
}

/** @param {any} opened */
function describe({ name, digest, hasEngine, canRun, inputShape, qualities }) {
  const engine = hasEngine ? '' : ' The engine (onnxruntime-web) is not here: latents are left out, streams work.';
  const graphs = canRun ? '' : ' It brings no ONNX encoder and decoder.';
  const streams = qualities === null ? ' It does not compress.' : ' It compresses.';
  const shape = inputShape ? inputShape.map((/** @type {number | null} */ size) => size ?? 'any').join(' × ') : 'unknown';
  return `${name}: samples ${shape}, digest ${digest.slice(0, 16)}, every byte checked.${streams}${graphs}${canRun ? engine : ''}`;
}

/** @param {number | null} qualities */
function offerQualities(qualities) {
  const select = element('quality');
  const names = qualities === null ? ['the bundle does not compress'] : ['the finest'];
  for (let i = 0; i < (qualities ?? 0); i++) names.push(`${i}${i === 0 ? ' (coarse)' : ''}`);
  select.replaceChildren(...names.map((name, i) => new Option(name, i === 0 ? '' : String(i - 1))));
  select.disabled = qualities === null;
}

/** @param {[string, number, number][]} rows */
function showFigures(rows) {
  element('figures').replaceChildren(...rows.map(([form, bytes, psnr]) => {
    const row = document.createElement('tr');
    const texts = [form, bytes.toLocaleString('en'), Number.isNaN(psnr) ? '–' : psnr === Infinity ? 'no loss' : `${psnr.toFixed(1)} dB`];
    row.append(...texts.map((text) => Object.assign(document.createElement('td'), { textContent: text })));
    return row;
  }));
}

async function runSample() {
  const quality = element('quality').value === '' ? undefined : Number(element('quality').value);
  const { latent, reconstruction, psnr, stream } = await ask('run', { values: sample.values, shape: sample.shape, quality });
  show('reconstruction', latent.length ? reconstruction : stream.values, 'Reconstruction');
  if (latent.length) showBars(element('latent'), latent);
  element('latent').parentElement.hidden = !latent.length;
  element('latent').setAttribute('aria-label', `Latent: ${latent.length} values`);
  /** @type {[string, number, number][]} */
  const rows = [['Original, float32', 4 * sample.values.length, NaN]];
  if (latent.length) rows.push([`Latent, ${latent.length} × float32`, 4 * latent.length, psnr]);
  if (stream) rows.push([`Stream, by ${stream.path}`, stream.bytes, stream.psnr]);
  showFigures(rows);
  return latent.length ? 'Done.' : 'Done, without the engine: the reconstruction is what the stream returns.';
}

/** @param {File} file */
async function decompress(file) {
  const { type, shape, values } = await ask('decompress', { bytes: new Uint8Array(await file.arrayBuffer()) });
  /** @type {Record<string, any>} */
  const arrays = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };
  const numbers = new arrays[type](values.buffer);
  if (numbers.length) showCurves(element('decompressed'), numbers, shape.length ? shape[shape.length - 1] : 1, rangeOf(numbers));
  element('decompressed').hidden = !numbers.length;
  element('decompressed').setAttribute('aria-label', `Decompressed: ${numbers.length} values`);
  const link = element('download');
  URL.revokeObjectURL(link.href);
  Object.assign(link, { href: URL.createObjectURL(new Blob([values])), download: `${file.name}.${type}.raw`, hidden: false });
  const [before, after, count] = [file.size, values.length, numbers.length].map((n) => n.toLocaleString('en'));
  return `${file.name}: ${before} → ${after} bytes, ${count} values of ${type}.`;
}

/** @param {string} id @param {string} status @param {(file: File) => Promise<string>} use */
function onFile(id, status, use) {
  element(id).addEventListener('change', () => {
    const [file] = element(id).files;
    if (file) telling(status, () => use(file));
  });
}

const pad = makePad(element('pad'));
element('clear').addEventListener('click', pad.clear);
element('use-pad').addEventListener('click', () => telling('sample-status', async () => usePicture(element('pad'), 'Drawing')));
element('window').addEventListener('change', () => telling('sample-status', async () => useWindow()));
element('run').addEventListener('click', () => telling('run-status', runSample));
onFile('bundle', 'bundle-status', async (file) => {
  [bundle, sample] = [null, null];
  updateRun();
  bundle = await ask('open', { bytes: new Uint8Array(await file.arrayBuffer()) });
  offerQualities(bundle.qualities);
  return describe(bundle);
});
onFile('image', 'sample-status', async (file) => usePicture(await createImageBitmap(file), file.name));
onFile('sensor', 'sample-status', async (file) => {
  const shape = sampleShape(FREE_ROWS);
  recording = { ...(await readSensor(file, shape[shape.length - 1])), name: file.name };
  return useWindow();
});
onFile('stream', 'stream-status', decompress);
navigator.serviceWorker?.register('service-worker.js').catch(() => undefined); // without it: not offline
