// Sensor files → rows of channels.

/** @typedef {{values: Float32Array, channels: number}} Recording */

/** Numbers separated by commas, semicolons, tabs or spaces; a first line without numbers is a heading.
 * @param {string} text @returns {Recording} */
export function parseCsv(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '');
  const rows = lines.map((line) => line.split(/[,;\t ]+/).map((cell) => (cell === '' ? NaN : Number(cell))));
  if (rows.length && rows[0].some(Number.isNaN)) rows.shift();
  const channels = rows[0]?.length ?? 0;
  const bad = rows.findIndex((row) => row.length !== channels || row.some(Number.isNaN));
  if (!channels || bad >= 0) throw new Error(channels ? `row ${bad + 1} is not ${channels} numbers` : 'no rows of numbers');
  return { values: Float32Array.from(rows.flat()), channels };
}

/** NumPy's format, little-endian, C order; the last dimension holds the channels. @param {Uint8Array} bytes @returns {Recording} */
export function parseNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isNpy = bytes.length > 12 && bytes[0] === 0x93 && String.fromCharCode(...bytes.subarray(1, 6)) === 'NUMPY';
  if (!isNpy) throw new Error('is no .npy file');
  const [start, length] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const heading = new TextDecoder().decode(bytes.subarray(start, start + length));
  const dtype = /'descr': *'([<|][iuf][1248])'/.exec(heading)?.[1];
  const shape = /'shape': *\(([0-9, ]*)\)/.exec(heading)?.[1].split(',').filter((size) => size.trim() !== '').map(Number);
  /** @type {Record<string, {new (buffer: ArrayBuffer): ArrayLike<number>}>} */
  const arrays = {
    '<f4': Float32Array, '<f8': Float64Array, '<i2': Int16Array, '<u2': Uint16Array, '<i4': Int32Array, '|u1': Uint8Array, '|i1': Int8Array,
  };
  const isKnown = dtype && arrays[dtype] && shape && !/'fortran_order': *True/.test(heading);
  if (!isKnown) throw new Error('holds values of a kind that this page does not read');
  const values = Float32Array.from(new arrays[dtype](bytes.slice(start + length).buffer));
  return { values, channels: shape.length > 1 ? shape[shape.length - 1] : 1 };
}

/** Little-endian int16. @param {Uint8Array} bytes @param {number} channels @returns {Recording} */
export function parseRaw(bytes, channels) {
  return { values: Float32Array.from(new Int16Array(bytes.slice(0, bytes.length - (bytes.length % 2)).buffer)), channels };
}

/** By the file's name. @param {File} file @param {number} channels of raw values */
export async function readSensor(file, channels) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (file.name.endsWith('.npy')) return parseNpy(bytes);
  return /\.(csv|txt)$/.test(file.name) ? parseCsv(new TextDecoder().decode(bytes)) : parseRaw(bytes, channels);
}
