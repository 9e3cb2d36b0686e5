// The HTTP interface, as the page uses it. Failures are problems with words for a person.

const PATIENCE_MS = 15_000;

/** What went wrong: a problem document of the server, or that it could not be reached. */
export class Problem extends Error {
  constructor({ title, detail = "", remedy = "", status = 0 }) {
    super(title);
    Object.assign(this, { title, detail, remedy, status });
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
      remedy: "Check that Ringfence is running; the page tries again by itself.",
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
/** `RingDetail` of a ring, or of the ring it merged into. */
export const fetchRing = (id) => good(`v1/rings/${encodeURIComponent(id)}`);
/** `ContributionsOut`: why a transaction got its score, where its row is held. */
export const fetchContributions = (id) => good(`v1/contributions/${encodeURIComponent(id)}`);
/** `ImportanceOut`: what a ring's score rests on. */
export const fetchImportance = (id, limit) =>
  good(`v1/rings/${encodeURIComponent(id)}/importance?limit=${limit}`);
/** `ModelOut`. */
export const fetchModel = () => good("v1/model");
/** `Readiness`; being not ready is an answer, not a failure. */
export const fetchReadiness = async () => (await get("readyz")).body;
