// The live report: asks the agent for it with the token of this tab, shows it, and asks again
// while the page is looked at. What it shows was escaped where it was made.
//
// Whoever followed the link of a turn (`#t-…`) may be here before its record is: a turn is kept two
// seconds after its reply is over. The page says so, asks more often, and goes there when it is.

import { setToken, text } from "./server.js";

const EVERY = 15_000; // ms between two looks
const SOON = 1_500; // … while a turn is waited for
const PATIENCE = 90_000; // ms after which it is asked for less often, and no longer promised
const $ = (id) => document.getElementById(id);
const WAITING =
  "This turn is still being recorded; it is shown here about two seconds after its reply is over.";
const MISSING = "This turn is not in the agent's records; it may have been deleted, or never kept.";

const asked = location.hash.startsWith("#t-") ? location.hash.slice(1) : ""; // a turn's row
let found = asked === "";
let shown = "";
let next = 0;

async function look() {
  clearTimeout(next);
  try {
    show(await text(`/api/report${location.search}`));
    $("ask").hidden = true;
    $("status").textContent = seek();
  } catch (error) {
    const first = error.status === 401 && $("ask").hidden;
    $("ask").hidden = error.status !== 401;
    $("status").textContent = first ? "" : reason(error); // its label says what is wanted
    if (first) $("token").focus();
  }
  clearTimeout(next);
  next = setTimeout(() => document.hidden || look(), waiting() && $("ask").hidden ? SOON : EVERY);
}

function reason({ status, message }) {
  if (status === 0) return "The agent cannot be reached; trying again.";
  return message || `The agent could not make the report (error ${status}).`;
}

const waiting = () => !found && performance.now() < PATIENCE; // since the page was opened

function show(html) {
  if (html === shown) return;
  shown = html;
  $("report").innerHTML = html;
}

/** Mark the turn that was asked for, and go there once; returns what to say while it is not there. */
function seek() {
  const row = asked ? document.getElementById(asked) : null;
  const first = row !== null && !found;
  found ||= first;
  $("report").hidden = !found && !$("report").querySelector(".turns"); // "no turns" would mislead
  row?.classList.add("asked");
  if (first) row.scrollIntoView({ block: "center" });
  if (found) return "";
  return waiting() ? WAITING : MISSING;
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken($("token").value);
  look();
});

document.addEventListener("visibilitychange", () => document.hidden || look());
look();
