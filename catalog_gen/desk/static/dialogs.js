// What "reject" and "again" ask before they are decided. Both resolve to null when they are cancelled.

import { $ } from "./core.js";

/** Open a dialog; resolves to what closed it. */
export function opened(dialog) {
  return new Promise((resolve) => {
    const closed = () => {
      // Until the next frame the focus stays inside, and the next key would be taken for writing.
      if (dialog.contains(document.activeElement)) document.activeElement.blur();
      resolve(dialog.returnValue);
    };
    dialog.returnValue = "cancel";
    dialog.showModal();
    dialog.addEventListener("close", closed, { once: true });
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
    dialog.close("ok");
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
