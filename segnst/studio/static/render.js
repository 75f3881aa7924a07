// Rendering: how, the command line that does the same, plans, and the queue.

import { get, post } from "./api.js";
import { $, clock, debounce, el, icon, iconButton, say } from "./dom.js";
import { change, on, painted, project, recipe, ui } from "./store.js";

const jobs = new Map();
const pictures = new Map();
const form = el("div.form");
const problem = el("p.bad", { role: "alert" });
const command = el("code", { tabIndex: 0, "aria-label": "The same on the command line" });
const queue = el("ul.queue", { "aria-label": "Renders" });
const start = el("button.primary", { onclick: render }, "Render");
const planFile = el("input", { type: "file", accept: ".toml", hidden: true, onchange: () => readPlan(planFile.files[0]) });
let words = {};

export function setUp() {
  const dialog = $("render");
  dialog.append(
    el("header", {}, el("h1", {}, "Render"), iconButton("close", "Close", () => dialog.close())),
    form, problem,
    el("div.row.go", {}, start,
      el("span.grow"),
      el("button.quiet.small", { onclick: savePlan, title: "A file for segnst style --plan, and for dropping onto this page" }, "Save plan"),
      el("button.quiet.small", { onclick: () => planFile.click() }, "Load plan"), planFile),
    el("div.command", {}, command, iconButton("copy", "Copy the command", copy)),
    queue);
  $("open-render").addEventListener("click", open);
  on((what) => {
    if (what.has("project") || what.has("source")) {
      $("open-render").disabled = !ui.source;
      if (dialog.open) describe();
    }
  });
}

export function open() {
  if (!ui.source) return;
  buildForm();
  describe();
  showQueue();
  if (!$("render").open) $("render").showModal();
  start.focus();
}

function buildForm() {
  const still = ui.source.kind === "image";
  const output = (name, value) => change(`output ${name}`, (draft) => (draft.output[name] = value));
  const long = Math.max(ui.source.width, ui.source.height);
  const sizes = [[null, `As it is: ${ui.source.width} × ${ui.source.height}`], ...[1920, 1280, 640, 320].filter((s) => s < long).map((s) => [s, `${s} px long`])];
  const size = el("select", { onchange: () => output("max_size", size.value ? Number(size.value) : null) }, sizes.map(([v, w]) => el("option", { value: v ?? "", selected: v === project.output.max_size }, w)));
  const kinds = still ? ["png", "jpg"] : ["mp4", "webm", "mov", "mkv", "gif"];
  const kind = el("select", { onchange: () => output("format", kind.value) }, kinds.map((k) => el("option", { value: k, selected: k === (project.output.format ?? kinds[0]) }, k.toUpperCase())));
  const sound = el("input", { type: "checkbox", checked: project.output.audio, onchange: () => output("audio", sound.checked) });
  form.replaceChildren(
    el("label", {}, el("span.soft.small", {}, "Format"), kind),
    el("label", {}, el("span.soft.small", {}, "Size"), size),
    !still && ui.source.sound ? el("label.check", {}, sound, "Keep the sound") : null);
}

const describe = debounce(60, async () => {
  problem.textContent = painted() ? "" : "Nothing is painted yet: choose a region and a style first.";
  start.disabled = !painted();
  try {
    words = await post("/api/command", { recipe: recipe() });
    // words are not broken at their hyphens
    command.replaceChildren(...words.command.split(" ").flatMap((word) => [el("span.word", {}, word), " "]));
  } catch (error) {
    problem.textContent = error.message;
    start.disabled = true;
  }
});

async function render() {
  problem.textContent = "";
  try {
    const job = await post("/api/render", { recipe: recipe() });
    if (!jobs.has(job.id)) hear(job);
  } catch (error) {
    problem.textContent = error.message;
  }
}

async function copy() {
  try {
    await navigator.clipboard.writeText(words.command);
    say("The command is copied.");
  } catch {
    getSelection().selectAllChildren(command);
    say("Press Ctrl C to copy the command.");
  }
}

