"""The two offline verifiers: against the published vectors, against tampering, and against each other.

FAIRDRAW_TEST_SEED=n repeats a run's random points.
"""

import copy
import hashlib
import importlib.util
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from harness import node

ROOT = Path(__file__).resolve().parents[2]
PYTHON_FILE = ROOT / "docs/verifiers/fairdraw_verify.py"
NODE_FILE = ROOT / "docs/verifiers/fairdraw-verify.js"
VECTORS = [
    json.loads(line) for line in (ROOT / "Tests/FairnessTests/vectors.jsonl").read_text("utf-8").splitlines() if line
]
SEED_VECTORS = [
    json.loads(line) for line in (ROOT / "Tests/FairnessTests/seed-vectors.jsonl").read_text("utf-8").splitlines() if line
]
SEED = int(os.environ.get("FAIRDRAW_TEST_SEED") or random.SystemRandom().getrandbits(32))

# ------------------------------------------------------------------------------------------------------
# Both verifiers behind one interface. Calls go in batches: a Node process costs more than its work.


def load_python():
    spec = importlib.util.spec_from_file_location("fairdraw_verify", PYTHON_FILE)
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


def read(text):
    """JSON with integers beyond 2^53 as doubles: JavaScript writes the double 3e20 as an integer, Python does not."""
    return json.loads(text, parse_int=lambda digits: int(digits) if abs(int(digits)) < 2**53 else float(digits))


class Python:
    module = load_python()
    command = [sys.executable, str(PYTHON_FILE)]

    def call(self, calls):
        return [read(json.dumps(getattr(self, name)(*arguments))) for name, *arguments in calls]

    def server_hash(self, seed):
        return self.module.server_hash(seed)

    def derive(self, case):
        steps = []
        inputs = [case[name] for name in ("endpoint", "serverSeed", "clientSeed", "nonce", "cursor", "params")]
        try:
            return {"value": self.module.derive(*inputs, steps.append), "steps": steps}
        except self.module.InputError as error:
            return {"refused": error.parameter}

    def verify(self, outcome, seed, items):
        return self.module.verify(outcome, seed, items)

    def check_seed_proof(self, record, seed_key=None, steps=None):
        return self.module.check_seed_proof(record, seed_key=seed_key, trace=None if steps is None else steps.append)

    def steps_of_seed_proof(self, record):
        steps = []
        self.check_seed_proof(record, steps=steps)
        return steps

    def verify_with_key(self, outcome, seed, seed_key):
        return self.module.verify(outcome, seed, seed_key=seed_key)

    def merkle_leaf(self, canonical):
        return self.module.merkle_leaf(canonical)

    def check_proof(self, proof, root, outcome, root_key=None):
        return self.module.check_proof(proof, root, outcome, root_key)

    def check_root(self, root, key):
        return self.module.check_root(root, key)

    def ed25519(self, *parts):
        return self.module.verify_ed25519(*map(bytes.fromhex, parts))

    def check_log_proof(self, outcome, proof, given):
        return self.module.check_log_proof(outcome, proof, **given)

    def bits(self, name, points):
        function = getattr(self.module, name)
        return [struct.pack(">d", function(struct.unpack(">d", bytes.fromhex(x))[0])).hex() for x in points]


class Node:
    @property
    def command(self):
        return [*node(), str(NODE_FILE)]

    driver = """
        import * as v from %s;
        let text = "";
        for await (const chunk of process.stdin.setEncoding("utf8")) text += chunk;
        const view = new DataView(new ArrayBuffer(8));
        const functions = {
          server_hash: v.serverHash,
          derive: async (inputs) => {
            const steps = [];
            try {
              return { value: await v.derive(inputs, steps), steps };
            } catch (error) {
              if (!(error instanceof v.InputError)) throw error;
              return { refused: error.parameter };
            }
          },
          verify: (outcome, seed, items) => v.verify(outcome, seed, items ?? undefined),
          check_seed_proof: (record, seedKey) => v.checkSeedProof(record, { seedKey: seedKey ?? undefined }),
          steps_of_seed_proof: async (record) => {
            const steps = [];
            await v.checkSeedProof(record, { trace: steps });
            return steps;
          },
          verify_with_key: (outcome, seed, key) => v.verify(outcome, seed, undefined, undefined, key ?? undefined),
          merkle_leaf: v.merkleLeaf,
          check_proof: (proof, root, outcome, rootKey) =>
            v.checkProof(proof, { root: root ?? undefined, outcome: outcome ?? undefined, rootKey }),
          check_root: v.checkRoot,
          ed25519: (...parts) => v.verifyEd25519(...parts.map((part) => new Uint8Array(Buffer.from(part, "hex")))),
          check_log_proof: v.checkLogProof,
          bits: (name, points) => points.map((point) => {
            view.setBigUint64(0, BigInt("0x" + point));
            view.setFloat64(0, v[name](view.getFloat64(0)));
            return view.getBigUint64(0).toString(16).padStart(16, "0");
          }),
        };
        const answers = [];
        for (const [name, ...args] of JSON.parse(text)) answers.push(await functions[name](...args));
        console.log(JSON.stringify(answers));
    """ % json.dumps(NODE_FILE.as_uri())

    def call(self, calls):
        command = [*node(), "--input-type=module", "-e", self.driver]
        run = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return read(run.stdout)


@pytest.fixture(params=[Python, Node], ids=["python", "node"])
def verifier(request):
    return request.param()


# ------------------------------------------------------------------------------------------------------
# Vectors


def expected_value(case):
    """A vector's value in the API's shape."""
    params, expected = case["params"], case["expected"]
    if case["endpoint"] == "dice":
        return {"notation": params["notation"], "modifier": params["modifier"], **expected}
    return expected


