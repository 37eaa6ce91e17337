#!/usr/bin/env node
/**
 * Recomputes a Fairdraw outcome from the server seed it was drawn with, and checks seed proofs and Merkle proofs.
 *
 *     import { derive, verify, checkSeedProof, checkProof } from "./fairdraw-verify.js";      // a browser, or Node 18 or later
 *     node fairdraw-verify.js outcome.json --server-seed HEX [--items items.json]
 *     node fairdraw-verify.js rotation.json [--seed-key HEX]
 *
 * One ES module, no dependency, no build step. It shares no code with the server. Derivation version 1.
 *
 * Every floating-point operation below is one IEEE-754 double operation, rounded once, in the order written
 * (ECMAScript allows nothing else). Math.log and Math.exp are not used: their last bit is an engine's choice.
 */

const MAX_SAFE = Number.MAX_SAFE_INTEGER; // 2^53 − 1
const TWO_32 = 4294967296;
const TWO_53 = 9007199254740992;

/** An input that no draw can have had: which one, what it has to be, and what it was. */
export class InputError extends Error {
  constructor(parameter, expected, actual) {
    super(`${parameter} must be ${expected}`);
    Object.assign(this, { parameter, expected, actual });
  }
}

/** An input without which nothing can be said of the outcome. */
class MissingError extends InputError {}

// ---------------------------------------------------------------------------------------------------------
// Reading inputs. Nothing is defaulted: an outcome spells out every parameter it was drawn with.

function integer(source, name, low, high, label = name) {
  const value = source[name];
  if (Number.isSafeInteger(value) && low <= value && value <= high) return value;
  throw new InputError(label, `an integer from ${low} to ${high}`, value);
}

function double(value, name, allowed, expected) {
  if (Number.isFinite(value) && allowed(value)) return value;
  throw new InputError(name, expected, value);
}

function positive(source, name, high = Infinity) {
  const expected = "a finite number above 0" + (high === Infinity ? "" : `, at most ${high}`);
  return double(source[name], name, (x) => x > 0 && x <= high, expected);
}

function string(source, name, pattern = /^/, expected = "a string", label = name) {
  const value = source[name];
  if (typeof value === "string" && pattern.test(value)) return value;
  throw new InputError(label, expected, value);
}

