// Keyboard shortcuts, the time taken, and submission with retries. Without this file the page works with its buttons.
"use strict";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;

let sending = false;
let visibleBefore = 0; // milliseconds for which this item was visible before `since`
let since = performance.now();

function visibleFor() {
  return Math.round(visibleBefore + (document.hidden ? 0 : performance.now() - since));
}

function say(sentence) {
  const status = document.querySelector('[role="status"]');
  if (status) status.textContent = sentence;
}

function show(html) {
  const next = new DOMParser().parseFromString(html, "text/html");
  document.title = next.title;
  document.body.replaceChildren(...next.body.childNodes);
  window.scrollTo(0, 0);
  document.querySelector("h1")?.focus({ preventScroll: true });
  visibleBefore = 0;
  since = performance.now();
}

// The form is sent again until there is a response; its id ensures that it counts once.
async function send(form, button) {
  if (sending) return;
  sending = true;
  const fields = new URLSearchParams(new FormData(form));
  if (button?.name) fields.set(button.name, button.value);
  if (form.id === "choice") fields.set("milliseconds", String(visibleFor()));
  document.body.classList.add("sending");
  let wait = FIRST_WAIT_MS;
  for (;;) {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields }).catch(() => null);
    const text = answer && answer.status < 500 ? await answer.text().catch(() => null) : null;
    if (text !== null) {
      if ((answer.headers.get("Content-Type") || "").startsWith("text/html")) show(text);
      else say(text);
      break;
    }
    say("Not saved yet. Retrying…");
    await new Promise((later) => setTimeout(later, wait));
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
  document.body.classList.remove("sending");
  sending = false;
}

// On keyboards without Latin letters the key's position counts.
function letter(event) {
  const isLatin = /^[a-z0-9]$/i.test(event.key);
  return !isLatin && /^Key[A-Z]$/.test(event.code) ? event.code[3].toLowerCase() : event.key.toLowerCase();
}

document.addEventListener("submit", (event) => {
  if (!event.target.hasAttribute("data-send")) return;
  event.preventDefault();
  send(event.target, event.submitter);
});

document.addEventListener("keydown", (event) => {
  if (sending || event.repeat || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches('input[type="text"], textarea, select')) return;
  const target = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === letter(event));
  if (!target) return;
  event.preventDefault();
  target.click();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) visibleBefore += performance.now() - since;
  since = performance.now();
});

// The owner's page refreshes itself while it is visible.
const refresh = Number(document.body.dataset.refresh || 0);
if (refresh) {
  setInterval(async () => {
    if (document.hidden) return;
    const answer = await fetch(location.pathname).catch(() => null);
    if (!answer?.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["header", "main"]) document.querySelector(part).replaceWith(next.querySelector(part));
  }, 1000 * refresh);
}