def answered(case):
    """A vector as the draw's answer, and the items that were given to it."""
    params, value = case["params"], expected_value(case)
    items = params.get("items")
    outcome = {"outcome": value, "shortId": "k7Qm2A9bXz", "permalink": "http://127.0.0.1:8080/o/k7Qm2A9bXz"}
    outcome.update({name: case[name] for name in ("serverHash", "clientSeed", "cursor", "nonce", "endpoint")})
    if case["endpoint"] == "shuffle":
        outcome.update(count=len(items))
    elif case["endpoint"] == "pick":
        outcome.update(outcome=value["outcome"], index=value["index"], weights=params.get("weights"), count=1)
    elif case["endpoint"] == "dice":
        outcome.update(sides=params["sides"], modifier=params["modifier"], count=params["dice"])
    else:
        outcome.update(params)
    outcome.update(created=1716566400000, mode="live")
    return outcome, items


def vector(endpoint, wanted=lambda case: True):
    return next(case for case in VECTORS if case["endpoint"] == endpoint and wanted(case))


def test_every_vector_is_reproduced(verifier):
    assert len(VECTORS) == 100
    derived = verifier.call([["derive", case] for case in VECTORS])
    hashes = verifier.call([["server_hash", case["serverSeed"]] for case in VECTORS])
    for case, result, server_hash in zip(VECTORS, derived, hashes):
        assert server_hash == case["serverHash"]
        assert result["value"] == expected_value(case), case


def test_every_vector_as_an_outcome_is_verified(verifier):
    calls = []
    for case in VECTORS:
        outcome, items = answered(case)
        calls.append(["verify", outcome, case["serverSeed"], items])
    for case, report in zip(VECTORS, verifier.call(calls)):
        assert report["ok"] and all(check["ok"] for check in report["checks"]), (case, report)


def test_large_doubles_are_compared_as_doubles(verifier):
    """The API writes doubles as ECMAScript does: up to 1e21 as integers, whose last digits need not be the double's."""
    case = {**vector("gaussian"), "params": {"count": 20, "distribution": "exponential", "lambda": 1e-19}}
    (derived,) = verifier.call([["derive", case]])
    outcome, _ = answered({**case, "expected": [int(Decimal(repr(value))) for value in derived["value"]]})
    assert any(written != value for written, value in zip(outcome["outcome"], derived["value"]))
    other = {**outcome, "outcome": [outcome["outcome"][0] + 10**5] + outcome["outcome"][1:]}
    right, wrong = verifier.call([["verify", o, case["serverSeed"], None] for o in (outcome, other)])
    assert (failing(right), failing(wrong)) == ([], ["outcome"])


def test_both_take_the_same_steps():
    rng = random.Random(SEED)
    print("FAIRDRAW_TEST_SEED=%d" % SEED)
    cases = VECTORS + [random_case(rng) for _ in range(300)]
    calls = [["derive", case] for case in cases]
    python, node = Python().call(calls), Node().call(calls)
    for case, a, b in zip(cases, python, node):
        assert "steps" in a and a == b, case
    seen = {step["step"] for result in python for step in result["steps"]}
    assert seen == set(
        "serverHash start block word float32 float53 below rejected bytes swap weighted polar value".split()
    )


def random_case(rng):
    """A draw anywhere in the contract's ranges, its edges more often than chance."""

    def between(low, high):
        return rng.choice([low, high, rng.randint(low, high)])

    count = between(1, 100)
    low = between(-(2**53) + 1, 2**53 - 1)
    size = between(1, 1000)
    weights = [rng.choice([0, 1, 1e-300, 5e-324, 1e300, rng.random()]) for _ in range(size)] + [rng.random() + 0.1]
    endpoint, params = rng.choice(
        [
            ("floats", {"count": count}),
            ("ints", {"count": count, "min": low, "max": min(low + between(0, 2**32 - 1), 2**53 - 1)}),
            ("bytes", {"count": between(1, 1024), "encoding": rng.choice(["hex", "base64"])}),
            ("dice", {"notation": "%dd%d %s %d" % (count, between(2, 10**6), rng.choice("+-"), between(0, 10**15))}),
            ("shuffle", {"items": list(range(size))}),
            ("pick", {"items": [None] * size}),
            ("pick", {"items": list(range(len(weights[:1000]))), "weights": weights[-1000:]}),
            ("gaussian", {"count": count, "distribution": "normal", "mean": rng.gauss(0, 1e6), "stddev": rng.random()}),
            ("gaussian", {"count": count, "distribution": "exponential", "lambda": 10 ** rng.uniform(-300, 300)}),
            ("gaussian", {"count": count, "distribution": "poisson", "lambda": rng.choice([1e-12, 0.7, 100, 40.5])}),
            ("sample", {"count": size, "min": low, "max": low + size - 1} if low < 0 else {"count": size, "min": 0, "max": 2**32 - 1}),
        ]
    )
    return {
        "endpoint": endpoint,
        "serverSeed": rng.getrandbits(256).to_bytes(32, "big").hex(),
        "clientSeed": rng.choice(["test", "é", "e\u0301", "a:b|c\n", "🎲" * 64]),
        "nonce": between(0, 2**53 - 1),
        "cursor": between(0, 2**53 - 1),
        "params": params,
    }


# ------------------------------------------------------------------------------------------------------
# log and exp


def bits(x):
    return struct.pack(">d", x).hex()


def around(x):
    """x and its four nearest neighbours on either side."""
    (pattern,) = struct.unpack(">q", struct.pack(">d", x))
    return [struct.pack(">q", pattern + step).hex() for step in range(-4, 5)]


