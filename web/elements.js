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
