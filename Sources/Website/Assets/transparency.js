// The published roots, and inclusion proofs checked in the browser by the public verifier.
import { ask, element, hex, quiet, reason, shown, steps as listOfSteps, verdict } from "./common.js";
import { checkProof, checkRoot } from "./fairdraw-verify.js";

const result = document.getElementById("result");
const field = (id) => document.getElementById(id);

// ---------------------------------------------------------------------------------------------------------
// Signatures

let publicKey; // asked for once

async function key() {
  publicKey ??= ask("/api/merkle/key").then((answer) => (answer.ok ? answer.body?.publicKey : undefined));
  return publicKey;
}

/** true or false; null where the server names no key. */
async function isSigned(root) {
  const published = await key();
  return published === undefined ? null : (await checkRoot(root, published)).ok;
}

function signatureWords(signed) {
  if (signed === null) return element("span", { class: "quiet" }, "not checked: the server names no key");
  return signed ? element("span", { class: "good-text" }, "✓ the signature is the server’s")
    : element("span", { class: "bad-text" }, "✗ the signature is wrong");
}

// A day's signature is checked when the day is opened.
for (const day of document.querySelectorAll("details.day")) {
  const { date, root, leafCount, previousRoot, signature } = day.dataset;
  const checked = day.querySelector(".checked");
  checked.textContent = "…";
  day.addEventListener("toggle", async () => {
    if (day.open) checked.replaceChildren(signatureWords(await isSigned({ date, root, leafCount: Number(leafCount), previousRoot, signature })));
  }, { once: true });
}

// ---------------------------------------------------------------------------------------------------------
// Proofs

function show(...children) {
  result.replaceChildren(element("h2", {}, "Result"), ...children);
  result.focus({ preventScroll: true });
  result.scrollIntoView({ block: "nearest" });
}

async function check(proof, noted) {
  const date = /^\d{4}-\d{2}-\d{2}$/.test(proof?.date) ? proof.date : null;
  const published = noted || !date ? null : await ask(`/api/merkle/${date}`);
  const root = noted || (published?.ok ? published.body.root : undefined);
  const trace = [];
  const report = await checkProof(proof, { root, trace });
  const failed = report.checks.filter((one) => !one.ok);
  const fails = (pattern) => failed.filter((one) => pattern.test(one.name));
  const tell = (checks) => checks.map((one) => element("p", { class: "bad-text" }, `${one.name} is wrong: it should be `,
    element("code", {}, shown(typeof one.expected === "string" ? one.expected : JSON.stringify(one.expected))), ", but is ",
    element("code", {}, shown(JSON.stringify(one.actual) ?? "missing"))));
  const leaf = trace.find((made) => made.step === "leaf");
  const nodes = trace.filter((made) => made.step === "node");

  const steps = listOfSteps();
  const leafFails = fails(/^(leaf|outcomeId|proof)/);
  steps.add("The leaf", leafFails.length ? "bad" : "good",
    leaf && element("p", {}, "SHA-256 of the byte 0 and ", element("code", {}, shown(leaf.canonical)), " is ", hex(leaf.hash)), tell(leafFails));
  const pathFails = fails(/^(siblings|treeHeight|index|leafCount)/);
  steps.add("The path", pathFails.length ? "bad" : "good",
    nodes.length ? element("ol", {}, nodes.map((node) => element("li", {}, node.position === "left" ? "with its left neighbour " : "with its right neighbour ",
      hex(node.sibling), " it makes ", hex(node.hash)))) : element("p", {}, "Nothing to combine."), tell(pathFails));
  const rootFails = fails(/root/i);
  steps.add("The root", rootFails.length || !root ? (rootFails.length ? "bad" : "") : "good",
    element("p", {}, "The path leads to ", hex(nodes.at(-1)?.hash ?? leaf?.hash ?? "nothing")),
    root ? element("p", {}, noted ? "The root that you entered is " : "The published root is ", hex(root)) : quiet("There is no published root to compare it with."),
    tell(rootFails));
  if (published?.ok) {
    const signed = await isSigned(published.body);
    steps.add("The signature", signed === null ? "" : signed ? "good" : "bad", element("p", {}, signatureWords(signed)));
    if (signed === false) failed.push({ name: "signature" });
  }
  if (failed.length) show(verdict("bad", "Not included", shown(`This fails: ${[...new Set(failed.map((one) => one.name))].join(", ")}.`)), steps.list);
  else if (root) show(verdict("good", "Included", "The draw is a leaf of the tree with this root."), steps.list);
  else show(verdict("", "The proof is valid", "It leads to the root that it names. Compare this root with one from another source."), steps.list);
}

async function byDraw() {
  const name = field("shortId").value.trim().replace(/^.*\/o\//, "");
  const answer = await ask(`/api/merkle/${encodeURIComponent(field("date").value.trim())}/proof/${encodeURIComponent(name)}`);
  if (!answer.ok) return show(verdict("", "No proof found", shown(reason(answer))));
  await check(answer.body);
}

async function byProof() {
  await check(JSON.parse(field("proof").value), field("root").value.trim().toLowerCase());
}

for (const [id, way] of [["by-draw", byDraw], ["by-proof", byProof]]) {
  field(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = field(id).querySelector("button");
    button.disabled = true;
    try {
      await way();
    } catch (error) {
      show(verdict("bad", "Not checked", shown(error.message)));
    } finally {
      button.disabled = false;
    }
  });
}

const query = new URLSearchParams(location.search);
if (query.has("shortId")) field("shortId").value = query.get("shortId");
field("date").value = query.get("date") ?? document.querySelector("details.day")?.dataset.date ?? "";
