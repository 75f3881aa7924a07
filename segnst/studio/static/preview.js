// The picture that is shown: the frame, and how it will look. Pictures that were made are kept.

import { picture } from "./api.js";
import { debounce } from "./dom.js";
import { see } from "./seen.js";
import { painted, project, recipe, tell, ui } from "./store.js";

// frame, result   addresses of the two pictures;  state  ready, working or wrong;  words  what is wrong, or facts
export const shown = { frame: null, frameTime: NaN, result: null, state: "ready", words: "", seconds: 0, cached: false, unknown: [], facts: {} };

const kept = new Map();
const MOST = 60;
let frames = 0;
let previews = 0;
let sending = null;

function remember(key, value) {
  kept.set(key, value);
  if (kept.size > MOST) {
    const [oldest, old] = kept.entries().next().value;
    if (old.url !== shown.frame && old.url !== shown.result) {
      kept.delete(oldest);
      URL.revokeObjectURL(old.url);
    }
  }
  return value;
}

// Goes to a time: shows its frame, then what is seen on it and how it will look.
export async function goTo(t, { play = false } = {}) {
  const source = ui.source;
  if (!source) return;
  const mine = ++frames;
  ui.t = Math.max(0, t);
  tell("time");
  const key = `frame ${source.id} ${ui.t}`;
  try {
    const found = kept.get(key) ?? remember(key, await picture(`/api/source/${source.id}/frame?t=${ui.t}&size=1280&newest=1`));
    if (mine !== frames || source !== ui.source) return;
    if (Number.isFinite(found.time)) ui.t = found.time;
    shown.frame = found.url;
    shown.frameTime = ui.t;
    if (play) shown.result = null;
    tell("frame", "time");
    if (!play) settle();
  } catch (error) {
    if (error.superseded || mine !== frames) return;
    Object.assign(shown, { state: "wrong", words: error.message });
    tell("preview");
  }
}

const settle = debounce(120, () => {
  if (!ui.source) return;
  paint();
  see(ui.source.id, ui.t);
});

export const refresh = debounce(90, () => paint());

const keyOf = (view) => JSON.stringify([project.regions.map(({ locked, id, ...rest }) => rest), project.look, project.start, project.end, project.source, ui.t, view]);

export async function paint() {
  if (!ui.source || ui.playing) return;
  const mine = ++previews;
  sending?.abort();
  if (!painted() && ui.view !== "mask") {
    Object.assign(shown, { result: null, state: "ready", words: "", unknown: [], facts: {}, seconds: 0 });
    tell("preview");
    return;
  }
  const key = keyOf(ui.view);
  let found = kept.get(key);
  if (!found) {
    shown.state = "working";
    tell("preview");
    sending = new AbortController();
    try {
      found = await picture("/api/preview", { recipe: recipe(), t: ui.t, view: ui.view }, sending.signal);
    } catch (error) {
      if (error.superseded || error.name === "AbortError" || mine !== previews) return;
      Object.assign(shown, { state: "wrong", words: error.message });
      tell("preview");
      return;
    }
    if (found.facts.unknown?.length) setTimeout(() => URL.revokeObjectURL(found.url), 60000);
    else remember(key, found);
  } else found.cached = true;
  if (mine !== previews) return;
  Object.assign(shown, {
    result: found.url, state: "ready", words: "", seconds: found.seconds, cached: found.cached, unknown: found.facts.unknown ?? [], facts: found.facts,
  });
  tell("preview");
}
