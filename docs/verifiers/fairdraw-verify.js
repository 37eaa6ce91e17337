#!/usr/bin/env node
/**
 * Recomputes a Fairdraw outcome from the server seed it was drawn with, and checks seed proofs, Merkle proofs, roots
 * and log proofs.
 *
 *     import { derive, verify, checkSeedProof, checkProof } from "./fairdraw-verify.js";      // a browser, or Node 18 or later
 *     node fairdraw-verify.js outcome.json --server-seed HEX [--items items.json]
 *     node fairdraw-verify.js rotation.json [--seed-key HEX]
 *     node fairdraw-verify.js [outcome.json …] --proof proof.json [--root HEX] [--root-key BASE64]
 *     node fairdraw-verify.js root.json --root-key BASE64
 *     node fairdraw-verify.js outcome.json --proof draw.tlog-proof --key VKEY [--policy FILE] [--witness VKEY]
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

/** Bytes in base64, in their one spelling: padded, without line breaks or stray bits; `size` of them, if given. */
function base64Bytes(source, name, size, label = name) {
  const value = source[name];
  try {
    const decoded = atob(value);
    if (btoa(decoded) === value && (size === undefined || decoded.length === size)) {
      return Uint8Array.from(decoded, (unit) => unit.charCodeAt(0));
    }
  } catch {
    // not base64 at all
  }
  throw new InputError(label, size === undefined ? "base64" : `${size} bytes in base64`, value);
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
// Ed25519 (RFC 8032), checked, on the same curve

const BASE = "58" + "66".repeat(31);

/** The point that 32 bytes stand for; undefined if they are no point's one encoding. */
function decompress(bytes) {
  const number = littleEndian(bytes);
  const y = BigInt.asUintN(255, number);
  const sign = number >> 255n;
  const [isSquare, root] = squareRootOfRatio(mod(y * y - 1n), mod(D * y * y + 1n));
  if (y >= P || !isSquare || (root === 0n && sign === 1n)) return undefined;
  const x = sign === 1n ? P - root : root;
  return [x, y, 1n, mod(x * y)];
}

function compress([x, y, z]) {
  const inverse = mod(square(power(z), 3) * z * z * z); // z^(P - 2)
  const number = mod(y * inverse) | ((mod(x * inverse) & 1n) << 255n);
  return unhex(number.toString(16).padStart(64, "0")).reverse();
}

/**
 * Whether a signature of 64 bytes is the public key's over the message.
 *
 * The equation is S·B = R + k·A, without the cofactor: S·B - k·A must have R as its encoding, bit for bit. S must be
 * below the group's order. The public key A must be encoded canonically and not be of small order, for which one
 * signature would hold for many messages.
 */
export async function verifyEd25519(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  const key = decompress(publicKey);
  if (!key || s >= ORDER || doubled(doubled(doubled(key)))[0] === 0n) return false;
  const k = littleEndian(await sha512(r, publicKey, message)) % ORDER;
  return hex(compress(combine(s, decompress(unhex(BASE)), k, key))) === hex(r);
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

  add(name, ok, expected, actual, detail = undefined) {
    this.checks.push({ name, ok, expected, actual, ...(detail !== undefined && { detail }) });
    return ok;
  }

  same(name, expected, actual, detail = undefined) {
    return this.add(name, sameJSON(expected, actual), expected, actual, detail);
  }

  refuse(error) {
    if (!(error instanceof InputError)) throw error;
    this.add(error.parameter, error instanceof MissingError ? null : false, error.expected, error.actual);
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

const readRootKey = (key, label = "rootKey") => base64Bytes({ key }, "key", 32, label);

/** Checks a daily root's signature; a proof has the members of its root. */
async function addRootSignature(checks, record, rootKey) {
  const trusted = readRootKey(rootKey);
  const date = string(record, "date", /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/, "a date, YYYY-MM-DD");
  const previous = string(record, "previousRoot", /^([0-9a-f]{64})?$/, "64 lowercase hex digits, or empty");
  const count = integer(record, "leafCount", 0, MAX_SAFE);
  const root = count > 0 ? hexHash(record, "root") : string(record, "root", /^$/, "empty for a day without outcomes");
  const signature = base64Bytes(record, "signature", 64);
  const signed = `${date}|${root}|${count}|${previous}`;
  const ok = await verifyEd25519(trusted, utf8(signed), signature);
  checks.add("signature", ok, `the signature of ${rootKey} over ${signed}`, record.signature);
}

/** Checks that a daily root is signed by `key`, the server's public key in base64. Resolves to what verify() resolves to. */
export async function checkRoot(root, key) {
  const checks = new Checks();
  try {
    await addRootSignature(checks, dictionary(root, "root"), key);
  } catch (error) {
    checks.refuse(error);
  }
  return checks.report();
}

/**
 * Checks that a proof leads from its leaf to its root, by the one path its index and leaf count allow.
 *
 * A proof brings its own root along, so it proves something only against a root from elsewhere, or against the key that
 * signs roots: give that as `root` or `rootKey`. Given the `outcome`, the leaf must be that outcome's. Resolves to what
 * verify() resolves to.
 *
 * `trace` is an array or a function as for derive(). The steps are leaf {canonical, hash}, then from the leaf up
 * node {position, sibling, hash}: where the sibling stands, its hash, and the hash of the two together.
 */
export async function checkProof(proof, { root, outcome, trace, rootKey } = {}) {
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
    if (rootKey !== undefined) await addRootSignature(checks, proof, rootKey);
  } catch (error) {
    checks.refuse(error);
  }
  return checks.report();
}

// ---------------------------------------------------------------------------------------------------------
// The continuous log: c2sp.org's tlog-proof, signed-note, tlog-checkpoint, tlog-cosignature and tlog-policy, checked.

const PROOF_BEGINNING = "c2sp.org/tlog-proof@v1";
const DECIMAL = "0|[1-9][0-9]{0,15}";
const MAX_SIGNATURES = 100;
// A key's name has no white space, no control characters and no plus.
const KEY_NAME = "[^\\x00-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000+]+";
// Types of keys. The last is ML-DSA-44: a policy may name it, nothing checks it here.
const [LOG_KEY, WITNESS_KEY, OTHER_WITNESS_KEY] = [1, 4, 6];
const KEY_SIZES = { [LOG_KEY]: 32, [WITNESS_KEY]: 32, [OTHER_WITNESS_KEY]: 1312 };
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]|[^[\]{},:"\s]+/g;

// The canonical text of a draw: this line, then one for each of these, each ended by a line feed.
const TEXT_BEGINNING = "fairdraw/outcome/v1";
const TEXT_LINES =
  "shortId created endpoint serverHash cursor nonce clientSeed items parameters outcome".split(" ");
// The members of an outcome that are no parameters of its draw; the last ones are those that a look-up adds.
const NO_PARAMETERS = new Set((
  "outcome endpoint clientSeed serverHash nonce cursor count created shortId permalink mode serverSeed commitId "
  + "verified reason reasonCode items notation seedProof next").split(" "));

const inBase64 = (bytes) => btoa(String.fromCharCode(...bytes));

/** Text from UTF-8; undefined if the bytes are none. */
function fromUTF8(bytes, options = { fatal: true }) {
  try {
    return new TextDecoder("utf-8", { ...options, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The tokens of a JSON text as they are spelled, without the white space between them. */
function jsonTokens(text, name) {
  try {
    JSON.parse(text);
  } catch {
    throw new InputError(name, "JSON", text);
  }
  return text.match(TOKEN);
}

/** A JSON object's members by name, each as it is spelled. */
function spelledMembers(text, name) {
  const tokens = jsonTokens(text, name);
  if (tokens[0] !== "{") throw new InputError(name, "a JSON object", text);
  const members = new Map();
  let member = null;
  let value = [];
  let depth = 0;
  for (const token of [...tokens.slice(1, -1), ","]) {
    if (depth === 0 && member === null) {
      if (token === ",") break; // only after the last member of none
      member = token.slice(1, -1);
      if (member.includes("\\") || members.has(member)) {
        throw new InputError(name, "a JSON object that names each member once, without escapes", token);
      }
    } else if (depth === 0 && token === ",") {
      members.set(member, value.join(""));
      [member, value] = [null, []];
    } else if (value.length > 0 || token !== ":") {
      if (token === "[" || token === "{") depth += 1;
      if (token === "]" || token === "}") depth -= 1;
      value.push(token);
    }
  }
  return members;
}

/** An outcome's members as they are spelled: what unwrapped() is for parsed JSON. */
function spelledOutcome(text) {
  const record = spelledMembers(text, "outcome");
  const inner = record.get("outcome") ?? "";
  if (record.has("endpoint") || !inner.startsWith("{")) return record;
  const outcome = spelledMembers(inner, "outcome");
  if (!outcome.has("endpoint")) return record;
  return record.has("items") ? outcome.set("items", record.get("items")) : outcome;
}

/** A member that is text; null if there is none. */
function plain(outcome, name) {
  const spelled = outcome.get(name) ?? "";
  return spelled.startsWith('"') ? JSON.parse(spelled) : null;
}

/** The lines that a draw's canonical text must have for this outcome; `items` are their JSON, compact, or null. */
async function textOf(outcome, items) {
  const clientSeed = plain(outcome, "clientSeed");
  const takesItems = ["shuffle", "pick"].includes(plain(outcome, "endpoint"));
  const lines = {};
  for (const name of ["shortId", "endpoint", "serverHash"]) lines[name] = plain(outcome, name);
  for (const name of ["created", "cursor", "nonce", "outcome"]) lines[name] = outcome.get(name) ?? null;
  lines.clientSeed = clientSeed === null ? null : await sha256(utf8(clientSeed, "clientSeed"));
  lines.items = !takesItems ? "" : items === "null" ? null : await sha256(utf8(items, "items"));
  const parameters = [...outcome].filter(([name]) => !NO_PARAMETERS.has(name));
  lines.parameters = `{${parameters.map(([name, spelled]) => `"${name}":${spelled}`).join(",")}}`;
  return lines;
}

/** Checks that a canonical text says what the outcome says. */
async function addText(checks, outcome, items, bytes) {
  const lines = fromUTF8(bytes)?.split("\n") ?? [];
  if (lines.length !== TEXT_LINES.length + 2 || lines[0] !== TEXT_BEGINNING || lines.at(-1) !== "") {
    const expected = `${TEXT_BEGINNING} and ${TEXT_LINES.length} lines, each ended by a line feed`;
    checks.add("text", false, expected, fromUTF8(bytes, {}));
    return;
  }
  const expected = await textOf(outcome, items);
  for (const [at, name] of TEXT_LINES.entries()) {
    const line = lines[at + 1];
    if (name === "items" && expected.items === null && /^[0-9a-f]{64}$/.test(line)) {
      checks.same("text.items", line, line, "by its hash only, since the items are not given");
    } else checks.same(`text.${name}`, expected[name], line);
  }
}

/** Checks what the text does not say because the values do: how many they are, and that the draw was a live one. */
function addImplied(checks, outcome) {
  const endpoint = plain(outcome, "endpoint");
  const value = JSON.parse(outcome.get("outcome") ?? "null");
  let count = null;
  if (endpoint === "pick") count = 1;
  else if (endpoint === "bytes" && typeof value === "string") {
    const isHex = plain(outcome, "encoding") === "hex";
    count = isHex ? Math.floor(value.length / 2) : Math.floor(value.length / 4) * 3 - (value.split("=").length - 1);
  } else if (endpoint === "dice" && isObject(value) && Array.isArray(value.rolls)) count = value.rolls.length;
  else if (Array.isArray(value)) count = value.length;
  checks.same("count", count === null ? null : String(count), outcome.get("count") ?? null);
  checks.same("mode", "live", plain(outcome, "mode"));
}

/** A key as signed-note spells it: name+hash+base64. */
class NoteKey {
  static async read(vkey, label, types) {
    const expected = `a key, name+hash+base64, of the type 0x0${types[0]}`;
    const match = new RegExp(`^(${KEY_NAME})\\+([0-9a-f]{8})\\+(.+)$`, "u").exec(typeof vkey === "string" ? vkey : "");
    if (!match) throw new InputError(label, expected, vkey);
    const material = base64Bytes({ key: match[3] }, "key", undefined, label);
    const id = (await sha256(Uint8Array.from([...utf8(match[1], label), 10, ...material]))).slice(0, 8);
    const [type] = material;
    if (!types.includes(type) || material.length !== 1 + KEY_SIZES[type]) throw new InputError(label, expected, vkey);
    if (id !== match[2]) {
      throw new InputError(label, `a key whose hash is that of its name and base64, ${id}`, vkey);
    }
    const [, name] = match;
    return Object.assign(new NoteKey(), { name, id, type, key: material.subarray(1), label: `${name}+${id}` });
  }

  isSameKey(other) {
    return hex(this.key) === hex(other.key);
  }
}

const readLogKey = (vkey, label = "key") => NoteKey.read(vkey, label, [LOG_KEY]);
const readWitnessKey = (vkey, label = "witness") => NoteKey.read(vkey, label, [WITNESS_KEY]);

/** Whether a key is there twice. */
const hasRepeated = (keys) => new Set(keys.map(({ key }) => hex(key))).size < keys.length;

/** A tlog-policy, read: its logs, its witnesses by name, its groups in order, its quorum. */
class Policy {
  logs = [];
  witnesses = new Map();
  groups = new Map();
  members = new Set(); // of any group
  quorum = null;

  static async read(text) {
    const policy = new Policy();
    for (const [at, line] of (typeof text === "string" ? text : "").split("\n").entries()) {
      const label = `policy, line ${at + 1}`;
      const words = line.split(/[ \t]+/).filter((word) => word !== "");
      if (/[\x00-\x08\x0b-\x1f\x7f]/.test(line) || !(await policy.take(words, label))) {
        throw new InputError(label, "a line of a tlog-policy", line);
      }
    }
    if (policy.quorum === null) throw new InputError("policy", "a tlog-policy with a line for its quorum", text);
    return policy;
  }

  /** Takes in one line; false if it is none of a policy. */
  async take([kind = "#", ...words], label) {
    if (kind.startsWith("#")) return true;
    const [name] = words;
    if (kind === "log" && (words.length === 1 || words.length === 2)) {
      this.logs.push(await readLogKey(name, label));
      return !hasRepeated(this.logs);
    }
    if (kind === "witness" && (words.length === 2 || words.length === 3) && this.isNew(name)) {
      this.witnesses.set(name, await NoteKey.read(words[1], label, [WITNESS_KEY, OTHER_WITNESS_KEY]));
      return !hasRepeated([...this.witnesses.values()]);
    }
    if (kind === "group" && words.length >= 3 && this.isNew(name)) {
      const members = words.slice(2);
      const threshold = { any: "1", all: String(members.length) }[words[1]] ?? words[1];
      if (!/^[1-9][0-9]{0,8}$/.test(threshold) || Number(threshold) > members.length) return false;
      if (new Set(members).size < members.length) return false;
      if (members.some((one) => this.isNew(one) || one === "none" || this.members.has(one))) return false;
      for (const member of members) this.members.add(member);
      this.groups.set(name, { threshold: Number(threshold), members });
      return true;
    }
    if (kind === "quorum" && words.length === 1 && this.quorum === null) {
      this.quorum = name;
      return name === "none" || !this.isNew(name);
    }
    return false;
  }

  isNew(name) {
    return name !== "none" && !this.witnesses.has(name) && !this.groups.has(name);
  }

  /** Checks that those who cosigned are enough. */
  addQuorum(checks, cosigned) {
    const witnessed = new Set(cosigned);
    for (const [name, { threshold, members }] of this.groups) {
      if (members.filter((member) => witnessed.has(member)).length >= threshold) witnessed.add(name);
    }
    if (this.quorum === "none") {
      checks.same("quorum", "none", "none", "the policy wants no cosignatures");
      return;
    }
    const group = this.groups.get(this.quorum);
    const expected = this.quorum + (group ? `: ${group.threshold} of ${group.members.join(", ")}` : "");
    checks.add("quorum", witnessed.has(this.quorum), expected, cosigned, cosigned.join(", "));
  }
}

/** A signed note, read. */
class Note {
  constructor(text, label) {
    const expected = `a signed note: text, an empty line, 1 to ${MAX_SIGNATURES} lines of signatures`;
    const gap = text.lastIndexOf("\n\n");
    const lines = text.slice(gap + 2).split("\n");
    const isWhole = gap >= 0 && lines.pop() === "" && lines.length >= 1 && lines.length <= MAX_SIGNATURES;
    if (!isWhole || /[\x00-\x09\x0b-\x1f]/.test(text)) throw new InputError(label, expected, text);
    this.body = text.slice(0, gap);
    this.signed = utf8(this.body + "\n", label);
    this.signatures = lines.map((line) => {
      const match = new RegExp(`^\u2014 (${KEY_NAME}) ([A-Za-z0-9+/=]+)$`, "u").exec(line);
      const bytes = match && base64Bytes({ signature: match[2] }, "signature", undefined, label);
      if (!match || bytes.length < 5) throw new InputError(label, expected, line);
      return { name: match[1], id: hex(bytes.subarray(0, 4)), signature: bytes.subarray(4) };
    });
  }

  of(key) {
    return this.signatures.filter(({ name, id }) => name === key.name && id === key.id).map(({ signature }) => signature);
  }

  signers() {
    return this.signatures.map(({ name, id }) => `${name}+${id}`);
  }

  isSigned({ key }, signature) {
    return verifyEd25519(key, this.signed, signature);
  }

  /** When a witness says that it signed, in seconds since 1970; undefined if the cosignature does not hold. */
  async cosignedAt({ key }, signature) {
    const time = BigInt("0x" + hex(signature.subarray(0, 8)));
    const message = Uint8Array.from([...utf8(`cosignature/v1\ntime ${time}\n`), ...this.signed]);
    return time < 2n ** 63n && (await verifyEd25519(key, message, signature.subarray(8))) ? time : undefined;
  }
}

/** A tlog-proof, read: the extra text, the index, the path's hashes, the checkpoint. */
class LogProof {
  constructor(written) {
    const text = typeof written === "string" ? written : "";
    const gap = text.indexOf("\n\n");
    const [beginning, ...lines] = text.slice(0, Math.max(gap, 0)).split("\n");
    if (beginning !== PROOF_BEGINNING) {
      throw new InputError("proof", `a tlog-proof: the line ${PROOF_BEGINNING}, …, an empty line, a checkpoint`, written);
    }
    const extra = lines[0]?.startsWith("extra ") ? lines.shift().slice(6) : null;
    this.text = base64Bytes({ extra }, "extra");
    const index = lines.shift() ?? null;
    const number = Number(new RegExp(`^index (${DECIMAL})$`).exec(index ?? "")?.[1] ?? NaN);
    if (!Number.isSafeInteger(number)) throw new InputError("index", "a line index and a number", index);
    this.index = number;
    this.path = lines.map((hash, level) => base64Bytes({ hash }, "hash", 32, `path[${level}]`));
    const note = text.slice(gap + 2);
    this.note = new Note(note, "checkpoint");
    const [origin, size = "", root = "", ...more] = this.note.body.split("\n");
    this.size = Number(new RegExp(`^(${DECIMAL})$`).exec(size)?.[1] ?? NaN);
    if (!Number.isSafeInteger(this.size) || origin === "" || more.includes("")) {
      throw new InputError("checkpoint", "an origin, a size and a root, each on a line", note);
    }
    this.origin = origin;
    this.root = base64Bytes({ root }, "root", 32, "checkpoint");
  }
}

/** Where the siblings stand, from an entry up to the root. The last node of a level may have none: it moves up. */
function pathSides(index, size) {
  const sides = [];
  for (let last = size - 1; last > 0; last = Math.floor(last / 2)) {
    if (index % 2 === 1) sides.push("left");
    else if (index < last) sides.push("right");
    index = Math.floor(index / 2);
  }
  return sides;
}

/** Checks that the entry is in the checkpoint's tree, by the one path that its index and the size allow. */
async function addPath(checks, { index, size, path, root }, entry) {
  if (index >= size) throw new InputError("index", `below the checkpoint's size, ${size}`, index);
  const sides = pathSides(index, size);
  if (!checks.same("path", sides.length, path.length, `index ${index} of ${size} entries`)) return;
  let node = await sha256(Uint8Array.from([0, ...utf8(entry)]));
  for (const [level, side] of sides.entries()) {
    const sibling = hex(path[level]);
    node = await (side === "left" ? merkleNode(sibling, node) : merkleNode(node, sibling));
  }
  const told = inBase64(root);
  checks.same("root", inBase64(unhex(node)), told, told);
}

/** Checks that one of these logs signed the checkpoint, and none of them wrongly. */
async function addLogSignature(checks, { note, origin }, given) {
  const names = [...new Set(given.map(({ name }) => name))].sort();
  checks.add("origin", names.includes(origin), names.length === 1 ? names[0] : names, origin, origin);
  const own = given.filter(({ name }) => name === origin);
  const logs = own.length > 0 ? own : given;
  const results = [];
  for (const log of logs) {
    for (const signature of note.of(log)) results.push([log.label, await note.isSigned(log, signature)]);
  }
  const ok = results.length > 0 && results.every(([, holds]) => holds);
  const actual = results.length > 0
    ? results.map(([label, holds]) => label + (holds ? "" : ", a signature that does not hold"))
    : note.signers().map((signer) => `not by this key, but by ${signer}`);
  checks.add("signature", ok, logs.map(({ label }) => label), actual, results.map(([label]) => label).join(", "));
}

function timeText(seconds) {
  if (seconds >= 253402300800n) return `${seconds} s after 1970`; // from the year 10000 on
  return new Date(Number(seconds) * 1000).toISOString().replace(".000", "");
}

/** Checks the cosignatures of these witnesses; resolves to the names of those who cosigned. */
async function addCosignatures(checks, { note }, witnesses, required) {
  const cosigned = [];
  for (const [name, key] of witnesses) {
    const label = `witness ${name}`;
    const times = [];
    const found = key.type === WITNESS_KEY ? note.of(key) : [];
    for (const signature of found) times.push(await note.cosignedAt(key, signature));
    if (times.length > 0 && !times.includes(undefined)) {
      cosigned.push(name);
      const latest = times.reduce((one, other) => (one > other ? one : other));
      checks.same(label, key.label, key.label, `cosigned at ${timeText(latest)}`);
    } else if (times.length > 0) {
      checks.add(label, false, key.label, `${key.label}, a cosignature that does not hold`);
    } else if (required.some((one) => one.isSameKey(key))) {
      checks.add(label, false, key.label, note.signers().map((signer) => `not by this key, but by ${signer}`));
    }
  }
  return cosigned;
}

/**
 * Checks that a draw stands in the log: `outcome` and `proof` are texts, as the server answered them.
 *
 * `key` is the log's key as you noted it, name+hash+base64; `policy` the text of a tlog-policy, which may name logs,
 * witnesses and a quorum; `witnesses` are keys of witnesses each of which must have cosigned. `items` is the JSON text of
 * what was given to a shuffle or a pick, unless the outcome has it. Values are compared as they are spelled.
 *
 * Resolves to what verify() resolves to. A check may also have a `detail`, which tells what was found.
 */
export async function checkLogProof(outcome, proof, { key, policy, witnesses = [], items } = {}) {
  const checks = new Checks();
  try {
    const rules = policy === undefined ? null : await Policy.read(policy);
    const logs = key === undefined ? rules?.logs ?? [] : [await readLogKey(key)];
    const named = new Map(rules?.witnesses);
    const required = [];
    for (const vkey of witnesses) required.push(await readWitnessKey(vkey));
    for (const witness of required) {
      if ([...named.values()].some((other) => other.isSameKey(witness))) continue;
      named.set(named.has(witness.name) ? witness.label : witness.name, witness);
    }
    const read = new LogProof(proof);
    const drawn = spelledOutcome(outcome);
    const given = items === undefined ? drawn.get("items") ?? "null" : jsonTokens(items, "items").join("");

    await addText(checks, drawn, given, read.text);
    addImplied(checks, drawn);
    const entry = `draw ${await sha256(read.text)}`;
    checks.same("entry", entry, entry, entry);
    await addPath(checks, read, entry);
    if (logs.length === 0) throw new MissingError("key", "the log's key, or a policy that names a log", null);
    await addLogSignature(checks, read, logs);
    const cosigned = await addCosignatures(checks, read, named, required);
    rules?.addQuorum(checks, cosigned);
  } catch (error) {
    checks.refuse(error);
  }
  return checks.report();
}

// ---------------------------------------------------------------------------------------------------------
// Command line, under Node only

const USAGE = `usage: fairdraw-verify.js [outcome.json] [options]

Checks a Fairdraw outcome, a revealed seed's proof, a Merkle proof, a root, a log proof. - reads standard input.

  outcome.json       the draw's JSON, or a rotation's, or a daily root
  --server-seed HEX  the revealed seed (default: the outcome's own)
  --items FILE       JSON array: the items given to a shuffle or a pick (default: the outcome's own)
  --seed-key HEX     the server's public key for seeds, as you noted it before
  --proof FILE       the JSON of a Merkle proof, or a draw's tlog-proof
  --root HEX         the root the Merkle proof has to lead to
  --root-key BASE64  the key that has to have signed the root
  --key VKEY         the log's key, as you noted it, that signed the tlog-proof
  --policy FILE      a tlog-policy: logs, witnesses and a quorum
  --witness VKEY     a witness that cosigned it; may be repeated
  --trace            print every step of the derivation as a line of JSON

Exit code 0: every check passed. 1: at least one failed. 2: wrong usage, an unreadable file, or missing items.`;

/** Ends the program: it was called in a way that makes no sense. */
class UsageError extends Error {}

async function readFileText(file) {
  const { readFileSync } = await import("node:fs");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file === "-" ? 0 : file));
  } catch (error) {
    throw new UsageError(`${file}: ${error.message}`);
  }
}

function parseJSON(file, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file}: ${error.message}`);
  }
}

// ASCII only, so that a value cannot speak to the terminal.
const show = (value) =>
  (JSON.stringify(value) ?? "null").replace(/[^ -~]/g, (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"));

/** The options and the texts of the files that they name; keys and the policy are read once, to refuse them here. */
async function readOptions(args) {
  const { parseArgs } = await import("node:util");
  const text = { type: "string" };
  const flag = { type: "boolean" };
  const options = { "server-seed": text, "seed-key": text, items: text, proof: text, root: text, "root-key": text, key: text,
    policy: text, witness: { ...text, multiple: true }, trace: flag, help: { ...flag, short: "h" } };
  let values, positionals;
  try {
    ({ values, positionals } = parseArgs({ args, options, allowPositionals: true }));
  } catch (error) {
    throw new UsageError(`${error.message}\n\n${USAGE}`);
  }
  if (values.help) return values;
  if (positionals.length > 1) throw new UsageError("One outcome at a time.");
  const [path] = positionals;
  if (!path && !values.proof) throw new UsageError(USAGE);
  if (values.root && !values.proof) throw new UsageError("--root goes with --proof.");
  if ((values["server-seed"] || values.items || values["seed-key"] !== undefined) && !path) {
    throw new UsageError("--server-seed, --seed-key and --items go with an outcome.");
  }
  const policyText = values.policy === undefined ? undefined : await readFileText(values.policy);
  try {
    if (values["seed-key"] !== undefined) readPublicKey(values, "seed-key", "--seed-key");
    if (values["root-key"] !== undefined) readRootKey(values["root-key"], "--root-key");
    if (values.key !== undefined) await readLogKey(values.key, "--key");
    for (const witness of values.witness ?? []) await readWitnessKey(witness, "--witness");
    if (policyText !== undefined) await Policy.read(policyText);
  } catch (error) {
    throw error instanceof InputError ? new UsageError(error.message) : error;
  }
  return { ...values, path, policyText };
}

/** What is to be said of the outcome, and of the proof. */
async function reportsOf(options, outcomeText, outcome) {
  const { key, policyText: policy, witness: witnesses, root, "root-key": rootKey, "seed-key": seedKey } = options;
  const proofText = options.proof ? await readFileText(options.proof) : "";
  const isLogProof = proofText.startsWith(PROOF_BEGINNING);
  if (isLogProof && (outcomeText === undefined || root || rootKey)) {
    throw new UsageError("A tlog-proof goes with an outcome, --key, --policy and --witness.");
  }
  if (!isLogProof && (key || policy !== undefined || witnesses)) {
    throw new UsageError("--key, --policy and --witness go with the --proof of a draw, a tlog-proof.");
  }
  if (outcome && !("outcome" in outcome) && "root" in outcome && !options.proof) {
    if (!rootKey) throw new UsageError("A root goes with --root-key.");
    return [await checkRoot(outcome, rootKey)];
  }
  if (rootKey && !options.proof) throw new UsageError("--root-key goes with a root or a Merkle proof.");

  const itemsText = options.items ? await readFileText(options.items) : undefined;
  const items = options.items && parseJSON(options.items, itemsText);
  const seed = options["server-seed"] ?? outcome?.serverSeed;
  const reports = [];
  if (seed) {
    const trace = options.trace ? (step) => console.log(show(step)) : undefined;
    const isSeedAlone = "seedProof" in outcome && !("endpoint" in outcome) && !("outcome" in outcome);
    reports.push(
      isSeedAlone
        ? await checkSeedProof(outcome, { serverSeed: seed, seedKey, trace })
        : await verify(outcome, seed, items, trace, seedKey));
  } else if (!options.proof) {
    throw new UsageError("Give the --server-seed.");
  }
  if (isLogProof) {
    reports.push(await checkLogProof(outcomeText, proofText, { key, policy, witnesses, items: itemsText }));
  } else if (options.proof) {
    reports.push(await checkProof(parseJSON(options.proof, proofText), { root, outcome, rootKey }));
  }
  return reports;
}

function printCheck({ name, ok, expected, actual, detail }, outcome, isTrusted) {
  const found = ok && detail ? `: ${show(detail).slice(1, -1)}` : "";
  console.log(`${ok ? "ok   " : ok === null ? "?    " : "FAIL "} ${show(name).slice(1, -1)}${found}`);
  if (ok === null) console.log(`      needed:   ${expected}`);
  else if (!ok) console.log(`      computed: ${show(expected)}\n      claimed:  ${show(actual)}`);
  else if (name === "seedProof") {
    console.log("      This is the only server seed that the chain could have had, for the key");
    console.log(`      ${outcome.seedProof.publicKey.toLowerCase()}${isTrusted ? "." : ","}`);
    if (!isTrusted) {
      console.log("      which the record itself names. Compare it with the one you noted, or give --seed-key.");
    }
  }
}

async function main(args) {
  const options = await readOptions(args);
  if (options.help) return console.log(USAGE);
  const { path } = options;
  const text = path && (await readFileText(path));
  const read = path && parseJSON(path, text);
  if (path && !isObject(read)) throw new UsageError(`${path} holds no JSON object`);
  const outcome = path && revealedSeed(unwrapped(read));
  const checks = (await reportsOf(options, text, outcome)).flatMap((report) => report.checks);
  for (const check of checks) printCheck(check, outcome, Boolean(options["seed-key"]));
  const results = checks.map((check) => check.ok);
  const [words, code] = results.includes(false) ? ["NOT verified", 1] : results.includes(null) ? ["cannot check", 2] : ["verified", 0];
  console.log(words);
  process.exitCode = code;
}

if (typeof process !== "undefined" && process.argv?.[1]) {
  const [{ realpathSync }, { pathToFileURL }] = await Promise.all([import("node:fs"), import("node:url")]);
  if (import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
    try {
      await main(process.argv.slice(2));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      console.error(error.message);
      process.exitCode = 2;
    }
  }
}
