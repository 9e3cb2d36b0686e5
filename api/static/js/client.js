// The HTTP interface, as the page uses it. Failures are problems with words for a person.

import { shortened } from "./text.js";

const PATIENCE_MS = 15_000;
const RING_ID = /^(?!stream$)[\w-]{1,128}$/; // "." is a step in a path, "stream" another answer

/** What went wrong: a problem document of the server, or that it could not be reached. */
export class Problem extends Error {
  constructor({ title, detail = "", remedy = "", status = 0 }) {
    super(title);
    Object.assign(this, { title, detail, remedy, status });
  }

  /** Whether asking again later may help: it was not reached, or not able to answer. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

async function get(path) {
  let response;
  try {
    response = await fetch(path, {
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Problem({
      title: "The server does not answer",
      remedy: "Check that Ringfence is running.",
    });
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    throw new Problem({ title: "The answer could not be read", status: response.status });
  }
  return { status: response.status, ok: response.ok, body };
}

async function good(path) {
  const { ok, status, body } = await get(path);
  if (ok) return body;
  throw new Problem({
    title: body.title ?? "The server refused",
    detail: body.detail ?? "",
    remedy: body.remedy ?? "",
    status,
  });
}

/** What a problem says beside its title, as sentences. */
export const explained = ({ detail, remedy }) =>
  [detail, remedy]
    .filter(Boolean)
    .map((text) => (/[.!?]$/.test(text) ? text : `${text}.`))
    .join(" ");

/** The newest changes first, at most 500; `next` is set where there is more. */
export const fetchRings = () => good("v1/rings?limit=500");
/** Rings that somebody, or something, of this id is a member of, the newest changes first. */
export const fetchRingsOf = (id) => good(`v1/rings?limit=500&member=${encodeURIComponent(id)}`);
/** `RingDetail` of a ring, or of the ring it merged into; 404 is final. */
export async function fetchRing(id) {
  try {
    if (RING_ID.test(id)) return await good(`v1/rings/${id}`);
  } catch (problem) {
    if (problem.status !== 404 && problem.status !== 422) throw problem;
    const { ready, missing = [] } = await fetchReadiness(); // it may only not have it back yet
    if (!ready) throw new Problem({ title: "Not ready yet", detail: missing.join(", "), status: 503 });
  }
  throw new Problem({
    title: "There is no such ring",
    detail: `None has the id ${shortened(id, 40)}, or it ended long ago.`,
    remedy: "Choose one of the list, or check the link.",
    status: 404,
  });
}
/** `ContributionsOut`: why a transaction got its score, where its row is held. */
export const fetchContributions = (id) => good(`v1/contributions/${encodeURIComponent(id)}`);
/** `ImportanceOut`: what a ring's score rests on. */
export const fetchImportance = (id, limit) =>
  good(`v1/rings/${encodeURIComponent(id)}/importance?limit=${limit}`);
/** `ModelOut`. */
export const fetchModel = () => good("v1/model");
/** `Readiness`; being not ready is an answer, not a failure. */
export const fetchReadiness = async () => (await get("readyz")).body;
