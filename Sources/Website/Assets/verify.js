// Verification in the browser: the public verifier derives the values again, and this page shows its steps.
import { ask, base, element, followChoice, hex, quiet, readParameters, reason, shown, step, steps as listOfSteps, verdict } from "./common.js";
import { InputError, checkLogProof, checkSeedProof, derive, sameJSON, serverHash as hashOf, unwrapped, verify } from "./fairdraw-verify.js";

const result = document.getElementById("result");
const forms = ["by-id", "by-hash", "by-seeds", "by-proof"].map((id) => document.getElementById(id));
const field = (id) => document.getElementById(id);
const ROWS = 200; // a page stays a page: longer lists are cut, and say so

function choose(id) {
  for (const radio of field("have").querySelectorAll("input")) radio.checked = radio.value === id;
  for (const form of forms) form.hidden = form.id !== id;
}

field("have").addEventListener("change", (event) => choose(event.target.value));
choose(field("have").querySelector("input:checked")?.value ?? "by-id");
followChoice(field("endpoint"), field("by-seeds"));

function show(...children) {
  result.replaceChildren(element("h2", {}, "Result"), ...children);
  result.focus({ preventScroll: true });
  result.scrollIntoView({ block: "nearest" });
}

const json = (value) => element("pre", { class: "folded" }, shown(JSON.stringify(value) ?? "nothing"));

function table(head, rows) {
  const cut = rows.slice(0, ROWS);
  const row = (cells, name) => element("tr", {}, cells.map((cell) => element(name, {}, cell)));
  return [
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") }, element("table", {}, element("thead", {}, row(head, "th")),
      element("tbody", {}, cut.map((cells) => row(cells, "td"))))),
    rows.length > ROWS && quiet(`… and ${rows.length - ROWS} more.`),
  ];
}

/** The trace as rows: the bytes, the number they are, what becomes of it. */
function numbers(steps, { endpoint, params }) {
  const rows = [];
  const offset = endpoint === "dice" ? 1 : endpoint === "ints" ? params.min : 0;
  const last = () => rows[rows.length - 1] ?? rows[rows.push(["", "", ""]) - 1];
  const add = (text) => (last()[2] += (last()[2] ? "; " : "") + text);
  for (const made of steps) {
    switch (made.step) {
      case "word": rows.push([hex(made.bytes), String(made.word), ""]); break;
      case "float32": add(`÷ 2³² = ${made.value}`); break;
      case "below": add(`× ${made.n} ÷ 2³², rounded down = ${made.value}` + (offset ? `, + ${offset} = ${offset + made.value}` : "")); break;
      case "rejected": add(`dropped, so that all ${made.n} results are equally likely`); break;
      case "float53": rows.push([hex(made.bytes), "", `>> 11, ÷ 2⁵³ = ${made.value}`]); break;
      case "bytes": rows.push([hex(made.bytes), "", "unchanged"]); break;
      case "swap": add(`swap places ${made.i + 1} and ${made.j + 1}`); break;
      case "weighted": add(`× ${made.total}, the sum of the weights = ${made.x}`); break;
      case "polar": add(`u = ${made.u}, v = ${made.v}, q = u² + v² = ${made.q}: ${made.accepted ? "two samples" : "dropped"}`); break;
    }
  }
  return rows;
}

/** What verify() reports, for inputs typed in by hand: there the outcome and the hash may be missing. */
async function compare(typed, serverSeed, params, steps, seedKey) {
  const checks = [];
  try {
    const value = await derive({ ...typed, serverSeed, params }, steps);
    const hash = await hashOf(serverSeed);
    if (typed.serverHash) checks.push({ name: "serverHash", ok: typed.serverHash === hash, actual: typed.serverHash });
    if (typed.seedProof !== undefined || seedKey !== undefined) {
      const { checks: proven } = await checkSeedProof({ ...typed, serverSeed, serverHash: hash, outcome: null }, { seedKey, trace: steps });
      checks.push(...proven.filter((one) => one.name !== "serverHash"));
    }
    const drawn = typed.endpoint === "pick" ? value.outcome : value;
    if (typed.outcome !== undefined) checks.push({ name: "outcome", ok: sameJSON(drawn, typed.outcome), actual: typed.outcome });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    checks.push({ name: error.parameter, ok: false, expected: error.expected, actual: error.actual });
  }
  return { checks };
}

