// The keyboard: single letters, never while somebody types, never over the browser's own.

/** Listen to keys; `acts` maps a key ("j", "/", "Escape") to what it does. */
export function listen(acts) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing =
      event.target instanceof Element && event.target.matches("input, textarea, select");
    if (typing && event.key !== "Escape") return;
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act === undefined || document.querySelector("dialog[open]")) return;
    if (act(event) !== false) event.preventDefault();
  });
}
