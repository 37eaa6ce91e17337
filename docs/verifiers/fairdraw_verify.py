#!/usr/bin/env python3
"""Recomputes a Fairdraw outcome from the server seed it was drawn with, and checks seed proofs, Merkle proofs, roots
and log proofs.

    python3 fairdraw_verify.py outcome.json --server-seed HEX [--items items.json]
    python3 fairdraw_verify.py rotation.json [--seed-key HEX]
    python3 fairdraw_verify.py [outcome.json …] --proof proof.json [--root HEX] [--root-key BASE64]
    python3 fairdraw_verify.py root.json --root-key BASE64
    python3 fairdraw_verify.py outcome.json --proof draw.tlog-proof --key VKEY [--policy FILE] [--witness VKEY]

Exit code 0: every check passed. 1: at least one failed; it is named, with what was computed and what was
claimed. 2: wrong usage or an unreadable file.

One file, standard library only, Python 3.8 or later. It shares no code with the server. Derivation version 1.

Every floating-point operation below is one IEEE-754 double operation, rounded once, in the order written;
CPython never fuses a multiplication with an addition. Where order matters (sums, above all) it is spelled out.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import json
import math
import re
import sys

MAX_SAFE = 2**53 - 1


class InputError(ValueError):
    """An input that no draw can have had: which one, what it has to be, and what it was."""

    def __init__(self, parameter, expected, actual):
        super().__init__("%s must be %s" % (parameter, expected))
        self.parameter, self.expected, self.actual = parameter, expected, actual


class MissingError(InputError):
    """An input without which nothing can be said of the outcome."""


# ---------------------------------------------------------------------------------------------------------
# Reading inputs. Nothing is defaulted: an outcome spells out every parameter it was drawn with.


def integer(source, name, low, high, label=None):
    value = source.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number: 3.0 is 3
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(label or name, "an integer from %d to %d" % (low, high), value)
    return value


def double(value, name, allowed, expected):
    try:
        if not isinstance(value, bool) and isinstance(value, (int, float)):
            if math.isfinite(float(value)) and allowed(float(value)):
                return float(value)
    except OverflowError:
        pass
    raise InputError(name, expected, value)


def positive(source, name, high=math.inf):
    expected = "a finite number above 0" + ("" if high == math.inf else ", at most %g" % high)
    return double(source.get(name), name, lambda x: 0 < x <= high, expected)


def string(source, name, pattern=r"(?s).*", expected="a string", label=None):
    value = source.get(name)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InputError(label or name, expected, value)
    return value


def hex_hash(source, name, label=None):
    return string(source, name, "[0-9a-f]{64}", "64 lowercase hex digits", label)


def base64_bytes(source, name, size, label=None):
    """Bytes in base64, in their one spelling: padded, without line breaks or stray bits; `size` of them, if given."""
    value = source.get(name)
    expected = "base64" if size is None else "%d bytes in base64" % size
    try:
        decoded = base64.b64decode(value.encode("ascii"), validate=True)
        if base64.b64encode(decoded).decode("ascii") == value and size in (None, len(decoded)):
            return decoded
    except (AttributeError, ValueError):
        pass
    raise InputError(label or name, expected, value)


def dictionary(value, name):
    if not isinstance(value, dict):
        raise InputError(name, "a JSON object", value)
    return value


def utf8(text, name):
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and UTF-8 cannot
        raise InputError(name, "text that has a UTF-8 form", text) from None


# ---------------------------------------------------------------------------------------------------------
# log and exp.
#
# The C libraries of this world differ in the last bit, so the derivation names one algorithm: e_log.c and
# e_exp.c of fdlibm, which FreeBSD's msun carries on. The constants and the order of operations are theirs;
# comparisons of a double's upper half are written as comparisons with the double that has that upper half,
# and branches that give the same bits are merged.
#
#   Copyright (C) 1993, 2004 by Sun Microsystems, Inc. All rights reserved.
#   Permission to use, copy, modify, and distribute this software is freely granted, provided that this
#   notice is preserved.

LN2_HI = 6.93147180369123816490e-01
LN2_LO = 1.90821492927058770002e-10
INV_LN2 = 1.44269504088896338700e00


def log(x):
    """The natural logarithm: x = 2^k · (1 + f) with √2/2 < 1 + f < √2, then k·ln 2 + log(1 + f)."""
    if x != x or x == math.inf:
        return x
    if x <= 0:
        return -math.inf if x == 0 else math.nan
    fraction, k = math.frexp(x)  # exact; fraction in [1/2, 1)
    significand, k = 2 * fraction, k - 1
    if significand < float.fromhex("0x1.6a09cp0"):
        f = significand - 1.0
    else:
        f, k = significand / 2 - 1.0, k + 1

    if -(2.0**-20) <= f < 2.0**-20:
        r = f * f * (0.5 - 0.33333333333333333 * f)
        return k * LN2_HI - ((r - k * LN2_LO) - f)

    s = f / (2.0 + f)
    z = s * s
    w = z * z
    t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    t2 = z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    r = t2 + t1
    if float.fromhex("0x1.6147ap0") <= significand < float.fromhex("0x1.6b852p0"):
        half_square = 0.5 * f * f
        return k * LN2_HI - ((half_square - (s * (half_square + r) + k * LN2_LO)) - f)
    return k * LN2_HI - ((s * (f - r) - k * LN2_LO) - f)


def exp(x):
    """e to the power x: x = k·ln 2 + r with |r| ≤ ln 2 / 2, then 2^k · e^r."""
    if x != x:
        return x
    if x > 7.09782712893383973096e02:
        return math.inf
    if x < -7.45133219101941108420e02:
        return 0.0
    size = abs(x)
    if size < 2.0**-28:
        return 1.0 + x
    if size < float.fromhex("0x1.62e43p-2"):  # about ln 2 / 2
        k = 0
    elif size < float.fromhex("0x1.0a2b2p0"):  # about 3/2 · ln 2
        k = 1 if x > 0 else -1
    else:
        k = int(INV_LN2 * x + (0.5 if x > 0 else -0.5))  # int() drops the fraction
    hi = x - k * LN2_HI
    lo = k * LN2_LO
    r = hi - lo
    t = r * r
    c = r - t * (
        1.66666666666666019037e-01
        + t
        * (
            -2.77777777770155933842e-03
            + t * (6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))
        )
    )
    y = 1.0 - ((lo - (r * c) / (2.0 - c)) - hi)
    if k == 1024:  # 2^1024 is no double
        return y * 2.0 * math.ldexp(1.0, 1023)
    if k >= -1021:
        return y * math.ldexp(1.0, k)
    return y * math.ldexp(1.0, k + 1000) * math.ldexp(1.0, -1000)  # a subnormal result, rounded once


# ---------------------------------------------------------------------------------------------------------
# From seeds to units


def server_hash(server_seed):
    """The commitment: SHA-256 of the seed's 64 characters (not of the 32 bytes they spell)."""
    return hashlib.sha256(utf8(server_seed, "serverSeed")).hexdigest()


