// The list of regions, and what else is seen on this frame.

import { $, el, iconButton, pretty, say } from "./dom.js";
import { frameImage } from "./stage.js";
import { fits, portrait, seen } from "./seen.js";
import { BACKGROUND, active, change, freeName, look, on, project, tell, ui } from "./store.js";
import { describe, shine, take } from "./take.js";

export const COLORS = ["#e64b3c", "#3c78e6", "#f0be28", "#3cb45a", "#a050c8", "#28bec8", "#969696"];
const list = el("ul.regions", { "aria-label": "Regions, the front one first" });
const also = el("div.also");

export function setUp() {
  $("regions").append(el("div.row", {}, el("h2", {}, "Regions"), el("span.grow"), el("span.soft.small.cutting", { role: "status" })), list, also);
  on((what) => {
    if (["project", "active", "seen", "framed", "cutting", "source"].some((w) => what.has(w))) show();
  });
}

function show() {
  const focused = document.activeElement?.dataset?.focus;
  list.replaceChildren(...project.regions.map(row));
  $("regions").querySelector(".cutting").textContent = ui.cutting ? "Cutting out…" : "";
  const taken = new Set(project.regions.map((r) => r.name));
  const others = fits() ? seen.classes.filter((c) => c.index > 0 && c.share > 0.002 && !taken.has(c.name)) : [];
  also.replaceChildren(
    others.length ? el("p.soft.small", {}, "Also seen here") : el("p.soft.small", {}, seen.words || (fits() ? "Drag a box around a thing to cut it out." : "Looking…")),
    el("div.chips", {}, others.sort((a, b) => b.share - a.share).map(chip)));
  if (focused) document.querySelector(`[data-focus="${focused}"]`)?.focus();
}

function chip(found) {
  const light = (index) => () => {
    ui.hover = index;
    tell("hover");
  };
  return el("button.chip", {
    title: `Take everything that is ${found.name}`, "data-focus": `chip-${found.name}`, onclick: () => (light(null)(), take(found)),
    onpointerenter: light(found.index), onpointerleave: light(null), onfocus: light(found.index), onblur: light(null),
  }, `${pretty(found.name)} `, el("span.soft", {}, `${(100 * found.share).toFixed(0)} %`));
}

function row(region, position) {
  const thumb = el("canvas.thumb", { width: 96, height: 64, "aria-hidden": true });
  portrait(thumb, region, frameImage());
  const chosen = region.id === ui.active;
  const words = styleWords(region);
  const main = el("button.quiet.pick", {
    "aria-current": chosen, "data-focus": `region-${region.id}`,
    onclick: () => (look(region.id), region.kind !== "background" && shine()),
    ondblclick: () => rename(region), "aria-label": `${describe(region)}, ${words}`,
  }, thumb, el("span.names", {}, el("b", {}, describe(region)), el("span.soft.small", {}, words)));
  const color = region.kind === "background" ? "transparent" : COLORS[position % COLORS.length];
  const dot = el("i.dot", { "aria-hidden": true });
  dot.style.background = color;
  const tools = [
    iconButton(region.visible ? "eye" : "shut", region.visible ? "Leave it unpainted" : "Paint it", () => edit(region, (r) => (r.visible = !r.visible)), { "aria-pressed": !region.visible, "data-focus": `eye-${region.id}` }),
    iconButton(region.locked ? "locked" : "open", region.locked ? "Unlock" : "Lock against changes", () => edit(region, (r) => (r.locked = !r.locked), true), { "aria-pressed": region.locked, "data-focus": `lock-${region.id}` }),
  ];
  if (region.kind !== "background") tools.push(iconButton("trash", "Remove this region", () => remove(region), { disabled: region.locked }));
  const doubt = ui.doubts?.[region.id];
  return el(chosen ? "li.region.chosen" : "li.region", {}, el("div.line", {}, dot, main, ...tools), doubt ? el("p.bad.small.doubt", {}, doubt) : null);
}

export function styleWords(region) {
  if (!region.visible) return "hidden: stays as it is";
  const mix = region.style?.mix ?? [];
  if (!mix.length) return "as it is";
  return mix.map((m) => titleOf(m.name)).join(" + ");
}

export function titleOf(name) {
  const style = ui.styles.find((s) => s.name === name);
  return style?.short ?? pretty(name.replace(/^picture:/, ""));
}

function edit(region, change_, always = false) {
  if (region.locked && !always) return say(`“${describe(region)}” is locked.`, true);
  change(`edit ${region.id} ${Math.random()}`, (draft) => change_(draft.regions.find((r) => r.id === region.id)));
}

export function remove(region = active()) {
  if (region.kind === "background") {
    edit(region, (r) => Object.assign(r, structuredClone(BACKGROUND)));
    return;
  }
  if (region.locked) {
    say(`“${describe(region)}” is locked.`, true);
    return;
  }
  change(`remove ${region.id}`, (draft) => (draft.regions = draft.regions.filter((r) => r.id !== region.id)));
  delete ui.lanes[region.name];
  tell("lane");
}

export function rename(region = active()) {
  if (region.kind !== "object") return;
  const item = list.children[project.regions.findIndex((r) => r.id === region.id)];
  const input = el("input", { type: "text", value: region.name, maxLength: 40, "aria-label": "Name of the region" });
  const done = (keep) => {
    const name = input.value.trim().toLowerCase().replace(/[:@,=+*"'\\/]/g, "");
    if (keep && name && name !== region.name) edit(region, (r) => (r.name = freeName(name)));
    show();
  };
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") done(true);
    if (event.key === "Escape") done(false);
  });
  item.querySelector(".names").replaceChildren(input);
  input.focus();
  input.select();
  input.addEventListener("blur", () => done(true), { once: true });
}

export function choose(way) {
  const at = project.regions.findIndex((r) => r.id === ui.active);
  const next = project.regions[(at + way + project.regions.length) % project.regions.length];
  look(next.id);
  if (next.kind !== "background") shine();
}
