// How much room a text takes as it is drawn: asked of the browser's own letters, not guessed.

export const SIZE = 13; // px of every text of a drawing
export const LINE_HEIGHT = 1.2; // of that

let pen = null;
const widths = new Map();

/** The letters that the drawing is written in. */
export const family = () =>
  getComputedStyle(document.documentElement).getPropertyValue("--font").trim();

/** {width, height} of a text, in several lines if it has any, of a `weight` as CSS names it. */
export function room(text, weight) {
  const lines = text === "" ? [] : text.split("\n");
  return {
    width: Math.max(0, ...lines.map((line) => widthOf(line, weight))),
    height: lines.length ? SIZE * (1 + LINE_HEIGHT * (lines.length - 1)) : 0,
  };
}

function widthOf(line, weight) {
  const key = `${weight} ${line}`;
  if (!widths.has(key)) {
    pen ??= document.createElement("canvas").getContext("2d");
    pen.font = `normal ${weight} ${SIZE}px ${family()}`;
    if (widths.size > 5_000) widths.clear(); // ids come and go for days
    widths.set(key, Math.ceil(pen.measureText(line).width));
  }
  return widths.get(key);
}