class Stream:
    """The bytes of one draw, and the units taken from them in order."""

    def __init__(self, server_seed, client_seed, nonce, cursor, trace):
        self.trace = trace
        self.buffer = b""
        self.blocks = self.blocks_of(server_seed.encode("ascii"), client_seed, nonce, cursor)

    def blocks_of(self, key, client_seed, nonce, cursor):
        block, offset = divmod(cursor, 32)
        self.trace({"step": "start", "cursor": cursor, "block": block, "offset": offset})
        while True:
            message = "%s:%d:%d" % (client_seed, nonce, block)
            digest = hmac.new(key, utf8(message, "clientSeed"), hashlib.sha256).digest()
            self.trace({"step": "block", "block": block, "message": message, "digest": digest.hex()})
            yield digest[offset:]
            block, offset = block + 1, 0

    def take(self, count):
        while len(self.buffer) < count:
            self.buffer += next(self.blocks)
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def word(self):
        taken = self.take(4)
        word = int.from_bytes(taken, "big")
        self.trace({"step": "word", "bytes": taken.hex(), "word": word})
        return word

    def float32(self):
        value = self.word() / 2**32
        self.trace({"step": "float32", "value": value})
        return value

    def float53(self):
        taken = self.take(8)
        value = (int.from_bytes(taken, "big") >> 11) / 2**53
        self.trace({"step": "float53", "bytes": taken.hex(), "value": value})
        return value

    def below(self, n):
        """A uniform integer in 0 ..< n, for 1 ≤ n ≤ 2^32 (at n = 2^32 nothing is rejected: it is the word)."""
        threshold = 2**32 % n
        while True:
            word = self.word()
            value, low = divmod(word * n, 2**32)
            if low >= threshold:
                self.trace({"step": "below", "n": n, "word": word, "value": value})
                return value
            self.trace({"step": "rejected", "n": n, "word": word, "low": low, "threshold": threshold})


# ---------------------------------------------------------------------------------------------------------
# Generators: each reads its parameters, then draws.


def floats(stream, params):
    return [stream.float32() for _ in range(integer(params, "count", 1, 100))]


def read_range(params):
    """The smallest of the integers from min to max, and how many there are."""
    low = integer(params, "min", -MAX_SAFE, MAX_SAFE)
    high = integer(params, "max", low, min(low + 2**32 - 1, MAX_SAFE))
    return low, high - low + 1


def ints(stream, params):
    count = integer(params, "count", 1, 100)
    low, size = read_range(params)
    return [low + stream.below(size) for _ in range(count)]


def sample(stream, params):
    """Distinct integers: the first places of a shuffle of the range, of which only the swapped places are kept."""
    low, size = read_range(params)
    count = integer(params, "count", 1, min(1000, size))
    moved, values = {}, []
    for i in range(count):
        j = i + stream.below(size - i)
        stream.trace({"step": "swap", "i": i, "j": j})
        values.append(low + moved.get(j, j))
        moved[j] = moved.get(i, i)
    return values


def byte_string(stream, params):
    count = integer(params, "count", 1, 1024)
    encoding = string(params, "encoding", "hex|base64", "hex or base64")
    taken = stream.take(count)
    stream.trace({"step": "bytes", "bytes": taken.hex()})
    return taken.hex() if encoding == "hex" else base64.b64encode(taken).decode("ascii")


def parse_notation(notation):
    """(dice, sides, modifier) of NdM, NdM+K or NdM-K."""
    pattern = r"([0-9]{0,16})d([0-9]{1,16})(?: *([+-]) *([0-9]{1,16}))?"
    match = re.fullmatch(pattern, notation if isinstance(notation, str) else "")
    if not match:
        raise InputError("notation", "NdM, NdM+K or NdM-K", notation)
    read = {"dice": int(match[1] or 1), "sides": int(match[2]), "modifier": int((match[3] or "") + (match[4] or "0"))}
    number = integer(read, "dice", 1, 100)
    sides = integer(read, "sides", 2, 1000000)
    limit = MAX_SAFE - number * sides  # so that the total is a safe integer too
    return number, sides, integer(read, "modifier", -limit, limit)


def canonical_notation(dice, sides, modifier):
    return "%dd%d" % (dice, sides) + ("%+d" % modifier if modifier else "")


def dice(stream, params):
    number, sides, modifier = parse_notation(params.get("notation"))
    rolls = [stream.below(sides) + 1 for _ in range(number)]
    return {
        "notation": canonical_notation(number, sides, modifier),
        "rolls": rolls,
        "modifier": modifier,
        "total": sum(rolls) + modifier,
    }


def read_items(params):
    items, expected = params.get("items"), "the draw's 1 to 1000 items, in the order they were given"
    if items is None:
        raise MissingError("items", expected, items)
    if not isinstance(items, list) or not 1 <= len(items) <= 1000:
        raise InputError("items", expected, items)
    return items


def shuffle(stream, params):
    items = list(read_items(params))
    for i in range(len(items) - 1, 0, -1):
        j = stream.below(i + 1)
        stream.trace({"step": "swap", "i": i, "j": j})
        items[i], items[j] = items[j], items[i]
    return items


def pick(stream, params):
    items, weights = read_items(params), params.get("weights")
    index = stream.below(len(items)) if weights is None else weighted_index(stream, weights, len(items))
    return {"outcome": items[index], "index": index}


def weighted_index(stream, weights, count):
    if not isinstance(weights, list) or len(weights) != count:
        raise InputError("weights", "one weight for each of the %d items" % count, weights)
    weights = [double(w, "weights", lambda x: x >= 0, "finite numbers from 0 up") for w in weights]
    total = 0.0
    for weight in weights:  # not sum(): newer Pythons compensate its rounding
        total += weight
    double(total, "weights", lambda x: x > 0, "weights with a finite sum above 0")
    x = stream.float53() * total
    stream.trace({"step": "weighted", "total": total, "x": x})
    reached, last = 0.0, 0
    for i, weight in enumerate(weights):
        reached += weight
        if weight > 0:
            if x < reached:
                return i
            last = i
    return last


def gaussian(stream, params):
    count = integer(params, "count", 1, 100)
    distribution = params.get("distribution")
    if distribution == "normal":
        mean = double(params.get("mean"), "mean", lambda x: True, "a finite number")
        return normal(stream, count, mean, positive(params, "stddev"))
    if distribution == "exponential":
        rate = positive(params, "lambda")
        return [-log(1 - stream.float53()) / rate for _ in range(count)]
    if distribution == "poisson":
        rate = positive(params, "lambda", 100)
        return [poisson(stream, rate) for _ in range(count)]
    raise InputError("distribution", "normal, exponential or poisson", distribution)


def normal(stream, count, mean, stddev):
    """Marsaglia's polar method: a point in the unit disc gives two samples."""
    samples = []
    while len(samples) < count:
        u = 2 * stream.float53() - 1
        v = 2 * stream.float53() - 1
        q = u * u + v * v
        inside = 0 < q < 1
        stream.trace({"step": "polar", "u": u, "v": v, "q": q, "accepted": inside})
        if inside:
            f = math.sqrt(-2 * log(q) / q)  # IEEE-754 rounds a square root correctly everywhere
            samples += [mean + stddev * (u * f), mean + stddev * (v * f)]
    return samples[:count]


def poisson(stream, rate):
    u = stream.float53()
    p = c = exp(-rate)
    k = 0
    while u >= c and k < 1000:
        k += 1
        p = p * rate / k
        c += p
    return k


GENERATORS = {
    "floats": floats,
    "ints": ints,
    "bytes": byte_string,
    "dice": dice,
    "shuffle": shuffle,
    "pick": pick,
    "gaussian": gaussian,
    "sample": sample,
}

SERVER_SEED = ("[0-9a-fA-F]{64}", "64 hex digits")


