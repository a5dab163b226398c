// Writes the page with all that it needs to a folder that any server of files serves:
//
//     node demo/assemble.mjs DIR [--without-engine]
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '..');
const ENGINE = ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'];
const NODE_ONLY = ['folder.js'];

/** @param {string} to @param {boolean} withEngine */
export async function assemble(to, withEngine) {
  const own = (await readdir(join(WEB, 'demo'))).filter((name) => !name.endsWith('.mjs'));
  const sources = (await readdir(join(WEB, 'src'))).filter((name) => !NODE_ONLY.includes(name));
  /** @type {[string, string][]} */
  const files = [...own.map((name) => [join('demo', name), name]), ...sources.map((name) => [join('src', name), `src/${name}`])];
  if (withEngine) files.push(...ENGINE.map((name) => [join('node_modules', 'onnxruntime-web', 'dist', name), `engine/${name}`]));
  const hash = createHash('sha256');
  for (const [from, name] of files) {
    await mkdir(dirname(join(to, name)), { recursive: true });
    await cp(join(WEB, from), join(to, name));
    hash.update(name).update(await readFile(join(WEB, from)));
  }
  const names = ['./', ...files.map(([, name]) => `./${name}`).filter((name) => name !== './service-worker.js')];
  const text = await readFile(join(WEB, 'demo', 'service-worker.js'), 'utf8');
  const made = text.replace("'unassembled'", `'${hash.digest('hex').slice(0, 16)}'`).replace('FILES = []', `FILES = ${JSON.stringify(names)}`);
  await writeFile(join(to, 'service-worker.js'), made);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [to, ...options] = process.argv.slice(2);
  if (!to) {
    console.error('node demo/assemble.mjs DIR [--without-engine]');
    process.exit(2);
  }
  await assemble(to, !options.includes('--without-engine'));
}
