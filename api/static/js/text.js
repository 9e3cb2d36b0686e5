// Words and figures as an investigator reads them. Nothing here touches the page.

// Ids and names are hostile: characters that cannot be seen, or that turn the reading direction
// around, are shown by their number instead of being obeyed.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu;

/** Text with every invisible or direction-changing character made visible. */
export function visible(text) {
  return String(text).replace(
    UNSEEN,
    (found) => `‹U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`,
  );
}

/** A visible id of at most `most` characters: its beginning and its end, which tell ids apart. */
export function shortened(id, most = 18) {
  const letters = [...visible(id)];
  if (letters.length <= most) return letters.join("");
  const tail = Math.floor((most - 1) / 3);
  return `${letters.slice(0, most - 1 - tail).join("")}…${letters.slice(-tail).join("")}`;
}

/**
 * How sums of a currency are written, read off an amount of the server: the decimals it counts in
 * (ISO 4217) and what it puts before the digits. What a browser knows of currencies is another
 * matter: cash in Belgrade has no decimals, so it would show a hundred times too much.
 */
export function currencyOf({ decimals, text }) {
  return { decimals, sign: /^-?(\D*)/.exec(text)[1] };
}

/** An exact sum of minor units, as the server writes amounts. */
export function money(minor, currency) {
  const { unit, rest } = split(minor, currency);
  const part = currency.decimals ? `.${String(rest).padStart(currency.decimals, "0")}` : "";
  return `${minor < 0 ? "-" : ""}${currency.sign}${unit.toLocaleString("en")}${part}`;
}

/** The same, without decimals where there are none: for the little room of a drawing. */
export function briefMoney(minor, currency) {
  const { rest } = split(minor, currency);
  if (rest) return money(minor, currency);
  return money(minor / 10 ** currency.decimals, { ...currency, decimals: 0 });
}

function split(minor, { decimals }) {
  const size = Math.abs(minor);
  const rest = size % 10 ** decimals;
  return { unit: (size - rest) / 10 ** decimals, rest };
}

/** "1 user", "3 users". */
export function counted(count, noun, plural = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(parts) {
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

const WRITTEN = {
  ping_pong: "ping-pong",
  fan_in: "fan-in",
  fan_out: "fan-out",
  chain: "chain",
  scatter_gather: "scatter-gather",
  gather_scatter: "gather-scatter",
  bipartite: "bipartite layer",
  stack: "stack of layers",
  structuring: "structuring",
  shared_ip: "shared IP",
  dormant_burst: "dormant account in a burst",
  takeover: "account takeover",
  bust_out: "bust-out",
  cash_out: "cash-out",
};

/** A name of the API as words: "shared_device" is "shared device". */
export function words(name) {
  return WRITTEN[name] ?? name.replaceAll("_", " ");
}

const PATTERNS = { mule: "pass-through mule", blocked: "blocked entity" }; // a role is "mule", too

/** A pattern as the server writes it in headlines. */
export function patternWords(pattern) {
  return PATTERNS[pattern] ?? words(pattern);
}

/** First letter large. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const DAY_AND_TIME = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZone: "UTC",
});
const TIME = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZone: "UTC",
});
const DAY = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  timeZone: "UTC",
});

/** "3 Mar 2026, 12:04:31", in UTC. */
export const dayAndTime = (at) => DAY_AND_TIME.format(at);
/** "12:04:31", in UTC. */
export const time = (at) => TIME.format(at);
/** "3 Mar 2026", in UTC. */
export const day = (at) => DAY.format(at);

/** A duration in its largest sensible unit. */
export function span(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1).replace(/\.0$/, "")} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

const YEAR = new Intl.DateTimeFormat("en-GB", { year: "numeric", timeZone: "UTC" });
const dated = (at) =>
  YEAR.format(at) === YEAR.format(Date.now()) ? DATE.format(at) : day(at);

/** How long ago, for a list: "now", "4 min", "3 h", "2 d"; after a week the date says more. */
export function age(at, now) {
  const seconds = Math.max(0, (now - at) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return seconds < 7 * 86400 ? `${Math.floor(seconds / 86400)} d` : dated(at);
}

/** The key of an entity everywhere on the page: what the drawing calls its nodes. */
export const keyOf = (entity) => `${entity.kind}:${entity.id}`;
