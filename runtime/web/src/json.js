// Strict JSON (RFC 8259), as FORMAT.md section 2 wants it: every value knows its path, so that a refusal names the member.
import { AetoolError } from './error.js';
/** @import { Refusal } from './error.js' */

export const MAX_BYTES = 16 * 2 ** 20;
const MAX_DEPTH = 512;
const EXACT_LIMIT = 2 ** 53;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const HALF_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
/** @type {Record<string, string>} */
const ESCAPES = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/** A number as it was written. */
export class JsonNumber {
  /**
   * @param {number} value infinite for an integer that is too long for it
   * @param {boolean} isWhole written without fraction and exponent
   */
  constructor(value, isWhole) {
    this.value = value;
    this.isWhole = isWhole;
  }
}

class JsonArray {
  /** @type {JsonValue[]} */
  items = [];
}

class JsonObject {
  /** @type {Map<string, JsonValue>} */
  members = new Map();
}

/** @typedef {null | boolean | string | JsonNumber | JsonArray | JsonObject} JsonValue */

class Parser {
  #at = 0;
  #text;
  #where;

  /** @param {string} text @param {string} where */
  constructor(text, where) {
    this.#text = text;
    this.#where = where;
  }

  /** @returns {JsonValue} */
  parse() {
    const value = this.#value(0);
    this.#skip();
    if (this.#at !== this.#text.length) this.#fail('has text behind its end');
    return value;
  }

  /** @param {string} what @returns {never} */
  #fail(what) {
    throw new AetoolError('manifest', `is not valid JSON: ${what} at character ${this.#at}`, this.#where);
  }

  #skip() {
    while (this.#at < this.#text.length && ' \t\n\r'.includes(this.#text[this.#at])) this.#at++;
  }

  #next() {
    if (this.#at >= this.#text.length) this.#fail('it ends too early');
    return this.#text[this.#at++];
  }

  /** @param {number} depth @returns {JsonValue} */
  #value(depth) {
    if (depth > MAX_DEPTH) this.#fail('it is nested too deeply');
    this.#skip();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  /** @template {JsonValue} T @param {string} word @param {T} value @returns {T} */
  #word(word, value) {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('an unknown word');
    this.#at += word.length;
    return value;
  }

  #number() {
    NUMBER.lastIndex = this.#at;
    const met = NUMBER.exec(this.#text);
    if (!met) return this.#fail('no value');
    this.#at = NUMBER.lastIndex;
    const value = Number(met[0]) + 0; // no negative zero
    const isWhole = met[1] === undefined && met[2] === undefined;
    if (!isWhole && !Number.isFinite(value)) this.#fail('a number beyond 64-bit floats');
    return new JsonNumber(value, isWhole);
  }

