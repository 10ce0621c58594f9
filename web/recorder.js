// Recordings of whoever sits at the microphone, one after the other. Touches no document.

import * as microphone from "./microphone.js";

const OFTEN = 100; // ms between two looks at the level

/**
 * `count` recordings of `length` ms each, as the browser packs them, after a `pause` (ms) to get
 * ready. `shown(left, level)` is told often: ms to go (more than all of them while it is not yet
 * begun), and the loudest sample, 0..1. Aborting `signal` ends it with its reason. The microphone
 * is given back in any case. Throws MicrophoneError.
 */
export async function record({ pause, count, length, shown, signal }) {
  const stream = await microphone.open();
  const context = new AudioContext();
  const loudest = levelOf(context, stream);
  const end = performance.now() + pause + count * length;
  const beat = setInterval(() => shown(Math.max(0, end - performance.now()), loudest()), OFTEN);
  try {
    await over(pause, signal);
    const clips = [];
    while (clips.length < count) clips.push(await clip(stream, length, signal));
    return clips;
  } finally {
    clearInterval(beat);
    stream.getTracks().forEach((track) => track.stop());
    context.close();
  }
}

function levelOf(context, stream) {
  const analyser = new AnalyserNode(context);
  const samples = new Float32Array(analyser.fftSize);
  context.createMediaStreamSource(stream).connect(analyser);
  return () => {
    analyser.getFloatTimeDomainData(samples);
    return samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  };
}

/** Resolves after so many ms, or rejects when it is aborted. */
function over(wait, signal) {
  return new Promise((done, failed) => {
    signal.throwIfAborted();
    setTimeout(done, wait);
    signal.addEventListener("abort", () => failed(signal.reason), { once: true });
  });
}

async function clip(stream, length, signal) {
  const pieces = [];
  const recorder = new MediaRecorder(stream);
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  const whole = new Promise((done, failed) => {
    recorder.onstop = () => done(new Blob(pieces, { type: recorder.mimeType }));
    recorder.onerror = () => failed(new microphone.MicrophoneError("microphoneBusy"));
  });
  recorder.start();
  await over(length, signal).finally(() => recorder.state === "inactive" || recorder.stop());
  return whole;
}
