// Opening a file: from the list, by path, by choosing or dropping it.

import { get, post, upload } from "./api.js";
import { $, el, icon, say } from "./dom.js";
import { loadStrip } from "./deck.js";
import { goTo, shown } from "./preview.js";
import { apply, hearAll, readPlan, recipeOf } from "./render.js";
import { empty, load, project, saved, tell, ui } from "./store.js";
import { addPicture } from "./styles.js";

const problem = el("p.bad", { role: "alert" });
const waiting = el("p.waiting", { role: "status" });
const progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
const list = el("ul.files", { "aria-label": "Files that can be opened" });
const chooser = el("input", { type: "file", accept: "video/*,image/*,.mkv,.ts,.mts,.mxf,.y4m", hidden: true, onchange: () => drop(chooser.files) });

export async function setUp() {
  const path = el("input", { type: "text", placeholder: "Path of a file", "aria-label": "Path of a file", spellcheck: false });
  const typed = el("form.typed", { onsubmit: (event) => (event.preventDefault(), open({ path: path.value })) }, path, el("button", { type: "submit" }, "Open"));
  $("welcome").append(el("div.welcome", {},
    el("h1", {}, "Paint each part of a film in a style of its own"),
    el("div.drop", {}, icon("film"), el("p", {}, "Drop a video or a photo here"), el("button.primary", { onclick: () => chooser.click() }, "Choose a file"), el("p.soft.small", { id: "limit" }), progress, waiting, problem),
    list, typed, chooser));
  $("home").addEventListener("click", home);
  dropsInto(document);
  const state = await get("/api/state");
  $("limit").textContent = `It stays on this machine. Up to ${state.max_upload >= 1000 ? `${state.max_upload / 1000} GB` : `${state.max_upload} MB`}.`;
  list.replaceChildren(...state.files.map((file) => el("li", {}, el("button", { onclick: () => open({ id: file.id }), title: file.name }, icon("film"), file.name))));
  typed.hidden = !state.folders;
  hearAll(state.jobs);
  const last = new URLSearchParams(location.hash.slice(1)).get("file");
  if (last) await open({ id: last });
  else if (state.files.length === 1) await open({ id: state.files[0].id });
}

export function home() {
  $("clip").hidden = true;
  $("camera").hidden = true;
  $("welcome").hidden = false;
  ui.source = null;
  $("title").textContent = "";
  history.replaceState(null, "", "#");
  tell("source");
}

export async function open(what) {
  problem.textContent = "";
  waiting.textContent = "Opening… At first, the studio needs some seconds to get ready.";
  try {
    begin(await post("/api/open", what));
  } catch (error) {
    home();
    problem.textContent = error.message;
  }
  waiting.textContent = "";
}

function begin(source) {
  ui.source = source;
  ui.t = source.first ?? 0;
  Object.assign(shown, { frame: null, result: null, state: "ready", words: "", unknown: [], facts: {} });
  $("welcome").hidden = true;
  $("camera").hidden = true;
  $("clip").hidden = false;
  $("title").textContent = source.name;
  document.title = `${source.name} · segnst studio`;
  history.replaceState(null, "", `#file=${source.id}`);
  load(saved(source.id) ?? empty(source.id));
  ui.active = project.regions[0].id;
  tell("source", "active");
  loadStrip();
  goTo(ui.t);
  for (const warning of source.warnings) say(warning);
}

async function drop(files) {
  const file = files?.[0];
  if (!file) return;
  if (/\.toml$/i.test(file.name)) return readPlan(file);
  const picture = file.type.startsWith("image/");
  if (ui.source && picture && !$("clip").hidden) return addPicture(file);
  const from = await recipeOf(file).catch(() => null);
  if (from) {
    await open({ id: from.recipe.source });
    if (ui.source) apply(from.recipe);
    return say(`${file.name} was made here: its recipe is back, with the film that it was made from.`);
  }
  await send(file);
}

async function send(file) {
  if (!$("welcome").hidden) problem.textContent = "";
  else home();
  progress.hidden = false;
  progress.value = 0;
  try {
    begin(await upload(file, "source", (share) => {
      progress.value = share;
      if (share === 1) waiting.textContent = "Looking at it…";
    }));
  } catch (error) {
    problem.textContent = error.message;
  }
  waiting.textContent = "";
  progress.hidden = true;
}

function dropsInto(place) {
  let depth = 0;
  const shows = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  place.addEventListener("dragenter", (event) => {
    if (!shows(event)) return;
    depth += 1;
    $("dropping").hidden = false;
  });
  place.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) $("dropping").hidden = true;
  });
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    $("dropping").hidden = true;
    drop(event.dataTransfer.files);
  });
}