  /** @param {number} depth */
  #object(depth) {
    const object = new JsonObject();
    this.#at++;
    this.#skip();
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return object;
    }
    for (;;) {
      this.#skip();
      if (this.#text[this.#at] !== '"') this.#fail('a member without a name');
      const key = this.#string();
      if (object.members.has(key)) this.#fail('a member appears twice in one object');
      this.#skip();
      if (this.#next() !== ':') this.#fail('a member without a colon');
      object.members.set(key, this.#value(depth + 1));
      this.#skip();
      const mark = this.#next();
      if (mark === '}') return object;
      if (mark !== ',') this.#fail('an object without a comma');
    }
  }

  /** @param {number} depth */
  #array(depth) {
    const array = new JsonArray();
    this.#at++;
    this.#skip();
    if (this.#text[this.#at] === ']') {
      this.#at++;
      return array;
    }
    for (;;) {
      array.items.push(this.#value(depth + 1));
      this.#skip();
      const mark = this.#next();
      if (mark === ']') return array;
      if (mark !== ',') this.#fail('an array without a comma');
    }
  }

  #string() {
    this.#at++;
    let out = '';
    for (;;) {
      PLAIN.lastIndex = this.#at;
      out += /** @type {RegExpExecArray} */ (PLAIN.exec(this.#text))[0];
      this.#at = PLAIN.lastIndex;
      const mark = this.#next();
      if (mark === '"') return out;
      if (mark !== '\\') this.#fail('a control character in a string');
      out += this.#escape();
    }
  }

  #escape() {
    const mark = this.#next();
    if (mark in ESCAPES) return ESCAPES[mark];
    const digits = this.#text.slice(this.#at, this.#at + 4);
    if (mark !== 'u' || !/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail('an escape that is none');
    this.#at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }
}

/**
 * @param {Uint8Array} bytes UTF-8
 * @param {string} where for refusals
 * @returns {Node} the root
 */
export function parse(bytes, where) {
  if (bytes.length > MAX_BYTES) throw new AetoolError('manifest', 'is larger than 16 MiB', where);
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new AetoolError('manifest', 'is not valid JSON: not UTF-8', where);
  }
  return new Node(new Parser(text, where).parse(), where);
}

/** Neither control characters (a terminal would obey some) nor half surrogates. @param {string} text */
const isPrintable = (text) => !CONTROL.test(text) && !HALF_SURROGATE.test(text);

/** A value with its path. Each reading method refuses, by name, a value of another kind. */
export class Node {
  #value;

  /** @param {JsonValue} value @param {string} where @param {string} [path] */
  constructor(value, where, path = '') {
    this.#value = value;
    this.where = where;
    this.path = path;
  }

  /** @param {string} what @param {Refusal} [refusal] @returns {never} */
  refuse(what, refusal = 'manifest') {
    throw new AetoolError(refusal, `the member ${this.path || '(root)'} ${what}`, this.where);
  }

  get isNull() {
    return this.#value === null;
  }

  #object() {
    return this.#value instanceof JsonObject ? this.#value.members : this.refuse('is no object');
  }

  /** @param {string} key @param {JsonValue} value */
  #child(key, value) {
    return new Node(value, this.where, this.path ? `${this.path}.${key}` : key);
  }

  /** @param {string} key @returns {Node} */
  get(key) {
    const value = this.#object().get(key);
    return value === undefined ? this.refuse(`has no '${key}'`) : this.#child(key, value);
  }

  /** A member that may be absent or null. @param {string} key */
  has(key) {
    return (this.#object().get(key) ?? null) !== null;
  }

  /** @returns {[string, Node][]} */
  members() {
    return Array.from(this.#object(), ([key, value]) => {
      if (!isPrintable(key)) this.refuse('has a name with control characters');
      return [key, this.#child(key, value)];
    });
  }

  /** @returns {string[]} */
  keys() {
    return [...this.#object().keys()];
  }

  /** @returns {Node[]} */
  items() {
    if (!(this.#value instanceof JsonArray)) return this.refuse('is no array');
    return this.#value.items.map((value, i) => new Node(value, this.where, `${this.path}[${i}]`));
  }

  /** @returns {string} */
  text() {
    if (typeof this.#value !== 'string') return this.refuse('is no string');
    if (!isPrintable(this.#value)) this.refuse('holds control characters or half of a surrogate pair');
    return this.#value;
  }

  /** @template {string} T @param {readonly T[]} known @returns {T} */
  oneOf(known) {
    const met = this.text();
    return known.find((name) => name === met) ?? this.refuse('is an unknown name');
  }

  /** @returns {number} */
  number() {
    if (!(this.#value instanceof JsonNumber)) return this.refuse('is no number');
    if (!Number.isFinite(this.#value.value)) this.refuse('is not finite');
    return this.#value.value;
  }

  numbers() {
    return this.items().map((item) => item.number());
  }

  /** @param {number} [least] @param {number} [most] @returns {number} */
  integer(least = -Infinity, most = Infinity) {
    if (!(this.#value instanceof JsonNumber) || !this.#value.isWhole) return this.refuse('is no integer');
    if (this.#value.value < least || this.#value.value > most) this.refuse('is out of range');
    return this.#value.value;
  }

  /** @param {number} [least] */
  natural(least = 0) {
    return this.integer(least, EXACT_LIMIT - 1);
  }
}
