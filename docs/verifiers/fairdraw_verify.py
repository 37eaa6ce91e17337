#!/usr/bin/env python3
"""Recomputes a Fairdraw outcome from the server seed it was drawn with, and checks Merkle proofs.

    python3 fairdraw_verify.py outcome.json --server-seed HEX [--items items.json]
    python3 fairdraw_verify.py [outcome.json …] --proof proof.json [--root HEX]

Exit code 0: every check passed. 1: at least one failed; it is named, with what was computed and what was
claimed. 2: wrong usage or an unreadable file.

One file, standard library only, Python 3.8 or later. It shares no code with the server. Derivation version 1.

Every floating-point operation below is one IEEE-754 double operation, rounded once, in the order written;
CPython never fuses a multiplication with an addition. Where order matters (sums, above all) it is spelled out.
"""

import argparse
import base64
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


def ints(stream, params):
    count = integer(params, "count", 1, 100)
    low = integer(params, "min", -MAX_SAFE, MAX_SAFE)
    high = integer(params, "max", low, min(low + 2**32 - 1, MAX_SAFE))
    return [low + stream.below(high - low + 1) for _ in range(count)]


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
    items = params.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= 1000:
        raise InputError("items", "the draw's 1 to 1000 items, in the order they were given", items)
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
}

SERVER_SEED = ("[0-9a-fA-F]{64}", "64 hex digits")


def derive(endpoint, server_seed, client_seed, nonce, cursor, params, trace=None):
    """The outcome that these inputs give, in the shape the API answers it.

    A list (floats, ints, gaussian, shuffle), a string (bytes), {outcome, index} (pick) or {notation, rolls,
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

    def same(self, name, expected, actual):
        self.checks.append({"name": name, "ok": same_json(expected, actual), "expected": expected, "actual": actual})
        return self.checks[-1]["ok"]

    def refuse(self, error):
        self.checks.append({"name": error.parameter, "ok": False, "expected": error.expected, "actual": error.actual})

    def report(self):
        return {"ok": all(check["ok"] for check in self.checks), "checks": self.checks}


def verify(outcome, server_seed, items=None, trace=None):
    """Checks a draw's JSON, as the API answered it, against its server seed.

    A shuffle or a pick needs `items`, in the order they were given to the draw. Returns {"ok", "checks"}, a
    check being {"name", "ok", "expected", "actual"}: `expected` is what the seed gives, `actual` what the
    outcome says. An input that no draw can have had is a failed check with that input's name.
    """
    checks = Checks()
    try:
        dictionary(outcome, "outcome")
        string({"serverSeed": server_seed}, "serverSeed", *SERVER_SEED)
        checks.same("serverHash", server_hash(server_seed), outcome.get("serverHash"))

        endpoint, claimed = outcome.get("endpoint"), outcome.get("outcome")
        params = outcome
        if endpoint == "dice":
            params = {"notation": dictionary(claimed, "outcome").get("notation")}
        elif endpoint in ("shuffle", "pick"):
            params = {"items": items, "weights": outcome.get("weights")}
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


def merkle_leaf(canonical):
    """SHA256(0x00 ‖ canonical) in hex, canonical being clientSeed:cursor:nonce|serverHash|clientSeed|created."""
    return hashlib.sha256(b"\x00" + utf8(canonical, "canonical")).hexdigest()


def merkle_node(left, right):
    return hashlib.sha256(b"\x01" + bytes.fromhex(left) + bytes.fromhex(right)).hexdigest()


def check_proof(proof, root=None, outcome=None):
    """Checks that a proof leads from its leaf to its root, by the one path its index and leaf count allow.

    A proof brings its own root along, so it proves something only against a root from elsewhere: give that as
    `root`. Given the `outcome`, the leaf must be that outcome's. Returns what verify() returns.
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
                node = merkle_node(sibling, node) if position == "left" else merkle_node(node, sibling)
            checks.same("root", node, proof.get("root"))
            if root is not None:
                checks.same("published root", node, root)
    except InputError as error:
        checks.refuse(error)
    return checks.report()


# ---------------------------------------------------------------------------------------------------------
# Command line


def read_json(path):
    def refuse(constant):
        raise ValueError("%s is not JSON" % constant)

    try:
        with open(0 if path == "-" else path, "rb") as file:
            return json.loads(file.read().decode("utf-8"), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        print("%s: %s" % (path, error), file=sys.stderr)
        sys.exit(2)


def print_report(report):
    for check in report["checks"]:
        print("%-5s %s" % ("ok" if check["ok"] else "FAIL", check["name"]))
        if not check["ok"]:
            print("      computed: " + json.dumps(check["expected"]))
            print("      claimed:  " + json.dumps(check["actual"]))


def main():
    description = "Checks a Fairdraw outcome, a Merkle proof, or both. - reads standard input."
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("outcome", nargs="?", help="the draw's JSON")
    parser.add_argument("--server-seed", metavar="HEX", help="the revealed seed (default: the outcome's own)")
    parser.add_argument("--items", metavar="FILE", help="JSON array: the items given to a shuffle or a pick")
    parser.add_argument("--proof", metavar="FILE", help="the JSON of a Merkle proof")
    parser.add_argument("--root", metavar="HEX", help="the root the proof has to lead to")
    parser.add_argument("--trace", action="store_true", help="print every step of the derivation as a line of JSON")
    options = parser.parse_args()
    if not options.outcome and not options.proof:
        parser.error("give an outcome, a --proof, or both")
    if options.root and not options.proof:
        parser.error("--root goes with --proof")
    if (options.server_seed or options.items) and not options.outcome:
        parser.error("--server-seed and --items go with an outcome")

    outcome = read_json(options.outcome) if options.outcome else None
    if options.outcome and not isinstance(outcome, dict):
        parser.error("%s holds no JSON object" % options.outcome)
    reports = []
    seed = options.server_seed or (outcome and outcome.get("serverSeed"))
    if seed:
        items = read_json(options.items) if options.items else None
        trace = (lambda step: print(json.dumps(step))) if options.trace else None
        reports.append(verify(outcome, seed, items, trace))
    elif not options.proof:
        parser.error("give the --server-seed")
    if options.proof:
        reports.append(check_proof(read_json(options.proof), options.root, outcome))

    for report in reports:
        print_report(report)
    ok = all(report["ok"] for report in reports)
    print("verified" if ok else "NOT verified")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
