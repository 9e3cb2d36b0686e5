// An event stream that is never silently dead: it resumes where it was, and says how it stands.

export const LIVE = "live";
export const RECONNECTING = "reconnecting";
export const STALE = "stale";

const STALE_AFTER_MS = 15_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/**
 * Follow a stream of server-sent events.
 *
 * @param {string} path where it is; `after` is added to resume
 * @param {string} name name of its events
 * @param {(data: object) => void} take called with each event, in order, once
 * @param {(standing: string) => void} stand called when its standing changes
 * @param {() => void} missed called when events were lost, or may have been: read afresh
 */
export class Live {
  #source = null;
  #after = null;
  #retry = FIRST_RETRY_MS;
  #timer = 0;
  #staling = 0;
  #standing = null;

  constructor(path, name, { take, stand = () => {}, missed = () => {} }) {
    Object.assign(this, { path, name, take, stand, missed });
  }

  get standing() {
    return this.#standing;
  }

  /** Open it, or open it again where it was left. */
  open() {
    if (this.#source !== null) return;
    clearTimeout(this.#timer);
    const resume = this.#after === null ? "" : `?after=${this.#after}`;
    const source = (this.#source = new EventSource(this.path + resume));
    source.addEventListener("open", (event) => this.#opened(event));
    source.addEventListener("gap", (event) => {
      this.#note(event);
      this.missed();
    });
    source.addEventListener("dropped", () => this.#stand(RECONNECTING));
    source.addEventListener(this.name, (event) => {
      this.#note(event);
      this.#stand(LIVE);
      this.take(JSON.parse(event.data));
    });
    source.addEventListener("error", () => this.#failed(source));
  }

  /** Close it; `open` goes on where it was. */
  close() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#staling);
  }

  #opened(event) {
    // The browser calls its own event "open" too; only the server's carries data.
    if (event.data === undefined) return;
    // What was read before the stream began may have missed what happened in between.
    if (this.#after === null) this.missed();
    this.#note(event);
    this.#retry = FIRST_RETRY_MS;
    this.#stand(LIVE);
  }

  #note(event) {
    if (event.lastEventId !== "") this.#after = event.lastEventId;
  }

  #failed(source) {
    if (source !== this.#source) return;
    this.#stand(RECONNECTING);
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    this.#source = null;
    this.#timer = setTimeout(() => this.open(), this.#retry);
    this.#retry = Math.min(this.#retry * 2, LAST_RETRY_MS);
  }

  #stand(standing) {
    if (standing === LIVE) clearTimeout(this.#staling);
    if (standing === this.#standing) return;
    if (standing === RECONNECTING) {
      if (this.#standing === STALE) return;
      clearTimeout(this.#staling);
      this.#staling = setTimeout(() => this.#stand(STALE), STALE_AFTER_MS);
    }
    this.#standing = standing;
    this.stand(standing);
  }
}
