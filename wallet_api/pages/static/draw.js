// Elements without markup: whatever comes from a server becomes text or an attribute, never HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `attributes` holds strings, true (an empty attribute), null (left out) or functions (listeners). */
export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const name of Object.keys(attributes || {})) {
    const value = attributes[name];
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((each) => each !== null && each !== undefined && each !== ""));
  return node;
}

/** One of the shapes that the page carries, for instance "pass". Words always stand beside it. */
export function icon(name) {
  const svg = shape("svg", { "aria-hidden": "true", focusable: "false" });
  svg.append(shape("use", { href: "#i-" + name }));
  return svg;
}

/** An SVG element. */
export function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const name of Object.keys(attributes)) node.setAttribute(name, attributes[name]);
  return node;
}

/** A row of a description list. */
export function pair(term, ...description) {
  return el("div", { class: "pair" }, el("dt", {}, term), el("dd", {}, ...description));
}

/** Put new children into a node in place of the old ones. */
export function fill(node, ...children) {
  while (node.firstChild) node.firstChild.remove();
  node.append(...children.filter((each) => each !== null));
}
