// What "reject" and "again" ask before they are decided. Both resolve to null when they are cancelled.

import { $ } from "./core.js";

/** Open a dialog; resolves to the value of the button that closed it, or "cancel". */
export function opened(dialog) {
  return new Promise((resolve) => {
    const listening = new AbortController();
    const on = (name, listener) => dialog.addEventListener(name, listener, { signal: listening.signal });
    const end = (value) => {
      listening.abort();
      dialog.close(value);
      // The browser takes the focus out of it a frame later. The next key may come first, and is not for writing here.
      if (dialog.contains(document.activeElement)) document.activeElement.blur();
      resolve(value);
    };
    on("cancel", () => end("cancel"));
    on("submit", (event) => {
      event.preventDefault(); // it would close the dialog, but tell so later
      end(event.submitter.value);
    });
    on("close", () => dialog.open || end("cancel")); // an event may still come of the time before
    dialog.showModal();
  });
}

/** The reasons with a digit each, the most used first. */
export function usualReasons() {
  return [...document.querySelectorAll("#reject .reasons button")].map((button) => button.value);
}

/** Ask why. Resolves to a reason, which is never empty. */
export async function askReason() {
  const dialog = $("reject");
  const input = $("reject-reason");
  input.value = "";
  const choose = (reason) => {
    input.value = reason;
    dialog.querySelector("form").requestSubmit($("reject-ok"));
  };
  const click = (event) => {
    const button = event.target.closest(".reasons button");
    if (button) choose(button.value);
  };
  const digit = (event) => {
    const reason = input.value === "" && /^[1-9]$/.test(event.key) ? usualReasons()[event.key - 1] : undefined;
    if (!reason) return;
    event.preventDefault();
    choose(reason);
  };
  dialog.addEventListener("click", click);
  dialog.addEventListener("keydown", digit);
  const closing = opened(dialog);
  input.focus();
  const answer = await closing;
  dialog.removeEventListener("click", click);
  dialog.removeEventListener("keydown", digit);
  const reason = input.value.trim();
  return answer === "ok" && reason ? reason : null;
}

/** Ask what the next drawing shall be. `card`: the picture, or null for several at once (then no words). */
export async function askAgain(card) {
  const dialog = $("again");
  const drawn = card?.kind === "generated";
  dialog.querySelector(".for-drawn").hidden = !drawn;
  $("again-words").value = drawn ? card.wish_words : "";
  $("again-candidates").value = "";
  $("again-candidates").placeholder = drawn ? `${card.candidates}, as before` : "";
  $("again-reason").value = "";
  $("again-now").checked = false;
  const closing = opened(dialog);
  $("again-ok").focus();
  if ((await closing) !== "ok") return null;
  const words = $("again-words").value.trim();
  const candidates = Number.parseInt($("again-candidates").value, 10);
  return {
    words: drawn && words !== card.wish_words ? words : "",
    candidates: drawn && candidates >= 1 ? candidates : null,
    reason: $("again-reason").value.trim(),
    now: $("again-now").checked,
  };
}
