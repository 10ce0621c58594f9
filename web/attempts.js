// Something is tried with the server: it may want its token first, and each failure has a sentence.

import { askToken } from "./dialogs.js";
import { MicrophoneError } from "./microphone.js";
import { ServerError, setToken } from "./server.js";

let asked = false;

/** Resolves to whether `work` was done; `say` is told why it was not. */
export async function attempt(work, say, t) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error.status !== 401) {
      say(reason(error, t));
      return false;
    }
  }
  setToken(await askToken(t(asked ? "tokenWrong" : "tokenAsk")));
  asked = true;
  return attempt(work, say, t);
}

function reason(error, t) {
  if (error instanceof MicrophoneError) return t(`voice.${error.key}`);
  if (!(error instanceof ServerError)) throw error;
  if (error.status === 0) return t("unreachable");
  return error.message || t("serverFailed", { status: error.status });
}
