// The film below the picture: strip with cuts, playhead, in and out points, lanes of followed objects, transport.

import { get } from "./api.js";
import { $, clock, el, icon, iconButton, say } from "./dom.js";
import { goTo } from "./preview.js";
import { loaded } from "./seen.js";
import { change, on, project, tell, ui } from "./store.js";

const now = el("output.now", { "aria-label": "Time" });
const facts = el("span.soft.small.facts");
const sheet = el("canvas.sheet", { "aria-hidden": true });
let thumbs = null; // the thumbnails side by side, and how many
const cuts = el("div.cuts", { "aria-hidden": true });
const outside = [el("div.outside.before"), el("div.outside.after")];
const head = el("div.head", { "aria-hidden": true });
const strip = el("div.strip", { role: "slider", tabIndex: 0, "aria-label": "Position in the clip" }, sheet, cuts, ...outside, head);
const lanes = el("div.lanes");
const player = el("button", { id: "play", title: "Paint two seconds from here and play them in a loop (Space)" });

export const duration = () => ui.source?.duration || 0;
export const step = () => 1 / (ui.source?.fps || 25);

export function setUp(playPreview) {
  const transport = el("div.transport", {},
    iconButton("back", "Previous frame (←)", () => stepBy(-1)),
    iconButton("next", "Next frame (→)", () => stepBy(1)),
    player,
    now,
    el("button.quiet.small", { title: "Begin here (I)", onclick: () => setIn() }, "Set in"),
    el("button.quiet.small", { title: "End here (O)", onclick: () => setOut() }, "Set out"),
    el("button.quiet.small.clear", { title: "Use the whole clip (X)", onclick: clearRange }, "Whole clip"),
    el("span.grow"), facts);
  player.addEventListener("click", playPreview);
  $("deck").append(transport, strip, lanes);
  const scrub = (event) => {
    const box = strip.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * duration());
  };
  strip.addEventListener("pointerdown", (event) => {
    strip.setPointerCapture(event.pointerId);
    scrub(event);
    strip.onpointermove = scrub;
  });
  strip.addEventListener("pointerup", () => (strip.onpointermove = null));
  on((what) => {
    if (what.has("time") || what.has("project") || what.has("source")) show();
    if (["lane", "project", "source", "active"].some((w) => what.has(w))) showLanes();
    if (what.has("playing")) showPlayer();
  });
  new ResizeObserver(drawSheet).observe(strip);
  showPlayer();
}

export async function loadStrip() {
  $("deck").hidden = ui.source.kind === "image";
  Object.assign(ui, { times: [], cuts: [], lanes: {}, scanned: 0 });
  thumbs = null;
  drawSheet();
  if (ui.source.kind !== "image") await refreshStrip();
}

// The server tells that it knows more of the strip.
export async function refreshStrip() {
  const source = ui.source;
  try {
    const known = await get(`/api/source/${source.id}/strip`);
    if (source !== ui.source) return;
    Object.assign(ui, { times: known.times, cuts: known.cuts, scanned: known.done });
    if (known.words) say(known.words, true);
    if (known.done && !known.words) thumbs = { image: await loaded(`/api/source/${source.id}/sheet?${Date.now()}`), count: known.count };
    drawSheet();
    if (known.done && known.times.length) source.duration = known.times.at(-1) + step();
    tell("time");
  } catch (error) {
    say(error.message, true);
  }
}

// As many thumbnails as fit without being squeezed.
function drawSheet() {
  const dense = Math.min(2, devicePixelRatio);
  const [width, height] = [strip.clientWidth * dense, strip.clientHeight * dense];
  Object.assign(sheet, { width: Math.max(1, width), height: Math.max(1, height) });
  if (!thumbs) return;
  const { image, count } = thumbs;
  const each = image.width / count;
  const slots = Math.max(1, Math.min(count, Math.round(width / ((each * height) / image.height))));
  for (let k = 0; k < slots; k += 1) {
    const from = Math.floor(((k + 0.5) / slots) * count) * each;
    const shape = Math.min(1, width / slots / height / (each / image.height)); // a slot that is narrower shows the middle
    sheet.getContext("2d").drawImage(image, from + (each * (1 - shape)) / 2, 0, each * shape, image.height, (k * width) / slots, 0, width / slots + 1, height);
  }
}

export const seek = (t) => goTo(nearest(Math.min(Math.max(0, t), Math.max(0, duration() - step()))));

// The time of the frame that is nearest, as far as the frames' times are known.
function nearest(t) {
  if (!ui.times.length || t > ui.times.at(-1) + step()) return Math.round(t / step()) * step();
  let [low, high] = [0, ui.times.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ui.times[middle] < t - step() / 2) low = middle + 1;
    else high = middle;
  }
  return ui.times[low];
}

export function stepBy(count) {
  stop();
  seek(ui.t + count * step());
}

