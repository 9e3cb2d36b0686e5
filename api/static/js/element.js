// Building the page: elements with text, never with markup.

/**
 * An element. `about` holds attributes; `on…` are listeners, `class` and `data-…` as in HTML,
 * false and null leave an attribute out. Children are nodes or text; text is never parsed.
 */
export function element(name, about = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(about)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set text only where it differs, so that nothing is announced or repainted for nothing. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A picture of an entity's kind on the colour of its role; words beside it carry the meaning. */
export function badge(kind, role) {
  return element(
    "span",
    { class: `badge badge-${kind} role-${role ?? "none"}`, "aria-hidden": "true" },
    element("img", { src: `icons/${kind}.svg`, alt: "", width: 12, height: 12 }),
  );
}
