// Small helpers for building the page.

export const $ = (id) => document.getElementById(id);

// el("button.primary", {onclick, "aria-label": …}, children…)
export function el(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) node.setAttribute(name, String(value));
    else if (name in node && !name.includes("-") && name !== "list") node[name] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

const SHAPES = {
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7z M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6",
  shut: "M3 3l18 18 M10.6 6.1A9.7 9.7 0 0 1 12 6c6 0 10 6 10 6a17 17 0 0 1-3.2 3.6 M6.5 7.6A16 16 0 0 0 2 12s4 6 10 6a9.500 9.500 0 0 0 4-.9 M9.900 10a3 3 0 0 0 4.200 4.200",
  locked: "M6 11h12v9H6z M9 11V8a3 3 0 0 1 6 0v3",
  open: "M6 11h12v9H6z M9 11V8a3 3 0 0 1 5.800-1",
  trash: "M4 7h16 M9 7V4h6v3 M6 7l1 13h10l1-13 M10 11v5 M14 11v5",
  undo: "M9 14L4 9l5-5 M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "M15 14l5-5-5-5 M20 9H10a6 6 0 0 0 0 12h3",
  play: "M7 4l13 8-13 8z",
  stop: "M6 6h12v12H6z",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  film: "M3 5h18v14H3z M8 5v14 M16 5v14 M3 9.500h5 M3 14.500h5 M16 9.500h5 M16 14.500h5",
  close: "M5 5l14 14 M19 5L5 19",
  copy: "M9 9h11v11H9z M5 15H4V4h11v1",
  down: "M12 4v12 M7 11l5 5 5-5 M4 20h16",
  plus: "M12 5v14 M5 12h14",
  loop: "M4 12a8 8 0 0 1 14-5l2 2 M20 4v5h-5 M20 12a8 8 0 0 1-14 5l-2-2 M4 20v-5h5",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

export function iconButton(name, label, onclick, more = {}) {
  return el("button.quiet.icon", { "aria-label": label, title: label, onclick, ...more }, icon(name));
}

// Says something for a while where it is seen from everywhere; what belongs to a place is said there instead.
export function say(words, wrong = false) {
  const toast = el(wrong ? "div.toast.wrong" : "div.toast", {}, words);
  $("toasts").append(toast);
  while ($("toasts").children.length > 3) $("toasts").firstChild.remove();
  setTimeout(() => toast.remove(), wrong ? 9000 : 4500);
}

export function clock(seconds, fine = false) {
  const whole = Math.floor(seconds);
  const minutes = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  return fine ? `${minutes}.${String(Math.floor((seconds - whole) * 100 + 1e-6)).padStart(2, "0")}` : minutes;
}

export const pretty = (name) => name.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase());

export function debounce(wait, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), wait);
  };
}
