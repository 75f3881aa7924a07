// Puts the page together.

import { listen, post } from "./api.js";
import * as camera from "./camera.js";
import * as deck from "./deck.js";
import { $, icon, say } from "./dom.js";
import * as keys from "./keys.js";
import * as files from "./open.js";
import { paint, refresh } from "./preview.js";
import * as regions from "./regions.js";
import * as render from "./render.js";
import * as stage from "./stage.js";
import { canRedo, canUndo, on, project, recipe, redo, tell, ui, undo } from "./store.js";
import * as styles from "./styles.js";
import { cut } from "./take.js";

let lost = false;

function hear(event) {
  if (event.type === "hello") {
    render.hearAll(event.jobs);
    if (lost) say("The studio is back.");
    lost = false;
  } else if (event.type === "lost" && !lost) {
    lost = true;
    say("The studio does not answer. Is it still running in the terminal?", true);
  } else if (event.type === "job" && event.job.kind === "play") hearLoop(event.job);
  else if (event.type === "job") render.hear(event.job);
  else if (event.type === "removed") render.forget(event.id);
  else if (event.type === "lane") hearLane(event);
  else if (event.type === "strip" && event.source === ui.source?.id && event.done) deck.refreshStrip();
}

// --- objects that are followed

function hearLane(event) {
  if (event.source !== ui.source?.id) return;
  const lane = event.begin ? { rows: [] } : (ui.lanes[event.name] ?? { rows: [] });
  lane.rows.push(...event.rows);
  if (event.expected) lane.expected = event.expected;
  Object.assign(lane, { complete: event.complete ?? false, words: event.words ?? "" });
  ui.lanes[event.name] = lane;
  tell("lane");
  const here = event.rows.some((row) => Math.abs(row[0] - ui.t) < 0.002);
  if (here || event.complete) refresh();
}

// --- two seconds that are painted and played in a loop

async function playPreview() {
  const state = ui.loop?.state;
  if (state === "working" || state === "playing") {
    if (state === "working") post(`/api/jobs/${ui.loop.id}/cancel`, {}).catch(() => {});
    return endLoop();
  }
  if (!ui.source || ui.source.kind === "image") return;
  if (!project.regions.some((r) => r.style)) return say("Choose a style first; then two seconds of it can be played.", true);
  deck.stop();
  try {
    const job = await post("/api/play", { recipe: recipe(), t: ui.t });
    ui.loop = { state: "working", id: job.id, share: 0 };
    tell("playing");
  } catch (error) {
    say(error.message, true);
  }
}

function hearLoop(job) {
  if (job.id !== ui.loop?.id) return;
  if (job.state === "running") ui.loop.share = job.expected ? job.done / job.expected : 0;
  else if (job.state === "done") {
    ui.loop.state = "playing";
    stage.playLoop(`/api/jobs/${job.id}/output`);
  } else if (job.state === "failed") {
    say(job.words, true);
    endLoop();
  }
  tell("playing");
}

function endLoop() {
  if (!ui.loop) return;
  ui.loop = null;
  stage.playLoop(null);
  tell("playing");
}

// --- tabs

function tab(name) {
  for (const id of ["clip", "camera"]) $(`tab-${id}`).setAttribute("aria-selected", id === name);
  $("camera").hidden = name !== "camera";
  $("clip").hidden = name !== "clip" || !ui.source;
  $("welcome").hidden = name !== "clip" || Boolean(ui.source);
  if (name !== "camera") camera.stop();
}

for (const name of ["clip", "camera"]) $(`tab-${name}`).addEventListener("click", () => tab(name));
$("tabs").addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const other = $("camera").hidden ? "camera" : "clip";
  tab(other);
  $(`tab-${other}`).focus();
});

$("undo").append(icon("undo"));
$("redo").append(icon("redo"));
$("undo").addEventListener("click", undo);
$("redo").addEventListener("click", redo);

let marked = new Map();
on((what) => {
  if (what.has("project")) {
    $("undo").disabled = !canUndo();
    $("redo").disabled = !canRedo();
    endLoop();
    refresh();
    // marks and range decide where an object is, so after a change or an undo it is cut out and followed again
    const now = new Map();
    for (const { kind, id, marks } of ui.source ? project.regions : []) {
      if (kind !== "object") continue;
      now.set(id, JSON.stringify([project.source, project.start, project.end, marks]));
      if (marked.get(id) !== now.get(id)) cut(id);
    }
    marked = now;
  }
  if (what.has("view")) paint();
  if (what.has("time")) endLoop();
});

stage.setUp();
deck.setUp(playPreview);
regions.setUp();
render.setUp();
camera.setUp();
keys.setUp({ playPreview, openRender: render.open });
styles.recallPictures();
styles.setUp();
stage.setSplit(0);
listen(hear);
files.setUp().catch((error) => say(error.message, true));