function savePlan() {
  if (!words.plan) return;
  const link = el("a", { href: URL.createObjectURL(new Blob([words.plan], { type: "text/plain" })), download: `${ui.source.name.replace(/\.\w+$/, "")}.toml` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export async function readPlan(file) {
  if (!file) return;
  if (!ui.source) {
    say("Open a video or a picture first; then drop the plan.", true);
    return;
  }
  try {
    const found = await post("/api/plan", { text: await file.text() });
    apply(found.recipe);
    for (const note of found.notes) say(note, true);
    say(`The plan ${file.name} is loaded.`);
    describe();
  } catch (error) {
    if ($("render").open) problem.textContent = error.message;
    else say(error.message, true);
  }
}

// Takes a recipe over for the file that is open. Undo goes back to what was there.
export function apply(found) {
  change("plan", (draft) => {
    draft.regions = found.regions.map((region, k) => ({ ...region, id: region.kind === "background" ? "background" : `p${k}${Date.now().toString(36)}` }));
    draft.look = { ...draft.look, ...found.look };
    draft.output = { ...draft.output, ...found.output };
    draft.start = found.start ?? null;
    draft.end = found.end ?? null;
  });
}

// --- the queue

export function hearAll(list) {
  jobs.clear();
  for (const job of list) jobs.set(job.id, job);
  showQueue();
}

export function hear(job) {
  if (job.kind !== "render") return;
  const before = jobs.get(job.id);
  jobs.set(job.id, job);
  if (before && before.state !== job.state && job.state === "done") say(`${job.output} is ready.`);
  if (before && before.state !== job.state && job.state === "failed") say(`${job.output}: ${job.words}`, true);
  if (job.state === "running") pictures.set(job.id, Date.now());
  showQueue();
}

export function forget(id) {
  jobs.delete(id);
  showQueue();
}

function showQueue() {
  const list = [...jobs.values()].sort((a, b) => b.created - a.created);
  const running = list.find((job) => job.state === "running");
  const share = running?.expected ? running.done / running.expected : 0;
  $("open-render").textContent = running ? `Rendering ${Math.round(100 * share)} %` : "Render";
  const focused = document.activeElement?.dataset?.focus;
  queue.replaceChildren(...list.map(item));
  if (focused) queue.querySelector(`[data-focus="${focused}"]`)?.focus();
}

function item(job) {
  const act = (action) => async () => {
    try {
      await post(`/api/jobs/${job.id}/${action}`, {}); // what becomes of it is heard as of every other change
    } catch (error) {
      say(error.message, true);
    }
  };
  const button = (name, label, action) => iconButton(name, label, act(action), { "data-focus": `${action}-${job.id}` });
  const buttons = { waiting: [button("stop", "Cancel", "cancel")], running: [button("stop", "Cancel", "cancel")], failed: [button("loop", "Again", "again")], cancelled: [button("loop", "Again", "again")], done: [] }[job.state];
  if (job.state === "done") buttons.push(el("a.download", { href: `/api/jobs/${job.id}/output?download`, download: job.output, "data-focus": `save-${job.id}` }, icon("down"), "Download"));
  if (!["running", "waiting"].includes(job.state)) buttons.push(button("trash", "Remove", "remove"));
  const image = el("img", { alt: "" });
  if (job.state === "running" || job.state === "done") image.src = `/api/jobs/${job.id}/picture?${Math.floor((pictures.get(job.id) ?? 0) / 1000)}`;
  else image.style.visibility = "hidden";
  image.addEventListener("error", () => (image.style.visibility = "hidden"), { once: true });
  const bar = job.state === "running" ? el("progress", { max: 1, value: job.expected ? job.done / job.expected : 0, "aria-label": `Progress of ${job.output}` }) : null;
  return el("li.job", { "data-state": job.state, "data-id": job.id }, image,
    el("div.about", {}, el("b", {}, job.output), el("span.small.soft", {}, stateWords(job)), bar,
      job.words ? el("span.small.bad", {}, job.words) : null,
      job.warnings.map((w) => el("span.small.soft", {}, w))),
    el("div.row", {}, buttons));
}

function stateWords(job) {
  if (job.state === "waiting") return "waiting";
  if (job.state === "failed") return "failed";
  if (job.state === "cancelled") return "cancelled; “Again” goes on where it stopped";
  if (job.state === "done") return `${job.done} ${job.done === 1 ? "frame" : "frames"}${job.seconds ? ` in ${clock(job.seconds)}` : ""}`;
  if (!job.done) return job.stage || "beginning";
  const left = job.left !== null ? ` · ${clock(job.left)} left` : "";
  return `${job.done}${job.expected ? ` of ${job.expected}` : ""} frames · ${job.pace.toFixed(2)} frames/s${left}`;
}

// A file that was rendered here brings back what it was made from. Browsers rename downloads, so its size tells it.
export async function recipeOf(file) {
  const job = [...jobs.values()].find((j) => j.state === "done" && j.size === file.size);
  return job ? { job, ...(await get(`/api/jobs/${job.id}/recipe`)) } : null;
}