# One point for each branch of each function: argument, result. They are what V8's Math, which is fdlibm, gives; at
# most of them glibc gives another.
KNOWN_BITS = {
    "log": [
        ("3ff0000083a7f9d6", "3ea074fef70aa98b"),  # near 1
        ("41e00000077542ae", "40357cd0e779bc4a"),  # near 2^k
        ("2eb0000000000000", "c067e9e03ae5c676"),  # power of two
        ("3ff3be84e35f0601", "3fcaea2feb0d4b1a"),  # below the middle
        ("3ff69a60d4aa57ab", "3fd61c99f36f3b0a"),  # middle
        ("3fe6a28db1875fbc", "bfd628ca54592ae0"),  # middle, halved
        ("3febeebaff5762bd", "bfc1669930e25782"),  # above the middle
        ("3fc5de74e1a2f788", "bffc4579674c4092"),  # below, k
        ("3fd697902c19011d", "bff0a91ac3b4694a"),  # middle, k
        ("3f482611aa51ba48", "c01cda169bab3396"),  # above, k
        ("00011fd0834372e7", "c086386a3a0a0748"),  # subnormal
    ],
    "exp": [
        ("3e1f2f1fdfed120a", "3ff00000007cbc7f"),  # tiny
        ("bfc308351352bbf7", "3feb942d45f4c476"),  # k = 0
        ("3fe17f515d82d5e7", "3ffba4a9fe4fb406"),  # k = 1
        ("bfeaec696c01d8ea", "3fdb978a51b23aca"),  # k = -1
        ("40713afc73ea752b", "58ca91fba698ec8a"),  # k > 1
        ("c049d06016b32050", "3b46e3cf24ffac7e"),  # k < -1
        ("40862c4ebfedaa80", "7fe910a81001bca2"),  # k = 1024
        ("c0861f60a104463f", "0019b56617317b5a"),  # k = -1021
        ("c086325142542d7d", "000268c6e4590fb4"),  # subnormal
    ],
}


@pytest.mark.parametrize("name", ["log", "exp"])
def test_known_bits(verifier, name):
    (results,) = verifier.call([["bits", name, [point for point, _ in KNOWN_BITS[name]]]])
    assert results == [result for _, result in KNOWN_BITS[name]]


@pytest.mark.parametrize("name", ["log", "exp"])
def test_log_and_exp_agree_bit_for_bit(name):
    rng = random.Random(SEED)
    print("FAIRDRAW_TEST_SEED=%d" % SEED)
    step = 2.0**-20
    points = [bits(x) for x in (0.0, -0.0, math.inf, -math.inf, 5e-324, 1.0, -1.0)]
    if name == "log":
        edges = [2.0**-1022, 1 - step, 1.0, 1 + step, 2 - 2 * step, 1 + 0x6A09C * step]
        edges += [1 + 0x6147A * step, 1 + 0x6B852 * step, (1 + 0x6147A * step) / 2, 2.0**1023]
        points += [rng.getrandbits(63).to_bytes(8, "big").hex() for _ in range(50_000)]
        points += [bits(rng.getrandbits(53) / 2**53) for _ in range(50_000)]
        points += [bits(1 + rng.uniform(-1, 1) * 2.0 ** -rng.uniform(0, 50)) for _ in range(50_000)]
    else:
        edges = [709.782712893384, -745.1332191019411, 2.0**-28, (1 + 0x62E43 * step) / 4, 1 + 0x0A2B2 * step]
        edges += [-edge for edge in edges[2:]] + [-707.7, -708.4, 709.4]
        points += [bits(rng.uniform(-746, 710)) for _ in range(50_000)]
        points += [bits(rng.uniform(-100, 0)) for _ in range(50_000)]
        points += [bits(rng.choice([-1, 1]) * 2.0 ** -rng.uniform(-1, 60)) for _ in range(50_000)]
    points += [point for edge in edges for point in around(edge)]
    points = [x for x in points if not math.isnan(struct.unpack(">d", bytes.fromhex(x))[0])]

    (python,), (node,) = (verifier().call([["bits", name, points]]) for verifier in (Python, Node))
    reference = getattr(math, name)
    for x, a, b in zip(points, python, node):
        assert a == b, x
        value, result = (struct.unpack(">d", bytes.fromhex(y))[0] for y in (x, a))
        try:
            platform = reference(value)
        except ValueError:  # a logarithm of 0 or less
            platform = -math.inf if value == 0 else math.nan
        except OverflowError:
            platform = math.inf
        # A different algorithm, both within one unit in the last place of the truth.
        assert math.isnan(result) == math.isnan(platform)
        if not math.isnan(result) and result != platform:
            assert abs(result - platform) <= 2 * math.ulp(platform), x


# ------------------------------------------------------------------------------------------------------
# Tampering


def failing(report):
    assert report["ok"] is all(check["ok"] is True for check in report["checks"])
    return [check["name"] for check in report["checks"] if not check["ok"]]


POISSON = vector("gaussian", lambda case: case["params"]["distribution"] == "poisson")
NORMAL = vector("gaussian", lambda case: case["params"]["distribution"] == "normal")
WEIGHTED = vector("pick", lambda case: case["params"].get("weights") and case["expected"]["index"] == 2)
UNWEIGHTED = vector("pick", lambda case: "weights" not in case["params"] and len(case["params"]["items"]) > 3)
HEX = vector("bytes", lambda case: case["params"]["encoding"] == "hex" and case["params"]["count"] > 9)


def nudge(outcome):
    outcome["outcome"][-1] = outcome["outcome"][-1] + 1


def last_bit(outcome):
    """The next double: a tampering that a tolerance would let through."""
    value = outcome["outcome"][0]
    outcome["outcome"][0] = math.nextafter(value, math.inf)


def put(name, value):
    return lambda outcome: outcome.__setitem__(name, value)


def put_die(name, value):
    return lambda outcome: outcome["outcome"].__setitem__(name, value)


