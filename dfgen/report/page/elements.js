// Making elements. Text goes in as text nodes only; no markup is ever parsed from data.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, options, children) {
  for (const [name, value] of Object.entries(options || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) node.addEventListener(type, listener);
    } else if (name === "data") {
      Object.assign(node.dataset, value);
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function make(tag, options, ...children) {
  return fill(document.createElement(tag), options, children);
}

function draw(tag, options, ...children) {
  return fill(document.createElementNS(SVG, tag), options, children);
}

function find(id) {
  return document.getElementById(id);
}

// What may be wider than the page scrolls by itself, and by key.
function makeScroll(label, ...children) {
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label }, children);
}

// For words that only a screen reader needs.
function aside(text) {
  return make("span", { class: "unseen" }, text);
}
