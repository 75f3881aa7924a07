// Styles as pictures, the mix of two, and the sliders.

import { get, upload } from "./api.js";
import { $, el, icon, pretty, say } from "./dom.js";
import { titleOf } from "./regions.js";
import { active, change, editActive, on, project, tell, ui } from "./store.js";
import { describe } from "./take.js";

const heading = el("h2");
const cards = el("div.cards", { role: "radiogroup", "aria-label": "Styles" });
const mixing = el("div.mixing");
const sliders = el("div.sliders");
const whole = el("details.whole", {}, el("summary", {}, "The whole picture"));
const file = el("input", { type: "file", accept: "image/*", hidden: true, onchange: () => addPicture(file.files[0]) });
const dropped = el("p.small", { role: "status" });
let slot = 0; // which of the two styles of a mix a click on a card sets

export async function setUp() {
  $("style").append(el("div.row", {}, heading), mixing, cards, dropped, file, sliders, whole);
  buildSliders();
  cards.replaceChildren(el("p.soft.small.loading", {}, "The styles are being loaded…"));
  on((what) => {
    if (["project", "active", "styles"].some((w) => what.has(w))) show();
    if (what.has("source") || what.has("styles")) showCards();
    if (what.has("active")) slot = 0;
  });
  await loadStyles();
}

export async function loadStyles() {
  try {
    const found = await get("/api/styles");
    const own = ui.styles.filter((s) => s.own);
    ui.styles = [...found.styles.filter((s) => s.collection).map((s) => ({ ...s, short: shortTitle(s) })), ...own];
    ui.classes = found.classes;
    tell("styles");
  } catch (error) {
    say(error.message, true);
    setTimeout(loadStyles, 5000);
  }
}

const shortTitle = (style) => pretty(style.name);

export async function addPicture(picture) {
  if (!picture) return;
  dropped.className = "small soft";
  dropped.textContent = `Reading ${picture.name}…`;
  try {
    const found = await upload(picture, "style");
    const name = `picture:${found.id}`;
    ui.styles.push({ name, title: `Your picture ${found.name}`, short: found.name.replace(/\.\w+$/, ""), own: true });
    localStorage.setItem("segnst-pictures", JSON.stringify(ui.styles.filter((s) => s.own).slice(-12)));
    dropped.textContent = "";
    tell("styles");
    set(name);
  } catch (error) {
    dropped.className = "small bad";
    dropped.textContent = error.message;
  }
}

export function recallPictures() {
  try {
    ui.styles.push(...JSON.parse(localStorage.getItem("segnst-pictures") ?? "[]"));
  } catch {
    localStorage.removeItem("segnst-pictures");
  }
}

export function set(name) {
  Object.assign(ui, { shine: false, hover: null }); // so that nothing lies over what is painted
  const done = editActive(`style ${name}`, (region) => {
    const mix = region.style?.mix ?? [];
    if (name === null) region.style = null;
    else if (slot === 1 && mix.length && mix[0].name !== name) region.style.mix = [{ ...mix[0], weight: 1 - (mix[1]?.weight ?? 0.5) }, { name, weight: mix[1]?.weight ?? 0.5 }];
    else if (mix.length === 2 && slot === 0 && mix[1].name !== name) region.style.mix = [{ name, weight: mix[0].weight }, mix[1]];
    else region.style = { mix: [{ name, weight: 1 }], strength: region.style?.strength ?? 1 };
    if (name !== null) region.visible = true;
  });
  if (!done) say(`“${describe(active())}” is locked.`, true);
}

function showCards() {
  const none = card(null, "As it is", el("span.none", { "aria-hidden": true }));
  const source = ui.source ? `?source=${ui.source.id}&t=0` : "";
  const painted = ui.styles.map((style) => {
    const image = el("img", { alt: "", loading: "lazy", draggable: false });
    const address = `/api/card/${encodeURIComponent(style.name)}${style.own ? "" : source}`;
    image.src = address;
    image.addEventListener("error", () => image.replaceWith(el("span.none", {})), { once: true });
    const node = card(style.name, style.short, image, style.title);
    if (ui.source && !style.own) shows(node, image, address);
    return node;
  });
  const add = el("button.card.add", { title: "Use a picture of your own as a style", onclick: () => file.click() }, el("span.none", {}, icon("plus")), el("span", {}, "Your picture"));
  cards.replaceChildren(none, ...painted, add);
  show();
}

// The card shows the painting; under the pointer or with the focus, the frame as it looks in this style.
function shows(node, image, address) {
  let timer = 0;
  const painted = () => (timer = setTimeout(() => (image.src = `${address}&painted`), 350));
  const painting = () => {
    clearTimeout(timer);
    image.src = address;
  };
  node.addEventListener("pointerenter", painted);
  node.addEventListener("focus", painted);
  node.addEventListener("pointerleave", painting);
  node.addEventListener("blur", painting);
}

function card(name, label, image, title) {
  return el("button.card", { role: "radio", title: title ?? label, "data-style": name ?? "", "aria-label": title ?? label, onclick: () => set(name) }, image, el("span", {}, label));
}

