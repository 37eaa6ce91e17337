// What the pages' scripts share. No framework: elements are made by `element`, and text is only ever set as text.

/** What every address on this site begins with. This file is at `<base>/assets/<hash>/common.js`. */
export const base = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** An element with attributes and children; a string child becomes text. Attributes that are false or null are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

// The same characters that the server shows by their numbers: controls, and formats that would reorder the text around
// them. The two joiners stay, since scripts and emoji need them.
const INVISIBLE = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/u;

/** Text of anyone's, shown as it is: isolated from the direction of what is around it, with invisible characters named. */
export function shown(text) {
  const isolated = element("bdi", { class: "text" });
  let plain = "";
  for (const character of String(text)) {
    if (!INVISIBLE.test(character)) {
      plain += character;
      continue;
    }
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    isolated.append(plain, element("span", { class: "ctl" }, "U+" + code));
    plain = "";
  }
  isolated.append(plain);
  return isolated;
}

/** Hex digits, or any other text for a program, that may be broken anywhere. */
export const hex = (text) => element("code", {}, text);

export const quiet = (...children) => element("p", { class: "quiet small" }, ...children);

/** A list item of an `ol.steps`; `state` is good, bad or empty. */
export function step(title, state, ...children) {
  return element("li", { class: state || null }, element("h3", {}, title), ...children);
}

/** An `ol.steps` to fill. Each step rests on those before it: after one that failed, none is marked good. */
export function steps() {
  const list = element("ol", { class: "steps" });
  let isSound = true;
  const add = (title, state, ...children) => {
    list.append(step(title, state === "good" && !isSound ? "" : state, ...children));
    isSound &&= state !== "bad";
  };
  return { list, add };
}

export function verdict(state, title, ...children) {
  return element("div", { class: `verdict ${state}` }, element("strong", {}, title),
    ...children.map((child) => element("p", {}, child)));
}

/** Asks the API, by an address without the base; resolves to {status, body, headers, text}, and body is null where the answer is no JSON. */
export async function ask(address, payload) {
  const options = payload === undefined ? {}
    : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(payload) };
  const response = await fetch(base + address, { ...options, cache: "no-store" });
  const text = await response.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch { /* not JSON: body stays null */ }
  return { status: response.status, headers: response.headers, ok: response.ok, body, text };
}

export const reason = (answer) => answer.body?.error ?? `The server answered ${answer.status}.`;

// ---------------------------------------------------------------------------------------------------------
// The parameters of a generator, as a form

function lines(text) {
  if (text.trim().startsWith("[")) {
    const parsed = JSON.parse(text);
    if (!Array.isArray(parsed)) throw new Error("items must be a list");
    return parsed;
  }
  return text.split(/\r?\n/).filter((line) => line !== "");
}

/** Shows the fieldset of the chosen generator, and of its parameters those that its own choice has. */
export function followChoice(select, form) {
  const show = () => {
    for (const fieldset of form.querySelectorAll("[data-for]")) {
      fieldset.hidden = fieldset.disabled = fieldset.dataset.for !== select.value;
    }
    for (const part of form.querySelectorAll("[data-choices]")) {
      const choice = part.closest("fieldset").querySelector("select").value;
      part.hidden = !part.dataset.choices.split(" ").includes(choice);
      part.querySelector("input").disabled = part.hidden;
    }
  };
  form.addEventListener("change", show);
  show();
}

/** What stands in the chosen generator's fieldset. Throws an Error with a sentence where it cannot be read. */
export function readParameters(endpoint, form) {
  const params = {};
  for (const control of form.querySelector(`[data-for=${endpoint}]`).elements) {
    if (!control.name || control.disabled) continue;
    const value = control.value;
    switch (control.dataset.input) {
      case "items": params[control.name] = lines(value); break;
      case "numbers": {
        const numbers = value.trim().startsWith("[") ? JSON.parse(value) : value.split(/[\s,]+/).filter(Boolean).map(Number);
        if (numbers.length) params[control.name] = numbers;
        break;
      }
      case "text": params[control.name] = value.trim(); break;
      default: params[control.name] = value.trim() === "" ? undefined : Number(value);
    }
  }
  return params;
}

// ---------------------------------------------------------------------------------------------------------
// Copy buttons: <button class="copy" data-copy="…">Copy</button>

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.copy");
  if (!button) return;
  let words = "Copied";
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    words = "Refused";
  }
  button.textContent = words;
  setTimeout(() => (button.textContent = "Copy"), 1600);
});
