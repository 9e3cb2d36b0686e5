// How a drawing looks, as Cytoscape is told. Its colours and its letters are those of the page, read
// off `page.css` each time: they change with the reader's choice of light or dark.

import { AMOUNT_WEIGHT } from "./labels.js";
import { family, LINE_HEIGHT, SIZE } from "./lettering.js";

/** The style sheet of a drawing, in the colours that the page has now. */
export function styles() {
  const look = getComputedStyle(document.documentElement);
  const colour = (name) => look.getPropertyValue(`--${name}`).trim();
  const font = family();
  const roles = [
    "victim",
    "sender",
    "mule",
    "controller",
    "cash_out",
    "receiver",
    "member",
    "shared",
    "none",
  ];
  return [
    {
      selector: "node",
      style: {
        shape: "data(shape)",
        width: 38,
        height: 38,
        "background-color": colour("role-none"),
        "background-image": "data(icon)",
        "background-width": 18,
        "background-height": 18,
        "background-clip": "none",
        "background-image-containment": "over",
        "border-width": 3,
        "border-color": colour("panel"),
        "border-opacity": 1,
        label: "data(shown)",
        "text-wrap": "wrap",
        "text-max-width": 400, // ids are short enough
        "line-height": LINE_HEIGHT,
        "text-halign": "data(across)",
        "text-valign": "data(down)",
        "text-margin-x": "data(aside)",
        "text-margin-y": "data(below)",
        color: colour("text"),
        "font-family": font,
        "font-size": SIZE,
        "font-weight": 500,
        "min-zoomed-font-size": 5,
        "text-outline-color": colour("canvas"), // a halo: it hides less than a box
        "text-outline-width": 2.5,
        "overlay-opacity": 0,
        "transition-property": "opacity, border-color",
        "transition-duration": 150,
      },
    },
    ...roles.map((role) => ({
      selector: `node[role = "${role}"]`,
      style: { "background-color": colour(`role-${role}`) },
    })),
    {
      selector: 'node[kind = "device"], node[kind = "card"], node[kind = "ip"]',
      style: { width: 36, height: 34, "background-color": colour("role-shared") },
    },
    { selector: 'node[kind = "outside"]', style: { "background-color": colour("role-none") } },
    {
      selector: "node[!member][!paid]",
      style: {
        width: 30,
        height: 30,
        "background-width": 14,
        "background-height": 14,
        "background-opacity": 0.75,
        color: colour("quiet-text"),
        "font-weight": 400,
        "min-zoomed-font-size": 9,
      },
    },
    {
      selector: "node[?stack]",
      style: {
        "border-style": "double",
        "border-width": 6,
        "border-color": colour("line-strong"),
        "font-weight": 600,
      },
    },
    {
      selector: "edge",
      style: {
        width: "data(width)",
        "curve-style": "unbundled-bezier",
        "control-point-distances": "data(bend)",
        "control-point-weights": 0.5,
        "line-color": colour("edge"),
        "target-arrow-color": colour("edge"),
        "target-arrow-shape": "triangle",
        "arrow-scale": 1.05,
        "target-distance-from-node": "data(before)",
        "font-family": font,
        "font-size": SIZE,
        color: colour("text"),
        "min-zoomed-font-size": 5,
        "text-background-color": colour("canvas"),
        "text-background-opacity": 1,
        "text-background-padding": 3,
        "text-margin-x": "data(aside)",
        "text-margin-y": "data(below)",
        "z-index": "data(up)",
        "text-background-shape": "roundrectangle",
        "overlay-opacity": 0,
        "transition-property": "opacity",
        "transition-duration": 150,
      },
    },
    {
      selector: 'edge[kind = "witness"]',
      style: {
        "line-color": colour("witness"),
        "target-arrow-color": colour("witness"),
        "font-weight": AMOUNT_WEIGHT,
      },
    },
    { selector: "edge[?written]", style: { label: "data(text)" } },
    { selector: 'edge[kind = "money"]', style: { "line-opacity": 0.6, "arrow-scale": 0.8 } },
    {
      selector: 'edge[kind = "shared"]',
      style: {
        "curve-style": "straight",
        width: 1.25,
        "line-style": "dashed",
        "line-dash-pattern": [4, 4],
        "line-color": colour("shared-line"),
        "target-arrow-shape": "none",
      },
    },
    { selector: ".dim", style: { opacity: 0.22 } },
    { selector: "node.bright", style: { "border-color": colour("accent") } },
    { selector: "edge.over", style: { label: "data(text)", "z-index": 500 } },
    {
      selector: "node.over",
      style: {
        label: "data(text)",
        "min-zoomed-font-size": 0,
        "text-background-color": colour("canvas"),
        "text-background-opacity": 1,
        "text-background-padding": 3,
        "z-index": 500,
      },
    },
    { selector: "node.fresh", style: { "border-color": colour("fresh") } },
    {
      selector: "edge.fresh",
      style: { "line-color": colour("fresh"), "target-arrow-color": colour("fresh") },
    },
  ];
}