/**
 * Derives a draw again and shows how: one that the API answered, or one typed in, which has its `params` apart.
 * `noted` is the hash that somebody wrote down before the draw, or ""; `seedKey` the public key, or undefined.
 */
async function check(outcome, serverSeed, { params, noted = "", seedKey } = {}) {
  const steps = [];
  const knowsHash = Boolean(outcome.serverHash);
  const knowsOutcome = outcome.outcome !== undefined;
  const computedHash = /^[0-9a-fA-F]{64}$/.test(serverSeed) ? await hashOf(serverSeed) : null;
  const report = params ? await compare(outcome, serverSeed, params, steps, seedKey) : await verify(outcome, serverSeed, undefined, steps, seedKey);
  const proofChecks = report.checks.filter((one) => isOfProof(one));
  const failed = report.checks.filter((one) => one.ok === false && !isOfProof(one));
  const missing = report.checks.find((one) => one.ok === null);
  const valued = steps.find((made) => made.step === "value");
  const blocks = steps.filter((made) => made.step === "block");
  const hashFails = failed.some((one) => one.name === "serverHash");
  // What could not be read at all stopped the derivation before its value.
  const unreadable = valued ? undefined : failed.find((one) => one.name !== "serverHash");
  const differs = valued && knowsOutcome ? failed.filter((one) => one.name !== "serverHash") : [];

  const list = listOfSteps();
  if (unreadable) {
    list.add("The inputs", "bad", element("p", {}, shown(`${unreadable.name} must be ${unreadable.expected}.`)), json(unreadable.actual));
  }
  const notedFails = noted && addNoted(list, noted, outcome.serverHash);
  if (computedHash) {
    list.add("The server seed's hash", hashFails ? "bad" : knowsHash ? "good" : "",
      element("p", {}, "SHA-256 of ", hex(serverSeed), " is ", hex(computedHash)),
      element("p", {}, !knowsHash ? "No hash was given to compare it with."
        : hashFails ? ["The draw has another hash: ", hex(String(outcome.serverHash)), ". The server was not committed to this seed."]
        : noted ? "This is the hash of the draw." : "This is the hash of the draw. If it is also the hash that you saw before the draw, the seed was fixed by then."));
  }
  const proofFault = proofChecks.length > 0 && addProof(list, outcome, proofChecks, steps, seedKey);
  if (valued) {
    list.add("Blocks of bytes", "good",
      element("p", {}, "HMAC-SHA256 with the server seed as the key. The message is client seed, nonce and block number. The first byte used is byte ",
        String(outcome.cursor % 32), " of block ", String(Math.floor(outcome.cursor / 32)), "."),
      table(["message", "32 bytes"], blocks.map((made) => [shown(made.message), hex(made.digest)])));
    list.add("Numbers from the bytes", "good", table(["bytes", "word", "gives"], numbers(steps, { endpoint: outcome.endpoint, params: params ?? outcome })));
    const value = outcome.endpoint === "pick" ? valued.value.outcome : valued.value;
    list.add("The values", !knowsOutcome ? "" : differs.length ? "bad" : "good", json(value),
      differs.length > 0 && element("p", {}, "The record of the draw has other values for ", differs.map((one) => one.name).join(", "), ":"),
      differs.map((one) => json(one.actual)),
      !knowsOutcome && quiet("No outcome was given to compare them with."),
      knowsOutcome && !differs.length && element("p", {}, "They are the recorded values."));
  }
  const wrong = [
    unreadable && `the inputs fail: ${unreadable.name} must be ${unreadable.expected}`,
    notedFails && "the noted hash is wrong: the draw is recorded with another hash",
    hashFails && "the hash of the server seed is wrong: the server was not committed to this seed",
    proofFault && `the seed proof is wrong: ${proofFault}`,
    differs.length > 0 && "the values are wrong: these seeds do not give the recorded values",
  ].filter(Boolean);
  const words = wrong.map((text) => text[0].toUpperCase() + text.slice(1) + ".");
  if (wrong.length) show(verdict("bad", "Not verified", ...words.map(shown)), list.list);
  else if (missing) show(verdict("", "Cannot be checked", shown(`${missing.name} must be ${missing.expected}.`)), list.list);
  else if (knowsHash && knowsOutcome) show(verdict("good", "Verified", noted ? "The seed has the hash that you noted and gives the recorded values." : "The seed has the hash of the draw and gives the recorded values."), list.list);
  else show(verdict("", "Computed", "These seeds give these values. " + (knowsHash ? "" : "Compare the hash with the hash that was published before the draw. ")
    + (knowsOutcome ? "" : "Compare the values with the values of the draw.")), list.list);
}

