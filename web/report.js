// The live report: asks the agent for it with the token of this tab, shows it, and asks again
// while the page is looked at. What it shows was escaped where it was made.

import { setToken, text } from "./server.js";

const EVERY = 15_000; // ms between two looks
const $ = (id) => document.getElementById(id);
let shown = "";

async function look() {
  try {
    show(await text(`/api/report${location.search}`));
    $("ask").hidden = true;
    $("status").textContent = "";
  } catch (error) {
    $("ask").hidden = error.status !== 401;
    $("status").textContent = error.message || "The agent cannot be reached; trying again.";
  }
}

function show(html) {
  if (html === shown) return;
  const first = shown === "";
  shown = html;
  $("report").innerHTML = html;
  if (first && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value);
  look();
});

document.addEventListener("visibilitychange", () => document.hidden || look());
setInterval(() => document.hidden || look(), EVERY);
look();
