// The agent's HTTP side: what it offers, and one offer answered. No secret ever goes into a URL.

const TOKEN = "firstword.token";
const DEADLINE = 10_000; // ms
const CALL_DEADLINE = 35_000; // ms: the agent may have to load its models first

export class ServerError extends Error {
  /** `status` 0: it could not be reached. `retryAfter` in s, where the server named it. */
  constructor(status, sentence, retryAfter = null) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

function headers() {
  const token = sessionStorage.getItem(TOKEN);
  const plain = { "Content-Type": "application/json" };
  return token ? { ...plain, Authorization: `Bearer ${token}` } : plain;
}

async function reach(method, path, body, deadline) {
  try {
    return await fetch(path, {
      method,
      headers: headers(),
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(deadline),
      cache: "no-store",
    });
  } catch (error) {
    throw new ServerError(0, error.message);
  }
}

async function ask(method, path, body, deadline = DEADLINE) {
  const response = await reach(method, path, body, deadline);
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw refused(response, answer);
}

function refused(response, answer) {
  const seconds = Number(response.headers.get("Retry-After"));
  return new ServerError(response.status, answer.error ?? "", seconds > 0 ? seconds : null);
}

/** What is no JSON, such as the report. */
export async function text(path) {
  const response = await reach("GET", path, undefined, 2 * DEADLINE);
  if (response.ok) return response.text();
  throw refused(response, await response.json().catch(() => ({})));
}

export const info = () => ask("GET", "/api/info");

export const profiles = async () => (await ask("GET", "/api/profiles")).profiles;

/** The answer to an offer; going on with a session is quick, or it fails. */
export const answer = (offer) =>
  ask("POST", "/api/calls", offer, offer.session ? DEADLINE : CALL_DEADLINE);

/** Tell the server that we are gone; survives the page. Nobody waits for the answer. */
export function leave(call) {
  const path = `/api/calls/${encodeURIComponent(call)}`;
  fetch(path, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
}

// --- voices (voices.html) ------------------------------------------------------------------

const ENROL_DEADLINE = 90_000; // ms: recordings go there, and the agent listens to them

/** {speakers: [{name, clips, seconds}], why_not}: whom one knows, and why no more can be. */
export const voices = () => ask("GET", "/api/speakers");

/** Of whom something is remembered, by which character, and how much. */
export const memories = async () => (await ask("GET", "/api/memories")).memories;

/** All that is remembered of a person. */
export const memory = (name) => ask("GET", `/api/memories/${encodeURIComponent(name)}`);

/** Delete what is at a path. */
export async function remove(path) {
  const response = await reach("DELETE", path, undefined, DEADLINE);
  if (!response.ok) throw refused(response, await response.json().catch(() => ({})));
}

/** Send a form, with files in it. */
export async function form(path, body) {
  const { "Content-Type": _, ...rest } = headers(); // the browser writes its own, with a boundary
  const signal = AbortSignal.timeout(ENROL_DEADLINE);
  const response = await fetch(path, { method: "POST", headers: rest, body, signal }).catch(
    (error) => {
      throw new ServerError(0, error.message);
    },
  );
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw refused(response, answer);
}