const isOfProof = ({ name }) => name === "seedKey" || /^seedProof(\.|$)/.test(name);

/** The step that shows whether there was another server seed to choose; returns what is wrong with the proof, or "". */
function addProof(list, { seedProof, clientSeed }, checks, steps, seedKey) {
  const fault = checks.find((one) => !one.ok);
  const made = steps.find((one) => one.step === "seedProof");
  const words = fault ? proofFault(fault) : "";
  const rows = made && [["public key", hex(made.publicKey)], ["scope", shown(seedProof.scope)], ["era", String(seedProof.era)],
    ["epoch", String(seedProof.epoch)], ["client seed", shown(clientSeed)], ["output", hex(made.output)]];
  list.add("The only possible seed", fault ? "bad" : "good", rows && table(["input", "is"], rows),
    element("p", {}, fault ? shown(`${words[0].toUpperCase()}${words.slice(1)}.`)
      : "For this key and these inputs there is exactly one server seed: the first half of the output. The proof shows that it is this seed."),
    !fault && quiet(seedKey ? "This is the key that you noted."
      : "The record names this key. Compare it with the key that you noted before the draw."));
  return words;
}

function proofFault({ name, expected, actual }) {
  const member = name.replace("seedProof.", "");
  if (name === "seedProof" && typeof actual === "string") return `it proves another server seed, ${expected}`;
  if (member === "publicKey" && /^[0-9a-f]{64}$/.test(expected)) return `it was made with another key, ${actual}, not with the key that you noted`;
  if (["scope", "era", "epoch"].includes(member) && !/ /.test(expected)) return `it is for ${member} ${expected}, and the record says ${actual}`;
  return `${name} must be ${expected}`;
}

/** The step that compares the hash somebody noted with the draw's; returns whether they differ. */
function addNoted(list, noted, serverHash) {
  const fails = noted !== serverHash;
  list.add("The hash that you noted", fails ? "bad" : "good", element("p", {}, "You noted ", hex(noted), fails ? [", but the hash of the draw is ", hex(String(serverHash)), "."]
    : ", and this is the hash of the draw. The server seed was already fixed when you saw the hash."));
  return fails;
}

// ---------------------------------------------------------------------------------------------------------
// Log proofs