DICE = vector("dice")
SAMPLE = vector("sample", lambda case: len(case["expected"]) > 5)
TAMPERED = [
    (vector("floats"), last_bit, ["outcome"]),
    (vector("floats"), lambda outcome: outcome["outcome"].pop(), ["outcome"]),
    (vector("floats"), put("count", 31), ["outcome"]),
    (vector("floats"), put("count", 0), ["count"]),
    (vector("floats"), put("count", "32"), ["count"]),
    (vector("floats"), put("count", True), ["count"]),
    (vector("floats"), lambda outcome: outcome.pop("count"), ["count"]),
    (vector("floats"), put("serverHash", "0" * 64), ["serverHash"]),
    (vector("floats"), lambda outcome: outcome.pop("serverHash"), ["serverHash"]),
    (vector("floats"), put("clientSeed", "a:b:d"), ["outcome"]),
    (vector("floats"), put("clientSeed", "\ud800"), ["clientSeed"]),
    (vector("floats"), put("nonce", 401), ["outcome"]),
    (vector("floats"), put("nonce", -1), ["nonce"]),
    (vector("floats"), put("nonce", 2**53), ["nonce"]),
    (vector("floats"), put("cursor", 1001), ["outcome"]),
    (vector("floats"), put("cursor", 1.5), ["cursor"]),
    (vector("floats"), put("endpoint", "gaussian"), ["distribution"]),
    (vector("floats"), put("endpoint", "constructor"), ["endpoint"]),
    (vector("floats"), put("endpoint", ["floats"]), ["endpoint"]),
    (vector("ints"), nudge, ["outcome"]),
    (vector("ints"), put("max", 3000000000), ["outcome"]),
    (vector("ints"), put("min", 2999999999 - 2**32), ["max"]),
    (vector("ints"), put("min", None), ["min"]),
    (SAMPLE, nudge, ["outcome"]),
    (SAMPLE, lambda outcome: outcome["outcome"].reverse(), ["outcome"]),
    (SAMPLE, put("count", len(SAMPLE["expected"]) - 1), ["outcome"]),
    (SAMPLE, put("max", SAMPLE["params"]["min"] + len(SAMPLE["expected"]) - 2), ["count"]),
    (HEX, lambda outcome: outcome.update(outcome=outcome["outcome"].upper()), ["outcome"]),
    (HEX, put("encoding", "base64"), ["outcome"]),
    (HEX, put("encoding", "hex\n"), ["encoding"]),
    (NORMAL, last_bit, ["outcome"]),
    (NORMAL, put("stddev", 0), ["stddev"]),
    (NORMAL, lambda outcome: outcome.pop("mean"), ["mean"]),
    (POISSON, nudge, ["outcome"]),
    (POISSON, put("lambda", 101), ["lambda"]),
    (vector("shuffle"), lambda outcome: outcome["outcome"].reverse(), ["outcome"]),
    (vector("shuffle"), put("count", 1), ["count"]),
    (UNWEIGHTED, put("index", 0), ["index"]),
    (UNWEIGHTED, put("outcome", "i0"), ["outcome"]),
    (UNWEIGHTED, put("count", 2), ["count"]),
    (WEIGHTED, put("weights", [1]), ["weights"]),
    (WEIGHTED, lambda outcome: outcome.update(weights=[0] * len(outcome["weights"])), ["weights"]),
    (WEIGHTED, lambda outcome: outcome.update(weights=[1e308] * len(outcome["weights"])), ["weights"]),
    (WEIGHTED, lambda outcome: outcome["weights"].__setitem__(2, 0), ["outcome", "index"]),
    (DICE, put_die("rolls", [1] * 11), ["outcome.rolls"]),
    (DICE, put_die("total", 16), ["outcome.total"]),
    (DICE, put_die("modifier", 1), ["outcome.modifier"]),
    (DICE, put_die("notation", "11d2 - 1"), ["outcome.notation"]),
    (DICE, put_die("notation", "11d2-"), ["notation"]),
    (DICE, put_die("notation", "11d1-1"), ["sides"]),
    (DICE, put("modifier", 1), ["modifier"]),
    (DICE, put("sides", 6), ["sides"]),
    (DICE, put("count", 12), ["count"]),
    (DICE, put("outcome", 15), ["outcome"]),
]


def test_a_tampered_outcome_is_refused(verifier):
    calls = []
    for case, tamper, _ in TAMPERED:
        outcome, items = copy.deepcopy(answered(case))
        tamper(outcome)
        calls.append(["verify", outcome, case["serverSeed"], items])
    for (_, _, names), call, report in zip(TAMPERED, calls, verifier.call(calls)):
        assert failing(report) == names, (call, report)


def test_a_wrong_seed_is_refused(verifier):
    outcome, _ = answered(vector("floats"))
    seed = vector("floats")["serverSeed"]
    other = ("0" if seed[0] != "0" else "1") + seed[1:]
    upper, short, empty, right = verifier.call(
        [["verify", outcome, wrong, None] for wrong in (seed.upper(), seed[:-1], "", seed)]
    )
    (changed,) = verifier.call([["verify", outcome, other, None]])
    assert failing(changed) == ["serverHash", "outcome"]
    assert failing(upper) == []
    assert failing(short) == failing(empty) == ["serverSeed"]
    assert failing(right) == []
    assert changed["checks"][0]["actual"] == outcome["serverHash"]


def test_items_are_needed_and_are_compared_as_json(verifier):
    case = vector("shuffle", lambda case: len(case["params"]["items"]) == 4)
    mixed = [{"a": 1, "b": [None, True]}, 1, True, "1"]
    order = [case["params"]["items"].index(item) for item in case["expected"]]
    outcome, _ = answered(case)
    outcome["outcome"] = [mixed[i] for i in order]
    reordered = [{"b": [None, True], "a": 1.0}] + mixed[1:]
    confused = [mixed[0], True, 1, "1"]
    given = [mixed, reordered, confused, None, [], mixed[:3]]
    calls = [["verify", outcome, case["serverSeed"], items] for items in given]
    named = [failing(report) for report in verifier.call(calls)]
    assert named == [[], [], ["outcome"], ["items"], ["items"], ["outcome", "count"]]
    own, none, null, empty = verifier.call(
        [
            ["verify", {**outcome, "items": mixed}, case["serverSeed"], None],
            ["verify", outcome, case["serverSeed"], None],
            ["verify", {**outcome, "items": None}, case["serverSeed"], None],
            ["verify", {**outcome, "items": mixed}, case["serverSeed"], []],
        ]
    )
    assert failing(own) == []
    # What is missing has not failed; what is wrong has.
    assert [[check["ok"] for check in report["checks"]] for report in (none, null, empty)] == [
        [True, None],
        [True, None],
        [True, False],
    ]


