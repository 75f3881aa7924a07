// What the segmenter sees on the frame that is shown: a label map, and pictures of single regions made from it.

import { get, post } from "./api.js";
import { project, recipe, tell, ui } from "./store.js";

// The frame that the map belongs to, the map's pixels, and masks that objects were cut out with.
export const seen = { source: null, t: NaN, width: 0, height: 0, labels: null, classes: [], masks: new Map(), words: "" };
const THINGS = new Set(["person", "vehicle", "animal"]);
let asked = 0;

export async function see(source, t) {
  if (seen.source === source && seen.t === t) return;
  const mine = ++asked;
  try {
    const found = await get(`/api/source/${source}/regions?t=${t}`);
    if (mine !== asked) return;
    const map = await decode(`data:image/png;base64,${found.map}`);
    const labels = new Uint8Array(map.width * map.height);
    for (let k = 0; k < labels.length; k += 1) labels[k] = map.data[4 * k];
    Object.assign(seen, { source, t, width: map.width, height: map.height, labels, classes: found.classes, words: "" });
  } catch (error) {
    if (error.superseded || mine !== asked) return;
    Object.assign(seen, { source, t, labels: null, classes: [], words: error.message });
  }
  tell("seen");
}

export const fits = () => seen.labels && seen.source === ui.source?.id && Math.abs(seen.t - ui.t) < 0.002;

// The class under a point of the picture, given in shares of its width and height.
export function classAt(x, y) {
  if (!fits()) return null;
  const column = Math.min(seen.width - 1, Math.floor(x * seen.width));
  const row = Math.min(seen.height - 1, Math.floor(y * seen.height));
  return seen.classes[seen.labels[row * seen.width + column]] ?? null;
}

// What a box probably is around: the thing that covers most of it, for its name.
export function thingIn(from, to) {
  if (!fits()) return "object";
  const counts = new Map();
  for (let k = 0; k < 400; k += 1) {
    const found = classAt(from.x + ((to.x - from.x) * ((k % 20) + 0.5)) / 20, from.y + ((to.y - from.y) * (Math.floor(k / 20) + 0.5)) / 20);
    if (THINGS.has(found?.name)) counts.set(found.name, (counts.get(found.name) ?? 0) + 1);
  }
  const [best] = [...counts].sort((a, b) => b[1] - a[1]);
  return best && best[1] > 80 ? best[0] : "object";
}

const tints = new Map();

// A canvas with one class tinted, for lighting it up.
export function tint(index) {
  const key = `${seen.source} ${seen.t} ${index}`;
  if (!tints.has(key)) {
    if (tints.size > 30) tints.clear();
    const canvas = canvasOf(seen.width, seen.height);
    const context = canvas.getContext("2d");
    const data = context.createImageData(seen.width, seen.height);
    const { labels, width, height } = seen;
    for (let k = 0; k < labels.length; k += 1) {
      if (labels[k] !== index) continue;
      const column = k % width;
      const row = (k - column) / width;
      const edge = column === 0 || row === 0 || column === width - 1 || row === height - 1 ||
        labels[k - 1] !== index || labels[k + 1] !== index || labels[k - width] !== index || labels[k + width] !== index;
      data.data.set(edge ? [255, 255, 255, 235] : [86, 174, 252, 105], 4 * k);
    }
    context.putImageData(data, 0, 0);
    tints.set(key, canvas);
  }
  return tints.get(key);
}

const maskKey = (region, t) => `${ui.source?.id} ${t} ${JSON.stringify(region.marks)}`;
export const maskOf = (region) => seen.masks.get(maskKey(region, ui.t)) ?? null;

// Cuts an object out on the frame that is shown. Returns what is to be said, if anything.
export async function cutOut(region) {
  if (!region.marks?.some((m) => Math.abs(m.t - ui.t) < 0.002 || ui.source.kind === "image")) return "";
  const key = maskKey(region, ui.t);
  if (seen.masks.has(key)) return "";
  const only = { ...recipe(), regions: [region] };
  const found = await post("/api/cutout", { recipe: only, t: ui.t, name: region.name });
  const image = await loaded(`data:image/png;base64,${found.mask}`);
  seen.masks.set(key, { image, share: found.share });
  if (seen.masks.size > 60) seen.masks.delete(seen.masks.keys().next().value);
  tell("seen");
  return found.words;
}

// A small picture of a region on a canvas: what it covers, with the rest dimmed.
export function portrait(canvas, region, frame) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  if (!frame?.naturalWidth) return;
  const mask = region.kind === "object" ? maskOf(region)?.image : region.kind === "class" ? classMask(region.name) : null;
  let box = { x: 0, y: 0, w: frame.naturalWidth, h: frame.naturalHeight };
  if (mask) box = fitted(extent(mask), frame, width / height);
  else if (region.kind === "background") box = fitted([0, 0, 1, 1], frame, width / height);
  context.drawImage(frame, box.x, box.y, box.w, box.h, 0, 0, width, height);
  if (region.kind === "background") return;
  const shade = canvasOf(width, height);
  const on = shade.getContext("2d");
  on.fillStyle = "rgb(10 12 15 / .72)";
  on.fillRect(0, 0, width, height);
  if (mask) {
    const scale = { x: mask.width / frame.naturalWidth, y: mask.height / frame.naturalHeight };
    on.globalCompositeOperation = "destination-out";
    for (let k = 0; k < 3; k += 1) on.drawImage(mask, box.x * scale.x, box.y * scale.y, box.w * scale.x, box.h * scale.y, 0, 0, width, height);
  }
  context.drawImage(shade, 0, 0);
}

export function classMask(name) {
  const found = fits() ? seen.classes.find((c) => c.name === name && c.share > 0) : null;
  return found ? tint(found.index) : null;
}

function extent(mask) {
  const small = canvasOf(80, 45);
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(mask, 0, 0, 80, 45);
  const { data } = context.getImageData(0, 0, 80, 45);
  let [left, top, right, bottom] = [80, 45, 0, 0];
  for (let k = 0; k < 80 * 45; k += 1) {
    if (data[4 * k + 3] < 40) continue;
    const x = k % 80;
    const y = (k - x) / 80;
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
  }
  return right > left ? [left / 80, top / 45, right / 80, bottom / 45] : [0, 0, 1, 1];
}

// A part of the frame of the wanted shape that holds a box (in shares), in pixels of the frame.
function fitted([left, top, right, bottom], frame, shape) {
  const [width, height] = [frame.naturalWidth, frame.naturalHeight];
  let w = Math.max((right - left) * width * 1.15, width * 0.08);
  let h = Math.max((bottom - top) * height * 1.15, height * 0.08);
  if (w / h < shape) w = h * shape;
  else h = w / shape;
  const shrink = Math.min(1, width / w, height / h);
  [w, h] = [w * shrink, h * shrink];
  const clamp = (value, most) => Math.min(Math.max(0, value), most);
  return { x: clamp(((left + right) / 2) * width - w / 2, width - w), y: clamp(((top + bottom) / 2) * height - h / 2, height - h), w, h };
}

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

export function loaded(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("A picture could not be shown."));
    image.src = url;
  });
}

async function decode(url) {
  const image = await loaded(url);
  const context = canvasOf(image.width, image.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}

export const regionOfClass = (name) => project.regions.find((r) => r.kind === "class" && r.name === name);
