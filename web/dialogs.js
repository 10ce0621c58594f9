// Questions that the page asks before it goes on. Both pages have the token's; `sure` is the voices'.

import { $ } from "./elements.js";

function answered(dialog) {
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
}

/** Resolves to the token that is entered. */
export async function askToken(help) {
  $("token").oncancel = (event) => event.preventDefault(); // there is nothing to see without it
  $("token-help").textContent = help;
  $("token-value").value = "";
  await answered($("token"));
  return $("token-value").value;
}

/** Resolves to whether what cannot be undone shall be done. */
export async function sure(title, text) {
  $("sure-title").textContent = title;
  $("sure-text").textContent = text;
  $("sure").returnValue = "";
  await answered($("sure"));
  return $("sure").returnValue === "yes";
}