def derive(endpoint, server_seed, client_seed, nonce, cursor, params, trace=None):
    """The outcome that these inputs give, in the shape the API answers it.

    A list (floats, ints, gaussian, sample, shuffle), a string (bytes), {outcome, index} (pick) or {notation, rolls,
    modifier, total} (dice). `trace`, if given, is called with one dictionary a step. Raises InputError.
    """
    trace = trace or (lambda step: None)
    string({"serverSeed": server_seed}, "serverSeed", *SERVER_SEED)
    utf8(string({"clientSeed": client_seed}, "clientSeed"), "clientSeed")
    nonce = integer({"nonce": nonce}, "nonce", 0, MAX_SAFE)
    cursor = integer({"cursor": cursor}, "cursor", 0, MAX_SAFE)
    string({"endpoint": endpoint}, "endpoint", "|".join(GENERATORS), "one of " + ", ".join(GENERATORS))
    trace({"step": "serverHash", "serverSeed": server_seed, "serverHash": server_hash(server_seed)})
    stream = Stream(server_seed, client_seed, nonce, cursor, trace)
    value = GENERATORS[endpoint](stream, dictionary(params, "params"))
    trace({"step": "value", "value": value})
    return value


# ---------------------------------------------------------------------------------------------------------
# Seed proofs: ECVRF-RISTRETTO255-SHA512 (c2sp.org/vrf-r255), checked.
#
# ristretto255 is RFC 9496's: points of the curve -x² + y² = 1 + d·x²·y² over the integers modulo 2^255 - 19, of
# which several stand for one element; `decode`, `encode` and `element` are its sections 4.3.1, 4.3.2 and 4.3.4.
# Nothing here is secret, so nothing takes care to need the same time for every input.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235  # a = -1
INVERSE_SQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578
IDENTITY = (0, 1, 1, 0)  # a point is (x·z, y·z, z, x·y·z)
GENERATOR = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
SUITE = b"\xffc2sp.org/vrf-r255"


def magnitude(x):
    """Of x and -x the even one: what counts as not negative."""
    return P - x if x & 1 else x


def square_root_of_ratio(u, v):
    """(True, √(u/v)), or (False, √(√-1 · u/v)) where there is none."""
    r = u * v**3 * pow(u * v**7 % P, (P - 5) // 8, P) % P
    check = v * r * r % P
    minus_u = -u % P
    if check in (minus_u, minus_u * SQRT_MINUS_ONE % P):
        r = r * SQRT_MINUS_ONE % P
    return check in (u % P, minus_u), magnitude(r)


def decode(encoded):
    """The point that 32 bytes stand for; None if they are no element's one encoding."""
    s = int.from_bytes(encoded, "little")
    if s >= P or s & 1:
        return None
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    is_square, root = square_root_of_ratio(1, v * u2 * u2 % P)
    x = magnitude(2 * s * root * u2 % P)
    y = u1 * root * root * u2 * v % P
    t = x * y % P
    return None if not is_square or t & 1 or y == 0 else (x, y, 1, t)


def encode(point):
    x, y, z, t = point
    u1, u2 = (z + y) * (z - y) % P, x * y % P
    _, root = square_root_of_ratio(1, u1 * u2 * u2 % P)
    den1, den2 = root * u1 % P, root * u2 % P
    z_inverse = den1 * den2 * t % P
    den = den2
    if t * z_inverse % P & 1:
        x, y, den = y * SQRT_MINUS_ONE % P, x * SQRT_MINUS_ONE % P, den1 * INVERSE_SQRT_A_MINUS_D % P
    if x * z_inverse % P & 1:
        y = -y
    return magnitude(den * (z - y) % P).to_bytes(32, "little")


def element(hashed):
    """The element that 64 bytes are mapped to."""

    def mapped(half):
        t = (int.from_bytes(half, "little") & 2**255 - 1) % P
        r = SQRT_MINUS_ONE * t * t % P
        u, v = (r + 1) * (1 - D * D) % P, (-1 - r * D) * (r + D) % P
        is_square, s = square_root_of_ratio(u, v)
        c = -1
        if not is_square:
            s, c = -magnitude(s * t % P) % P, r
        n = (c * (r - 1) * (D - 1) ** 2 - v) % P
        w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
        return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P

    return add(mapped(hashed[:32]), mapped(hashed[32:]))


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0])
    b = (p[1] + p[0]) * (q[1] + q[0])
    c = p[3] * q[3] % P * 2 * D
    d = 2 * p[2] * q[2]
    e, f, g, h = (b - a) % P, (d - c) % P, (d + c) % P, (b + a) % P
    return e * f % P, g * h % P, f * g % P, e * h % P


def doubled(p):
    a, b = p[0] * p[0], p[1] * p[1]
    h, g = (a + b) % P, (a - b) % P
    e, f = (h - (p[0] + p[1]) ** 2) % P, (2 * p[2] * p[2] + g) % P
    return e * f % P, g * h % P, f * g % P, e * h % P


def combine(m, p, n, q):
    """m·p - n·q, by the digits of both numbers at once, four bits at a time."""

    def multiples(point):
        made = [IDENTITY, point]
        while len(made) < 16:
            made.append(add(made[-1], point))
        return made

    p_multiples, q_multiples = multiples(p), multiples((-q[0], q[1], q[2], -q[3]))
    total = IDENTITY
    for shift in range(252, -1, -4):
        if total is not IDENTITY:
            total = doubled(doubled(doubled(doubled(total))))
        for digit, made in ((m >> shift & 15, p_multiples), (n >> shift & 15, q_multiples)):
            if digit:
                total = add(total, made[digit])
    return total


def seed_input(scope, era, epoch, client_seed):
    """What goes into the function: four lines, each with its line feed, and the client seed."""
    return ("fairdraw/seed/v1\n%s\n%d\n%d\n" % (scope, era, epoch)).encode("ascii") + client_seed


class VRFProof:
    """An 80-byte proof for a public key, read; ValueError tells why it cannot be read."""

    def __init__(self, proof):
        self.gamma, self.challenge, self.response = proof[:32], proof[32:48], int.from_bytes(proof[48:], "little")
        self.point = decode(self.gamma)
        if self.point is None:
            raise ValueError("80 bytes that begin with the canonical encoding of a ristretto255 element")
        if not any(self.gamma):
            raise ValueError("80 bytes that do not begin with the identity element")
        if self.response >= ORDER:
            raise ValueError("80 bytes that end with a number below the order of the group")

    def output(self):
        return hashlib.sha512(SUITE + b"\x03" + self.gamma + b"\x00").digest()

    def is_valid(self, public_key, alpha):
        """Whether the output is the one that the key gives for the input alpha."""
        key = decode(public_key)
        h = element(hashlib.sha512(SUITE + b"\x82" + public_key + alpha).digest())
        c = int.from_bytes(self.challenge, "little")
        u = combine(self.response, decode(bytes.fromhex(GENERATOR)), c, key)
        v = combine(self.response, h, c, self.point)
        parts = [public_key, encode(h), self.gamma, encode(u), encode(v)]
        return hashlib.sha512(SUITE + b"\x02" + b"".join(parts) + b"\x00").digest()[:16] == self.challenge


# ---------------------------------------------------------------------------------------------------------
# Ed25519 (RFC 8032), checked, on the same curve

BASE = "58" + "66" * 31


def decompress(encoded):
    """The point that 32 bytes stand for; None if they are no point's one encoding."""
    number = int.from_bytes(encoded, "little")
    y, sign = number & 2**255 - 1, number >> 255
    is_square, x = square_root_of_ratio((y * y - 1) % P, (D * y * y + 1) % P)
    if y >= P or not is_square or (x == 0 and sign):
        return None
    x = P - x if sign else x
    return x, y, 1, x * y % P


