// Keys, as in editors, and the sheet that shows them all.

import { $, el, iconButton } from "./dom.js";
import { clearRange, seek, setIn, setOut, shuttle, step, stepBy, stop, toCut, duration } from "./deck.js";
import { choose, remove, rename } from "./regions.js";
import { crosshair, hasCrosshair, toggleBefore, toggleBrush, view } from "./stage.js";
import { look, redo, tell, ui, undo } from "./store.js";

const SHEET = [
  ["Moving", [["← →", "one frame"], ["Shift ← →", "ten frames"], ["↑ ↓", "to the cut before, after"], ["Home End", "first, last frame"], ["J K L", "back, stop, forward"], ["Space", "paint two seconds and play them"], ["I O", "begin here, end here"], ["X", "use the whole clip"]]],
  ["Choosing", [["Click", "take what lights up, or correct the object that is chosen"], ["Shift click", "take away from the object"], ["Alt click", "cut out a single thing"], ["Drag", "a box around a thing"], ["S", "brush: drags correct the object that is chosen"], ["[ ]", "region before, after"], ["Delete", "remove the region"], ["N", "rename the object"], ["Esc", "no region: clicks take classes again"]]],
  ["Without a pointer", [["C", "crosshair on, off"], ["← → ↑ ↓", "move it (Shift: finely)"], ["Enter", "click there (with Shift, Alt as above)"], ["B", "begin a box, end it"]]],
  ["Seeing", [["B", "before, after"], ["1 2 3", "painting, masks, flicker"], ["Ctrl Z", "undo"], ["Ctrl Shift Z", "redo"], ["R", "render"], ["?", "these keys"]]],
];

export function setUp({ playPreview, openRender }) {
  const sheet = $("sheet");
  sheet.append(el("header", {}, el("h1", {}, "Keys"), iconButton("close", "Close", () => sheet.close())),
    el("div.keysheet", {}, SHEET.map(([title, keys]) => el("section", {}, el("h2", {}, title), el("dl", {}, keys.map(([key, words]) => [el("dt", {}, key.split(" ").map((k) => el("kbd", {}, k))), el("dd", {}, words)]))))));
  $("keys").addEventListener("click", () => sheet.showModal());

  const plain = {
    " ": playPreview, j: () => shuttle(-1), k: stop, l: () => shuttle(1), i: setIn, o: setOut, x: clearRange,
    ArrowLeft: () => stepBy(-1), ArrowRight: () => stepBy(1), ArrowUp: () => toCut(-1), ArrowDown: () => toCut(1),
    Home: () => seek(0), End: () => seek(duration()), Delete: () => remove(), Backspace: () => remove(), n: () => rename(),
    s: () => toggleBrush(), "[": () => choose(-1), "]": () => choose(1), b: toggleBefore, c: () => crosshair("toggle"),
    1: () => view("result"), 2: () => view("mask"), 3: () => view("flicker"), r: openRender, "?": () => sheet.showModal(),
    Escape: () => (hasCrosshair() ? crosshair("toggle") : look("background")),
  };
  const crossed = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Enter", "b"]);

  document.addEventListener("keydown", (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const target = event.target;
    if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y") && !isText(target)) {
      event.preventDefault();
      if (key === "y" || event.shiftKey) redo();
      else undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || document.querySelector("dialog[open]") || isText(target) || !ui.source || $("clip").hidden) return;
    if (hasCrosshair() && crossed.has(key) && !isControl(target)) {
      event.preventDefault();
      crosshair(key, { shift: event.shiftKey, alt: event.altKey });
      return;
    }
    // a control that has the focus uses these keys itself
    if (isControl(target) && [" ", "Enter", "Home", "End"].includes(key) && target.className !== "strip") return;
    if (isRange(target) && key.startsWith("Arrow")) return;
    const act = event.shiftKey && key.startsWith("Arrow") ? () => seek(ui.t + (key === "ArrowLeft" ? -10 : 10) * step()) : plain[key];
    if (!act || event.altKey) return;
    event.preventDefault();
    act();
    tell("keys");
  });
}

const isText = (node) => node.matches?.('input[type="text"], textarea');
const isRange = (node) => node.matches?.('input[type="range"], select, .handle');
const isControl = (node) => node.matches?.("button, input, select, summary, a, .strip, .handle");