/** The steps of a log proof: their titles, the names of the checks in them, what a good one shows. */
const LOG_STEPS = [
  ["The files", /^(proof|extra|outcome|checkpoint)$/, () => []],
  ["The logged text", /^(text|count|mode|items|clientSeed)(\.|$)/, (checks) => [
    element("p", {}, "The text has the same values as the draw’s JSON, line by line."),
    ...table(["line", "says"], checks.filter((one) => one.name.startsWith("text.")).map(({ name, actual, detail }) =>
      [name.slice(5), detail ? [hex(actual), ` ${detail}`] : actual.length > 100 ? element("pre", { class: "folded" }, shown(actual)) : element("code", {}, shown(actual))])),
  ]],
  ["The entry", /^entry$/, ([entry]) => [element("p", {}, "The text’s SHA-256 is the entry ", hex(entry.detail))]],
  ["The tree", /^(index|path|root)(\[|$)/, ([path, root]) => [
    element("p", {}, `It has ${path.detail}. With ${path.actual} hashes from the proof it leads to the root `, hex(root.detail)),
  ]],
  ["The log’s signature", /^(origin|signature|key)$/, ([origin, signature]) => [
    element("p", {}, "The log ", shown(origin.detail), " signed this root, with the key ", shown(signature.detail), "."),
  ]],
  ["Witnesses", /^(witness |quorum$|policy)/, (checks) => checks.map((one) =>
    element("p", {}, shown(one.name), one.detail ? [": ", shown(one.detail)] : ""))],
];

function logFault({ name, expected, actual }) {
  const said = (value) => element("code", {}, shown(typeof value === "string" ? value : JSON.stringify(value) ?? "nothing"));
  return element("p", { class: "bad-text" }, shown(name.replace("text.", "")), " should be ", said(expected), ", but is ", said(actual));
}

async function byProof() {
  const text = (id) => field(id).value.trim();
  const policy = text("policy") ? field("policy").value : undefined;
  const asked = text("logKey") || policy ? null : await ask("/api/keys");
  const key = text("logKey") || asked?.body?.log?.vkey;
  const report = await checkLogProof(field("drawn").value, text("proof") + "\n", { key, policy, items: text("givenItems") || undefined });

  const list = listOfSteps();
  for (const [title, names, words] of LOG_STEPS) {
    const checks = report.checks.filter((one) => names.test(one.name));
    const faults = checks.filter((one) => one.ok === false);
    const isMissing = checks.some((one) => one.ok === null);
    if (checks.length) list.add(title, faults.length ? "bad" : isMissing ? "" : "good", faults.length || isMissing ? faults.map(logFault) : words(checks));
  }
  const failed = report.checks.filter((one) => one.ok === false).map((one) => one.name.replace("text.", ""));
  const missing = report.checks.find((one) => one.ok === null);
  const words = asked ? "This server named the key. Compare it with the key that you noted."
    : text("logKey") ? "You gave the key." : "The policy names the key.";
  if (failed.length) show(verdict("bad", "Not verified", shown(`These checks fail: ${failed.join(", ")}.`)), list.list);
  else if (missing) show(verdict("", "Cannot be checked", shown(`${missing.name} must be ${missing.expected}.`)), list.list);
  else show(verdict("good", "In the log", "The draw is in the log, as its JSON says. " + words), list.list);
}

for (const input of document.querySelectorAll("input[data-fills]")) {
  input.addEventListener("change", async () => {
    if (input.files.length) field(input.dataset.fills).value = await input.files[0].text();
  });
}

// ---------------------------------------------------------------------------------------------------------
// The four ways in

async function byId(text, typed) {
  const shortId = text.trim().replace(/^.*\/o\//, "").replace(/[/?#].*$/, "");
  if (!/^[0-9A-Za-z]{4,32}$/.test(shortId)) return show(verdict("bad", "Not a short id", "A short id is ten letters and digits, such as 47mTrBbSIF."));
  const noted = typed.trim().toLowerCase();
  if (noted && !/^[0-9a-f]{64}$/.test(noted)) return show(verdict("bad", "Not a hash", "A server hash is 64 hex digits."));
  const answer = await ask("/api/verifyShortId?" + new URLSearchParams({ shortId }));
  if (!answer.ok || !answer.body) return show(verdict("bad", "Not found", shown(reason(answer))));
  const draw = answer.body;
  const page = element("p", {}, "The draw has a page: ", element("a", { href: `${base}/o/${shortId}` }, `/o/${shortId}`));
  if (draw.serverSeed) {
    await check(draw, draw.serverSeed, { noted });
    return result.append(page);
  }
  const list = listOfSteps();
  const fails = noted && addNoted(list, noted, draw.serverHash);
  list.add("The server seed's hash", "", element("p", {}, "The record of the draw has the hash ", hex(draw.serverHash)),
    draw.verified && element("p", {}, "The server says that the seed is still secret and unchanged. Only the revealed seed can prove this."),
    !noted && element("p", {}, "Compare the hash with the hash that you saw before the draw."));
  list.add("The values", "", element("p", {}, "You can recompute them as soon as the server seed is revealed."));
  const words = [shown(draw.reason ?? ""), fails && "The hash that you noted is not the hash of the draw."].filter(Boolean);
  show(verdict(fails ? "bad" : "", fails ? "Not verified" : draw.verified ? "Committed, not revealed yet" : "Cannot be verified", ...words), list.list, page);
}

async function byHash(clientSeed, serverHash) {
  const answer = await ask("/api/verifyServerHash?" + new URLSearchParams({ clientSeed, serverHash: serverHash.trim().toLowerCase() }));
  if (!answer.ok) return show(verdict("bad", "Look-up failed", shown(reason(answer))));
  if (answer.body !== true) {
    return show(verdict("bad", "Unknown", element("span", {}, "No chain of ", shown(clientSeed), " has this hash, and no draw with this client seed used it.")));
  }
  show(verdict("good", "Known", element("span", {}, "The server has committed to this hash for ", shown(clientSeed), ".")));
  const listed = await ask("/api/listOutcomes?" + new URLSearchParams({ clientSeed, limit: "100" }));
  const drawn = (Array.isArray(listed.body) ? listed.body : []).filter((one) => one.serverHash === serverHash.trim().toLowerCase());
  if (!drawn.length) return;
  result.append(element("h3", {}, "Draws made with it by callers without a key"), element("ul", {}, drawn.map((one) =>
    element("li", {}, element("a", { href: `${base}/verify?shortId=${one.shortId}` }, one.shortId), ` ${one.endpoint}, nonce ${one.nonce}`))));
}

function whole(id) {
  const text = field(id).value.trim();
  return /^[0-9]{1,16}$/.test(text) ? Number(text) : text;
}

async function bySeeds() {
  const endpoint = field("endpoint").value;
  const params = readParameters(endpoint, field("by-seeds"));
  const typed = { endpoint, clientSeed: field("clientSeed").value, nonce: whole("nonce"), cursor: whole("cursor") };
  if (field("serverHash").value.trim()) typed.serverHash = field("serverHash").value.trim().toLowerCase();
  if (field("expected").value.trim()) typed.outcome = JSON.parse(field("expected").value);
  if (field("seedProof").value.trim()) typed.seedProof = JSON.parse(field("seedProof").value);
  const seedKey = field("seedKey").value.trim().toLowerCase() || undefined;
  await check(typed, field("serverSeed").value.trim().toLowerCase(), { params, seedKey });
}

function fillIn(text) {
  const record = JSON.parse(text);
  if (typeof record !== "object" || record === null || Array.isArray(record)) throw new Error("This is not a JSON object.");
  const draw = unwrapped(record);
  const set = (id, value) => value !== undefined && value !== null && (field(id).value = typeof value === "object" ? JSON.stringify(value) : value);
  set("serverSeed", draw.serverSeed);
  set("serverHash", draw.serverHash);
  set("clientSeed", draw.clientSeed);
  set("seedProof", draw.seedProof);
  set("nonce", draw.nonce);
  set("cursor", draw.cursor);
  set("endpoint", draw.endpoint);
  if (draw.outcome !== undefined) field("expected").value = JSON.stringify(draw.outcome);
  // The form's parameters have the names of the record's members; dice are told by their outcome, and no weights are null.
  for (const control of document.querySelectorAll(`[data-for="${CSS.escape(draw.endpoint)}"] [name]`)) {
    const value = control.name === "notation" ? draw.outcome?.notation : draw[control.name];
    set(control.id, value === null ? "" : value);
  }
  field("endpoint").dispatchEvent(new Event("change", { bubbles: true }));
}

field("json").addEventListener("input", () => {
  const text = field("json").value;
  field("json").setCustomValidity("");
  if (!text.trim()) return;
  try {
    fillIn(text);
  } catch (error) {
    field("json").setCustomValidity(`This is not a draw's JSON: ${error.message}`);
    field("json").reportValidity();
  }
});

const ways = {
  "by-id": () => byId(field("shortId").value, field("noted").value),
  "by-hash": () => byHash(field("hash-clientSeed").value, field("hash-serverHash").value),
  "by-seeds": bySeeds,
  "by-proof": byProof,
};

for (const form of forms) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await ways[form.id]();
    } catch (error) {
      show(verdict("bad", "Not checked", shown(error.message)));
    } finally {
      button.disabled = false;
    }
  });
}

// A link may bring its question along: ?shortId=…, or ?clientSeed=…&serverHash=…
const query = new URLSearchParams(location.search);
if (query.has("shortId")) {
  choose("by-id");
  field("shortId").value = query.get("shortId");
  field("noted").value = query.get("noted") ?? "";
  field("by-id").requestSubmit();
} else if (query.has("clientSeed") && query.has("serverHash")) {
  choose("by-hash");
  field("hash-clientSeed").value = query.get("clientSeed");
  field("hash-serverHash").value = query.get("serverHash");
  field("by-hash").requestSubmit();
}