export function toCut(way) {
  const places = [0, ...ui.cuts, Math.max(0, duration() - step())];
  const found = way > 0 ? places.find((c) => c > ui.t + 1e-3) : places.findLast((c) => c < ui.t - 1e-3);
  if (found !== undefined) seek(found);
}

// J, K and L: goes through the frames without painting them, as fast as they come.
let shuttling = 0;
export async function shuttle(speed) {
  stop();
  if (!speed || !duration()) return;
  ui.playing = true;
  const mine = ++shuttling;
  let [from, began] = [ui.t, performance.now()];
  while (mine === shuttling) {
    const t = from + (speed * (performance.now() - began)) / 1000;
    if (t < 0 || t > duration() - step() / 2) break;
    await goTo(nearest(t), { play: true });
    await new Promise((done) => setTimeout(done, 15));
  }
  if (mine === shuttling) stop();
}

export function stop() {
  shuttling += 1;
  if (!ui.playing) return;
  ui.playing = false;
  goTo(ui.t);
}

export function setIn() {
  const t = ui.t;
  if (project.end !== null && t >= project.end) say("The beginning must lie before the end.", true);
  else change("in", (draft) => (draft.start = t > 0 ? t : null));
}

export function setOut() {
  const t = ui.t + step();
  if (t <= (project.start ?? 0)) say("The end must lie after the beginning.", true);
  else change("out", (draft) => (draft.end = t < duration() - 1e-3 ? Math.round(t * 1e6) / 1e6 : null));
}

export function clearRange() {
  change("range", (draft) => Object.assign(draft, { start: null, end: null }));
}

const percent = (t) => `${(100 * t) / Math.max(duration(), 1e-6)}%`;

function show() {
  if (!ui.source) return;
  now.textContent = `${clock(ui.t, true)} / ${clock(duration(), true)}`;
  head.style.left = percent(ui.t);
  outside[0].style.width = percent(project.start ?? 0);
  outside[1].style.width = percent(duration() - (project.end ?? duration()));
  $("deck").querySelector(".clear").hidden = project.start === null && project.end === null;
  cuts.replaceChildren(...ui.cuts.map(() => el("i", { title: "Cut" })));
  for (const [k, mark] of [...cuts.children].entries()) mark.style.left = percent(ui.cuts[k]);
  const { width, height, fps } = ui.source;
  const length = project.start !== null || project.end !== null ? ` · ${clock((project.end ?? duration()) - (project.start ?? 0), true)} chosen` : "";
  facts.textContent = `${width}×${height} · ${Math.round(fps * 100) / 100} frames/s${ui.cuts.length ? ` · ${ui.cuts.length} cuts` : ""}${length}`;
  strip.setAttribute("aria-valuemin", 0);
  strip.setAttribute("aria-valuemax", duration().toFixed(2));
  strip.setAttribute("aria-valuenow", ui.t.toFixed(2));
  strip.setAttribute("aria-valuetext", `${ui.t.toFixed(2)} of ${duration().toFixed(2)} seconds`);
}

// A lane for each object: blue where it is surely seen, orange where it is doubtful, empty where it is not seen.
function showLanes() {
  const objects = ui.source?.kind === "image" ? [] : project.regions.filter((r) => r.kind === "object");
  lanes.replaceChildren(...objects.map((region) => {
    const lane = ui.lanes[region.name];
    const canvas = el("canvas", { width: 600, height: 6, "aria-hidden": true });
    const context = canvas.getContext("2d");
    for (const [t, confidence, share] of lane?.rows ?? []) {
      context.fillStyle = share < 0.0005 ? "rgb(128 128 128 / .25)" : confidence < 0.5 ? "#ff9d3c" : `rgb(64 156 255 / ${0.35 + 0.65 * confidence})`;
      context.fillRect((600 * t) / duration(), 0, Math.max(1, (600 * step()) / duration() + 0.5), 6);
    }
    for (const mark of region.marks ?? []) {
      context.fillStyle = "#fff";
      context.fillRect((600 * mark.t) / duration(), 0, 3, 6);
    }
    return el("div.lane", { title: laneWords(region, lane) }, canvas, el("span.soft.small", { role: "note" }, laneWords(region, lane)));
  }));
}

function laneWords(region, lane) {
  if (!lane) return `${region.name}: not followed yet`;
  if (lane.words) return `${region.name}: ${lane.words}`;
  if (!lane.complete) return `${region.name}: followed ${lane.rows.length} of ${lane.expected ?? "?"} frames`;
  const doubtful = lane.rows.filter((row) => row[1] < 0.5).length;
  return doubtful ? `${region.name}: doubtful on ${doubtful} of ${lane.rows.length} frames; go there and click it` : `${region.name}: followed surely through ${lane.rows.length} frames`;
}

function showPlayer() {
  const { state, share } = ui.loop ?? {};
  const words = state === "working" ? `Painting ${share ? Math.round(100 * share) : 0} %` : state === "playing" ? "Stop" : "Play 2 s";
  player.replaceChildren(icon(state === "playing" || state === "working" ? "stop" : "loop"), words);
}
