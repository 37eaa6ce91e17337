// The reference's examples: each form asks its own address and shows what came back.
import { base, element, shown } from "./common.js";

/** JSON with characters in place of their escapes: from U+00A0 on, and not halves of pairs. */
const readable = (json) => json.replace(/\\u(d[89ab]..)\\u(d[c-f]..)|\\u(....)|\\./gi, (escape, ...codes) => {
  const text = String.fromCharCode(...codes.slice(0, 3).filter(Boolean).map((code) => parseInt(code, 16)));
  return text >= "\u00a0" && text.isWellFormed() ? text : escape;
});

const LONGEST = 20000;

function address(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.place === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.append(input.name, input.value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

for (const form of document.querySelectorAll("form.run")) {
  const asked = form.querySelector(".asked");
  const say = () => (asked.textContent = "GET " + address(form));
  form.addEventListener("input", say);
  say();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const answer = form.querySelector(".answer");
    button.disabled = true;
    try {
      const response = await fetch(base + address(form), { cache: "no-store" });
      const text = await response.text();
      const head = [`HTTP ${response.status}`, ...[...response.headers].map(([name, value]) => `${name}: ${value}`)].join("\n");
      const long = text.length > LONGEST;
      answer.replaceChildren(
        element("pre", { class: "folded status" }, shown(head.split("\n")[0]), "\n" + head.split("\n").slice(1).join("\n")),
        element("pre", { class: "folded body", tabindex: "0" }, shown(readable(long ? text.slice(0, LONGEST) : text)), long ? "…" : ""));
    } catch (error) {
      answer.replaceChildren(element("p", { class: "bad-text" }, `No response: ${error.message}`));
    } finally {
      button.disabled = false;
    }
  });
}
