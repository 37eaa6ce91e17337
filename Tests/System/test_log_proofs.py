"""Signatures, daily roots and log proofs, as the two offline verifiers check them.

The log is built here: hashes by hashlib, signatures by python3-cryptography, which share no code with the verifiers.
FAIRDRAW_TEST_SEED=n repeats a run's random cases.
"""

import base64
import hashlib
import json
import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harness import Server
from test_merkle import DAY as DAY_MS
from test_merkle import day_of, into_the_past, published
from test_verifiers import OUTCOMES, SEED, VECTORS, Node, Python, answered, failing, make_proof, put, run, verifier, write

__all__ = ["verifier"]  # a fixture

L = 2**252 + 27742317777372353535851937790883648493


def public(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def in_base64(data):
    return base64.b64encode(data).decode()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def both(calls):
    """What both verifiers answer, which has to be the same."""
    python, node = Python().call(calls), Node().call(calls)
    for call, a, b in zip(calls, python, node):
        assert a == b, call
    return python


# ------------------------------------------------------------------------------------------------------
# Ed25519

# RFC 8032, 7.1, without the one of 1023 bytes: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
SMALL_ORDER = [  # all encodings of points of order 1, 2, 4 and 8, the ones that are not canonical among them
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


def reference(key, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def test_the_vectors_of_rfc_8032():
    for secret, key, message, signature in RFC_8032:  # copied without a mistake
        signer = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
        assert (public(signer).hex(), signer.sign(bytes.fromhex(message)).hex()) == (key, signature)
    assert both([["ed25519", key, message, signature] for _, key, message, signature in RFC_8032]) == [True] * len(RFC_8032)


def test_signatures_as_another_library_makes_and_judges_them():
    rng = random.Random(SEED)
    print("FAIRDRAW_TEST_SEED=%d" % SEED)
    calls, expected = [], []
    for _ in range(60):
        key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        message = rng.randbytes(rng.choice([0, 1, 31, 64, 200, 5000]))
        honest = [public(key), message, key.sign(message)]
        calls.append(honest)
        for part in range(3):
            changed = [bytearray(one) for one in honest]
            if changed[part]:
                bit = rng.randrange(len(changed[part]) * 8)
                changed[part][bit // 8] ^= 1 << bit % 8
                calls.append([bytes(one) for one in changed])
    expected = [reference(*call) for call in calls]
    assert expected.count(True) == 60
    assert both([["ed25519", *(part.hex() for part in call)] for call in calls]) == expected


def test_signatures_that_only_a_lax_check_accepts():
    _, key, message, signature = RFC_8032[1]
    r, s = signature[:64], int.from_bytes(bytes.fromhex(signature[64:]), "little")
    larger = [(s + n * L).to_bytes(32, "little").hex() for n in range(1, 15)]
    bad = [[key, message, r + other] for other in larger]
    # A key of small order: S = 0 and R of small order hold for many messages.
    bad += [[small, message, r + "00" * 32] for small in SMALL_ORDER for r in SMALL_ORDER]
    # R in another encoding of the same point, no point at all, or of another length.
    bad += [[key, message, small + signature[64:]] for small in SMALL_ORDER]
    bad += [["02" + "00" * 31, message, signature], [key, message, "02" + "00" * 31 + signature[64:]]]
    bad += [[key[:-2], message, signature], [key + "00", message, signature], ["", message, signature]]
    bad += [[key, message, signature[:-2]], [key, message, signature + "00"], [key, message, ""]]
    assert not any(both([["ed25519", *call] for call in bad]))


# ------------------------------------------------------------------------------------------------------
# Daily roots

ROOT_KEY = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
ROOT_KEY_TEXT = in_base64(public(ROOT_KEY))


def signed_root(root, previous="", date="2024-05-24"):
    made = {"date": date, "root": root["root"], "leafCount": root["leafCount"], "previousRoot": previous}
    text = "{date}|{root}|{leafCount}|{previousRoot}".format(**made)
    return {**made, "treeHeight": root["treeHeight"], "publishedAt": 1, "signature": in_base64(ROOT_KEY.sign(text.encode()))}


DAY = make_proof(OUTCOMES[:11], 4)
ROOT = signed_root(DAY, "ab" * 32)


def test_a_root_is_signed(verifier):
    empty = signed_root({"root": "", "leafCount": 0, "treeHeight": 0})
    good = verifier.call([["check_root", root, ROOT_KEY_TEXT] for root in (ROOT, signed_root(DAY), empty)])
    assert [failing(report) for report in good] == [[], [], []]
    assert [check["name"] for check in good[0]["checks"]] == ["signature"]

    other = in_base64(public(Ed25519PrivateKey.from_private_bytes(b"s" * 32)))
    tampered = [
        (put("date", "2024-05-25"), ["signature"]),
        (put("date", "2024-5-24"), ["date"]),
        (put("root", "0" * 64), ["signature"]),
        (put("root", ""), ["root"]),
        (put("root", ROOT["root"].upper()), ["root"]),
        (put("leafCount", 12), ["signature"]),
        (put("leafCount", "11"), ["leafCount"]),
        (put("leafCount", 0), ["root"]),
        (put("previousRoot", ""), ["signature"]),
        (put("previousRoot", None), ["previousRoot"]),
        (put("signature", in_base64(b"\0" * 64)), ["signature"]),
        (put("signature", ROOT["signature"][:-1]), ["signature"]),
        (put("signature", ROOT["signature"] + "\n"), ["signature"]),
        (lambda root: root.pop("signature"), ["signature"]),
        (put("publishedAt", 2), []),
    ]
    calls = []
    for tamper, _ in tampered:
        root = dict(ROOT)
        tamper(root)
        calls.append(["check_root", root, ROOT_KEY_TEXT])
    for (_, names), call, report in zip(tampered, calls, verifier.call(calls)):
        assert failing(report) == names, (call, report)
    keys = [["check_root", ROOT, key] for key in (other, "", ROOT_KEY_TEXT[:-1], "x")]
    assert [failing(report) for report in verifier.call(keys)] == [["signature"], *[["rootKey"]] * 3]
    assert failing(verifier.call([["check_root", [ROOT], ROOT_KEY_TEXT]])[0]) == ["root"]


def test_a_proof_of_a_signed_root(verifier):
    signed = {**DAY, **ROOT}
    later = {**signed, "date": "2024-05-26"}
    calls = [["check_proof", proof, None, OUTCOMES[4], ROOT_KEY_TEXT] for proof in (signed, later, DAY)]
    assert [failing(report) for report in verifier.call(calls)] == [[], ["signature"], ["previousRoot"]]


def test_a_servers_own_roots_are_signed(tmp_path):
    """Two days of a server, with the key that it names: roots, and a proof with its root's signature."""
    with Server(tmp_path / "data") as server:
        drawn = server.get("/api/ints", {"clientSeed": "root"}).json()
        [old] = into_the_past(server, [drawn], days=2)
        roots = [published(server, day_of(old["created"] + days * DAY_MS)) for days in (1, 0)]
        key = server.get("/api/merkle/key").json()["publicKey"]
        proof = server.get("/api/merkle/%s/proof/%s" % (roots[1]["date"], drawn["shortId"])).json()
    assert [root["leafCount"] for root in roots] == [0, 1]
    calls = [["check_root", root, key] for root in roots] + [["check_proof", proof, roots[1]["root"], old, key]]
    assert [failing(report) for report in both(calls)] == [[], [], []]


def test_command_line_checks_roots(verifier, tmp_path):
    root, proof = write(tmp_path / "root.json", ROOT), write(tmp_path / "proof.json", {**DAY, **ROOT})
    for arguments in ([root], ["--proof", proof]):
        good = run(verifier, *arguments, "--root-key", ROOT_KEY_TEXT)
        assert (good.returncode, good.stderr, good.stdout.splitlines()[-1]) == (0, "", "verified")
    forged = write(tmp_path / "forged.json", {**ROOT, "leafCount": 12})
    bad = run(verifier, forged, "--root-key", ROOT_KEY_TEXT)
    assert (bad.returncode, bad.stdout.splitlines()[0]) == (1, "FAIL  signature")
    outcome = write(tmp_path / "outcome.json", OUTCOMES[0])
    for wrong in ([root], [root, "--root-key", "x"], [outcome, "--server-seed", "0" * 64, "--root-key", ROOT_KEY_TEXT]):
        result = run(verifier, *wrong)
        assert (result.returncode, result.stdout) == (2, "") and result.stderr, result


# ------------------------------------------------------------------------------------------------------
# A log of our own: RFC 6962's tree by its recursive definition, notes and cosignatures from their specifications

ORIGIN = "draws.example/fairdraw/log/0"
LOG = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
OTHER_LOG = Ed25519PrivateKey.from_private_bytes(b"m" * 32)
WITNESSES = [Ed25519PrivateKey.from_private_bytes(b"%d" % n * 32) for n in range(4)]


def key_id(name, kind, key):
    return sha256(name.encode(), b"\n", bytes([kind]), public(key))[:4]


def vkey(name, kind, key):
    return "%s+%s+%s" % (name, key_id(name, kind, key).hex(), in_base64(bytes([kind]) + public(key)))


LOG_VKEY, OTHER_VKEY = vkey(ORIGIN, 1, LOG), vkey(ORIGIN, 1, OTHER_LOG)
WITNESS_NAMES = ["w%d.example/wächter" % n for n in range(4)]
WITNESS_VKEYS = [vkey(name, 4, key) for name, key in zip(WITNESS_NAMES, WITNESSES)]


def tree_head(leaves):
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return sha256(b"\0", leaves[0])
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", tree_head(leaves[:k]), tree_head(leaves[k:]))


def audit_path(leaves, index):
    if len(leaves) <= 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return audit_path(leaves[:k], index) + [tree_head(leaves[k:])]
    return audit_path(leaves[k:], index - k) + [tree_head(leaves[:k])]


def signature_line(name, kind, key, data):
    return "\u2014 %s %s\n" % (name, in_base64(key_id(name, kind, key) + data))


def log_line(body, key=LOG, origin=ORIGIN):
    return signature_line(origin, 1, key, key.sign(body.encode()))


def cosignature_line(body, number, time=1795733812, key=None):
    key = key or WITNESSES[number]
    signed = key.sign(("cosignature/v1\ntime %d\n" % time + body).encode())
    return signature_line(WITNESS_NAMES[number], 4, key, time.to_bytes(8, "big") + signed)


def checkpoint_body(leaves, origin=ORIGIN, more=""):
    return "%s\n%d\n%s\n%s" % (origin, len(leaves), in_base64(tree_head(leaves)), more)


def other_entries(count):
    return [b"draw " + sha256(b"%d" % n).hex().encode() for n in range(count)]


def log_proof(text, size=7, index=3, cosigners=(), lines=None, **body):
    """The tlog-proof of a canonical text, in a log of other draws."""
    leaves = other_entries(size)
    leaves[index] = b"draw " + sha256(text.encode()).hex().encode()
    signed = checkpoint_body(leaves, **body)
    lines = lines or [log_line(signed, origin=body.get("origin", ORIGIN)), *(cosignature_line(signed, n) for n in cosigners)]
    head = ["c2sp.org/tlog-proof@v1", "extra " + in_base64(text.encode()), "index %d" % index]
    path = [in_base64(node) for node in audit_path(leaves, index)]
    return "\n".join(head + path) + "\n\n" + signed + "\n" + "".join(lines)


COMMON = "outcome endpoint clientSeed serverHash nonce cursor count created shortId permalink mode serverSeed commitId".split()


def slices(text):
    """The members of a compact JSON object as they stand in its text, by Python's own decoder."""
    decoder, members, at = json.JSONDecoder(), {}, 1
    while text[at - 1] != "}":
        name, colon = decoder.raw_decode(text, at)
        _, end = decoder.raw_decode(text, colon + 1)
        members[name], at = text[colon + 1 : end], end + 1
    return members


def canonical_text(answer, items=None):
    """The canonical text of a draw, from its answer and the items' JSON as they were sent."""
    members, parsed = slices(answer), json.loads(answer)
    parameters = ",".join('"%s":%s' % (name, raw) for name, raw in members.items() if name not in COMMON)
    lines = ["fairdraw/outcome/v1", parsed["shortId"], members["created"], parsed["endpoint"], parsed["serverHash"]]
    lines += [members["cursor"], members["nonce"], sha256(parsed["clientSeed"].encode()).hex()]
    lines += ["" if items is None else sha256(items.encode()).hex(), "{%s}" % parameters, members["outcome"]]
    return "".join(line + "\n" for line in lines)


ITEMS = '["ä","\\u00e4",1.0,1e2,12345678901234567890,{"b": 1,"a":" \\" ,:[] /\\/"},[],{},null,true,"🎲"]'
DRAWS = [  # every generator: endpoint, the parameters as they are sent
    ("floats", '"count":3'),
    ("ints", '"count":3,"min":-9007199254740991,"max":-9007199254740000'),
    ("shuffle", '"items":%s' % ITEMS),
    ("pick", '"items":["a\\nb",12345678901234567890,-0.0],"weights":[1e-7,2.5,3]'),
    ("pick", '"items":["ü"]'),
    ("bytes", '"count":33'),
    ("bytes", '"count":32,"encoding":"base64"'),
    ("dice", '"notation":"11d6 + 3"'),
    ("gaussian", '"count":5,"distribution":"exponential","lambda":1e-30'),
    ("gaussian", '"count":3,"mean":1e300,"stddev":1e-300'),
    ("gaussian", '"count":3,"distribution":"poisson","lambda":40.5'),
    ("sample", '"count":4,"min":1,"max":4294967296'),
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """(answer, the items' JSON as the server records it or None, what it answers when the draw is looked up)."""
    seed = '"clientSeed":"Zürich \\"q\\" \\\\ 🎲"'
    answers = []
    with Server(tmp_path_factory.mktemp("drawn") / "data") as server:
        for endpoint, parameters in DRAWS:
            answers.append(server.post("/api/" + endpoint, "{%s,%s}" % (seed, parameters)))
        commitment = server.post("/api/commit", {}).json()["commitId"]
        reveal = '{"commitId":"%s","clientSeed":"é","endpoint":"shuffle","params":{"items":["a","b","c"]}}' % commitment
        answers.append(server.post("/api/reveal", reveal))
        assert server.post("/api/rotate", "{%s}" % seed).status == 200
        made = []
        for answer in answers:
            assert answer.status == 200, answer
            looked_up = server.get("/api/verifyShortId", {"shortId": answer.json()["shortId"]}).body.decode()
            made.append((answer.body.decode(), slices(looked_up).get("items"), looked_up))
    assert {json.loads(answer)["endpoint"] for answer, _, _ in made} == {endpoint for endpoint, _ in DRAWS}
    return made


TEXT = ["text." + name for name in "shortId created endpoint serverHash cursor nonce clientSeed items parameters outcome".split()]
TREE = ["entry", "path", "root"]
SIGNED = ["origin", "signature"]


def test_every_generators_draw_is_in_the_log(drawn):
    cases = []  # outcome, proof, what else is given, whether the items are known
    for number, (answer, items, looked_up) in enumerate(drawn):
        proof, given = log_proof(canonical_text(answer, items), size=len(drawn), index=number), {"key": LOG_VKEY}
        cases += [(answer, proof, given, items is None), (looked_up, proof, given, True)]
        cases += [('{"ok":true,"outcome":%s}' % answer, proof, given, items is None)]  # an entry of a batch's results
        if items:
            cases += [(answer[:-1] + ',"items":null}', proof, given, False)]
            spaced = answer.replace(',"shortId"', ' ,\r\n\t"shortId" ')
            cases += [('{\n  "items" : %s ,\n  "outcome" : %s }\n' % (items, spaced), proof, given, True)]  # of an export
            cases += [(answer, proof, {**given, "items": " " + items.replace("[],", "[ ] ,") + "\n"}, True)]
    for case, report in zip(cases, both([["check_log_proof", *case[:3]] for case in cases])):
        assert failing(report) == [], (case, report)
        assert [check["name"] for check in report["checks"]] == TEXT + ["count", "mode"] + TREE + SIGNED
        details = {check["name"]: check.get("detail") for check in report["checks"]}
        assert (details["text.items"] is None) is case[3], case
        assert details["signature"] == LOG_VKEY[: len(ORIGIN) + 9]


def test_other_items_than_the_draws_are_refused(drawn):
    answer, items, looked_up = next(one for one in drawn if '"endpoint":"shuffle"' in one[0])
    proof = log_proof(canonical_text(answer, items))
    others = [items.replace("1.0", "1.00"), items.replace('"ä"', '"\\u00e4"'), items.replace(",true", ""), '"a"', "[]"]
    calls = [["check_log_proof", answer, proof, {"key": LOG_VKEY, "items": other}] for other in others]
    calls += [["check_log_proof", looked_up.replace('"items":["ä"', '"items":["a"'), proof, {"key": LOG_VKEY}]]
    assert [failing(report) for report in both(calls)] == [["text.items"]] * 6
    [report] = both([["check_log_proof", answer, proof, {"key": LOG_VKEY, "items": "[NaN]"}]])
    assert failing(report) == ["items"]


def test_every_entry_of_trees_of_many_sizes():
    rng = random.Random(SEED)
    print("FAIRDRAW_TEST_SEED=%d" % SEED)
    sizes = [*range(1, 20), 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000]
    places = [(size, index) for size in sizes for index in {*range(min(size, 20)), size // 2, size - 1, rng.randrange(size)}]
    answer, text = SIMPLE, canonical_text(SIMPLE)
    calls = [["check_log_proof", answer, log_proof(text, size, index), {"key": LOG_VKEY}] for size, index in places]
    for place, report in zip(places, both(calls)):
        assert failing(report) == [], (place, report)
    # The same path does not show another place, nor a tree of another size.
    moved = []
    for size, index in places:
        proof = log_proof(text, size, index)
        for other in {index - 1, index + 1, index ^ 2} - {-1}:
            moved.append(["check_log_proof", answer, proof.replace("\nindex %d\n" % index, "\nindex %d\n" % other), {"key": LOG_VKEY}])
    for call, report in zip(moved, both(moved)):
        [name] = failing(report)
        assert name in ("index", "path", "root"), (call, report)


SIMPLE = json.dumps(answered(next(case for case in VECTORS if case["endpoint"] == "ints"))[0], ensure_ascii=False, separators=(",", ":"))
SIMPLE_TEXT = canonical_text(SIMPLE)


def member(name, to):
    """Puts another spelling in the place of a member's."""

    def change(answer):
        raw = slices(answer)[name]
        assert '"%s":%s' % (name, raw) in answer
        return answer.replace('"%s":%s' % (name, raw), '"%s":%s' % (name, to(raw) if callable(to) else to))

    return change


TAMPERED_OUTCOMES = [
    (member("outcome", lambda raw: raw.replace("]", "1]")), ["text.outcome"]),
    (member("outcome", lambda raw: raw.replace("]", ".0]")), ["text.outcome"]),
    (member("outcome", lambda raw: raw.replace("]", ",1]")), ["text.outcome", "count"]),
    (member("outcome", "null"), ["text.outcome", "count"]),
    (member("created", "1716566400001"), ["text.created"]),
    (member("created", '"1716566400000"'), ["text.created"]),
    (member("created", "1716566400000.0"), ["text.created"]),
    (member("min", "-7"), ["text.parameters"]),
    (member("max", lambda raw: raw + "0"), ["text.parameters"]),
    (member("count", lambda raw: raw + "0"), ["count"]),
    (member("mode", '"test"'), ["mode"]),
    (member("nonce", "99"), ["text.nonce"]),
    (member("cursor", "99"), ["text.cursor"]),
    (member("clientSeed", '"another"'), ["text.clientSeed"]),
    (member("clientSeed", "7"), ["text.clientSeed"]),
    (member("clientSeed", '"\\ud800"'), ["clientSeed"]),
    (member("serverHash", '"%s"' % ("0" * 64)), ["text.serverHash"]),
    (member("shortId", '"AAAAAAAAAA"'), ["text.shortId"]),
    (member("endpoint", '"sample"'), ["text.endpoint"]),
    (member("endpoint", '"pick"'), ["text.endpoint", "text.items", "count"]),
    (lambda answer: answer.replace(',"mode"', ',"lambda":2,"mode"'), ["text.parameters"]),
    (lambda answer: answer.replace(',"mode"', ',"mode":"live","mode"'), ["outcome"]),
    (lambda answer: answer.replace('"min"', '"m\\u0069n"'), ["outcome"]),
    (lambda answer: answer.replace(',"created":1716566400000', ""), ["text.created"]),
    (lambda answer: answer[:-1], ["outcome"]),
    (lambda answer: "[%s]" % answer, ["outcome"]),
    (lambda answer: answer + " x", ["outcome"]),
    (lambda answer: "", ["outcome"]),
    (lambda answer: "{}", [*(name for name in TEXT if name != "text.items"), "mode"]),
    (member("permalink", '"https://elsewhere.example/o/x"'), []),  # where it is found is no part of a draw
]


def test_a_tampered_outcome_is_refused_by_the_line_that_differs():
    proof = log_proof(SIMPLE_TEXT)
    calls = [["check_log_proof", tamper(SIMPLE), proof, {"key": LOG_VKEY}] for tamper, _ in TAMPERED_OUTCOMES]
    for (_, names), call, report in zip(TAMPERED_OUTCOMES, calls, both(calls)):
        assert failing(report) == names, (call, report)


def test_each_generators_tampered_value_is_refused(drawn):
    calls = []
    for answer, items, _ in drawn:
        value = slices(answer)["outcome"]
        at = max([at for at, one in enumerate(value) if one.isdigit()] or [at for at, one in enumerate(value) if one.isalpha()])
        other = value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :]
        assert json.loads(other, parse_float=str) != json.loads(value, parse_float=str)
        calls.append(["check_log_proof", member("outcome", other)(answer), log_proof(canonical_text(answer, items)), {"key": LOG_VKEY}])
    for call, report in zip(calls, both(calls)):
        assert "text.outcome" in failing(report) and set(failing(report)) <= {"text.outcome", "count"}, (call, report)


def other_hash(line):
    return in_base64(sha256(line.encode()))


def line(number, change):
    """Changes one line of a proof: a number from its beginning, or below 0 from its end."""

    def tamper(proof):
        lines = proof.split("\n")
        lines[number] = change(lines[number])
        return "\n".join(lines)

    return tamper


def text_line(number, value):
    """Puts another line into the text that the proof carries, which is then another entry."""

    def tamper(proof):
        lines = SIMPLE_TEXT.split("\n")
        lines[number] = value
        return line(1, lambda _: "extra " + in_base64("\n".join(lines).encode()))(proof)

    return tamper


def resigned(**body):
    return lambda proof: log_proof(SIMPLE_TEXT, **body)


def of_other_key(proof):
    body = proof.split("\n\n", 1)[1].split("\n\n")[0] + "\n"
    return proof[: proof.rindex("\u2014")] + log_line(body, OTHER_LOG)


def flipped_signature(at):
    def change(line):
        head, data = line.rsplit(" ", 1)
        changed = bytearray(base64.b64decode(data))
        changed[at] ^= 1
        return head + " " + in_base64(bytes(changed))

    return change


# Of the proof of entry 3 of 7: beginning, extra, index, path[0…2], "", origin, size, root, "", signature, "".
TAMPERED_PROOFS = [
    (line(0, lambda _: "c2sp.org/tlog-proof@v2"), ["proof"]),
    (lambda proof: "", ["proof"]),
    (lambda proof: "{}", ["proof"]),
    (lambda proof: proof.replace("\n", "\r\n"), ["proof"]),
    (lambda proof: proof.replace("\n\n", "\n"), ["proof"]),
    (lambda proof: proof.replace(proof.split("\n")[1] + "\n", ""), ["extra"]),
    (line(1, lambda old: old + "="), ["extra"]),
    (line(1, lambda old: "extra !"), ["extra"]),
    (line(1, lambda old: "extra "), ["text", *TREE[2:]]),
    (line(1, lambda old: "extra " + in_base64(b"\xff\xfe")), ["text", "root"]),
    (text_line(0, "fairdraw/outcome/v2"), ["text", "root"]),
    (text_line(10, "{}\n"), ["text", "root"]),
    (text_line(2, "1716566400001"), ["text.created", "root"]),
    (text_line(8, "0" * 64), ["text.items", "root"]),
    (text_line(10, "[1]"), ["text.outcome", "root"]),
    (line(2, lambda _: "index 4"), ["root"]),
    (line(2, lambda _: "index 7"), ["index"]),
    (line(2, lambda _: "index 03"), ["index"]),
    (line(2, lambda _: "index -1"), ["index"]),
    (line(2, lambda _: "index 9007199254740992"), ["index"]),
    (line(2, lambda _: "index"), ["index"]),
    (line(3, other_hash), ["root"]),
    (line(4, other_hash), ["root"]),
    (line(5, other_hash), ["root"]),
    (line(4, lambda old: old[:-1]), ["path[1]"]),
    (line(5, lambda old: old.replace("=", " ")), ["path[2]"]),
    (line(5, lambda old: old + "\n" + old), ["path"]),
    (line(4, lambda old: "index 3"), ["path[1]"]),
    (line(7, lambda _: "draws.example/another"), ["origin", "signature"]),
    (line(7, lambda _: ""), ["checkpoint"]),
    (line(8, lambda _: "8"), ["signature"]),
    (line(8, lambda _: "3"), ["index"]),
    (line(8, lambda _: "07"), ["checkpoint"]),
    (line(8, lambda _: "x"), ["checkpoint"]),
    (line(9, other_hash), ["root", "signature"]),
    (line(9, lambda old: old[:-4]), ["checkpoint"]),
    (line(9, lambda old: old + "\nan extension"), ["signature"]),
    (line(11, flipped_signature(0)), ["signature"]),
    (line(11, flipped_signature(4)), ["signature"]),
    (line(11, flipped_signature(40)), ["signature"]),
    (line(11, flipped_signature(67)), ["signature"]),
    (line(11, lambda old: old.replace("\u2014", "-")), ["checkpoint"]),
    (line(11, lambda old: old.replace(ORIGIN, "a+b")), ["checkpoint"]),
    (line(11, lambda old: old.replace(ORIGIN, "w0.example")), ["signature"]),
    (line(11, lambda old: old[:-4]), ["signature"]),
    (line(11, lambda old: old + "\n" + flipped_signature(9)(old)), ["signature"]),
    (line(11, lambda old: "\n".join([old] * 101)), ["checkpoint"]),
    (lambda proof: proof[:-1], ["checkpoint"]),
    (lambda proof: proof + "\t\n", ["checkpoint"]),
    (of_other_key, ["signature"]),
    (resigned(origin="draws.example/another"), ["origin", "signature"]),
    (resigned(more="an extension\n"), []),
    (lambda proof: proof + log_line("x\n", OTHER_LOG), []),  # of a key that is not known: ignored
    (line(11, lambda old: "\n".join([old] * 100)), []),
]


def test_a_tampered_proof_is_refused_by_the_step_that_fails():
    honest = log_proof(SIMPLE_TEXT)
    calls = [["check_log_proof", SIMPLE, tamper(honest), {"key": LOG_VKEY}] for tamper, _ in TAMPERED_PROOFS]
    for (_, names), call, report in zip(TAMPERED_PROOFS, calls, both(calls)):
        assert failing(report) == names, (call, report)


def test_no_flipped_bit_of_a_proof_is_accepted():
    rng = random.Random(SEED)
    print("FAIRDRAW_TEST_SEED=%d" % SEED)
    honest = log_proof(SIMPLE_TEXT)
    calls = []
    for at in rng.sample(range(len(honest)), 200):
        changed = chr(ord(honest[at]) ^ 1 << rng.randrange(7))
        calls.append(["check_log_proof", SIMPLE, honest[:at] + changed + honest[at + 1 :], {"key": LOG_VKEY}])
    for call, report in zip(calls, both(calls)):
        assert failing(report), call


def test_keys():
    honest = log_proof(SIMPLE_TEXT)
    name, digest, material = LOG_VKEY.split("+", 2)
    wrong = ["", "x", LOG_VKEY[:-1], LOG_VKEY + "\n", LOG_VKEY.replace(name, "a b"), LOG_VKEY.replace(name, ""), WITNESS_VKEYS[0]]
    wrong += ["%s+%08x+%s" % (name, int(digest, 16) ^ 1, material), "another+%s+%s" % (digest, material), vkey(ORIGIN, 4, LOG)]
    wrong += [vkey("a\u00a0b", 1, LOG), vkey("a\u3000b", 1, LOG), "%s+%s+%s" % (name, digest, in_base64(b"\1" + b"x" * 31))]
    wrong += ["%s+%s+%s" % (name, digest.upper(), material)]
    assert digest != digest.upper()
    calls = [["check_log_proof", SIMPLE, honest, {"key": key}] for key in wrong]
    assert [failing(report) for report in both(calls)] == [["key"]] * len(wrong)
    calls = [["check_log_proof", SIMPLE, honest, given] for given in (
        {"key": OTHER_VKEY}, {}, {"key": vkey("another", 1, LOG)})]
    other, none, renamed = both(calls)
    assert (failing(other), failing(none)) == (["signature"], ["key"])
    assert none["checks"][-1]["ok"] is None  # nothing failed, but nothing says whose signature is wanted
    assert failing(renamed) == ["origin", "signature"]


# A checkpoint that a log of certificates served in 2026, with its key and that of a public witness that cosigned it.
SERVED = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

\u2014 arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
\u2014 arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
\u2014 remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
"""
SERVED_LOG = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
SERVED_WITNESS = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"


def test_signatures_of_a_log_and_a_witness_that_others_run():
    proof = log_proof(SIMPLE_TEXT).split("\n\n")[0] + "\n\n"
    given = {"key": SERVED_LOG, "witnesses": [SERVED_WITNESS]}
    calls = [["check_log_proof", SIMPLE, proof + note, given] for note in (SERVED, SERVED.replace("532\n", "533\n"))]
    served, changed = both(calls)
    assert failing(served) == ["path"]  # this draw is not in it
    assert served["checks"][-1]["detail"] == "cosigned at 2026-05-23T21:50:24Z"
    assert failing(changed) == ["path", "signature", "witness remora.n621.de"]


# Cosignatures and policies


def policy(*lines, logs=(LOG_VKEY,), witnesses=range(4)):
    named = ["witness W%d %s" % (n, WITNESS_VKEYS[n]) for n in witnesses]
    return "\n".join([*("log " + log for log in logs), *named, *lines, ""])


def test_cosignatures():
    def given(*wanted, **more):
        return {"key": LOG_VKEY, "witnesses": [WITNESS_VKEYS[n] for n in wanted], **more}

    signed = checkpoint_body(entries_with(SIMPLE_TEXT))
    line = log_line(signed)
    forged = cosignature_line(signed, 1, key=WITNESSES[2])
    flipped = flipped_signature(30)(cosignature_line(signed, 1)[:-1]) + "\n"
    earlier = flipped_signature(11)(cosignature_line(signed, 1)[:-1]) + "\n"  # another time than it signed
    plain = signature_line(WITNESS_NAMES[1], 4, WITNESSES[1], WITNESSES[1].sign(signed.encode()))
    far = cosignature_line(signed, 1, time=2**62)
    too_far = cosignature_line(signed, 1, time=2**63)
    cases = [
        ([line], given(), []),
        ([line, cosignature_line(signed, 0)], given(0), []),
        ([cosignature_line(signed, 0), line], given(0), []),
        ([line, cosignature_line(signed, 0)], given(0, 1), ["witness " + WITNESS_NAMES[1]]),
        ([line], given(1), ["witness " + WITNESS_NAMES[1]]),
        ([line, cosignature_line(signed, 0), cosignature_line(signed, 1)], given(0, 1), []),
        *(([line, cosignature_line(signed, 0), bad], given(0, 1), ["witness " + WITNESS_NAMES[1]]) for bad in (flipped, earlier, plain, too_far, forged)),
        ([line, cosignature_line(signed, 0), flipped], given(0), []),  # of a witness that nobody asked for
        ([line, far], given(1), []),
        ([line, cosignature_line(signed, 1), cosignature_line(signed, 1, time=1795733999)], given(1), []),
        ([line, cosignature_line(signed, 1), flipped], given(1), ["witness " + WITNESS_NAMES[1]]),
        ([cosignature_line(signed, 1)], given(1), ["signature"]),
    ]
    calls = [["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT, lines=lines), wanted] for lines, wanted, _ in cases]
    reports = both(calls)
    for (_, _, names), call, report in zip(cases, calls, reports):
        assert failing(report) == names, (call, report)
    details = [[check.get("detail") for check in report["checks"] if check["name"].startswith("witness ")] for report in reports]
    assert details[1] == ["cosigned at 2026-11-26T22:56:52Z"]
    assert details[12] == ["cosigned at %d s after 1970" % 2**62]
    assert details[13] == ["cosigned at 2026-11-26T22:59:59Z"]


def entries_with(text, size=7, index=3):
    leaves = other_entries(size)
    leaves[index] = b"draw " + sha256(text.encode()).hex().encode()
    return leaves


def test_two_witnesses_of_one_name_are_both_wanted():
    twins = [vkey("twin", 4, WITNESSES[n]) for n in (0, 1)]
    body = checkpoint_body(entries_with(SIMPLE_TEXT))
    lines = [cosignature_line(body, n).replace(WITNESS_NAMES[n], "twin") for n in (0, 1)]
    signed = [line.split(" ", 2)[2][:-1] for line in lines]
    data = [base64.b64decode(one)[4:] for one in signed]
    lines = [signature_line("twin", 4, WITNESSES[n], data[n]) for n in (0, 1)]
    proofs = [log_proof(SIMPLE_TEXT, lines=[log_line(body), *some]) for some in (lines, lines[:1], lines[1:])]
    calls = [["check_log_proof", SIMPLE, proof, {"key": LOG_VKEY, "witnesses": twins}] for proof in proofs]
    second = "twin+" + key_id("twin", 4, WITNESSES[1]).hex()
    assert [failing(report) for report in both(calls)] == [[], ["witness " + second], ["witness twin"]]


NESTED = ["group X 2 W0 W1 W2", "group both all X W3", "quorum both"]
POLICIES = [
    (policy("quorum none"), (), []),
    (policy("quorum none", witnesses=[]), (), []),
    (policy("quorum W0"), (), ["quorum"]),
    (policy("quorum W0"), (0,), []),
    (policy("quorum W0"), (1,), ["quorum"]),
    (policy("group any-of any W0 W1", "quorum any-of"), (1,), []),
    (policy("group any-of any W0 W1", "quorum any-of"), (2, 3), ["quorum"]),
    (policy("group two 2 W0 W1 W2", "quorum two"), (0,), ["quorum"]),
    (policy("group two 2 W0 W1 W2", "quorum two"), (0, 2), []),
    (policy("group each all W0 W1", "quorum each"), (0,), ["quorum"]),
    (policy("group each all W0 W1", "quorum each"), (0, 1), []),
    (policy(*NESTED), (0, 1, 3), []),
    (policy(*NESTED), (0, 1, 2), ["quorum"]),
    (policy(*NESTED), (0, 3), ["quorum"]),
    ("# ours\n\n \t\n" + policy("\tquorum \t W0 ").replace("log ", "log\t") + "  # end", (0,), []),
    (policy("quorum none", logs=[OTHER_VKEY, LOG_VKEY]), (), []),
    (policy("quorum none", logs=[OTHER_VKEY]), (), ["signature"]),
    (policy("quorum none", logs=[vkey("another", 1, LOG)]), (), ["origin", "signature"]),
    (policy("quorum none", logs=[LOG_VKEY + " https://draws.example/log/0"]), (), []),
    (policy("quorum none", logs=[]), (), ["key"]),
]


def test_policies():
    calls = [["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT, cosigners=by), {"policy": text}] for text, by, _ in POLICIES]
    for (_, _, names), call, report in zip(POLICIES, calls, both(calls)):
        assert failing(report) == names, (call, report)
    [(text, by, _)] = POLICIES[11:12]
    [report] = both([["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT, cosigners=by), {"policy": text}]])
    assert [check["name"] for check in report["checks"]][-4:] == ["witness W0", "witness W1", "witness W3", "quorum"]
    assert report["checks"][-1]["expected"] == "both: 2 of X, W3"
    # A key that is given stands before the policy's logs; a policy without logs wants one.
    given = [{"policy": policy("quorum none", logs=[]), "key": LOG_VKEY}, {"policy": policy("quorum none"), "key": OTHER_VKEY}]
    assert [failing(report) for report in both([["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT), one] for one in given])] == [[], ["signature"]]
    # A witness that is wanted besides a policy that does not need it; a witness whose cosignature is wrong.
    wanted = {"policy": policy("quorum none"), "witnesses": WITNESS_VKEYS[:1]}
    body = checkpoint_body(entries_with(SIMPLE_TEXT))
    wrong = log_proof(SIMPLE_TEXT, lines=[log_line(body), flipped_signature(20)(cosignature_line(body, 1)[:-1]) + "\n"])
    calls = [["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT), wanted], ["check_log_proof", SIMPLE, wrong, {"policy": policy("quorum none")}]]
    assert [failing(report) for report in both(calls)] == [["witness W0"], ["witness W1"]]


def test_a_witness_with_another_algorithm_is_read_and_does_not_count():
    material = b"\x06" + b"k" * 1312
    other = "pq.example+%s+%s" % (sha256(b"pq.example\n", material)[:4].hex(), in_base64(material))
    texts = [policy("witness PQ " + other, "group one any PQ W0", "quorum one"), policy("witness PQ " + other, "quorum PQ")]
    calls = [["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT, cosigners=[0]), {"policy": text}] for text in texts]
    assert [failing(report) for report in both(calls)] == [[], ["quorum"]]


def test_policies_that_are_none():
    first = len(policy(witnesses=range(4)).split("\n"))  # the number of the first line of one's own
    wrong = [
        ["quorum W4"], ["quorum W0 W1"], ["quorum"], ["quorum none", "quorum none"], ["group g any", "quorum g"],
        ["group g 0 W0", "quorum g"], ["group g 3 W0 W1", "quorum g"], ["group g 01 W0", "quorum g"], ["group g some W0", "quorum g"],
        ["group g any W0 W0", "quorum g"], ["group g any W0 none", "quorum g"], ["group g any W0 g", "quorum g"],
        ["group W0 any W1", "quorum W0"], ["group none any W1", "quorum none"], ["group g any toString", "quorum g"],
        ["witness W0 " + vkey("x", 4, LOG), "quorum W0"], ["witness none " + vkey("x", 4, LOG), "quorum none"],
        ["witness A " + WITNESS_VKEYS[0], "quorum A"], ["witness A", "quorum none"], ["witness A x", "quorum none"],
        ["witness A " + vkey("x", 1, LOG), "quorum none"], ["log " + vkey("another", 1, LOG), "quorum none"], ["log", "quorum none"],
        ["log " + WITNESS_VKEYS[0], "quorum none"], ["logs x", "quorum none"], ["quorum none\r"], ["# \x07", "quorum none"],
    ]
    calls = [["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT), {"policy": policy(*lines)}] for lines in wrong]
    for lines, report in zip(wrong, both(calls)):
        later = len(lines) > 1 and lines[0] == "quorum none"
        assert failing(report) == ["policy, line %d" % (first + later)], (lines, report)
    twice = policy("group g any W0 W1", "group h any W0 W2", "quorum g")  # a witness counts in one way only
    calls = [["check_log_proof", SIMPLE, log_proof(SIMPLE_TEXT), {"policy": text}] for text in (twice, "", policy())]
    assert [failing(report) for report in both(calls)] == [["policy, line %d" % (first + 1)], ["policy"], ["policy"]]


def test_large_outcomes_are_read():
    """A shuffle of 1000 items of 2 MB together, with strings, escapes and nested lists."""
    item = '{"name":"%s","é":[[["\\"",1.50e-7,null]]]}' % ("x\\\\" * 700)
    items = "[%s]" % ",".join([item] * 1000)
    answer = SIMPLE.replace('"endpoint":"ints"', '"endpoint":"shuffle"')
    answer = member("count", "1000")(member("outcome", items)(answer))
    for name in ("min", "max"):
        answer = answer.replace('"%s":%s,' % (name, slices(answer)[name]), "")
    proof = log_proof(canonical_text(answer, items))
    [report] = both([["check_log_proof", answer, proof, {"key": LOG_VKEY, "items": items}]])
    assert failing(report) == [] and len(items) > 2_000_000


def test_command_line_checks_log_proofs(verifier, drawn, tmp_path):
    def file(name, text):
        (tmp_path / name).write_text(text, "utf-8", newline="")
        return tmp_path / name

    def last(*arguments):
        result = run(verifier, *arguments)
        return result.returncode, result.stdout.splitlines()[-1:], bool(result.stderr)

    answer, recorded, looked_up = next(one for one in drawn if '"endpoint":"shuffle"' in one[0])
    outcome, items = file("outcome.json", answer), file("items.json", recorded)
    proof = file("draw.tlog-proof", log_proof(canonical_text(answer, recorded), cosigners=[0]))
    verified, refused, usage = (0, ["verified"], False), (1, ["NOT verified"], False), (2, [], True)
    own, other = ["--key", LOG_VKEY], ["--key", OTHER_VKEY]
    rules, strict = file("policy", policy("quorum W0")), file("strict", policy("quorum W1"))

    said = run(verifier, outcome, "--proof", proof, *own, "--witness", WITNESS_VKEYS[0]).stdout
    assert "ok    text.items: by its hash only" in said and "ok    signature: " + ORIGIN in said
    assert "ok    witness w0.example/w\\u00e4chter: cosigned at 2026-11-26T22:56:52Z" in said
    assert last(outcome, "--proof", proof, *own, "--items", items) == verified
    assert last(file("looked_up.json", looked_up), "--proof", proof, "--policy", rules) == verified
    assert last(outcome, "--proof", proof, *other) == refused
    assert last(outcome, "--proof", proof, "--policy", strict) == refused
    assert last(outcome, "--proof", proof, *own, "--witness", WITNESS_VKEYS[1]) == refused
    assert last(outcome, "--proof", proof) == (2, ["cannot check"], False)
    assert last(file("forged.json", member("nonce", "7")(answer)), "--proof", proof, *own) == refused
    for wrong in (
        ["--proof", proof, *own],
        [outcome, "--proof", proof, "--key", "x"],
        [outcome, "--proof", proof, *own, "--witness", LOG_VKEY],
        [outcome, "--proof", proof, "--policy", file("bad", "quorum\n")],
        [outcome, "--proof", proof, "--policy", tmp_path / "missing"],
        [outcome, "--proof", proof, *own, "--root", "0" * 64],
        [outcome, "--proof", write(tmp_path / "daily.json", DAY), *own],
        [outcome, *own],
    ):
        assert last(*wrong) == usage, wrong
