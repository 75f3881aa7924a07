// Talking with the server. Errors are Error objects whose message can be shown as it is.

const KEY = "segnst-client";
export const client = sessionStorage.getItem(KEY) || crypto.getRandomValues(new Uint32Array(4)).join("-");
sessionStorage.setItem(KEY, client);

const GONE = "The studio does not answer. Is it still running in the terminal?";

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { "x-client": client, ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(GONE);
  }
  if (!answer.ok) throw await problem(answer);
  return answer;
}

async function problem(answer) {
  let said = {};
  try {
    said = await answer.json();
  } catch {
    said = { words: `The studio could not do that (${answer.status}).` };
  }
  const error = new Error(said.words);
  error.superseded = Boolean(said.superseded);
  return error;
}

export const get = async (path) => (await ask(path)).json();

export const send = (path, body, signal) =>
  ask(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" }, signal });

export const post = async (path, body) => (await send(path, body)).json();

// A picture and what the server says about it.
export async function picture(path, body, signal) {
  const answer = body ? await send(path, body, signal) : await ask(path, { signal });
  const facts = answer.headers.get("x-facts");
  return {
    url: URL.createObjectURL(await answer.blob()),
    time: Number(answer.headers.get("x-time") ?? NaN),
    seconds: Number(answer.headers.get("x-seconds") ?? 0),
    cached: answer.headers.get("x-cached") === "1",
    facts: facts ? JSON.parse(atob(facts)) : {},
  };
}

// Uploads a file and tells how far it is, 0 to 1.
export function upload(file, as, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/upload?name=${encodeURIComponent(file.name)}&as=${as}`);
    request.setRequestHeader("x-client", client);
    request.upload.onprogress = (event) => event.lengthComputable && progress?.(event.loaded / event.total);
    request.onload = () => {
      let said = {};
      try {
        said = JSON.parse(request.responseText);
      } catch {
        said = { words: `The studio could not take the file (${request.status}).` };
      }
      if (request.status === 200) resolve(said);
      else reject(new Error(said.words));
    };
    request.onerror = () => reject(new Error(`${file.name} could not be sent: it may be too large, or the studio has ended.`));
    request.send(file);
  });
}

export function socketTo(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("client", client);
  return new WebSocket(url);
}

// Hears of everything that happens, and connects again when the connection is lost.
export function listen(hear) {
  const socket = socketTo("/ws");
  socket.onmessage = (message) => hear(JSON.parse(message.data));
  socket.onclose = () => {
    hear({ type: "lost" });
    setTimeout(() => listen(hear), 1500);
  };
}
