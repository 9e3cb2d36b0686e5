// Reading the ring that is open: one reading at a time, and a failed one is tried again by itself.

import { Problem } from "./client.js";

const SETTLE_MS = 400; // a ring's detail trails the stream for a moment, and bursts are one reading
const BEHIND_TRIES = 5;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

/**
 * Reads a ring until it is there, or until there is none.
 *
 * @param {(id: string) => Promise<object>} fetch asks the server for it
 * @param {{get: Function, quietFor: Function}} rings what the list and the stream told of rings
 * @param {(detail: object, id: string) => void} show called with what was read
 * @param {(problem: Problem, retried: boolean) => void} fail called when it could not be read
 */
export class Reader {
  #id = null; // of the ring that is wanted
  #work = null; // {id, again}: a reading is at work, and whether another must follow
  #wait = FIRST_RETRY_MS;
  #timer = 0;

  constructor(fetch, rings, { show, fail }) {
    Object.assign(this, { fetch, rings, show, fail });
  }

  /** Read this ring, now and not what was wanted before; null: want none. */
  want(id) {
    if (id !== this.#id) this.#settle();
    this.#id = id;
    if (id !== null) this.#read();
  }

  /** The server is there again: what failed is not waited for. */
  retry() {
    if (this.#timer === 0) return;
    this.#settle();
    this.#read();
  }

  async #read() {
    const id = this.#id;
    if (this.#work?.id === id) {
      this.#work.again = true;
      return;
    }
    const mine = (this.#work = { id, again: false });
    try {
      const detail = await this.#current(id);
      if (this.#id !== id) return;
      this.#settle();
      if (detail.ring_id !== id) this.#id = detail.ring_id; // it merged into that one
      this.show(detail, id);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (this.#id === id) this.#failed(problem);
    } finally {
      if (this.#work === mine) this.#work = null;
      if (mine.again && this.#id === id) this.#read();
    }
  }

  /** The ring at the revision that the stream told of, or the newest that the server has yet. */
  async #current(id) {
    await pause(SETTLE_MS - this.rings.quietFor(id));
    let detail = await this.fetch(id);
    for (let i = 0; i < BEHIND_TRIES && detail.revision < this.#told(id); i++) {
      await pause(SETTLE_MS);
      detail = await this.fetch(id);
    }
    return detail;
  }

  #told(id) {
    return this.rings.get(id)?.revision ?? 0;
  }

  #failed(problem) {
    const retried = problem.passing;
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (retried) {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        this.#read();
      }, this.#wait);
      this.#wait = Math.min(this.#wait * 2, LAST_RETRY_MS);
    }
    this.fail(problem, retried);
  }

  #settle() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#wait = FIRST_RETRY_MS;
  }
}

const pause = (ms) => (ms > 0 ? new Promise((go) => setTimeout(go, ms)) : null);
