// The demo page in headless Chromium ($CHROMIUM): vectors, the engine, offline, without an engine, a phone's width, keys.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, before, test } from 'node:test';

import { assemble } from '../demo/assemble.mjs';
import { fromHex, pathOf, readRows } from './vectors.js';

const playwright = await import('playwright-core').catch(() => null);
const executablePath = process.env.CHROMIUM;
const skip = !playwright ? 'playwright-core is not installed: npm ci' : !executablePath ? 'CHROMIUM names no browser' : false;
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };
const SCREENSHOTS = process.env.SCREENSHOTS; // a folder to look at them in
const CSV = 'a,b,c,d,e,f\n1,2,3,4,5,6\n6,5,4,3,2,1\n';

/** @type {any} */
let browser;
/** @type {{folder: string, address: string, close: () => unknown}[]} */
const sites = [];

/** @param {boolean} withEngine */
async function serve(withEngine) {
  const folder = await mkdtemp(join(tmpdir(), 'aetool-demo-'));
  await assemble(folder, withEngine);
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://page').pathname;
    const name = path === '/' ? 'index.html' : path.slice(1);
    const content = await readFile(join(folder, name)).catch(() => null);
    response.writeHead(content ? 200 : 404, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream' });
    response.end(content ?? '');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(null)));
  const address = `http://127.0.0.1:${/** @type {any} */ (server.address()).port}/`;
  sites.push({ folder, address, close: () => (server.closeAllConnections(), server.close()) });
  return address;
}

before(async () => {
  if (skip || !playwright) return;
  browser = await playwright.chromium.launch({ executablePath, args: ARGUMENTS });
});

after(async () => {
  await browser?.close();
  for (const { folder, close } of sites) {
    close();
    await rm(folder, { recursive: true });
  }
});

/** @param {string} address @param {object} [options] */
async function open(address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  /** @type {string[]} */
  const errors = [];
  page.on('pageerror', (/** @type {Error} */ error) => errors.push(String(error)));
  await page.goto(address);
  return { context, page, errors };
}

/** @param {any} page @param {string} id @param {any} file @param {string} status @param {RegExp} wanted */
async function choose(page, id, file, status, wanted) {
  await page.setInputFiles(`#${id}`, file);
  await page.waitForFunction(([name]) => !['Working …'].includes(document.getElementById(name)?.textContent ?? ''), [status]);
  assert.match(await page.textContent(`#${status}`), wanted);
}

const csv = { name: 'wave.csv', mimeType: 'text/csv', buffer: Buffer.from(CSV) };

/** @param {any} page */
async function tryModel(page) {
  await choose(page, 'bundle', pathOf('bundles/encoder-decoder-in-both-formats.aepkg'), 'bundle-status', /every byte checked/);
  await choose(page, 'sensor', csv, 'sample-status', /wave\.csv: window 0 of 2, 6/);
  await page.click('#run');
  await page.waitForFunction(() => document.getElementById('run-status')?.textContent?.startsWith('Done'));
}

test('encodes and decodes, also offline', { skip }, async () => {
  const { context, page, errors } = await open(await serve(true));
  await tryModel(page);
  assert.match(await page.textContent('#figures'), /Latent, 2 × float32\s*8\s*-?[0-9.]+ dB/);
  assert.match(await page.getAttribute('#latent', 'aria-label'), /2 values/);
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, 'desktop.png'), fullPage: true });
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  for (const site of sites) site.close(); // no server, no network
  await context.setOffline(true);
  await page.reload();
  await tryModel(page);
  assert.deepEqual(errors, []);
  await context.close();
});

test('every vector of streams in the browser', { skip }, async () => {
  const { context, page } = await open(await serve(false));
  for (const name of ['bare', 'fixed', 'free']) {
    const rows = (await readRows('compression/streams.json')).filter((/** @type {any} */ row) => row.bundle === name);
    const bundle = (await readFile(pathOf(`compression/${name}.aepkg`))).toString('base64');
    const met = await page.evaluate(async (/** @type {any} */ given) => {
      const { AetoolError, Bundle, readCompression, StreamReader } = await import(String('./src/index.js'));
      const opened = await Bundle.open(Uint8Array.from(atob(given.bundle), (c) => c.charCodeAt(0)));
      const compression = await readCompression(opened);
      return given.streams.map((/** @type {number[]} */ stream) => {
        try {
          return { verdict: 'ok', values: [...new StreamReader(Uint8Array.from(stream), opened, compression).readAll()] };
        } catch (error) {
          return { verdict: error instanceof AetoolError ? error.refusal : String(error) };
        }
      });
    }, { bundle, streams: rows.map((/** @type {any} */ row) => [...fromHex(row.stream)]) });
    rows.forEach((/** @type {any} */ row, /** @type {number} */ i) => {
      assert.equal(met[i].verdict, row.verdict, row.name);
      if (row.verdict === 'ok') assert.equal(Buffer.from(met[i].values).toString('hex'), row.values, row.name);
    });
  }
  await context.close();
});

test('without the engine: compresses, decompresses, and says so', { skip }, async () => {
  const { context, page, errors } = await open(await serve(false));
  await choose(page, 'bundle', pathOf('compression/fixed.aepkg'), 'bundle-status', /It compresses\./);
  const rows = Array.from({ length: 8 }, (_, i) => `${i * 3},${-i}`).join('\n');
  await choose(page, 'sensor', { ...csv, buffer: Buffer.from(rows) }, 'sample-status', /window 0 of 1, 8 × 2/);
  await page.click('#run');
  await page.waitForFunction(() => document.getElementById('run-status')?.textContent?.startsWith('Done, without the engine'));
  const [row] = (await readRows('compression/streams.json')).filter((/** @type {any} */ one) => one.name === 'network, quality 0, int16');
  const stream = { name: 'one.aes', mimeType: 'application/octet-stream', buffer: Buffer.from(fromHex(row.stream)) };
  await choose(page, 'stream', stream, 'stream-status', /values of int16/);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
  assert.equal((await readFile(await download.path())).toString('hex'), row.values);
  await choose(page, 'stream', { ...stream, buffer: stream.buffer.subarray(0, 40) }, 'stream-status', /^Refused\. truncated: /);
  await choose(page, 'bundle', { ...stream, name: 'no.aepkg' }, 'bundle-status', /^Refused\. input: /);
  assert.deepEqual(errors, []);
  await context.close();
});

test("a phone's width, by keyboard alone", { skip }, async () => {
  const { context, page, errors } = await open(await serve(false), { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  await choose(page, 'bundle', pathOf('compression/free.aepkg'), 'bundle-status', /samples any × any × 1/);
  const isWider = () => page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  assert.equal(await isWider(), false);
  await page.focus('#pad');
  await page.keyboard.down(' ');
  for (let i = 0; i < 8; i++) await page.keyboard.press('ArrowRight');
  for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowDown');
  await page.keyboard.up(' ');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'use-pad');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('sample-status')?.textContent?.startsWith('Drawing: 128'));
  await page.focus('#run');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('run-status')?.textContent?.startsWith('Done'));
  const unnamed = await page.evaluate(() => [...document.querySelectorAll('input, select')].filter((field) =>
    !(/** @type {HTMLInputElement} */ (field).labels?.length)).length);
  assert.equal(unnamed, 0);
  assert.equal(await isWider(), false);
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, 'phone.png'), fullPage: true });
  assert.deepEqual(errors, []);
  await context.close();
});