@pytest.mark.parametrize(
    "notation, canonical",
    [("d6", "1d6"), ("3d6", "3d6"), ("3d6+0", "3d6"), ("3d6-0", "3d6"), ("3d6 + 2", "3d6+2"), ("03d06  - 02", "3d6-2")],
)
def test_dice_notation(verifier, notation, canonical):
    (result,) = verifier.call([["derive", {**DICE, "params": {"notation": notation}}]])
    assert result["value"]["notation"] == canonical
    assert result["value"]["total"] == sum(result["value"]["rolls"]) + result["value"]["modifier"]


def test_dice_notation_that_is_none(verifier):
    wrong = ["", "6", "3d", "3d6+", "3d6++1", "3d6+1\n", "٣d6", "0d6", "101d6", "1d1", "1d1000001", "1" * 9999 + "d6"]
    wrong += ["1d6+9007199254740991", 6, None]
    results = verifier.call([["derive", {**DICE, "params": {"notation": notation}}] for notation in wrong])
    assert all("refused" in result for result in results), results


# ------------------------------------------------------------------------------------------------------
# Seed proofs


def revealed(case):
    """A seed vector as the record of a revealed seed."""
    proof = {"suite": "vrf-r255", **{name: case[name] for name in ("publicKey", "scope", "era", "epoch", "proof")}}
    return {**{name: case[name] for name in ("clientSeed", "serverSeed", "serverHash")}, "seedProof": proof}


def rotation(case):
    """A seed vector as a rotation answers it."""
    record = revealed(case)
    answer = {"clientSeed": record.pop("clientSeed"), "revealed": {**record, "cursor": 0, "nonce": 3}}
    return {**answer, "next": {"serverHash": "0" * 64, "cursor": 0, "nonce": 3, "rotatedAt": 1767225600000}}


def test_every_seed_vector_is_the_only_possible_seed(verifier):
    assert len(SEED_VECTORS) == 24
    keys = {case["publicKey"] for case in SEED_VECTORS}
    assert len(keys) > 1
    calls = [["check_seed_proof", record(case), key] for case in SEED_VECTORS for record in (revealed, rotation)
             for key in (None, case["publicKey"], case["publicKey"].upper())]
    for call, report in zip(calls, verifier.call(calls)):
        assert failing(report) == [] and report["checks"][-1]["name"] == "seedProof", (call, report)
        assert report["checks"][-1]["expected"] == (call[1].get("revealed") or call[1])["serverSeed"]
    wrong = [["check_seed_proof", revealed(case), (keys - {case["publicKey"]}).pop()] for case in SEED_VECTORS]
    for call, report in zip(wrong, verifier.call(wrong)):
        assert failing(report) == ["seedProof.publicKey"], (call, report)


def test_both_take_the_same_steps_of_seed_proofs():
    calls = [["steps_of_seed_proof", revealed(case)] for case in SEED_VECTORS]
    python, node = Python().call(calls), Node().call(calls)
    for case, a, b in zip(SEED_VECTORS, python, node):
        inputs = "fairdraw/seed/v1\n{scope}\n{era}\n{epoch}\n{clientSeed}".format(**case)
        [step] = a
        assert a == b and bytes.fromhex(step["alpha"]) == inputs.encode(), case
        assert (step["publicKey"], step["output"]) == (case["publicKey"], case["output"])


def put_proof(name, value):
    return lambda record: record["seedProof"].__setitem__(name, value)


