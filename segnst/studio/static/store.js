// What was chosen, with undo and redo. Every change makes a new value, so that going back is only another value.

const listeners = new Set();
let past = [];
let future = [];
let last = { what: "", at: 0 };

export const BACKGROUND = { id: "background", kind: "background", name: "background", visible: true, locked: false, style: null, keep_colors: false };
export const LOOK = { keep_colors: false, stroke_size: 1, stability: 0.9, edge: "guided", fast: false };

// What undo goes back to; what is merely looked at (the frame, the view) is in `ui`.
export let project = empty(null);
export const ui = {
  source: null, t: 0, active: "background", view: "result", hover: null, tool: "pick", styles: [], classes: [], times: [], cuts: [], lanes: {},
};

export function empty(source) {
  return { source, start: null, end: null, regions: [{ ...BACKGROUND }], look: { ...LOOK }, output: { max_size: null, format: null, audio: true } };
}

export function on(listener) {
  listeners.add(listener);
}

export function tell(...what) {
  for (const listener of listeners) listener(new Set(what));
}

// change("name of the change", draft => …). Quick changes of the same name (a slider) are one step of undo.
export function change(what, edit) {
  const draft = structuredClone(project);
  edit(draft);
  if (JSON.stringify(draft) === JSON.stringify(project)) return;
  const now = Date.now();
  if (what !== last.what || now - last.at > 1200) past.push(project);
  past = past.slice(-200);
  last = { what, at: now };
  future = [];
  project = draft;
  changed();
}

export function load(value) {
  project = value;
  past = [];
  future = [];
  last = { what: "", at: 0 };
  changed();
}

function changed() {
  if (!project.regions.some((r) => r.id === ui.active)) ui.active = "background";
  if (project.source) localStorage.setItem(`segnst-${project.source}`, JSON.stringify(project));
  tell("project");
}

export function undo() {
  if (!past.length) return false;
  future.push(project);
  project = past.pop();
  last = { what: "", at: 0 };
  changed();
  return true;
}

export function redo() {
  if (!future.length) return false;
  past.push(project);
  project = future.pop();
  last = { what: "", at: 0 };
  changed();
  return true;
}

export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;

export function saved(source) {
  try {
    const value = JSON.parse(localStorage.getItem(`segnst-${source}`));
    return value?.regions?.length ? value : null;
  } catch {
    return null;
  }
}

export const active = () => project.regions.find((r) => r.id === ui.active) ?? project.regions.at(-1);

export function editActive(what, edit) {
  const id = ui.active;
  if (active().locked) return false;
  change(`${what} ${id}`, (draft) => edit(draft.regions.find((r) => r.id === id)));
  return true;
}

// Regions come before the background, the newest first: it lies in front.
export function addRegion(region) {
  const id = `r${Date.now().toString(36)}${Math.floor(Math.random() * 1e4)}`;
  ui.active = id;
  change(`add ${id}`, (draft) => draft.regions.unshift({ id, visible: true, locked: false, style: null, keep_colors: false, ...region }));
  return id;
}

export function freeName(base) {
  const taken = new Set([...project.regions.map((r) => r.name), "foreground"]);
  if (!taken.has(base)) return base;
  let number = 2;
  while (taken.has(`${base}${number}`)) number += 1;
  return `${base}${number}`;
}

export function look(id) {
  ui.active = id;
  tell("active");
}

// What the server is sent.
export const recipe = () => ({ ...project, output: { ...project.output, format: project.output.format ?? (ui.source?.kind === "image" ? "png" : "mp4") } });
export const painted = () => project.regions.some((r) => r.style?.mix?.length && r.visible);
