// The dashboard works without any of this: copy buttons come with the common part, and a form is not sent twice by an
// impatient finger.
import "./common.js";

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = new Date(time.dateTime).toLocaleString();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  // After the browser has taken what is to be sent.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
});

// A page that comes back from the browser's memory may be used again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => (button.disabled = false));
  }
});
