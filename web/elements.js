// How the view's modules make and find elements. Foreign text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** An element with a class, a text and children. */
export function make(tag, className = "", text = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** Write every text that the document itself names, in the language of `t`. */
export function write(t) {
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = t(element.dataset.t);
  }
  $("language").textContent = t("language");
  $("language").setAttribute("aria-label", t("languageLabel"));
}

/** -60..0 dB as 0..1: how loud it seems. */
export const loudness = (level) =>
  Math.max(0, Math.min(1, 1 + Math.log10(Math.max(level, 1e-6)) / 3));
