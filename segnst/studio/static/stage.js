// The picture: before and after, what lights up under the pointer, clicks and boxes.

import { $, el, pretty } from "./dom.js";
import { shown } from "./preview.js";
import { classAt, classMask, fits, maskOf, tint } from "./seen.js";
import { active, on, painted, tell, ui } from "./store.js";
import { take, takeBox, takePoint, takeStroke } from "./take.js";

const frame = el("img.frame", { alt: "The frame", draggable: false });
const result = el("img.result", { alt: "The frame as it will look", draggable: false });
const overlay = el("canvas.overlay", { "aria-hidden": true });
const handle = el("div.handle", { role: "slider", tabIndex: 0, "aria-label": "Before and after", "aria-valuemin": 0, "aria-valuemax": 100 });
const name = el("div.hover-name", { hidden: true });
const fit = el("div.fit", {}, frame, result, overlay, handle, name);
const pill = el("div.pill", { role: "status" });
const views = el("div.views", { role: "radiogroup", "aria-label": "View" });
const brush = el("button.brush", { title: "Correct the object by strokes instead of drawing boxes (S)", onclick: () => toggleBrush() }, "Brush");
const loop = el("video.loop", { loop: true, muted: true, autoplay: true, hidden: true, playsInline: true });

const VIEWS = [["result", "Painting"], ["mask", "Masks"], ["flicker", "Flicker"]];
let split = 0; // share of the picture, from the left, that shows the frame as it was
let drag = null;
let cursor = null; // the crosshair that arrow keys move

export const frameImage = () => frame;

export function setUp() {
  for (const [id, label] of VIEWS) {
    views.append(el("button", { role: "radio", "data-view": id, "aria-checked": id === ui.view, onclick: () => view(id) }, label));
  }
  $("stage").append(fit, loop, views, pill, brush);
  fit.append(loop);
  new ResizeObserver(place).observe($("stage"));
  frame.addEventListener("load", () => (place(), tell("framed")));
  overlay.addEventListener("pointermove", move);
  overlay.addEventListener("pointerdown", press);
  overlay.addEventListener("pointerup", release);
  overlay.addEventListener("pointerleave", () => !drag && light(null));
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    handle.onpointermove = (moved) => setSplit(at(moved).x);
    handle.onpointerup = () => (handle.onpointermove = null);
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    setSplit(split + step);
  });
  on((what) => {
    if (what.has("frame") && frame.src !== shown.frame) frame.src = shown.frame;
    if (what.has("preview") || what.has("frame") || what.has("source")) show();
    if (what.has("active") || what.has("project")) showBrush();
    if (what.has("source")) views.lastChild.hidden = ui.source?.kind === "image"; // a still does not flicker
    if (["seen", "active", "project", "hover", "framed", "time"].some((w) => what.has(w))) draw();
  });
}

export function view(id) {
  ui.view = id;
  for (const button of views.children) button.setAttribute("aria-checked", button.dataset.view === id);
  tell("view");
}

// With the brush, dragging over the object that is chosen adds to it (with Shift takes away) instead of drawing a box.
export function toggleBrush(on_ = ui.tool !== "brush") {
  ui.tool = on_ && active().kind === "object" ? "brush" : "pick";
  showBrush();
}

function showBrush() {
  if (active().kind !== "object") ui.tool = "pick";
  brush.hidden = active().kind !== "object";
  brush.setAttribute("aria-pressed", ui.tool === "brush");
}

export function setSplit(value) {
  split = Math.min(1, Math.max(0, value));
  result.style.clipPath = `inset(0 0 0 ${100 * split}%)`;
  handle.style.left = `${100 * split}%`;
  handle.classList.toggle("first", split < 0.02);
  handle.classList.toggle("last", split > 0.98);
  handle.setAttribute("aria-valuenow", Math.round(100 * split));
  handle.setAttribute("aria-valuetext", `${Math.round(100 * split)} % shows the frame as it was`);
}

export const toggleBefore = () => setSplit(split < 1 ? 1 : 0);

export function playLoop(url) {
  loop.hidden = !url;
  if (url) loop.src = url;
  else loop.removeAttribute("src");
}

// Makes the picture as large as the stage allows.
function place() {
  const { width, height } = ui.source ?? { width: 16, height: 9 };
  const room = { w: $("stage").clientWidth, h: $("stage").clientHeight };
  const scale = Math.min(room.w / width, room.h / height);
  Object.assign(fit.style, {
    width: `${width * scale}px`, height: `${height * scale}px`,
    left: `${(room.w - width * scale) / 2}px`, top: `${(room.h - height * scale) / 2}px`,
  });
  const dense = Math.min(2, devicePixelRatio);
  overlay.width = Math.max(1, width * scale * dense);
  overlay.height = Math.max(1, height * scale * dense);
  draw();
}

function show() {
  result.hidden = !shown.result;
  handle.hidden = !shown.result || ui.view !== "result";
  if (shown.result && result.src !== shown.result) result.src = shown.result;
  result.classList.toggle("stale", shown.state === "working");
  pill.classList.toggle("wrong", shown.state === "wrong");
  pill.classList.toggle("working", shown.state === "working");
  pill.replaceChildren(words());
  setSplit(ui.view === "result" ? split : 0);
}

function words() {
  if (shown.state === "wrong") return shown.words;
  if (!shown.frame) return "Opening…";
  if (shown.state === "working") return "Painting…";
  if (shown.unknown.length) return `Not followed to this frame yet: ${shown.unknown.join(", ")}`;
  if (!painted() && ui.view !== "mask") return "Choose a region, then a style";
  if (ui.view === "flicker" && shown.facts.flicker !== undefined) return `Changes that are not motion: ${shown.facts.flicker} (E_warp × 1000)`;
  if (ui.view === "mask" && shown.facts.shares) {
    const shares = Object.entries(shown.facts.shares).map(([k, v]) => `${k} ${(100 * v).toFixed(1)} %`);
    return shares.join(" · ") || "One region: the whole frame";
  }
  return shown.cached ? "From the cache" : `Painted in ${shown.seconds.toFixed(1)} s`;
}

