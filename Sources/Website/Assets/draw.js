// The first page: a draw, live, in the three steps it is explained in.
import { ask, base, element, followChoice, hex, quiet, readParameters, reason, shown, step } from "./common.js";

const form = document.getElementById("draw");
const endpoint = document.getElementById("endpoint");
const clientSeed = document.getElementById("clientSeed");
const result = document.getElementById("result");

followChoice(endpoint, form);
endpoint.addEventListener("change", () => (form.action = `${base}/api/${endpoint.value}`));
form.action = `${base}/api/${endpoint.value}`;
// A chain of one's own for each visitor, unless a seed was chosen.
if (clientSeed.value === "hello") clientSeed.value += "-" + crypto.getRandomValues(new Uint32Array(1))[0].toString(36);

/** The server's own drawing of an outcome, taken from its page. */
async function drawing(shortId) {
  const response = await fetch(`${base}/o/${shortId}`);
  if (!response.ok) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector(".drawing");
}

function revealStep(seed, drawn) {
  const button = element("button", { class: "plain", type: "button" }, "Reveal the server seed");
  const item = step("Reveal", "",
    element("p", {}, "The server publishes the server seed and continues with a new one. Then anyone can recompute the draw."), button);
  button.addEventListener("click", async () => {
    button.disabled = true;
    const answer = await ask("/api/rotate", { clientSeed: seed });
    if (!answer.ok) {
      item.append(element("p", { class: "bad-text" }, reason(answer)));
      return;
    }
    item.className = "good";
    item.replaceChildren(element("h3", {}, "Revealed"),
      element("p", {}, "The server seed is ", hex(answer.body.revealed.serverSeed)),
      element("p", {}, element("a", { class: "button", href: `${base}/verify?shortId=${drawn.shortId}` }, "Verify it in this browser")));
    item.querySelector("a").focus();
  });
  return item;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  const steps = element("ol", { class: "steps" });
  const seed = clientSeed.value;
  try {
    const params = readParameters(endpoint.value, form);
    const commitment = await ask("/api/seed?" + new URLSearchParams({ clientSeed: seed }));
    if (!commitment.ok) throw new Error(reason(commitment));
    steps.append(step("Committed", "good",
      element("p", {}, "For ", shown(seed), " the server has fixed a server seed with the hash ", hex(commitment.body.serverHash)),
      quiet(`The next draw has nonce ${commitment.body.nonce}.`)));
    const answer = await ask(`/api/${endpoint.value}`, { ...params, clientSeed: seed });
    if (!answer.ok) throw new Error(reason(answer));
    const drawn = answer.body;
    const kept = drawn.serverHash === commitment.body.serverHash;
    steps.append(step("Drawn", kept ? "good" : "bad",
      (await drawing(drawn.shortId)) ?? element("p", {}, hex(JSON.stringify(drawn.outcome))),
      element("p", {}, kept ? "Drawn under the same hash. " : "The chain was rotated between the two requests. ",
        "Its page is ", element("a", { href: `${base}/o/${drawn.shortId}` }, `/o/${drawn.shortId}`))));
    steps.append(revealStep(seed, drawn));
    result.replaceChildren(steps);
  } catch (error) {
    result.replaceChildren(element("div", { class: "verdict bad" }, element("strong", {}, "No draw was made"),
      element("p", {}, shown(error.message))));
  } finally {
    button.disabled = false;
  }
});
