// The peaks of the microphone (input 0) and of the agent (input 1), block by block on one clock.

const BLOCKS = 8; // a message: 1024 samples, about 21 ms

function level(channels) {
  const samples = channels[0];
  if (!samples) return 0;
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return peak;
}

class Ear extends AudioWorkletProcessor {
  #microphone = [];
  #agent = [];

  process([microphone, agent]) {
    this.#microphone.push(level(microphone));
    this.#agent.push(level(agent));
    if (this.#agent.length === BLOCKS) {
      const end = (currentFrame + 128) / sampleRate; // s
      this.port.postMessage({ end, microphone: this.#microphone, agent: this.#agent });
      this.#microphone = [];
      this.#agent = [];
    }
    return true;
  }
}

registerProcessor("ear", Ear);
