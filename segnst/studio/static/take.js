// Taking regions: a class that lights up, an object in a box or under a click, and corrections of an object.

import { post } from "./api.js";
import { pretty, say } from "./dom.js";
import { cutOut, regionOfClass, thingIn } from "./seen.js";
import { active, addRegion, change, freeName, look, project, recipe, tell, ui } from "./store.js";

const pixels = ({ x, y }) => ({ x: Math.round(10 * x * ui.source.width) / 10, y: Math.round(10 * y * ui.source.height) / 10 });

// A click on what lights up: the class becomes a region, or the region that it is already is chosen.
export function take(found, place, single = false) {
  if (found && found.index > 0 && !single) {
    const known = regionOfClass(found.name);
    if (known) look(known.id);
    else addRegion({ kind: "class", name: found.name });
    shine();
    return;
  }
  if (!place) return;
  const point = { kind: "point", ...pixels(place), belongs: true, t: ui.t };
  const base = found && found.index > 0 ? found.name : "object";
  addRegion({ kind: "object", name: freeName(base), marks: [point] });
}

export function takeBox(from, to) {
  const [one, other] = [pixels(from), pixels(to)];
  const box = { kind: "box", x: Math.min(one.x, other.x), y: Math.min(one.y, other.y), w: Math.abs(one.x - other.x), h: Math.abs(one.y - other.y), t: ui.t };
  if (box.w < 4 || box.h < 4) return;
  addRegion({ kind: "object", name: freeName(thingIn(from, to)), marks: [box] });
}

// A click on an object that is chosen: this pixel belongs to it, or not.
export function takePoint(place, belongs) {
  const region = active();
  if (region.locked) {
    say(`“${region.name}” is locked. Unlock it to correct it.`, true);
    return;
  }
  const id = region.id;
  const here = region.marks.some((m) => (Math.abs(m.t - ui.t) < 0.002 || ui.source.kind === "image") && (m.kind === "box" || m.belongs));
  if (!belongs && !here) {
    say("First click what belongs to it on this frame; then Shift and a click takes away what does not.", true);
    return;
  }
  change("mark", (draft) => draft.regions.find((r) => r.id === id).marks.push({ kind: "point", ...pixels(place), belongs, t: ui.t }));
}

// A stroke over an object that is chosen: points along it, which belong to the object, or not.
export function takeStroke(path, belongs) {
  const region = active();
  if (region.kind !== "object") return;
  if (region.locked) {
    say(`“${region.name}” is locked. Unlock it to correct it.`, true);
    return;
  }
  const { id } = region;
  const count = Math.min(8, path.length);
  const points = Array.from({ length: count }, (_, k) => path[Math.round((k * (path.length - 1)) / Math.max(1, count - 1))]);
  change("stroke", (draft) => {
    const { marks } = draft.regions.find((r) => r.id === id);
    for (const place of points) marks.push({ kind: "point", ...pixels(place), belongs, t: ui.t });
  });
}

// Cuts an object out on this frame, says what is doubtful about it, and lets it be followed through the clip.
export async function cut(id) {
  const region = project.regions.find((r) => r.id === id);
  if (region?.kind !== "object") return;
  ui.cutting = true;
  tell("cutting");
  try {
    const words = await cutOut(region);
    ui.doubts = { ...ui.doubts, [id]: words };
    if (words) say(words, true);
  } catch (error) {
    ui.doubts = { ...ui.doubts, [id]: error.message };
    say(error.message, true);
  }
  ui.cutting = false;
  tell("cutting", "active");
  shine();
  if (project.regions.some((r) => r.id === id)) follow(region);
}

export async function follow(region) {
  if (ui.source?.kind === "image") return;
  try {
    await post("/api/follow", { recipe: { ...recipe(), regions: [region] }, name: region.name });
  } catch (error) {
    ui.lanes[region.name] = { rows: [], expected: 0, words: error.message };
    tell("lane");
  }
}

// Lights the chosen region up for a moment.
let timer = 0;
export function shine() {
  ui.shine = true;
  tell("active");
  clearTimeout(timer);
  timer = setTimeout(() => {
    ui.shine = false;
    tell("active");
  }, 900);
}

export const describe = (region) => (region.kind === "background" ? "Background" : pretty(region.name));