def compress(point):
    x, y, z, _ = point
    z_inverse = pow(z, P - 2, P)
    return (y * z_inverse % P | (x * z_inverse % P & 1) << 255).to_bytes(32, "little")


def verify_ed25519(public_key, message, signature):
    """Whether a signature of 64 bytes is the public key's over the message.

    The equation is S·B = R + k·A, without the cofactor: S·B - k·A must have R as its encoding, bit for bit. S must be
    below the group's order. The public key A must be encoded canonically and not be of small order, for which one
    signature would hold for many messages.
    """
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, s = decompress(public_key), int.from_bytes(signature[32:], "little")
    if key is None or s >= ORDER or doubled(doubled(doubled(key)))[0] == 0:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    return compress(combine(s, decompress(bytes.fromhex(BASE)), k, key)) == signature[:32]


# ---------------------------------------------------------------------------------------------------------
# Checks


def same_json(a, b):
    """Whether two parsed JSON values are equal: numbers by value, object members in any order."""
    if isinstance(a, bool) or isinstance(b, bool):  # in Python, True == 1
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if type(a) is type(b):
            return a == b
        # The API writes the double 3.0546530473753076e+19 as 30546530473753076000, an integer near it: such a
        # pair has to be compared as doubles, which Python by itself does not do.
        try:
            return float(a) == float(b)
        except OverflowError:
            return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_json, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


class Checks:
    def __init__(self):
        self.checks = []

    def add(self, name, ok, expected, actual, detail=None):
        check = {"name": name, "ok": ok, "expected": expected, "actual": actual}
        self.checks.append(check if detail is None else {**check, "detail": detail})
        return ok

    def same(self, name, expected, actual, detail=None):
        return self.add(name, same_json(expected, actual), expected, actual, detail)

    def refuse(self, error):
        self.add(error.parameter, None if isinstance(error, MissingError) else False, error.expected, error.actual)

    def report(self):
        return {"ok": all(check["ok"] is True for check in self.checks), "checks": self.checks}


def unwrapped(record):
    """The outcome in an entry of a batch's results or of an account's export, with the items that stand beside it."""
    inner = record.get("outcome")
    if "endpoint" in record or not isinstance(inner, dict) or "endpoint" not in inner:
        return record
    return {**inner, "items": record["items"]} if "items" in record else inner


def verify(outcome, server_seed, items=None, trace=None, seed_key=None):
    """Checks a draw's JSON, as the API answered it, against its server seed; and its seedProof, if it has one.

    A shuffle or a pick needs `items`, in the order they were given to the draw, unless the outcome has them.
    Returns {"ok", "checks"}, a check being {"name", "ok", "expected", "actual"}: `expected` is what the seed
    gives, `actual` what the outcome says. An input that no draw can have had is a failed check with that
    input's name. If the items are missing, their check's "ok" is None: nothing failed, but the values cannot
    be checked, and the report is not ok.
    """
    checks = Checks()
    try:
        dictionary(outcome, "outcome")
        string({"serverSeed": server_seed}, "serverSeed", *SERVER_SEED)
        if server_hash(server_seed.lower()) == outcome.get("serverHash"):
            server_seed = server_seed.lower()  # the seed is its characters, and somebody wrote them large
        checks.same("serverHash", server_hash(server_seed), outcome.get("serverHash"))
        if "seedProof" in outcome or seed_key is not None:
            try:
                add_seed_proof(checks, outcome, server_seed, seed_key, trace or (lambda step: None))
            except InputError as error:
                checks.refuse(error)

        endpoint, claimed = outcome.get("endpoint"), outcome.get("outcome")
        params = outcome
        if endpoint == "dice":
            params = {"notation": dictionary(claimed, "outcome").get("notation")}
        elif endpoint in ("shuffle", "pick"):
            params = {"items": outcome.get("items") if items is None else items, "weights": outcome.get("weights")}
        client_seed, nonce, cursor = (outcome.get(name) for name in ("clientSeed", "nonce", "cursor"))
        value = derive(endpoint, server_seed, client_seed, nonce, cursor, params, trace)

        if endpoint == "dice":
            for name in ("notation", "rolls", "modifier", "total"):
                checks.same("outcome." + name, value[name], claimed.get(name))
            number, sides, modifier = parse_notation(value["notation"])
            for name, expected in (("sides", sides), ("modifier", modifier), ("count", number)):
                checks.same(name, expected, outcome.get(name))
        elif endpoint == "pick":
            checks.same("outcome", value["outcome"], claimed)
            checks.same("index", value["index"], outcome.get("index"))
            checks.same("count", 1, outcome.get("count"))
        else:
            checks.same("outcome", value, claimed)
            if endpoint == "shuffle":
                checks.same("count", len(value), outcome.get("count"))
    except InputError as error:
        checks.refuse(error)
    return checks.report()


# What a proof may be for that names a wrong number: how far around it is looked.
NEARBY = 8


def read_public_key(source, name, label):
    expected = "64 hex digits, the canonical encoding of a ristretto255 element other than the identity"
    encoded = bytes.fromhex(string(source, name, "[0-9a-fA-F]{64}", expected, label))
    if decode(encoded) is None or not any(encoded):
        raise InputError(label, expected, source.get(name))
    return encoded


def read_scope(proof):
    expected = "anonymous, or account: and the account's number"
    scope = string(proof, "scope", "anonymous|account:[1-9][0-9]{0,15}", expected, "seedProof.scope")
    if scope != "anonymous" and int(scope[8:]) > MAX_SAFE:
        raise InputError("seedProof.scope", expected, scope)
    return scope


def nearby(scope, era, epoch):
    """(member, scope, era, epoch): what differs in one member only, and not by much."""

    def around(number, low=0):
        return [n for n in range(max(low, number - NEARBY), min(number + NEARBY, MAX_SAFE) + 1) if n != number]

    for other in around(epoch):
        yield "epoch", scope, era, other
    for other in around(era):
        yield "era", scope, other, epoch
    if scope != "anonymous":
        yield "scope", "anonymous", era, epoch
    for number in around(0 if scope == "anonymous" else int(scope[8:]), low=1):
        yield "scope", "account:%d" % number, era, epoch


def add_seed_proof(checks, record, server_seed, seed_key, trace):
    """Checks that the record's seedProof shows the server seed to be the only one its chain could have had."""
    proof = dictionary(record.get("seedProof"), "seedProof")
    client_seed = utf8(string(record, "clientSeed"), "clientSeed")
    string(proof, "suite", "vrf-r255", "vrf-r255", "seedProof.suite")
    key = read_public_key(proof, "publicKey", "seedProof.publicKey")
    scope = read_scope(proof)
    era, epoch = (integer(proof, name, 0, MAX_SAFE, "seedProof." + name) for name in ("era", "epoch"))
    written = string(proof, "proof", "[0-9a-fA-F]{160}", "160 hex digits", "seedProof.proof")
    try:
        vrf = VRFProof(bytes.fromhex(written))
    except ValueError as error:
        raise InputError("seedProof.proof", str(error), written) from None

    if seed_key is not None:
        trusted = read_public_key({"seedKey": seed_key}, "seedKey", "seedKey")
        if not checks.same("seedProof.publicKey", trusted.hex(), key.hex()):
            return
    alpha = seed_input(scope, era, epoch, client_seed)
    output = vrf.output()
    trace({"step": "seedProof", "publicKey": key.hex(), "alpha": alpha.hex(), "output": output.hex()})
    if not vrf.is_valid(key, alpha):
        for name, *other in nearby(scope, era, epoch):
            if vrf.is_valid(key, seed_input(*other, client_seed)):
                checks.same("seedProof." + name, dict(zip(("scope", "era", "epoch"), other))[name], proof[name])
                return
        expected = "a proof for this publicKey, scope, era, epoch and clientSeed"
        if output[:32].hex() == server_seed:
            expected += "; its output is the server seed, so one of those five is wrong"
        raise InputError("seedProof.proof", expected, written)
    checks.same("seedProof", output[:32].hex(), server_seed)


