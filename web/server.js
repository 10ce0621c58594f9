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

async function ask(method, path, body, deadline = DEADLINE) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: headers(),
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(deadline),
      cache: "no-store",
    });
  } catch (error) {
    throw new ServerError(0, error.message);
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const seconds = Number(response.headers.get("Retry-After"));
  throw new ServerError(response.status, answer.error ?? "", seconds > 0 ? seconds : null);
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
