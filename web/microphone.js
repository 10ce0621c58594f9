// The caller's microphone: asked for, chosen, remembered; what can go wrong has a name each.

const REMEMBERED = "firstword.microphone";
const WANTED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const REASONS = {
  NotAllowedError: "microphoneRefused",
  SecurityError: "microphoneRefused",
  NotFoundError: "microphoneMissing",
  NotReadableError: "microphoneBusy",
  AbortError: "microphoneBusy",
};

export class MicrophoneError extends Error {
  /** `key` names the sentence in strings.js. */
  constructor(key) {
    super(key);
    this.key = key;
  }
}

export function remembered() {
  return localStorage.getItem(REMEMBERED) ?? "";
}

export function remember(id) {
  localStorage.setItem(REMEMBERED, id);
}

/** Ask for the microphone; one that is gone gives way to the default. Throws MicrophoneError. */
export async function open(id = remembered()) {
  if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
  const audio = id ? { ...WANTED, deviceId: { exact: id } } : WANTED;
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    if (id && (error.name === "OverconstrainedError" || error.name === "NotFoundError")) {
      return open("");
    }
    throw new MicrophoneError(REASONS[error.name] ?? "microphoneMissing");
  }
}

/** [{id, name}]: empty until the browser has been given leave to name them. */
export async function list() {
  if (!navigator.mediaDevices?.enumerateDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter((device) => device.kind === "audioinput" && device.deviceId && device.label)
    .map((device) => ({ id: device.deviceId, name: device.label }));
}

/** Call `changed` when a device comes or goes. */
export function watch(changed) {
  navigator.mediaDevices?.addEventListener?.("devicechange", changed);
}

/** ms from the air to the page, as far as the browser knows; 0 where it does not. */
export function inputLatency(track) {
  const measured = track?.stats?.averageLatency; // ms
  return Number.isFinite(measured) ? measured : 0;
}