function at(event) {
  const box = fit.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}

const inside = ({ x, y }) => ({ x: Math.min(0.9999, Math.max(0, x)), y: Math.min(0.9999, Math.max(0, y)) });

function move(event) {
  const place = inside(at(event));
  if (drag) {
    drag.to = place;
    drag.path.push(place);
    light(null);
    draw();
  } else if (event.pointerType !== "touch") light(classAt(place.x, place.y), place);
}

function press(event) {
  if (event.button) return;
  overlay.setPointerCapture(event.pointerId);
  drag = { from: inside(at(event)), to: inside(at(event)), path: [inside(at(event))], away: event.shiftKey };
}

function release(event) {
  if (!drag) return;
  const { from, to, path } = drag;
  drag = null;
  const box = overlay.getBoundingClientRect();
  const far = Math.hypot((to.x - from.x) * box.width, (to.y - from.y) * box.height) > 8;
  if (far && ui.tool === "brush") takeStroke(path, !event.shiftKey);
  else if (far) takeBox(from, to);
  else click(from, event);
  draw();
}

// A click on an object that is chosen corrects it; with Alt it cuts out a new one; else it takes what lights up.
function click(place, { shiftKey, altKey }) {
  const region = active();
  if (region.kind === "object" && !altKey) takePoint(place, !shiftKey);
  else take(classAt(place.x, place.y), place, altKey);
}

function light(found, place) {
  const index = found && found.index > 0 ? found.index : null;
  name.hidden = index === null || !place;
  if (!name.hidden) {
    const hint = active().kind === "object" ? "" : " · click takes it";
    name.textContent = pretty(found.name) + hint;
    name.style.left = `${100 * place.x}%`;
    name.style.top = `${100 * place.y}%`;
    name.classList.toggle("left", place.x > 0.7);
  }
  if (ui.hover !== index) {
    ui.hover = index;
    draw();
  }
}

function draw() {
  const context = overlay.getContext("2d");
  const { width, height } = overlay;
  context.clearRect(0, 0, width, height);
  const region = active();
  if (ui.hover !== null && fits()) context.drawImage(tint(ui.hover), 0, 0, width, height);
  else if (ui.shine && fits()) {
    const mask = region.kind === "object" ? maskOf(region)?.image : classMask(region.name);
    if (mask) context.drawImage(mask, 0, 0, width, height);
  }
  if (region.kind === "object" && ui.source) drawMarks(context, region, width, height);
  if (drag && ui.tool === "brush") stroke(context, drag, width, height);
  else if (drag) outline(context, drag.from.x * width, drag.from.y * height, (drag.to.x - drag.from.x) * width, (drag.to.y - drag.from.y) * height);
  if (cursor) cross(context, cursor.x * width, cursor.y * height);
}

function drawMarks(context, region, width, height) {
  const [sx, sy] = [width / ui.source.width, height / ui.source.height];
  for (const mark of region.marks ?? []) {
    if (Math.abs(mark.t - ui.t) > 0.002 && ui.source.kind !== "image") continue;
    if (mark.kind === "box") outline(context, mark.x * sx, mark.y * sy, mark.w * sx, mark.h * sy);
    else {
      context.beginPath();
      context.arc(mark.x * sx, mark.y * sy, 6 * Math.min(2, devicePixelRatio), 0, 7);
      context.fillStyle = mark.belongs ? "#2f9bff" : "#ff5b4d";
      context.fill();
      context.lineWidth = 2;
      context.strokeStyle = "#fff";
      context.stroke();
    }
  }
}

function outline(context, x, y, w, h) {
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / .6)";
  context.strokeRect(x, y, w, h);
  context.lineWidth = 1.5;
  context.strokeStyle = "#fff";
  context.setLineDash([7, 5]);
  context.strokeRect(x, y, w, h);
  context.setLineDash([]);
}

function stroke(context, { path, away }, width, height) {
  context.beginPath();
  for (const { x, y } of path) context.lineTo(x * width, y * height);
  context.lineWidth = 8;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = away ? "rgb(255 91 77 / .8)" : "rgb(47 155 255 / .8)";
  context.stroke();
}

function cross(context, x, y) {
  for (const [style, line] of [["#000", 4], ["#fff", 2]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.beginPath();
    context.moveTo(x - 14, y);
    context.lineTo(x + 14, y);
    context.moveTo(x, y - 14);
    context.lineTo(x, y + 14);
    context.stroke();
  }
}

// The crosshair for those who use no pointer: arrows move it, Enter clicks, B begins and ends a box.
export function crosshair(key, { shift = false, alt = false } = {}) {
  if (key === "toggle") cursor = cursor ? null : { x: 0.5, y: 0.5 };
  if (!cursor) {
    drag = null;
    light(null);
    draw();
    return;
  }
  const step = shift ? 0.004 : 0.02;
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (ways[key]) cursor = inside({ x: cursor.x + step * ways[key][0], y: cursor.y + step * ways[key][1] });
  if (key === "Enter") click(cursor, { shiftKey: shift, altKey: alt });
  if (key === "b" && drag) {
    takeBox(drag.from, cursor);
    drag = null;
  } else if (key === "b") drag = { from: cursor, to: cursor, path: [cursor] };
  if (drag) drag.to = cursor;
  light(classAt(cursor.x, cursor.y), cursor);
  draw();
}

export const hasCrosshair = () => cursor !== null;