CASE = next(case for case in SEED_VECTORS if case["epoch"] == 2 and case["era"] == 1 and case["scope"] == "account:1")
OTHER = next(case for case in SEED_VECTORS if case["publicKey"] != CASE["publicKey"])
IDENTITY = "0" * 64
ORDER = 2**252 + 27742317777372353535851937790883648493
# Of RFC 9496, A.3: not canonical, negative, no square, negative x·y, y = 0.
NO_ELEMENTS = [
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "01" + "0" * 62,
    "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def larger_scalar(proof):
    """The same proof with its scalar written larger by the group's order."""
    scalar = int.from_bytes(bytes.fromhex(proof[96:]), "little") + ORDER
    return proof[:96] + scalar.to_bytes(32, "little").hex()


BROKEN_PROOFS = [
    (put("seedProof", None), ["seedProof"]),
    (put("seedProof", [CASE["proof"]]), ["seedProof"]),
    (lambda record: record.pop("seedProof"), ["seedProof"]),
    (put_proof("suite", "ECVRF-EDWARDS25519-SHA512-TAI"), ["seedProof.suite"]),
    (put_proof("suite", "vrf-r255\n"), ["seedProof.suite"]),
    (lambda record: record["seedProof"].pop("suite"), ["seedProof.suite"]),
    (put_proof("publicKey", CASE["publicKey"][:-2]), ["seedProof.publicKey"]),
    (put_proof("publicKey", CASE["publicKey"] + "00"), ["seedProof.publicKey"]),
    (put_proof("publicKey", IDENTITY), ["seedProof.publicKey"]),
    *((put_proof("publicKey", bad), ["seedProof.publicKey"]) for bad in NO_ELEMENTS),
    (put_proof("publicKey", OTHER["publicKey"]), ["seedProof.proof"]),
    *((put_proof("scope", bad), ["seedProof.scope"]) for bad in
      ("anonymous", "account:2", "account:9", "account:0", "account:01", "account:9007199254740992", "account:١", "", 1)),
    (put_proof("scope", "account:4711"), ["seedProof.proof"]),
    *((put_proof("era", bad), ["seedProof.era"]) for bad in (0, 2, 9, -1, 1.5, "1", None, True, 2**53)),
    (put_proof("era", 10), ["seedProof.proof"]),
    *((put_proof("epoch", bad), ["seedProof.epoch"]) for bad in (0, 1, 3, 10, -1, 2.5, "2", None, 2**53)),
    (put_proof("epoch", 2**53 - 1), ["seedProof.proof"]),
    (put_proof("proof", CASE["proof"][:-2]), ["seedProof.proof"]),
    (put_proof("proof", CASE["proof"] + "00"), ["seedProof.proof"]),
    (put_proof("proof", ""), ["seedProof.proof"]),
    (put_proof("proof", "x" * 160), ["seedProof.proof"]),
    (put_proof("proof", larger_scalar(CASE["proof"])), ["seedProof.proof"]),
    (put_proof("proof", CASE["proof"][:96] + ORDER.to_bytes(32, "little").hex()), ["seedProof.proof"]),
    (put_proof("proof", CASE["proof"][:64] + "0" * 96), ["seedProof.proof"]),
    *((put_proof("proof", bad + CASE["proof"][64:]), ["seedProof.proof"]) for bad in [*NO_ELEMENTS, IDENTITY]),
    (put_proof("proof", OTHER["proof"]), ["seedProof.proof"]),
    (put("clientSeed", CASE["clientSeed"] + " "), ["seedProof.proof"]),
    (put("clientSeed", "\ud800"), ["clientSeed"]),
    (lambda record: record.pop("clientSeed"), ["clientSeed"]),
    (put("serverSeed", OTHER["serverSeed"]), ["serverHash", "seedProof"]),
    (lambda record: record.update(serverSeed=OTHER["serverSeed"], serverHash=OTHER["serverHash"]), ["seedProof"]),
    (put("serverSeed", CASE["serverSeed"][:-1]), ["serverSeed"]),
]


def test_a_broken_seed_proof_is_refused_and_named(verifier):
    calls = []
    for tamper, _ in BROKEN_PROOFS:
        record = revealed(CASE)
        tamper(record)
        calls.append(["check_seed_proof", record])
    for (_, names), call, report in zip(BROKEN_PROOFS, calls, verifier.call(calls)):
        assert failing(report) == names, (call, report)
    assert failing(verifier.call([["check_seed_proof", [revealed(CASE)]]])[0]) == ["record"]


def test_the_reason_of_a_refusal_tells_what_is_wrong(verifier):
    def words(tamper):
        record = revealed(CASE)
        tamper(record)
        return verifier.call([["check_seed_proof", record]])[0]["checks"][-1]["expected"]

    assert words(put_proof("proof", IDENTITY + CASE["proof"][64:])) == "80 bytes that do not begin with the identity element"
    assert words(put_proof("proof", larger_scalar(CASE["proof"]))).endswith("below the order of the group")
    assert "canonical" in words(put_proof("proof", NO_ELEMENTS[0] + CASE["proof"][64:]))
    assert words(put_proof("epoch", 3)) == 2 and words(put_proof("scope", "anonymous")) == "account:1"
    assert "one of those five is wrong" in words(put_proof("epoch", 100))
    assert "one of those five is wrong" not in words(put_proof("proof", OTHER["proof"]))


def test_no_flipped_bit_of_proof_key_or_inputs_is_accepted(verifier):
    rng = random.Random(SEED)
    print("FAIRDRAW_TEST_SEED=%d" % SEED)
    case = rng.choice([case for case in SEED_VECTORS if len(case["clientSeed"]) < 20])

    def flipped(text, bit):
        changed = bytearray(bytes.fromhex(text))
        changed[bit // 8] ^= 1 << bit % 8
        return changed.hex()

    calls = []
    for bit in rng.sample(range(640), 40):
        calls.append(["check_seed_proof", {**revealed(case), "seedProof": {
            **revealed(case)["seedProof"], "proof": flipped(case["proof"], bit)}}])
    for bit in rng.sample(range(256), 20):
        calls.append(["check_seed_proof", {**revealed(case), "seedProof": {
            **revealed(case)["seedProof"], "publicKey": flipped(case["publicKey"], bit)}}])
    for bit in rng.sample(range(20), 5):
        for name in ("era", "epoch"):
            calls.append(["check_seed_proof", {**revealed(case), "seedProof": {
                **revealed(case)["seedProof"], name: case[name] ^ 1 << bit}}])
    for call, report in zip(calls, verifier.call(calls)):
        [name] = failing(report)
        assert name.startswith("seedProof."), (call, report)


def drawn_from(case):
    """A draw from a seed vector's seed, as it is looked up."""
    inputs = {"endpoint": "ints", "params": {"count": 3, "min": 1, "max": 10**6}, "nonce": 5, "cursor": 0}
    [derived] = Python().call([["derive", {**inputs, **case}]])
    outcome, _ = answered({**inputs, **case, "expected": derived["value"]})
    return {**outcome, "serverSeed": case["serverSeed"], "seedProof": revealed(case)["seedProof"]}


def test_an_outcome_is_checked_with_its_seed_proof(verifier):
    outcome, other = drawn_from(CASE), OTHER["publicKey"]
    wrong = copy.deepcopy(outcome)
    wrong["seedProof"]["epoch"] = 3
    none = {name: value for name, value in outcome.items() if name != "seedProof"}
    given = [(outcome, None), (outcome, CASE["publicKey"]), (outcome, other), (wrong, None), (none, None), (none, other)]
    calls = [["verify_with_key", given_outcome, CASE["serverSeed"], key] for given_outcome, key in given]
    reports = verifier.call(calls)
    named = [[], [], ["seedProof.publicKey"], ["seedProof.epoch"], [], ["seedProof"]]
    assert [failing(report) for report in reports] == named
    # A wrong proof does not keep the values from being checked.
    assert all(report["checks"][-1] == reports[0]["checks"][-1] for report in reports)
    assert "seedProof" in [check["name"] for check in reports[0]["checks"]]
    assert "seedProof" not in [check["name"] for check in reports[4]["checks"]]


def test_command_line_checks_seed_proofs(verifier, tmp_path):
    sentence = "the only server seed that the chain could have had"
    for record in (revealed(CASE), rotation(CASE), drawn_from(CASE)):
        file = write(tmp_path / "record.json", record)
        own, trusted = run(verifier, file), run(verifier, file, "--seed-key", CASE["publicKey"])
        for result in (own, trusted):
            assert (result.returncode, result.stderr) == (0, "") and sentence in result.stdout, result
            assert CASE["publicKey"] in result.stdout and result.stdout.splitlines()[-1] == "verified"
        assert "the record itself names" in own.stdout and "the record itself names" not in trusted.stdout
        other = run(verifier, file, "--seed-key", OTHER["publicKey"])
        assert other.returncode == 1 and "FAIL  seedProof.publicKey" in other.stdout and sentence not in other.stdout
    file = write(tmp_path / "record.json", {**revealed(CASE), "clientSeed": "another"})
    refused = run(verifier, file)
    assert refused.returncode == 1 and "FAIL  seedProof.proof" in refused.stdout and sentence not in refused.stdout
    for key in ("", "x", IDENTITY, NO_ELEMENTS[0], CASE["publicKey"] + "00"):
        result = run(verifier, file, "--seed-key", key)
        assert (result.returncode, result.stdout) == (2, "") and "--seed-key must be" in result.stderr, result


# ------------------------------------------------------------------------------------------------------
# Merkle proofs


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def make_proof(outcomes, index):
    """The proof a server gives: every level written out, an odd one with its last node repeated."""
    canonicals = ["{clientSeed}:{cursor}:{nonce}|{serverHash}|{clientSeed}|{created}".format(**o) for o in outcomes]
    level = [sha256(b"\x00", canonical.encode()) for canonical in canonicals]
    own, outcome, siblings, at = level[index], outcomes[index], [], index
    while len(level) > 1:
        level += level[-1:] * (len(level) % 2)
        siblings.append({"position": "left" if at % 2 else "right", "hash": level[at ^ 1].hex()})
        level, at = [sha256(b"\x01", a, b) for a, b in zip(level[::2], level[1::2])], at // 2
    outcome_id = "{clientSeed}:{cursor}:{nonce}".format(**outcome)
    leaf = {"outcomeId": outcome_id, "serverHash": outcome["serverHash"], "clientSeed": outcome["clientSeed"]}
    leaf.update(timestamp=outcome["created"], canonical=canonicals[index], hash=own.hex())
    return {
        "date": "2024-05-24",
        "outcomeId": outcome_id,
        "leaf": leaf,
        "index": index,
        "leafCount": len(outcomes),
        "treeHeight": len(siblings),
        "root": level[0].hex(),
        "publishedAt": 1716595210000,
        "siblings": siblings,
    }


OUTCOMES = [answered(case)[0] for case in VECTORS]


def test_every_proof_of_small_trees_leads_to_the_root(verifier):
    calls = []
    for size in [*range(1, 18), 33, 84]:
        for index in range(size):
            proof = make_proof(OUTCOMES[:size], index)
            calls.append(["check_proof", proof, proof["root"], OUTCOMES[index]])
    for call, report in zip(calls, verifier.call(calls)):
        assert failing(report) == [], call


def test_a_leaf_hash(verifier):
    canonical = "játékos-日本-🎲:0:0|%s|játékos-日本-🎲|1716566400000" % ("0" * 64)
    assert verifier.call([["merkle_leaf", canonical]]) == [sha256(b"\x00", canonical.encode()).hex()]


def test_a_tampered_proof_is_refused(verifier):
    def flip(proof):
        proof["siblings"][1]["hash"] = "0" * 64

    def swap(proof):
        proof["siblings"][0]["position"] = "left"

    def leaf(name, value):
        return lambda proof: proof["leaf"].__setitem__(name, value)

    tampered = [
        (flip, ["root", "published root"]),
        (swap, ["siblings"]),
        (put("index", 3), ["siblings"]),
        (put("index", 11), ["index"]),
        (put("leafCount", 2**53), ["leafCount"]),
        (put("leafCount", 7), ["treeHeight", "siblings"]),
        (put("treeHeight", 5), ["treeHeight"]),
        (put("siblings", None), ["siblings"]),
        (lambda proof: proof["siblings"].pop(), ["siblings"]),
        (lambda proof: proof["siblings"].__setitem__(0, None), ["siblings"]),
        (lambda proof: proof["siblings"][2].__setitem__("hash", "xyz"), ["siblings[2].hash"]),
        (put("root", "0" * 64), ["root"]),
        (put("outcomeId", "a:0:0"), ["outcomeId"]),
        (put("leaf", []), ["leaf"]),
        (leaf("canonical", "x"), ["leaf.canonical"]),
        (leaf("hash", "0" * 64), ["leaf.hash"]),
        (leaf("outcomeId", "a:0:0"), ["leaf.outcomeId"]),
        (leaf("timestamp", 1), ["leaf.canonical", "leaf.hash", "leaf of the outcome", "root", "published root"]),
        (leaf("timestamp", "1"), ["leaf.timestamp"]),
    ]
    honest = make_proof(OUTCOMES[:11], 4)
    calls = []
    for tamper, _ in tampered:
        proof = copy.deepcopy(honest)
        tamper(proof)
        calls.append(["check_proof", proof, honest["root"], OUTCOMES[4]])
    for (_, names), call, report in zip(tampered, calls, verifier.call(calls)):
        assert failing(report) == names, (call, report)


def test_a_proof_of_something_else_is_refused(verifier):
    honest = make_proof(OUTCOMES[:11], 4)
    other_root, other_outcome, no_proof = verifier.call(
        [
            ["check_proof", honest, make_proof(OUTCOMES[:12], 4)["root"], OUTCOMES[4]],
            ["check_proof", honest, honest["root"], OUTCOMES[5]],
            ["check_proof", [honest], None, None],
        ]
    )
    assert failing(other_root) == ["published root"]
    assert failing(other_outcome) == ["leaf of the outcome"]
    assert failing(no_proof) == ["proof"]


def test_a_repeated_last_node_cannot_stand_for_another(verifier):
    """In a tree of 3, leaf 2's sibling is itself. A proof that puts another node there names a fourth leaf."""
    four, three = OUTCOMES[:4], OUTCOMES[:3]
    proof = make_proof(four, 2)
    proof["leafCount"] = 3
    (report,) = verifier.call([["check_proof", proof, None, None]])
    assert failing(report) == ["siblings[0].hash"]
    (report,) = verifier.call([["check_proof", make_proof(three, 2), None, None]])
    assert failing(report) == []


def test_a_node_beside_itself_is_refused(verifier):
    """A tree of 4 whose third leaf is its fourth has the root of a tree of 3. Nobody may claim both places."""
    three = OUTCOMES[:3]
    doubled = make_proof([*three, three[2]], 3)
    assert doubled["root"] == make_proof(three, 2)["root"]
    inner = make_proof([*OUTCOMES[:6], *OUTCOMES[4:6]], 6)  # the same, a level higher
    assert inner["root"] == make_proof(OUTCOMES[:6], 4)["root"]
    beyond = {**make_proof(three, 2), "index": 3}
    reports = verifier.call([["check_proof", proof, None, None] for proof in (doubled, inner, beyond)])
    assert [failing(report) for report in reports] == [["siblings[0].hash"], ["siblings[1].hash"], ["index"]]


# ------------------------------------------------------------------------------------------------------
# Command lines


def run(verifier, *arguments, stdin=None):
    command = verifier.command + [str(argument) for argument in arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True)


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    return path


def test_command_line_verifies_and_refuses(verifier, tmp_path):
    case = vector("shuffle")
    outcome, items = answered(case)
    good, items = write(tmp_path / "good.json", outcome), write(tmp_path / "items.json", items)
    outcome = copy.deepcopy(outcome)
    outcome["outcome"].reverse()
    bad = write(tmp_path / "bad.json", outcome)

    accepted = run(verifier, good, "--server-seed", case["serverSeed"], "--items", items)
    assert (accepted.returncode, accepted.stderr) == (0, "")
    assert accepted.stdout.splitlines()[-1] == "verified"

    refused = run(verifier, bad, "--server-seed", case["serverSeed"], "--items", items)
    lines = refused.stdout.splitlines()
    assert (refused.returncode, refused.stderr) == (1, "")
    assert "FAIL  outcome" in lines and "ok    serverHash" in lines and lines[-1] == "NOT verified"
    computed = next(line for line in lines if line.strip().startswith("computed: "))
    assert json.loads(computed.split("computed: ")[1]) == case["expected"]

    unknown = run(verifier, good, "--server-seed", case["serverSeed"])
    assert (unknown.returncode, unknown.stdout.splitlines()[-1]) == (2, "cannot check")
    assert "?     items" in unknown.stdout and "NOT" not in unknown.stdout
    wrong = run(verifier, good, "--server-seed", "0" * 64)  # a check that failed is more than one that could not be made
    assert (wrong.returncode, wrong.stdout.splitlines()[-1]) == (1, "NOT verified")


def test_command_line_takes_a_byte_order_mark_and_a_seed_in_capitals(verifier, tmp_path):
    outcome, _ = answered(vector("floats"))
    file = tmp_path / "outcome.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(outcome).encode())
    assert run(verifier, file, "--server-seed", vector("floats")["serverSeed"].upper()).returncode == 0


def test_command_line_reads_a_reveal_from_standard_input_and_traces(verifier):
    case = vector("floats", lambda case: not case["clientSeed"].isascii())
    outcome, _ = answered(case)
    revealed = {**outcome, "serverSeed": case["serverSeed"]}
    result = run(verifier, "-", "--trace", stdin=json.dumps(revealed))
    assert result.returncode == 0, result.stderr
    steps = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert steps[0]["step"] == "serverHash" and steps[-1] == {"step": "value", "value": outcome["outcome"]}


def test_command_line_checks_proofs(verifier, tmp_path):
    proof = make_proof(OUTCOMES[:11], 4)
    outcome, file = write(tmp_path / "outcome.json", OUTCOMES[4]), write(tmp_path / "proof.json", proof)
    assert run(verifier, "--proof", file).returncode == 0
    assert run(verifier, outcome, "--proof", file, "--root", proof["root"]).returncode == 0
    refused = run(verifier, outcome, "--proof", file, "--root", "0" * 64)
    assert refused.returncode == 1 and "FAIL  published root" in refused.stdout


def test_command_line_tells_wrong_usage_from_a_failed_check(verifier, tmp_path):
    outcome = write(tmp_path / "outcome.json", OUTCOMES[0])
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "binary.json").write_bytes(b'{"a": "\xff"}')
    null = write(tmp_path / "null.json", None)
    seed = VECTORS[0]["serverSeed"]
    for arguments in (
        [],
        [outcome],
        ["--nonsense"],
        [outcome, "--root", "0" * 64],
        ["--server-seed", seed],
        [tmp_path / "missing.json", "--server-seed", seed],
        [tmp_path / "broken.json", "--server-seed", seed],
        [tmp_path / "binary.json", "--server-seed", seed],
        [null, "--server-seed", seed],
        [null, "--proof", outcome],
    ):
        result = run(verifier, *arguments)
        assert (result.returncode, result.stdout) == (2, ""), (arguments, result)
        assert result.stderr


def test_javascript_stands_alone(tmp_path):
    """The one file, copied away and named .mjs, needs nothing beside it."""
    copied = tmp_path / "fairdraw-verify.mjs"
    shutil.copy(NODE_FILE, copied)
    outcome = write(tmp_path / "outcome.json", OUTCOMES[0])
    command = [*node(), str(copied), str(outcome), "--server-seed", VECTORS[0]["serverSeed"]]
    assert subprocess.run(command, capture_output=True).returncode == 0