function show() {
  const region = active();
  const mix = region.style?.mix ?? [];
  heading.textContent = `Style of ${describe(region).toLowerCase()}`;
  const current = mix[slot]?.name ?? (slot ? null : "");
  for (const node of cards.querySelectorAll(".card:not(.add)")) {
    const index = mix.findIndex((m) => m.name === node.dataset.style);
    node.setAttribute("aria-checked", mix.length ? node.dataset.style === current : node.dataset.style === "");
    node.classList.toggle("used", index >= 0);
    node.disabled = region.locked;
  }
  showMix(region, mix);
  for (const node of sliders.querySelectorAll("input")) {
    node.disabled = !mix.length || region.locked;
    if (node.type === "checkbox") node.checked = region.keep_colors;
    else if (document.activeElement !== node) node.value = region.style?.strength ?? 1;
    node.oninput?.(new Event("show"));
  }
  for (const node of whole.querySelectorAll("[data-look]")) {
    const value = project.look[node.dataset.look];
    if (node.type === "checkbox") node.checked = value;
    else if (document.activeElement !== node) node.value = node.dataset.look === "stroke_size" ? Math.log2(value) : node.dataset.look === "edge" ? value.split(":")[0] : value;
    say_(node);
  }
}

function showMix(region, mix) {
  if (!mix.length) {
    slot = 0;
    mixing.replaceChildren();
    return;
  }
  const second = mix[1];
  const pick = (index) => el("button.slot", { "aria-pressed": slot === index, onclick: () => ((slot = index), show()), title: index ? "The second style: choose its card below" : "The first style" }, index ? (second ? titleOf(second.name) : slot === 1 ? "Choose a card…" : "Mix with…") : titleOf(mix[0].name));
  const parts = [el("div.row", {}, pick(0), pick(1), second ? el("button.quiet.icon", { "aria-label": "Do not mix", title: "Do not mix", onclick: () => ((slot = 0), editActive("unmix", (r) => (r.style.mix = [{ name: mix[0].name, weight: 1 }]))) }, icon("close")) : null)];
  if (second) {
    const share = el("input", { type: "range", min: 0, max: 1, step: 0.05, value: second.weight / (mix[0].weight + second.weight), "aria-label": `Share of ${titleOf(second.name)}` });
    share.addEventListener("input", () => editActive("mix", (r) => {
      const value = Math.min(0.95, Math.max(0.05, Number(share.value)));
      r.style.mix = [{ name: mix[0].name, weight: Math.round(100 * (1 - value)) / 100 }, { name: second.name, weight: Math.round(100 * value) / 100 }];
    }));
    parts.push(share);
    if (document.activeElement?.getAttribute("aria-label") === share.getAttribute("aria-label")) {
      return; // the slider in use is not replaced under the pointer
    }
  }
  mixing.replaceChildren(...parts);
}

function slider(label, attributes, edit) {
  const value = el("span.value.soft.small", { "aria-hidden": true });
  const input = el("input", { type: "range", ...attributes });
  input.addEventListener("input", () => (edit(Number(input.value)), say_(input)));
  input.oninput = () => say_(input);
  const node = el("label.slider", {}, el("span.row", {}, el("span", {}, label), el("span.grow"), value), input);
  return node;
}

const WORDS = {
  stroke_size: (v) => `× ${(2 ** v).toFixed(2)}`,
  stability: (v) => (Number(v) === 0 ? "off" : Number(v).toFixed(2)),
  strength: (v) => `${Math.round(100 * v)} %`,
};

function say_(input) {
  const words = WORDS[input.dataset.look ?? input.dataset.style];
  const output = input.parentElement?.querySelector(".value");
  if (words && output) output.textContent = words(input.value);
}

function checkbox(label, attributes, edit) {
  return el("label.check", {}, el("input", { type: "checkbox", ...attributes, onchange: (event) => edit(event.target.checked) }), label);
}

function buildSliders() {
  const look = (name, value) => change(`look ${name}`, (draft) => (draft.look[name] = value));
  sliders.append(
    slider("Strength", { min: 0, max: 1, step: 0.05, "data-style": "strength" }, (v) => editActive("strength", (r) => r.style && (r.style.strength = v))),
    checkbox("Keep its colors", {}, (v) => editActive("colors", (r) => (r.keep_colors = v))));
  const edge = el("select", { "data-look": "edge", onchange: () => look("edge", edge.value === "feather" ? "feather:8" : edge.value) },
    el("option", { value: "guided" }, "Follow the picture"), el("option", { value: "matte" }, "Matte, for hair and fur"), el("option", { value: "hard" }, "Hard"), el("option", { value: "feather" }, "Feathered, 8 px"));
  whole.append(
    slider("Size of strokes", { min: -2, max: 3, step: 0.25, "data-look": "stroke_size" }, (v) => look("stroke_size", Math.round(1000 * 2 ** v) / 1000)),
    slider("Steadiness", { min: 0, max: 1, step: 0.05, "data-look": "stability" }, (v) => look("stability", v)),
    el("label.slider", {}, el("span", {}, "Edges between regions"), edge),
    checkbox("Keep all colors", { "data-look": "keep_colors" }, (v) => look("keep_colors", v)),
    checkbox("Quick: a third of the time, softer paint", { "data-look": "fast" }, (v) => look("fast", v)));
}