def revealed_seed(record):
    """Of a rotation's answer, the seed that it revealed, with the client seed; any other object as it is."""
    if "outcome" in record or not isinstance(record.get("revealed"), dict):
        return record
    return {**record["revealed"], "clientSeed": record.get("clientSeed")}


def check_seed_proof(record, server_seed=None, seed_key=None, trace=None):
    """Checks that a revealed seed is the only one that its chain could have had. Returns what verify() returns.

    `record` is a rotation's answer, or has clientSeed, serverHash, seedProof and, unless it is given, serverSeed. A
    proof brings its own key along, so it proves something only against a key from elsewhere: give that as `seed_key`.
    """
    checks = Checks()
    try:
        record = revealed_seed(dictionary(record, "record"))
        server_seed = record.get("serverSeed") if server_seed is None else server_seed
        string({"serverSeed": server_seed}, "serverSeed", *SERVER_SEED)
        checks.same("serverHash", server_hash(server_seed), record.get("serverHash"))
        add_seed_proof(checks, record, server_seed, seed_key, trace or (lambda step: None))
    except InputError as error:
        checks.refuse(error)
    return checks.report()


def merkle_leaf(canonical):
    """SHA256(0x00 ‖ canonical) in hex, canonical being clientSeed:cursor:nonce|serverHash|clientSeed|created."""
    return hashlib.sha256(b"\x00" + utf8(canonical, "canonical")).hexdigest()


def merkle_node(left, right):
    return hashlib.sha256(b"\x01" + bytes.fromhex(left) + bytes.fromhex(right)).hexdigest()


def read_root_key(key, label="rootKey"):
    return base64_bytes({"key": key}, "key", 32, label)


def add_root_signature(checks, record, key):
    """Checks a daily root's signature; a proof has the members of its root."""
    trusted = read_root_key(key)
    date = string(record, "date", "[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date, YYYY-MM-DD")
    previous = string(record, "previousRoot", "([0-9a-f]{64})?", "64 lowercase hex digits, or empty")
    count = integer(record, "leafCount", 0, MAX_SAFE)
    root = hex_hash(record, "root") if count else string(record, "root", "", "empty for a day without outcomes")
    signature = base64_bytes(record, "signature", 64)
    signed = "%s|%s|%d|%s" % (date, root, count, previous)
    expected = "the signature of %s over %s" % (key, signed)
    checks.add("signature", verify_ed25519(trusted, signed.encode("ascii"), signature), expected, record["signature"])


def check_root(root, key):
    """Checks that a daily root is signed by `key`, the server's public key in base64. Returns what verify() returns."""
    checks = Checks()
    try:
        add_root_signature(checks, dictionary(root, "root"), key)
    except InputError as error:
        checks.refuse(error)
    return checks.report()


def check_proof(proof, root=None, outcome=None, root_key=None):
    """Checks that a proof leads from its leaf to its root, by the one path its index and leaf count allow.

    A proof brings its own root along, so it proves something only against a root from elsewhere, or against the key
    that signs roots: give that as `root` or `root_key`. Given the `outcome`, the leaf must be that outcome's. Returns
    what verify() returns.
    """
    checks = Checks()
    try:
        leaf = dictionary(dictionary(proof, "proof").get("leaf"), "leaf")
        client_seed = string(leaf, "clientSeed", label="leaf.clientSeed")
        outcome_id = string(
            leaf, "outcomeId", re.escape(client_seed) + ":[0-9]+:[0-9]+", "clientSeed:cursor:nonce", "leaf.outcomeId"
        )
        created = integer(leaf, "timestamp", 0, MAX_SAFE, "leaf.timestamp")
        server = hex_hash(leaf, "serverHash", "leaf.serverHash")
        canonical = "%s|%s|%s|%d" % (outcome_id, server, client_seed, created)
        node = merkle_leaf(canonical)
        checks.same("outcomeId", outcome_id, proof.get("outcomeId"))
        checks.same("leaf.canonical", canonical, leaf.get("canonical"))
        checks.same("leaf.hash", node, leaf.get("hash"))
        if outcome is not None:
            drawn = string(dictionary(outcome, "outcome"), "clientSeed")
            cursor, nonce, created = (integer(outcome, name, 0, MAX_SAFE) for name in ("cursor", "nonce", "created"))
            expected = "%s:%d:%d|%s|%s|%d" % (drawn, cursor, nonce, hex_hash(outcome, "serverHash"), drawn, created)
            checks.same("leaf of the outcome", expected, canonical)

        width = integer(proof, "leafCount", 1, MAX_SAFE)
        index = integer(proof, "index", 0, width - 1)
        siblings = proof.get("siblings")
        if not isinstance(siblings, list):
            raise InputError("siblings", "a list", siblings)
        path = []  # (position of the sibling, whether it repeats the last node of an odd level), leaf to root
        while width > 1:
            path.append(("left", False) if index % 2 else ("right", index == width - 1))
            index, width = index // 2, (width + 1) // 2
        positions = [sibling.get("position") if isinstance(sibling, dict) else None for sibling in siblings]
        checks.same("treeHeight", len(path), proof.get("treeHeight"))
        if checks.same("siblings", [position for position, _ in path], positions):
            for level, (position, repeated) in enumerate(path):
                label = "siblings[%d].hash" % level
                sibling = hex_hash(siblings[level], "hash", label)
                if repeated:
                    checks.same(label, node, sibling)
                elif position == "left" and sibling == node:
                    raise InputError(label, "another node than the one beside it", sibling)
                node = merkle_node(sibling, node) if position == "left" else merkle_node(node, sibling)
            checks.same("root", node, proof.get("root"))
            if root is not None:
                checks.same("published root", node, root)
        if root_key is not None:
            add_root_signature(checks, proof, root_key)
    except InputError as error:
        checks.refuse(error)
    return checks.report()


# ---------------------------------------------------------------------------------------------------------
# The continuous log: c2sp.org's tlog-proof, signed-note, tlog-checkpoint, tlog-cosignature and tlog-policy, checked.

