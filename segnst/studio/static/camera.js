// The browser's own camera, styled live. A picture is sent when the last one has come back, so the newest always wins.

import { socketTo } from "./api.js";
import { $, el, pretty } from "./dom.js";
import { on, ui } from "./store.js";

const SIZES = { 320: "320 px, quickest", 480: "480 px", 640: "640 px" };
const canvas = el("canvas", { width: 320, height: 240, "aria-label": "The styled camera" });
const video = el("video", { muted: true, playsInline: true, autoplay: true, hidden: true });
const hint = el("p.soft.hint", {}, "Your camera, painted, will be seen here.");
const facts = el("div.pill.facts", { role: "status" });
const problem = el("p.bad", { role: "alert" });
const toggle = el("button.primary", { onclick: () => (stream ? stop() : start()) }, "Start the camera");
const classes = el("select", { onchange: choose, "aria-label": "What to paint" });
const inner = el("select", { onchange: choose, "aria-label": "Style" });
const outer = el("select", { onchange: choose, "aria-label": "Style of the rest" });
const size = el("select", { "aria-label": "Size" }, Object.entries(SIZES).map(([v, w]) => el("option", { value: v }, w)));
const shooter = document.createElement("canvas");

let stream = null;
let socket = null;
let sentAt = 0;
let pace = 0;
let lastAt = 0;

export function setUp() {
  $("camera").append(
    el("div.shot", {}, canvas, hint, video, facts),
    el("aside.camera-side", { "aria-label": "Camera" },
      el("h2", {}, "Camera"),
      el("p.soft", {}, "The picture of this browser's camera goes to the studio on your machine and comes back painted."),
      toggle, problem,
      el("label.slider", {}, el("span", {}, "Paint"), classes),
      el("label.slider", {}, el("span", {}, "in"), inner),
      el("label.slider", {}, el("span", {}, "and the rest in"), outer),
      el("label.slider", {}, el("span", {}, "Size"), size)));
  on((what) => what.has("styles") && fill());
}

function fill() {
  classes.replaceChildren(el("option", { value: "" }, "The whole picture"), ...ui.classes.filter((c) => c !== "other").map((c) => el("option", { value: c }, pretty(c))));
  const options = () => ui.styles.map((s) => el("option", { value: s.name }, s.short));
  inner.replaceChildren(...options());
  outer.replaceChildren(el("option", { value: "" }, "As it is"), ...options());
  choose();
}

function choose() {
  outer.parentElement.hidden = !classes.value;
  if (socket?.readyState !== WebSocket.OPEN) return;
  const style = (name) => (name ? { mix: [{ name, weight: 1 }], strength: 1 } : null);
  const regions = classes.value
    ? [{ kind: "class", name: classes.value, style: style(inner.value) }, { kind: "background", name: "background", style: style(outer.value) }]
    : [{ kind: "background", name: "background", style: style(inner.value) }];
  socket.send(JSON.stringify({ regions }));
}

async function start() {
  problem.textContent = "";
  if (!navigator.mediaDevices) {
    problem.textContent = "Browsers give the camera to secure pages only: open the studio as http://127.0.0.1 on this machine.";
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
  } catch (error) {
    problem.textContent = error.name === "NotAllowedError" ? "The browser does not allow the camera. Allow it in the address bar." : "There is no camera that can be used.";
    return;
  }
  video.srcObject = stream;
  video.hidden = false;
  hint.hidden = true;
  await video.play();
  toggle.textContent = "Stop the camera";
  socket = socketTo("/ws/camera");
  socket.binaryType = "blob";
  socket.onopen = () => {
    choose();
    shoot();
  };
  socket.onmessage = receive;
  socket.onclose = stop;
}

export function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  socket?.close();
  socket = null;
  video.hidden = true;
  toggle.textContent = "Start the camera";
  facts.textContent = "";
}

function shoot() {
  if (!stream || socket?.readyState !== WebSocket.OPEN) return;
  if (!video.videoWidth) {
    setTimeout(shoot, 50);
    return;
  }
  const scale = Math.min(1, Number(size.value) / Math.max(video.videoWidth, video.videoHeight));
  shooter.width = Math.round(video.videoWidth * scale);
  shooter.height = Math.round(video.videoHeight * scale);
  shooter.getContext("2d").drawImage(video, 0, 0, shooter.width, shooter.height);
  shooter.toBlob((blob) => {
    if (!blob || socket?.readyState !== WebSocket.OPEN) return;
    sentAt = performance.now();
    socket.send(blob);
  }, "image/jpeg", 0.85);
}

async function receive(message) {
  if (typeof message.data === "string") {
    const { words } = JSON.parse(message.data);
    if (words) {
      problem.textContent = words;
      setTimeout(shoot, 500);
    }
    return;
  }
  problem.textContent = "";
  const picture = await createImageBitmap(message.data);
  if (canvas.width !== picture.width || canvas.height !== picture.height) Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const now = performance.now();
  if (lastAt) pace = pace ? 0.8 * pace + 0.2 * (1000 / (now - lastAt)) : 1000 / (now - lastAt);
  lastAt = now;
  facts.textContent = `${pace.toFixed(1)} frames/s · ${Math.round(now - sentAt)} ms behind`;
  shoot();
}

