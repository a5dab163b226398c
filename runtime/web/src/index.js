// Everything that works in Node and in browsers; folders on disk: './folder'.
export { AetoolError } from './error.js';
export { Autoencoder } from './autoencoder.js';
export { Bundle } from './bundle.js';
export { refuseExternalData } from './onnx_scan.js';
export { readCompression } from './compression.js';
export { Compressor } from './compressor.js';
export { bytesOfValues, StreamReader, StreamWriter, valuesOf } from './stream.js';
/** @typedef {import('./error.js').Refusal} Refusal */
/** @typedef {import('./manifest.js').Manifest} Manifest */
/** @typedef {import('./compression.js').Compression} Compression */
/** @typedef {import('./header.js').StreamHeader} StreamHeader */
/** @typedef {import('./header.js').SampleType} SampleType */
/** @typedef {import('./stream.js').Chunk} Chunk */
/** @typedef {import('./elements.js').Tensor} Tensor */
/** @typedef {import('./parity.js').Check} Check */
/** @typedef {import('./compressor.js').CompressorOptions} CompressorOptions */
