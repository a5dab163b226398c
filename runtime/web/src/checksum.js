// crc32 (that of zlib and PNG) and sha256.
import { AetoolError } from './error.js';

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc >>> 0;
});

/**
 * @param {number} crc of what came before; 0 at first
 * @param {Uint8Array} bytes
 * @returns {number}
 */
export function crc32(crc, bytes) {
  let state = ~crc;
  for (let i = 0; i < bytes.length; i++) state = CRC_TABLE[(state ^ bytes[i]) & 255] ^ (state >>> 8);
  return ~state >>> 0;
}

/**
 * @param {Uint8Array} bytes
 * @returns {string} lower-case digits
 */
export function hexadecimal(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<string>} 64 hexadecimal digits
 */
export async function sha256(bytes) {
  const subtle = globalThis.crypto?.subtle;
  // Browsers hide it from pages that came over plain http from elsewhere.
  if (!subtle) throw new AetoolError('unavailable', 'no WebCrypto: open the page over https, or from this machine');
  return hexadecimal(new Uint8Array(await subtle.digest('SHA-256', /** @type {BufferSource} */ (bytes))));
}