PROOF_BEGINNING = "c2sp.org/tlog-proof@v1"
DECIMAL = "0|[1-9][0-9]{0,15}"
MAX_SIGNATURES = 100
# A key's name has no white space, no control characters and no plus.
KEY_NAME = r"[^\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]+"
# Types of keys. The last is ML-DSA-44: a policy may name it, nothing checks it here.
LOG_KEY, WITNESS_KEY, OTHER_WITNESS_KEY = 0x01, 0x04, 0x06
KEY_SIZES = {LOG_KEY: 32, WITNESS_KEY: 32, OTHER_WITNESS_KEY: 1312}
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},:]|[^][{},:"\s]+')

# The canonical text of a draw: this line, then one for each of these, each ended by a line feed.
TEXT_BEGINNING = "fairdraw/outcome/v1"
TEXT_LINES = "shortId created endpoint serverHash cursor nonce clientSeed items parameters outcome".split()
# The members of an outcome that are no parameters of its draw; the third line has those that a look-up adds.
NO_PARAMETERS = set(
    "outcome endpoint clientSeed serverHash nonce cursor count created shortId permalink mode serverSeed commitId "
    "verified reason reasonCode items notation seedProof next".split()
)


def json_tokens(text, name):
    """The tokens of a JSON text as they are spelled, without the white space between them."""

    def refuse(constant):
        raise ValueError("%s is not JSON" % constant)

    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise InputError(name, "JSON", text) from None
    return TOKEN.findall(text)


def spelled_members(text, name):
    """A JSON object's members by name, each as it is spelled."""
    tokens = json_tokens(text, name)
    if tokens[0] != "{":
        raise InputError(name, "a JSON object", text)
    members, member, value, depth = {}, None, [], 0
    for token in tokens[1:-1] + [","]:
        if depth == 0 and member is None:
            member = token[1:-1]
            if token == ",":  # only after the last member of none
                break
            if "\\" in member or member in members:
                raise InputError(name, "a JSON object that names each member once, without escapes", token)
        elif depth == 0 and token == ",":
            members[member] = "".join(value)
            member, value = None, []
        elif value or token != ":":
            depth += (token in ("[", "{")) - (token in ("]", "}"))
            value.append(token)
    return members


def spelled_outcome(text):
    """An outcome's members as they are spelled: what unwrapped() is for parsed JSON."""
    record = spelled_members(text, "outcome")
    inner = record.get("outcome", "")
    if "endpoint" in record or not inner.startswith("{"):
        return record
    outcome = spelled_members(inner, "outcome")
    if "endpoint" not in outcome:
        return record
    return {**outcome, "items": record["items"]} if "items" in record else outcome


def plain(outcome, name):
    """A member that is text; None if there is none."""
    spelled = outcome.get(name, "")
    return json.loads(spelled) if spelled.startswith('"') else None


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()


def text_of(outcome, items):
    """The lines that a draw's canonical text must have for this outcome; `items` are their JSON, compact, or null."""
    client_seed, takes_items = plain(outcome, "clientSeed"), plain(outcome, "endpoint") in ("shuffle", "pick")
    lines = {name: plain(outcome, name) for name in ("shortId", "endpoint", "serverHash")}
    lines.update((name, outcome.get(name)) for name in ("created", "cursor", "nonce", "outcome"))
    lines["clientSeed"] = client_seed if client_seed is None else sha256_hex(utf8(client_seed, "clientSeed"))
    if takes_items:
        lines["items"] = None if items == "null" else sha256_hex(utf8(items, "items"))
    else:
        lines["items"] = ""
    parameters = ['"%s":%s' % member for member in outcome.items() if member[0] not in NO_PARAMETERS]
    lines["parameters"] = "{%s}" % ",".join(parameters)
    return lines


def add_text(checks, outcome, items, text):
    """Checks that a canonical text says what the outcome says."""
    try:
        lines = text.decode("utf-8").split("\n")
    except ValueError:
        lines = []
    if len(lines) != len(TEXT_LINES) + 2 or lines[0] != TEXT_BEGINNING or lines[-1] != "":
        expected = "%s and %d lines, each ended by a line feed" % (TEXT_BEGINNING, len(TEXT_LINES))
        checks.add("text", False, expected, text.decode("utf-8", "replace"))
        return
    expected = text_of(outcome, items)
    for name, line in zip(TEXT_LINES, lines[1:]):
        if name == "items" and expected[name] is None and re.fullmatch("[0-9a-f]{64}", line):
            checks.same("text.items", line, line, "by its hash only, since the items are not given")
        else:
            checks.same("text." + name, expected[name], line)


def add_implied(checks, outcome):
    """Checks what the text does not say because the values do: how many they are, and that the draw was a live one."""
    endpoint, count = plain(outcome, "endpoint"), None
    value = json.loads(outcome.get("outcome", "null"), parse_int=str, parse_float=str)
    if endpoint == "pick":
        count = 1
    elif endpoint == "bytes" and isinstance(value, str):
        is_hex = plain(outcome, "encoding") == "hex"
        count = len(value) // 2 if is_hex else len(value) // 4 * 3 - value.count("=")
    elif endpoint == "dice" and isinstance(value, dict) and isinstance(value.get("rolls"), list):
        count = len(value["rolls"])
    elif isinstance(value, list):
        count = len(value)
    checks.same("count", None if count is None else str(count), outcome.get("count"))
    checks.same("mode", "live", plain(outcome, "mode"))


class NoteKey:
    """A key as signed-note spells it: name+hash+base64."""

    def __init__(self, vkey, label, algorithms):
        expected = "a key, name+hash+base64, of the type 0x%02x" % algorithms[0]
        match = re.fullmatch("(%s)\\+([0-9a-f]{8})\\+(.+)" % KEY_NAME, vkey if isinstance(vkey, str) else "")
        if not match:
            raise InputError(label, expected, vkey)
        material = base64_bytes({"key": match[3]}, "key", None, label)
        digest = hashlib.sha256(utf8(match[1], label) + b"\n" + material).digest()
        if not material or material[0] not in algorithms or len(material) != 1 + KEY_SIZES[material[0]]:
            raise InputError(label, expected, vkey)
        if digest[:4].hex() != match[2]:
            raise InputError(label, "a key whose hash is that of its name and base64, " + digest[:4].hex(), vkey)
        self.name, self.id, self.algorithm, self.key = match[1], digest[:4], material[0], material[1:]
        self.label = "%s+%s" % (self.name, self.id.hex())


def read_log_key(vkey, label="key"):
    return NoteKey(vkey, label, (LOG_KEY,))


def read_witness_key(vkey, label="witness"):
    return NoteKey(vkey, label, (WITNESS_KEY,))


class Policy:
    """A tlog-policy, read: its logs, its witnesses by name, its groups in order, its quorum."""

    def __init__(self, text):
        self.logs, self.witnesses, self.groups, self.quorum = [], {}, {}, None
        self.members = set()
        for number, line in enumerate((text if isinstance(text, str) else "").split("\n"), 1):
            words = [word for word in re.split("[ \t]+", line) if word]
            if re.search("[\x00-\x08\x0b-\x1f\x7f]", line) or not self.read(words, "policy, line %d" % number):
                raise InputError("policy, line %d" % number, "a line of a tlog-policy", line)
        if self.quorum is None:
            raise InputError("policy", "a tlog-policy with a line for its quorum", text)

    def read(self, words, label):
        """Takes in one line; False if it is none of a policy."""
        kind, words = (words[0], words[1:]) if words else ("#", [])
        if kind.startswith("#"):
            return True
        if kind == "log" and len(words) in (1, 2):
            self.logs.append(read_log_key(words[0], label))
            return len({log.key for log in self.logs}) == len(self.logs)
        if kind == "witness" and len(words) in (2, 3) and self.is_new(words[0]):
            self.witnesses[words[0]] = NoteKey(words[1], label, (WITNESS_KEY, OTHER_WITNESS_KEY))
            return len({witness.key for witness in self.witnesses.values()}) == len(self.witnesses)
        if kind == "group" and len(words) >= 3 and self.is_new(words[0]):
            name, threshold, *members = words
            number = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
            if not re.fullmatch("[1-9][0-9]{0,8}", number) or int(number) > len(members):
                return False
            if len(set(members)) < len(members):
                return False
            if any(self.is_new(one) or one == "none" or one in self.members for one in members):
                return False
            self.members.update(members)
            self.groups[name] = int(number), members
            return True
        if kind == "quorum" and len(words) == 1 and self.quorum is None:
            self.quorum = words[0]
            return self.quorum == "none" or not self.is_new(self.quorum)
        return False

    def is_new(self, name):
        return name != "none" and name not in self.witnesses and name not in self.groups

    def add_quorum(self, checks, cosigned):
        """Checks that those who cosigned are enough."""
        witnessed = set(cosigned)
        for name, (threshold, members) in self.groups.items():
            if sum(member in witnessed for member in members) >= threshold:
                witnessed.add(name)
        if self.quorum == "none":
            checks.same("quorum", "none", "none", "the policy wants no cosignatures")
            return
        expected = self.quorum
        if self.quorum in self.groups:
            threshold, members = self.groups[self.quorum]
            expected += ": %d of %s" % (threshold, ", ".join(members))
        checks.add("quorum", self.quorum in witnessed, expected, cosigned, ", ".join(cosigned))


class Note:
    """A signed note, read."""

    def __init__(self, text, label):
        expected = "a signed note: text, an empty line, 1 to %d lines of signatures" % MAX_SIGNATURES
        body, gap, signed = text.rpartition("\n\n")
        lines = signed.split("\n")
        is_whole = gap and lines.pop() == "" and 1 <= len(lines) <= MAX_SIGNATURES
        if not is_whole or re.search("[\x00-\x09\x0b-\x1f]", text):
            raise InputError(label, expected, text)
        self.text, self.signatures = utf8(body + "\n", label), []
        for line in lines:
            match = re.fullmatch("\u2014 (%s) ([A-Za-z0-9+/=]+)" % KEY_NAME, line)
            signature = match and base64_bytes({"signature": match[2]}, "signature", None, label)
            if not match or len(signature) < 5:
                raise InputError(label, expected, line)
            self.signatures.append((match[1], signature[:4], signature[4:]))

    def of(self, key):
        return [signature for name, id, signature in self.signatures if (name, id) == (key.name, key.id)]

    def signers(self):
        return ["%s+%s" % (name, id.hex()) for name, id, _ in self.signatures]

    def is_signed(self, key, signature):
        return verify_ed25519(key.key, self.text, signature)

    def cosigned_at(self, key, signature):
        """When a witness says that it signed, in seconds since 1970; None if the cosignature does not hold."""
        time = int.from_bytes(signature[:8], "big")
        message = b"cosignature/v1\ntime %d\n" % time + self.text
        return time if time < 2**63 and verify_ed25519(key.key, message, signature[8:]) else None


class LogProof:
    """A tlog-proof, read: the extra text, the index, the path's hashes, the checkpoint."""

    def __init__(self, text):
        head, gap, note = (text if isinstance(text, str) else "").partition("\n\n")
        beginning, *lines = head.split("\n")
        if beginning != PROOF_BEGINNING or not gap:
            expected = "a tlog-proof: the line %s, …, an empty line, a checkpoint" % PROOF_BEGINNING
            raise InputError("proof", expected, text)
        extra = lines.pop(0) if lines and lines[0].startswith("extra ") else None
        self.text = base64_bytes({"extra": extra and extra[6:]}, "extra", None)
        index = lines.pop(0) if lines else None
        if not index or not re.fullmatch("index (%s)" % DECIMAL, index) or int(index[6:]) > MAX_SAFE:
            raise InputError("index", "a line index and a number", index)
        self.index = int(index[6:])
        self.path = [base64_bytes({"hash": line}, "hash", 32, "path[%d]" % level) for level, line in enumerate(lines)]
        self.note = Note(note, "checkpoint")
        self.origin, size, root, *more = note[: note.rindex("\n\n")].split("\n") + [""] * 2
        if not re.fullmatch(DECIMAL, size) or int(size) > MAX_SAFE or not self.origin or "" in more[:-2]:
            raise InputError("checkpoint", "an origin, a size and a root, each on a line", note)
        self.size = int(size)
        self.root = base64_bytes({"root": root}, "root", 32, "checkpoint")


def path_sides(index, size):
    """Where the siblings stand, from an entry up to the root. The last node of a level may have none: it moves up."""
    last, sides = size - 1, []
    while last > 0:
        if index % 2:
            sides.append("left")
        elif index < last:
            sides.append("right")
        index, last = index // 2, last // 2
    return sides


def add_path(checks, proof, entry):
    """Checks that the entry is in the checkpoint's tree, by the one path that its index and the size allow."""
    if proof.index >= proof.size:
        raise InputError("index", "below the checkpoint's size, %d" % proof.size, proof.index)
    sides = path_sides(proof.index, proof.size)
    if not checks.same("path", len(sides), len(proof.path), "index %d of %d entries" % (proof.index, proof.size)):
        return
    node = hashlib.sha256(b"\x00" + entry.encode("ascii")).digest()
    for side, sibling in zip(sides, proof.path):
        left, right = (sibling, node) if side == "left" else (node, sibling)
        node = hashlib.sha256(b"\x01" + left + right).digest()
    computed, told = (base64.b64encode(root).decode("ascii") for root in (node, proof.root))
    checks.same("root", computed, told, told)


def add_log_signature(checks, proof, logs):
    """Checks that one of these logs signed the checkpoint, and none of them wrongly."""
    names = sorted({log.name for log in logs})
    checks.add("origin", proof.origin in names, names[0] if len(names) == 1 else names, proof.origin, proof.origin)
    logs = [log for log in logs if log.name == proof.origin] or logs
    labels = [log.label for log in logs]
    results = [(log.label, proof.note.is_signed(log, signature)) for log in logs for signature in proof.note.of(log)]
    ok = bool(results) and all(result for _, result in results)
    actual = [label + ("" if result else ", a signature that does not hold") for label, result in results]
    actual = actual or ["not by this key, but by " + signer for signer in proof.note.signers()]
    checks.add("signature", ok, labels, actual, ", ".join(label for label, _ in results))


def time_text(seconds):
    if seconds >= 253402300800:  # from the year 10000 on
        return "%d s after 1970" % seconds
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def add_cosignatures(checks, proof, witnesses, required):
    """Checks the cosignatures of these witnesses; returns the names of those who cosigned."""
    cosigned = []
    for name, key in witnesses.items():
        found = proof.note.of(key) if key.algorithm == WITNESS_KEY else []
        times = [proof.note.cosigned_at(key, signature) for signature in found]
        if found and None not in times:
            cosigned.append(name)
            checks.same("witness " + name, key.label, key.label, "cosigned at " + time_text(max(times)))
        elif found:
            checks.add("witness " + name, False, key.label, key.label + ", a cosignature that does not hold")
        elif key.key in required:
            absent = ["not by this key, but by " + signer for signer in proof.note.signers()]
            checks.add("witness " + name, False, key.label, absent)
    return cosigned


def check_log_proof(outcome, proof, key=None, policy=None, witnesses=(), items=None):
    """Checks that a draw stands in the log: `outcome` and `proof` are texts, as the server answered them.

    `key` is the log's key as you noted it, name+hash+base64; `policy` the text of a tlog-policy, which may name logs,
    witnesses and a quorum; `witnesses` are keys of witnesses each of which must have cosigned. `items` is the JSON text
    of what was given to a shuffle or a pick, unless the outcome has it. Values are compared as they are spelled.

    Returns what verify() returns. A check may also have a "detail", which tells what was found.
    """
    checks = Checks()
    try:
        policy = Policy(policy) if policy is not None else None
        logs = [read_log_key(key)] if key is not None else policy.logs if policy else []
        named = dict(policy.witnesses) if policy else {}
        required = [read_witness_key(vkey) for vkey in witnesses]
        for witness in required:
            if all(witness.key != other.key for other in named.values()):
                named[witness.label if witness.name in named else witness.name] = witness
        proof, outcome = LogProof(proof), spelled_outcome(outcome)
        items = outcome.get("items", "null") if items is None else "".join(json_tokens(items, "items"))

        add_text(checks, outcome, items, proof.text)
        add_implied(checks, outcome)
        entry = "draw " + sha256_hex(proof.text)
        checks.same("entry", entry, entry, entry)
        add_path(checks, proof, entry)
        if not logs:
            raise MissingError("key", "the log's key, or a policy that names a log", None)
        add_log_signature(checks, proof, logs)
        cosigned = add_cosignatures(checks, proof, named, {witness.key for witness in required})
        if policy:
            policy.add_quorum(checks, cosigned)
    except InputError as error:
        checks.refuse(error)
    return checks.report()


# ---------------------------------------------------------------------------------------------------------
# Command line


def read_text(path):
    try:
        with open(0 if path == "-" else path, "rb") as file:
            return file.read().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        print("%s: %s" % (path, error), file=sys.stderr)
        sys.exit(2)


def read_json(path, text=None):
    def refuse(constant):
        raise ValueError("%s is not JSON" % constant)

    try:
        return json.loads(read_text(path) if text is None else text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        print("%s: %s" % (path, error), file=sys.stderr)
        sys.exit(2)


def print_report(report):
    for check in report["checks"]:
        name = json.dumps(check["name"])[1:-1]  # ASCII only, so that a name cannot speak to the terminal
        detail = ": " + json.dumps(check["detail"])[1:-1] if check["ok"] and check.get("detail") else ""
        print("%-5s %s%s" % ({True: "ok", False: "FAIL", None: "?"}[check["ok"]], name, detail))
        if check["ok"] is None:
            print("      needed:   " + check["expected"])
        elif not check["ok"]:
            print("      computed: " + json.dumps(check["expected"]))
            print("      claimed:  " + json.dumps(check["actual"]))


def print_key(key, trusted):
    print("      This is the only server seed that the chain could have had, for the key")
    print("      " + key.lower() + ("." if trusted else ","))
    if not trusted:
        print("      which the record itself names. Compare it with the one you noted, or give --seed-key.")


def read_options():
    description = "Checks a Fairdraw outcome, a revealed seed's proof, a Merkle proof, a root, a log proof."
    parser = argparse.ArgumentParser(description=description + " - reads standard input.")
    parser.add_argument("outcome", nargs="?", help="the draw's JSON, or a rotation's, or a daily root")
    parser.add_argument("--server-seed", metavar="HEX", help="the revealed seed (default: the outcome's own)")
    parser.add_argument(
        "--items", metavar="FILE", help="JSON array: the items given to a shuffle or a pick (default: the outcome's own)"
    )
    parser.add_argument("--seed-key", metavar="HEX", help="the server's public key for seeds, as you noted it before")
    parser.add_argument("--proof", metavar="FILE", help="the JSON of a Merkle proof, or a draw's tlog-proof")
    parser.add_argument("--root", metavar="HEX", help="the root the Merkle proof has to lead to")
    parser.add_argument("--root-key", metavar="BASE64", help="the key that has to have signed the root")
    parser.add_argument("--key", metavar="VKEY", help="the log's key, as you noted it, that signed the tlog-proof")
    parser.add_argument("--policy", metavar="FILE", help="a tlog-policy: logs, witnesses and a quorum")
    parser.add_argument(
        "--witness", metavar="VKEY", action="append", default=[], help="a witness that cosigned it; may be repeated"
    )
    parser.add_argument("--trace", action="store_true", help="print every step of the derivation as a line of JSON")
    options = parser.parse_args()
    if not options.outcome and not options.proof:
        parser.error("give an outcome, a --proof, or both")
    if options.root and not options.proof:
        parser.error("--root goes with --proof")
    if (options.server_seed or options.items or options.seed_key is not None) and not options.outcome:
        parser.error("--server-seed, --seed-key and --items go with an outcome")

    options.policy_text = None if options.policy is None else read_text(options.policy)
    try:
        if options.seed_key is not None:
            read_public_key(vars(options), "seed_key", "--seed-key")
        if options.root_key is not None:
            read_root_key(options.root_key, "--root-key")
        if options.key is not None:
            read_log_key(options.key, "--key")
        for witness in options.witness:
            read_witness_key(witness, "--witness")
        if options.policy is not None:
            Policy(options.policy_text)
    except InputError as error:
        parser.error(str(error))
    return parser, options


def reports_of(parser, options, text, outcome):
    """What is to be said of the outcome, and of the proof."""
    proof_text = read_text(options.proof) if options.proof else ""
    is_log_proof = proof_text.startswith(PROOF_BEGINNING)
    if is_log_proof and (text is None or options.root or options.root_key):
        parser.error("a tlog-proof goes with an outcome, --key, --policy and --witness")
    if not is_log_proof and (options.key or options.policy or options.witness):
        parser.error("--key, --policy and --witness go with the --proof of a draw, a tlog-proof")
    if outcome and "outcome" not in outcome and "root" in outcome and not options.proof:
        if not options.root_key:
            parser.error("a root goes with --root-key")
        return [check_root(outcome, options.root_key)]
    if options.root_key and not options.proof:
        parser.error("--root-key goes with a root or a Merkle proof")

    items_text = read_text(options.items) if options.items else None
    items = read_json(options.items, items_text) if options.items else None
    seed = options.server_seed or (outcome and outcome.get("serverSeed"))
    reports = []
    if seed:
        trace = (lambda step: print(json.dumps(step))) if options.trace else None
        if "seedProof" in outcome and "endpoint" not in outcome and "outcome" not in outcome:
            reports.append(check_seed_proof(outcome, seed, options.seed_key, trace))
        else:
            reports.append(verify(outcome, seed, items, trace, options.seed_key))
    elif not options.proof:
        parser.error("give the --server-seed")
    if is_log_proof:
        reports.append(check_log_proof(text, proof_text, options.key, options.policy_text, options.witness, items_text))
    elif options.proof:
        reports.append(check_proof(read_json(options.proof, proof_text), options.root, outcome, options.root_key))
    return reports


def main():
    parser, options = read_options()
    text = read_text(options.outcome) if options.outcome else None
    outcome = read_json(options.outcome, text) if options.outcome else None
    if options.outcome and not isinstance(outcome, dict):
        parser.error("%s holds no JSON object" % options.outcome)
    outcome = outcome and revealed_seed(unwrapped(outcome))
    reports = reports_of(parser, options, text, outcome)

    for report in reports:
        print_report(report)
        if any(check["name"] == "seedProof" and check["ok"] for check in report["checks"]):
            print_key(outcome["seedProof"]["publicKey"], trusted=options.seed_key is not None)
    results = [check["ok"] for report in reports for check in report["checks"]]
    if False in results:
        print("NOT verified")
        sys.exit(1)
    if None in results:
        print("cannot check")
        sys.exit(2)
    print("verified")


if __name__ == "__main__":
    main()