function hexHash(source, name, label = name) {
  return string(source, name, /^[0-9a-f]{64}$/, "64 lowercase hex digits", label);
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function dictionary(value, name) {
  if (isObject(value)) return value;
  throw new InputError(name, "a JSON object", value);
}

function utf8(text, name) {
  // TextEncoder would quietly replace a lone surrogate, which JSON can spell and UTF-8 cannot.
  if (/\p{Surrogate}/u.test(text)) throw new InputError(name, "text that has a UTF-8 form", text);
  return new TextEncoder().encode(text);
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

// ---------------------------------------------------------------------------------------------------------
// log and exp.
//
// The algorithm the derivation names: e_log.c and e_exp.c of fdlibm, which FreeBSD's msun carries on. The
// constants and the order of operations are theirs; comparisons of a double's upper half are written as
// comparisons with the double that has that upper half, and branches that give the same bits are merged.
//
//   Copyright (C) 1993, 2004 by Sun Microsystems, Inc. All rights reserved.
//   Permission to use, copy, modify, and distribute this software is freely granted, provided that this
//   notice is preserved.

const LN2_HI = 6.93147180369123816490e-01;
const LN2_LO = 1.90821492927058770002e-10;
const INV_LN2 = 1.44269504088896338700e+00;
const UNIT_20 = 1 / 1048576; // 2^−20, the lowest bit in the upper half of a significand
const SMALLEST_NORMAL = 2.2250738585072014e-308; // 2^−1022

const view = new DataView(new ArrayBuffer(8));

/** x = significand · 2^exponent, 1 ≤ significand < 2, for a finite x above 0. */
function split(x) {
  let exponent = -1023;
  if (x < SMALLEST_NORMAL) {
    x *= 18014398509481984; // 2^54
    exponent -= 54;
  }
  view.setFloat64(0, x);
  const high = view.getUint32(0);
  view.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  return [view.getFloat64(0), exponent + (high >>> 20)];
}

/** 2^k for −1022 ≤ k ≤ 1023, from its bits: `**` promises no exactness. */
function powerOfTwo(k) {
  view.setUint32(0, (k + 1023) << 20);
  view.setUint32(4, 0);
  return view.getFloat64(0);
}

/** The natural logarithm: x = 2^k · (1 + f) with √2/2 < 1 + f < √2, then k·ln 2 + log(1 + f). */
export function log(x) {
  if (Number.isNaN(x) || x === Infinity) return x;
  if (x <= 0) return x === 0 ? -Infinity : NaN;
  let [significand, k] = split(x);
  let f = significand - 1;
  if (significand >= 1 + 0x6a09c * UNIT_20) {
    f = significand / 2 - 1;
    k += 1;
  }

  if (-UNIT_20 <= f && f < UNIT_20) {
    const r = f * f * (0.5 - 0.33333333333333333 * f);
    return k * LN2_HI - ((r - k * LN2_LO) - f);
  }

  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const t2 = z * (6.666666666666735130e-01
    + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const r = t2 + t1;
  if (1 + 0x6147a * UNIT_20 <= significand && significand < 1 + 0x6b852 * UNIT_20) {
    const halfSquare = 0.5 * f * f;
    return k * LN2_HI - ((halfSquare - (s * (halfSquare + r) + k * LN2_LO)) - f);
  }
  return k * LN2_HI - ((s * (f - r) - k * LN2_LO) - f);
}

/** e to the power x: x = k·ln 2 + r with |r| ≤ ln 2 / 2, then 2^k · e^r. */
export function exp(x) {
  if (Number.isNaN(x)) return x;
  if (x > 7.09782712893383973096e+02) return Infinity;
  if (x < -7.45133219101941108420e+02) return 0;
  const size = Math.abs(x);
  if (size < 1 / 268435456) return 1 + x; // 2^−28
  let k;
  if (size < (1 + 0x62e43 * UNIT_20) / 4) k = 0; // about ln 2 / 2
  else if (size < 1 + 0x0a2b2 * UNIT_20) k = x > 0 ? 1 : -1; // about 3/2 · ln 2
  else k = Math.trunc(INV_LN2 * x + (x > 0 ? 0.5 : -0.5));
  const hi = x - k * LN2_HI;
  const lo = k * LN2_LO;
  const r = hi - lo;
  const t = r * r;
  const c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03
    + t * (6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
  const y = 1 - ((lo - (r * c) / (2 - c)) - hi);
  if (k === 1024) return y * 2 * powerOfTwo(1023); // 2^1024 is no double
  if (k >= -1021) return y * powerOfTwo(k);
  return y * powerOfTwo(k + 1000) * powerOfTwo(-1000); // a subnormal result, rounded once
}

// ---------------------------------------------------------------------------------------------------------
// From seeds to units

async function subtle() {
  const crypto = globalThis.crypto ?? (await import("node:crypto")).webcrypto; // Node 18 has no global one
  if (!crypto.subtle) throw new Error("This page has no WebCrypto: open it over https, or from localhost.");
  return crypto.subtle;
}

async function sha256(bytes) {
  return hex(new Uint8Array(await (await subtle()).digest("SHA-256", bytes)));
}

/** The commitment: SHA-256 of the seed's 64 characters (not of the 32 bytes they spell). */
export async function serverHash(serverSeed) {
  return sha256(utf8(serverSeed, "serverSeed"));
}

/** The blocks of one draw's byte stream, without the bytes before the cursor. */
async function* blocks(serverSeed, clientSeed, nonce, cursor, trace) {
  const crypto = await subtle();
  const key = await crypto.importKey("raw", utf8(serverSeed), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  let block = Math.floor(cursor / 32);
  let offset = cursor % 32;
  trace({ step: "start", cursor, block, offset });
  for (;;) {
    const message = `${clientSeed}:${nonce}:${block}`;
    const digest = new Uint8Array(await crypto.sign("HMAC", key, utf8(message, "clientSeed")));
    trace({ step: "block", block, message, digest: hex(digest) });
    yield digest.subarray(offset);
    block += 1;
    offset = 0;
  }
}

/** The bytes of one draw, and the units taken from them in order. */
class Stream {
  constructor(blocks, trace) {
    this.blocks = blocks;
    this.trace = trace;
    this.buffer = new Uint8Array(0);
  }

  async take(count) {
    while (this.buffer.length < count) {
      const { value } = await this.blocks.next();
      this.buffer = Uint8Array.from([...this.buffer, ...value]);
    }
    const taken = this.buffer.subarray(0, count);
    this.buffer = this.buffer.subarray(count);
    return taken;
  }

  async word() {
    const bytes = await this.take(4);
    const word = bytes.reduce((high, byte) => high * 256 + byte, 0);
    this.trace({ step: "word", bytes: hex(bytes), word });
    return word;
  }

  async float32() {
    const value = (await this.word()) / TWO_32;
    this.trace({ step: "float32", value });
    return value;
  }

  async float53() {
    const bytes = await this.take(8);
    const value = Number(BigInt("0x" + hex(bytes)) >> 11n) / TWO_53;
    this.trace({ step: "float53", bytes: hex(bytes), value });
    return value;
  }

  /** A uniform integer in 0 ..< n, for 1 ≤ n ≤ 2^32 (at n = 2^32 nothing is rejected: it is the word). */
  async below(n) {
    const threshold = TWO_32 % n;
    for (;;) {
      const word = await this.word();
      const product = BigInt(word) * BigInt(n); // up to 64 bits: too many for a double
      const value = Number(product >> 32n);
      const low = Number(product & 0xffffffffn);
      if (low >= threshold) {
        this.trace({ step: "below", n, word, value });
        return value;
      }
      this.trace({ step: "rejected", n, word, low, threshold });
    }
  }
}

async function repeat(count, draw) {
  const values = [];
  while (values.length < count) values.push(await draw());
  return values;
}

// ---------------------------------------------------------------------------------------------------------
// Generators: each reads its parameters, then draws.

async function floats(stream, params) {
  return repeat(integer(params, "count", 1, 100), () => stream.float32());
}

/** The smallest of the integers from min to max, and how many there are. */
function readRange(params) {
  const low = integer(params, "min", -MAX_SAFE, MAX_SAFE);
  const high = integer(params, "max", low, Math.min(low + TWO_32 - 1, MAX_SAFE));
  return [low, high - low + 1];
}

async function ints(stream, params) {
  const count = integer(params, "count", 1, 100);
  const [low, size] = readRange(params);
  return repeat(count, async () => low + (await stream.below(size)));
}

/** Distinct integers: the first places of a shuffle of the range, of which only the places that were swapped are kept. */
async function sample(stream, params) {
  const [low, size] = readRange(params);
  const count = integer(params, "count", 1, Math.min(1000, size));
  const moved = new Map();
  const values = [];
  for (let i = 0; i < count; i += 1) {
    const j = i + (await stream.below(size - i));
    stream.trace({ step: "swap", i, j });
    values.push(low + (moved.get(j) ?? j));
    moved.set(j, moved.get(i) ?? i);
  }
  return values;
}

async function byteString(stream, params) {
  const count = integer(params, "count", 1, 1024);
  const encoding = string(params, "encoding", /^(hex|base64)$/, "hex or base64");
  const bytes = await stream.take(count);
  stream.trace({ step: "bytes", bytes: hex(bytes) });
  return encoding === "hex" ? hex(bytes) : btoa(String.fromCharCode(...bytes));
}

/** The dice, sides and modifier of NdM, NdM+K or NdM-K. */
function parseNotation(notation) {
  const match = typeof notation === "string"
    && /^([0-9]{0,16})d([0-9]{1,16})(?: *([+-]) *([0-9]{1,16}))?$/.exec(notation);
  if (!match) throw new InputError("notation", "NdM, NdM+K or NdM-K", notation);
  const size = Number(match[4] ?? 0);
  const read = { dice: Number(match[1] || 1), sides: Number(match[2]), modifier: match[3] === "-" ? 0 - size : size };
  const dice = integer(read, "dice", 1, 100);
  const sides = integer(read, "sides", 2, 1000000);
  const limit = MAX_SAFE - dice * sides; // so that the total is a safe integer too
  return { dice, sides, modifier: integer(read, "modifier", -limit, limit) };
}

function canonicalNotation({ dice, sides, modifier }) {
  return `${dice}d${sides}` + (modifier > 0 ? `+${modifier}` : modifier < 0 ? modifier : "");
}

async function dice(stream, params) {
  const read = parseNotation(params.notation);
  const rolls = await repeat(read.dice, async () => (await stream.below(read.sides)) + 1);
  const total = rolls.reduce((sum, roll) => sum + roll, read.modifier);
  return { notation: canonicalNotation(read), rolls, modifier: read.modifier, total };
}

function readItems({ items }) {
  if (Array.isArray(items) && items.length >= 1 && items.length <= 1000) return items;
  const ErrorType = items === undefined || items === null ? MissingError : InputError;
  throw new ErrorType("items", "the draw's 1 to 1000 items, in the order they were given", items);
}

async function shuffle(stream, params) {
  const items = [...readItems(params)];
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = await stream.below(i + 1);
    stream.trace({ step: "swap", i, j });
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}

async function pick(stream, params) {
  const items = readItems(params);
  const weights = params.weights ?? null;
  const index = await (weights === null ? stream.below(items.length) : weightedIndex(stream, weights, items.length));
  return { outcome: items[index], index };
}

async function weightedIndex(stream, weights, count) {
  if (!Array.isArray(weights) || weights.length !== count) {
    throw new InputError("weights", `one weight for each of the ${count} items`, weights);
  }
  let total = 0;
  for (const weight of weights) total += double(weight, "weights", (w) => w >= 0, "finite numbers from 0 up");
  double(total, "weights", (sum) => sum > 0, "weights with a finite sum above 0");
  const x = (await stream.float53()) * total;
  stream.trace({ step: "weighted", total, x });
  let reached = 0;
  let last = 0;
  for (const [i, weight] of weights.entries()) {
    reached += weight;
    if (weight > 0) {
      if (x < reached) return i;
      last = i;
    }
  }
  return last;
}

async function gaussian(stream, params) {
  const count = integer(params, "count", 1, 100);
  switch (params.distribution) {
    case "normal": {
      const mean = double(params.mean, "mean", () => true, "a finite number");
      return normal(stream, count, mean, positive(params, "stddev"));
    }
    case "exponential": {
      const lambda = positive(params, "lambda");
      return repeat(count, async () => -log(1 - (await stream.float53())) / lambda);
    }
    case "poisson": {
      const lambda = positive(params, "lambda", 100);
      return repeat(count, () => poisson(stream, lambda));
    }
  }
  throw new InputError("distribution", "normal, exponential or poisson", params.distribution);
}

/** Marsaglia's polar method: a point in the unit disc gives two samples. */
async function normal(stream, count, mean, stddev) {
  const samples = [];
  while (samples.length < count) {
    const u = 2 * (await stream.float53()) - 1;
    const v = 2 * (await stream.float53()) - 1;
    const q = u * u + v * v;
    const accepted = q > 0 && q < 1;
    stream.trace({ step: "polar", u, v, q, accepted });
    if (accepted) {
      const f = Math.sqrt(-2 * log(q) / q); // ECMAScript's square root is IEEE-754's, correctly rounded
      samples.push(mean + stddev * (u * f), mean + stddev * (v * f));
    }
  }
  return samples.slice(0, count);
}

async function poisson(stream, lambda) {
  const u = await stream.float53();
  let p = exp(-lambda);
  let c = p;
  let k = 0;
  while (u >= c && k < 1000) {
    k += 1;
    p = p * lambda / k;
    c += p;
  }
  return k;
}

/** A trace, which may be an array to append to, as a function. */
const stepper = (trace = () => {}) => (Array.isArray(trace) ? (made) => trace.push(made) : trace);

const GENERATORS = new Map(Object.entries({ floats, ints, bytes: byteString, dice, shuffle, pick, gaussian, sample }));
const SERVER_SEED = [/^[0-9a-fA-F]{64}$/, "64 hex digits"];

/**
 * The outcome that these inputs give, in the shape the API answers it: an array (floats, ints, gaussian,
 * sample, shuffle), a string (bytes), {outcome, index} (pick) or {notation, rolls, modifier, total} (dice).
 *
 * `trace` is an array to append the steps to, or a function called with each. A step is {step, …}:
 * serverHash, start, block, word, float32, float53, below, rejected, bytes, swap, weighted, polar, value.
 * Rejects with InputError if an input is one no draw can have.
 */
export async function derive(inputs, trace = undefined) {
  const { endpoint, serverSeed, clientSeed, params } = inputs;
  const step = stepper(trace);
  string(inputs, "serverSeed", ...SERVER_SEED);
  utf8(string(inputs, "clientSeed"), "clientSeed");
  const nonce = integer(inputs, "nonce", 0, MAX_SAFE);
  const cursor = integer(inputs, "cursor", 0, MAX_SAFE);
  const generator = GENERATORS.get(endpoint);
  if (!generator) throw new InputError("endpoint", "one of " + [...GENERATORS.keys()].join(", "), endpoint);
  step({ step: "serverHash", serverSeed, serverHash: await serverHash(serverSeed) });
  const stream = new Stream(blocks(serverSeed, clientSeed, nonce, cursor, step), step);
  const value = await generator(stream, dictionary(params, "params"));
  step({ step: "value", value });
  return value;
}

// ---------------------------------------------------------------------------------------------------------
// Seed proofs: ECVRF-RISTRETTO255-SHA512 (c2sp.org/vrf-r255), checked.
//
// ristretto255 is RFC 9496's: points of the curve -x² + y² = 1 + d·x²·y² over the integers modulo 2^255 - 19, of
// which several stand for one element; `decode`, `encode` and `element` are its sections 4.3.1, 4.3.2 and 4.3.4.
// Nothing here is secret, so nothing takes care to need the same time for every input.

const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n; // -121665 / 121666
const SQRT_MINUS_ONE = 19681161376707505956807079304988542015446066515923890162744021073123829784752n;
const SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235n; // a = -1
const INVERSE_SQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578n;
const IDENTITY = [0n, 1n, 1n, 0n]; // a point is [x·z, y·z, z, x·y·z]
const GENERATOR = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";
const SUITE = [0xff, ...new TextEncoder().encode("c2sp.org/vrf-r255")];

const isOdd = (x) => (x & 1n) === 1n;
/** x modulo P, from 0 up: `%` takes the sign of x. */
const mod = (x) => ((x %= P), x < 0n ? x + P : x);
/** Of x and -x the even one: what counts as not negative. */
const magnitude = (x) => (isOdd(x) ? P - x : x);

function littleEndian(bytes) {
  return BigInt("0x" + hex(Uint8Array.from(bytes).reverse()));
}

function square(x, times) {
  for (let i = 0; i < times; i += 1) x = (x * x) % P;
  return x;
}

/** x^((P - 5) / 8) = x^(2^252 - 3): ones are strung together, 2^a - 1 and 2^b - 1 to 2^(a+b) - 1. */
function power(x) {
  const ones = { 1: x };
  for (const [a, b] of [[1, 1], [2, 2], [4, 1], [5, 5], [10, 10], [20, 20], [40, 10], [50, 50], [100, 100], [200, 50]]) {
    ones[a + b] = (square(ones[a], b) * ones[b]) % P;
  }
  return (square(ones[250], 2) * x) % P;
}

/** [true, √(u/v)], or [false, √(√-1 · u/v)] where there is none. */
function squareRootOfRatio(u, v) {
  const cube = mod(v * v * v);
  let r = mod(u * cube * power(mod(u * cube * cube * v)));
  const check = mod(v * r * r);
  const minus = mod(-u);
  if (check === minus || check === mod(minus * SQRT_MINUS_ONE)) r = mod(r * SQRT_MINUS_ONE);
  return [check === mod(u) || check === minus, magnitude(r)];
}

/** The point that 32 bytes stand for; undefined if they are no element's one encoding. */
function decode(bytes) {
  const s = littleEndian(bytes);
  if (s >= P || isOdd(s)) return undefined;
  const u1 = mod(1n - s * s);
  const u2 = mod(1n + s * s);
  const v = mod(-D * u1 * u1 - u2 * u2);
  const [isSquare, root] = squareRootOfRatio(1n, mod(v * u2 * u2));
  const x = magnitude(mod(2n * s * root * u2));
  const y = mod(mod(u1 * root * root) * u2 * v);
  const t = mod(x * y);
  return isSquare && !isOdd(t) && y !== 0n ? [x, y, 1n, t] : undefined;
}

function encode([x, y, z, t]) {
  const u1 = mod((z + y) * (z - y));
  const u2 = mod(x * y);
  const [, root] = squareRootOfRatio(1n, mod(u1 * u2 * u2));
  const den1 = mod(root * u1);
  const den2 = mod(root * u2);
  const inverse = mod(den1 * den2 * t); // of z
  let den = den2;
  if (isOdd(mod(t * inverse))) {
    [x, y, den] = [mod(y * SQRT_MINUS_ONE), mod(x * SQRT_MINUS_ONE), mod(den1 * INVERSE_SQRT_A_MINUS_D)];
  }
  if (isOdd(mod(x * inverse))) y = -y;
  const s = magnitude(mod(den * (z - y)));
  return unhex(s.toString(16).padStart(64, "0")).reverse();
}

/** The element that 64 bytes are mapped to. */
function element(hashed) {
  const mapped = (half) => {
    const t = mod(BigInt.asUintN(255, littleEndian(half)));
    const r = mod(SQRT_MINUS_ONE * t * t);
    const u = mod((r + 1n) * (1n - D * D));
    const v = mod((-1n - r * D) * (r + D));
    let [isSquare, s] = squareRootOfRatio(u, v);
    let c = -1n;
    if (!isSquare) [s, c] = [-magnitude(mod(s * t)), r];
    const n = mod(mod(c * (r - 1n)) * (D - 1n) * (D - 1n) - v);
    const [w0, w1, w2, w3] = [mod(2n * s * v), mod(n * SQRT_AD_MINUS_ONE), mod(1n - s * s), mod(1n + s * s)];
    return [mod(w0 * w3), mod(w2 * w1), mod(w1 * w3), mod(w0 * w2)];
  };
  return add(mapped(hashed.subarray(0, 32)), mapped(hashed.subarray(32)));
}

function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = (y1 - x1) * (y2 - x2);
  const b = (y1 + x1) * (y2 + x2);
  const c = ((t1 * t2) % P) * 2n * D;
  const d = 2n * z1 * z2;
  const [e, f, g, h] = [(b - a) % P, (d - c) % P, (d + c) % P, (b + a) % P];
  return [(e * f) % P, (g * h) % P, (f * g) % P, (e * h) % P];
}

function doubled([x, y, z]) {
  const a = x * x;
  const b = y * y;
  const h = (a + b) % P;
  const g = (a - b) % P;
  const e = (h - (x + y) ** 2n) % P;
  const f = (2n * z * z + g) % P;
  return [(e * f) % P, (g * h) % P, (f * g) % P, (e * h) % P];
}

/** m·p - n·q, by the digits of both numbers at once, four bits at a time. */
function combine(m, p, n, [x, y, z, t]) {
  const multiples = (point) => {
    const made = [IDENTITY, point];
    while (made.length < 16) made.push(add(made.at(-1), point));
    return made;
  };
  const sides = [[m, multiples(p)], [n, multiples([-x, y, z, -t])]];
  let total = IDENTITY;
  for (let shift = 252n; shift >= 0n; shift -= 4n) {
    if (total !== IDENTITY) total = doubled(doubled(doubled(doubled(total))));
    for (const [number, made] of sides) {
      const digit = Number((number >> shift) & 15n);
      if (digit > 0) total = add(total, made[digit]);
    }
  }
  return total;
}

async function sha512(...parts) {
  const message = Uint8Array.from(parts.flatMap((part) => [...part]));
  return new Uint8Array(await (await subtle()).digest("SHA-512", message));
}

/** What goes into the function: four lines, each with its line feed, and the client seed. */
function seedInput({ scope, era, epoch }, clientSeed) {
  return Uint8Array.from([...utf8(`fairdraw/seed/v1\n${scope}\n${era}\n${epoch}\n`), ...clientSeed]);
}

/** An 80-byte proof, read; throws an InputError with the reason if it cannot be read. */
class VRFProof {
  constructor(written, label) {
    const bytes = unhex(written);
    this.gamma = bytes.subarray(0, 32);
    this.challenge = bytes.subarray(32, 48);
    this.response = littleEndian(bytes.subarray(48));
    this.point = decode(this.gamma);
    const refuse = (which) => {
      throw new InputError(label, `80 bytes that ${which}`, written);
    };
    if (!this.point) refuse("begin with the canonical encoding of a ristretto255 element");
    if (this.gamma.every((byte) => byte === 0)) refuse("do not begin with the identity element");
    if (this.response >= ORDER) refuse("end with a number below the order of the group");
  }

  output() {
    return sha512(SUITE, [3], this.gamma, [0]);
  }

  /** Whether the output is the one that the key gives for the input alpha. */
  async isValid(publicKey, alpha) {
    const h = element(await sha512(SUITE, [0x82], publicKey, alpha));
    const c = littleEndian(this.challenge);
    const u = combine(this.response, decode(unhex(GENERATOR)), c, decode(publicKey));
    const v = combine(this.response, h, c, this.point);
    const digest = await sha512(SUITE, [2], publicKey, encode(h), this.gamma, encode(u), encode(v), [0]);
    return hex(digest.subarray(0, 16)) === hex(this.challenge);
  }
}

// ---------------------------------------------------------------------------------------------------------
// Checks

/** Whether two parsed JSON values are equal: numbers as doubles, object members in any order. */
export function sameJSON(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJSON(a[key], b[key]));
}

class Checks {
  checks = [];

  same(name, expected, actual) {
    const ok = sameJSON(expected, actual);
    this.checks.push({ name, ok, expected, actual });
    return ok;
  }

  refuse(error) {
    if (!(error instanceof InputError)) throw error;
    const ok = error instanceof MissingError ? null : false;
    this.checks.push({ name: error.parameter, ok, expected: error.expected, actual: error.actual });
  }

  report() {
    return { ok: this.checks.every((check) => check.ok === true), checks: this.checks };
  }
}

/** The outcome in an entry of a batch's results or of an account's export, with the items that stand beside it. */
export function unwrapped(record) {
  const { endpoint, outcome, items } = record;
  if (endpoint !== undefined || typeof outcome?.endpoint !== "string") return record;
  return items === undefined ? outcome : { ...outcome, items };
}

/**
 * Checks a draw's JSON, as the API answered it, against its server seed; and its seedProof, if it has one, against
 * `seedKey`, as checkSeedProof() does.
 *
 * A shuffle or a pick needs `items`, in the order they were given to the draw, unless the outcome has them.
 * Resolves to {ok, checks}, a check being {name, ok, expected, actual}: `expected` is what the seed gives, `actual`
 * what the outcome says. An input that no draw can have had is a failed check with that input's name. If the items
 * are missing, their check's `ok` is null: nothing failed, but the values cannot be checked, and the report is not ok.
 */
export async function verify(outcome, serverSeed, items = undefined, trace = undefined, seedKey = undefined) {
  const checks = new Checks();
  try {
    const { endpoint, outcome: claimed, clientSeed, nonce, cursor } = dictionary(outcome, "outcome");
    string({ serverSeed }, "serverSeed", ...SERVER_SEED);
    const small = serverSeed.toLowerCase();
    if ((await serverHash(small)) === outcome.serverHash) serverSeed = small; // the seed is its characters
    checks.same("serverHash", await serverHash(serverSeed), outcome.serverHash);
    if (outcome.seedProof !== undefined || seedKey !== undefined) {
      await addSeedProof(checks, outcome, serverSeed, seedKey, stepper(trace)).catch((error) => checks.refuse(error));
    }

    let params = outcome;
    if (endpoint === "dice") params = { notation: dictionary(claimed, "outcome").notation };
    else if (endpoint === "shuffle" || endpoint === "pick") params = { items: items ?? outcome.items, weights: outcome.weights };
    const value = await derive({ endpoint, serverSeed, clientSeed, nonce, cursor, params }, trace);

    if (endpoint === "dice") {
      for (const [name, expected] of Object.entries(value)) checks.same(`outcome.${name}`, expected, claimed[name]);
      const { dice: count, sides, modifier } = parseNotation(value.notation);
      checks.same("sides", sides, outcome.sides);
      checks.same("modifier", modifier, outcome.modifier);
      checks.same("count", count, outcome.count);
    } else if (endpoint === "pick") {
      checks.same("outcome", value.outcome, claimed);
      checks.same("index", value.index, outcome.index);
      checks.same("count", 1, outcome.count);
    } else {
      checks.same("outcome", value, claimed);
      if (endpoint === "shuffle") checks.same("count", value.length, outcome.count);
    }
  } catch (error) {
    checks.refuse(error);
  }
  return checks.report();
}

const NEARBY = 8; // how far around a wrong number it is looked for what a proof may be for

function readPublicKey(source, name, label) {
  const expected = "64 hex digits, the canonical encoding of a ristretto255 element other than the identity";
  const key = unhex(string(source, name, /^[0-9a-fA-F]{64}$/, expected, label));
  if (decode(key) && key.some((byte) => byte !== 0)) return key;
  throw new InputError(label, expected, source[name]);
}

function readScope(proof) {
  const expected = "anonymous, or account: and the account's number";
  const scope = string(proof, "scope", /^(anonymous|account:[1-9][0-9]{0,15})$/, expected, "seedProof.scope");
  if (scope === "anonymous" || Number(scope.slice(8)) <= MAX_SAFE) return scope;
  throw new InputError("seedProof.scope", expected, scope);
}

/** [member, inputs]: what differs from these inputs in one member only, and not by much. */
function* nearby(inputs) {
  function* around(number, low = 0) {
    const last = Math.min(number + NEARBY, MAX_SAFE); // beyond it, n + 1 may be n
    for (let n = Math.max(low, number - NEARBY); n <= last; n += 1) if (n !== number) yield n;
  }
  for (const epoch of around(inputs.epoch)) yield ["epoch", { ...inputs, epoch }];
  for (const era of around(inputs.era)) yield ["era", { ...inputs, era }];
  const isAnonymous = inputs.scope === "anonymous";
  if (!isAnonymous) yield ["scope", { ...inputs, scope: "anonymous" }];
  for (const number of around(isAnonymous ? 0 : Number(inputs.scope.slice(8)), 1)) {
    yield ["scope", { ...inputs, scope: `account:${number}` }];
  }
}

/** Checks that the record's seedProof shows the server seed to be the only one its chain could have had. */
async function addSeedProof(checks, record, serverSeed, seedKey, trace) {
  const proof = dictionary(record.seedProof, "seedProof");
  const clientSeed = utf8(string(record, "clientSeed"), "clientSeed");
  string(proof, "suite", /^vrf-r255$/, "vrf-r255", "seedProof.suite");
  const key = readPublicKey(proof, "publicKey", "seedProof.publicKey");
  const scope = readScope(proof);
  const [era, epoch] = ["era", "epoch"].map((name) => integer(proof, name, 0, MAX_SAFE, `seedProof.${name}`));
  const written = string(proof, "proof", /^[0-9a-fA-F]{160}$/, "160 hex digits", "seedProof.proof");
  const vrf = new VRFProof(written, "seedProof.proof");

  if (seedKey !== undefined) {
    const trusted = readPublicKey({ seedKey }, "seedKey", "seedKey");
    if (!checks.same("seedProof.publicKey", hex(trusted), hex(key))) return;
  }
  const inputs = { scope, era, epoch };
  const alpha = seedInput(inputs, clientSeed);
  const output = hex(await vrf.output());
  trace({ step: "seedProof", publicKey: hex(key), alpha: hex(alpha), output });
  if (!(await vrf.isValid(key, alpha))) {
    for (const [name, other] of nearby(inputs)) {
      if (await vrf.isValid(key, seedInput(other, clientSeed))) {
        checks.same(`seedProof.${name}`, other[name], proof[name]);
        return;
      }
    }
    let expected = "a proof for this publicKey, scope, era, epoch and clientSeed";
    if (output.slice(0, 64) === serverSeed) expected += "; its output is the server seed, so one of those five is wrong";
    throw new InputError("seedProof.proof", expected, written);
  }
  checks.same("seedProof", output.slice(0, 64), serverSeed);
}

/** Of a rotation's answer, the seed that it revealed, with the client seed; any other object as it is. */
function revealedSeed(record) {
  const { outcome, revealed, clientSeed } = record;
  return outcome === undefined && isObject(revealed) ? { ...revealed, clientSeed } : record;
}

/**
 * Checks that a revealed seed is the only one that its chain could have had. Resolves to what verify() resolves to.
 *
 * `record` is a rotation's answer, or has clientSeed, serverHash, seedProof and, unless it is given, serverSeed. A
 * proof brings its own key along, so it proves something only against a key from elsewhere: give that as `seedKey`.
 */
export async function checkSeedProof(record, { serverSeed, seedKey, trace } = {}) {
  const step = stepper(trace);
  const checks = new Checks();
  try {
    const told = revealedSeed(dictionary(record, "record"));
    const seed = serverSeed ?? told.serverSeed;
    string({ serverSeed: seed }, "serverSeed", ...SERVER_SEED);
    checks.same("serverHash", await serverHash(seed), told.serverHash);
    await addSeedProof(checks, told, seed, seedKey, step);
  } catch (error) {
    checks.refuse(error);
  }
  return checks.report();
}

/** SHA256(0x00 ‖ canonical) in hex, canonical being clientSeed:cursor:nonce|serverHash|clientSeed|created. */
export async function merkleLeaf(canonical) {
  return sha256(Uint8Array.from([0, ...utf8(canonical, "canonical")]));
}

async function merkleNode(left, right) {
  return sha256(Uint8Array.from([1, ...unhex(left), ...unhex(right)]));
}

/**
 * Checks that a proof leads from its leaf to its root, by the one path its index and leaf count allow.
 *
 * A proof brings its own root along, so it proves something only against a root from elsewhere: give that as
 * `root`. Given the `outcome`, the leaf must be that outcome's. Resolves to what verify() resolves to.
 *
 * `trace` is an array or a function as for derive(). The steps are leaf {canonical, hash}, then from the leaf up
 * node {position, sibling, hash}: where the sibling stands, its hash, and the hash of the two together.
 */
export async function checkProof(proof, { root, outcome, trace } = {}) {
  const step = stepper(trace);
  const checks = new Checks();
  try {
    const leaf = dictionary(dictionary(proof, "proof").leaf, "leaf");
    const clientSeed = string(leaf, "clientSeed", undefined, undefined, "leaf.clientSeed");
    const outcomeId = string(leaf, "outcomeId", undefined, "clientSeed:cursor:nonce", "leaf.outcomeId");
    if (!outcomeId.startsWith(clientSeed) || !/^:[0-9]+:[0-9]+$/.test(outcomeId.slice(clientSeed.length))) {
      throw new InputError("leaf.outcomeId", "clientSeed:cursor:nonce", outcomeId);
    }
    const created = integer(leaf, "timestamp", 0, MAX_SAFE, "leaf.timestamp");
    const canonical = `${outcomeId}|${hexHash(leaf, "serverHash", "leaf.serverHash")}|${clientSeed}|${created}`;
    let node = await merkleLeaf(canonical);
    step({ step: "leaf", canonical, hash: node });
    checks.same("outcomeId", outcomeId, proof.outcomeId);
    checks.same("leaf.canonical", canonical, leaf.canonical);
    checks.same("leaf.hash", node, leaf.hash);
    if (outcome !== undefined) {
      const drawn = string(dictionary(outcome, "outcome"), "clientSeed");
      const [cursor, nonce, at] = ["cursor", "nonce", "created"].map((name) => integer(outcome, name, 0, MAX_SAFE));
      const expected = `${drawn}:${cursor}:${nonce}|${hexHash(outcome, "serverHash")}|${drawn}|${at}`;
      checks.same("leaf of the outcome", expected, canonical);
    }

    let width = integer(proof, "leafCount", 1, MAX_SAFE);
    let index = integer(proof, "index", 0, width - 1);
    const { siblings } = proof;
    if (!Array.isArray(siblings)) throw new InputError("siblings", "a list", siblings);
    const path = []; // the sibling's position, and whether it repeats the last node of an odd level; leaf to root
    while (width > 1) {
      path.push(index % 2 === 1 ? { position: "left" } : { position: "right", repeated: index === width - 1 });
      index = Math.floor(index / 2);
      width = Math.ceil(width / 2);
    }
    checks.same("treeHeight", path.length, proof.treeHeight);
    if (checks.same("siblings", path.map((step) => step.position), siblings.map((sibling) => sibling?.position))) {
      for (const [level, { position, repeated }] of path.entries()) {
        const label = `siblings[${level}].hash`;
        const sibling = hexHash(siblings[level], "hash", label);
        if (repeated) checks.same(label, node, sibling);
        else if (position === "left" && sibling === node) {
          throw new InputError(label, "another node than the one beside it", sibling);
        }
        node = position === "left" ? await merkleNode(sibling, node) : await merkleNode(node, sibling);
        step({ step: "node", position, sibling, hash: node });
      }
      checks.same("root", node, proof.root);
      if (root !== undefined) checks.same("published root", node, root);
    }
  } catch (error) {
    checks.refuse(error);
  }
  return checks.report();
}

// ---------------------------------------------------------------------------------------------------------
// Command line, under Node only

const USAGE = `usage: fairdraw-verify.js [outcome.json] [options]

Checks a Fairdraw outcome, a revealed seed's proof, a Merkle proof. - reads standard input.

  outcome.json       the draw's JSON, or a rotation's
  --server-seed HEX  the revealed seed (default: the outcome's own)
  --items FILE       JSON array: the items given to a shuffle or a pick (default: the outcome's own)
  --seed-key HEX     the server's public key for seeds, as you noted it before
  --proof FILE       the JSON of a Merkle proof
  --root HEX         the root the proof has to lead to
  --trace            print every step of the derivation as a line of JSON

Exit code 0: every check passed. 1: at least one failed. 2: wrong usage, an unreadable file, or missing items.`;

async function main(args) {
  const [{ readFileSync }, { parseArgs }] = await Promise.all([import("node:fs"), import("node:util")]);
  const fail = (message) => {
    console.error(message);
    process.exit(2);
  };
  const text = { type: "string" };
  const flag = { type: "boolean" };
  const help = { ...flag, short: "h" };
  const options = { "server-seed": text, "seed-key": text, items: text, proof: text, root: text, trace: flag, help };
  let values, positionals;
  try {
    ({ values, positionals } = parseArgs({ args, options, allowPositionals: true }));
  } catch (error) {
    fail(`${error.message}\n\n${USAGE}`);
  }
  if (values.help) return console.log(USAGE);
  if (positionals.length > 1) fail("One outcome at a time.");
  const [path] = positionals;
  if (!path && !values.proof) fail(USAGE);
  if (values.root && !values.proof) fail("--root goes with --proof.");
  const seedKey = values["seed-key"];
  if ((values["server-seed"] || values.items || seedKey !== undefined) && !path) {
    fail("--server-seed, --seed-key and --items go with an outcome.");
  }
  try {
    if (seedKey !== undefined) readPublicKey(values, "seed-key", "--seed-key");
  } catch (error) {
    fail(error.message);
  }

  const readJSON = (file) => {
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file === "-" ? 0 : file)));
    } catch (error) {
      fail(`${file}: ${error.message}`);
    }
  };
  // ASCII only, so that a value cannot speak to the terminal.
  const escape = (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");
  const show = (value) => (JSON.stringify(value) ?? "null").replace(/[^ -~]/g, escape);

  const read = path && readJSON(path);
  if (path && !isObject(read)) fail(`${path} holds no JSON object`);
  const outcome = path && revealedSeed(unwrapped(read));
  const seed = values["server-seed"] ?? outcome?.serverSeed;
  const reports = [];
  if (seed) {
    const trace = values.trace ? (step) => console.log(show(step)) : undefined;
    const isSeedAlone = "seedProof" in outcome && !("endpoint" in outcome) && !("outcome" in outcome);
    reports.push(
      isSeedAlone
        ? await checkSeedProof(outcome, { serverSeed: seed, seedKey, trace })
        : await verify(outcome, seed, values.items && readJSON(values.items), trace, seedKey));
  } else if (!values.proof) {
    fail("Give the --server-seed.");
  }
  if (values.proof) reports.push(await checkProof(readJSON(values.proof), { root: values.root, outcome }));

  for (const { name, ok, expected, actual } of reports.flatMap((report) => report.checks)) {
    console.log(`${ok ? "ok   " : ok === null ? "?    " : "FAIL "} ${name}`);
    if (ok === null) console.log(`      needed:   ${expected}`);
    else if (!ok) console.log(`      computed: ${show(expected)}\n      claimed:  ${show(actual)}`);
    else if (name === "seedProof") {
      console.log("      This is the only server seed that the chain could have had, for the key");
      console.log(`      ${outcome.seedProof.publicKey.toLowerCase()}${seedKey ? "." : ","}`);
      if (!seedKey) {
        console.log("      which the record itself names. Compare it with the one you noted, or give --seed-key.");
      }
    }
  }
  const results = reports.flatMap((report) => report.checks.map((check) => check.ok));
  const [words, code] = results.includes(false) ? ["NOT verified", 1] : results.includes(null) ? ["cannot check", 2] : ["verified", 0];
  console.log(words);
  process.exitCode = code;
}

if (typeof process !== "undefined" && process.argv?.[1]) {
  const [{ realpathSync }, { pathToFileURL }] = await Promise.all([import("node:fs"), import("node:url")]);
  if (import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) await main(process.argv.slice(2));
}
