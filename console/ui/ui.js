// Keeps an open page up to date: the server sends the parts that changed, and new lines of logs, as events.
"use strict";

function follow(address, listeners) {
  let source = null;
  const open = () => {
    source = new EventSource(address);
    source.onopen = () => { document.getElementById("gone").hidden = true; };
    source.onerror = () => { document.getElementById("gone").hidden = false; };
    source.addEventListener("end", () => { close(); address = null; listeners.end?.(); });
    for (const [name, heard] of Object.entries(listeners))
      if (name !== "end") source.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  };
  const close = () => { source?.close(); source = null; };
  // A browser keeps six connections to a server: pages that nobody sees give theirs back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { if (listeners.parts) close(); } else if (!source && address) open();
  });
  addEventListener("pagehide", close);
  open();
}

function put(parts) {
  for (const [id, html] of Object.entries(parts)) {
    const part = document.getElementById(id);
    if (!part || part.dataset.html === html) continue;
    part.dataset.html = html;
    const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    const scrolled = part.querySelector(".scroll")?.scrollLeft;
    part.innerHTML = html;
    if (scrolled) part.querySelector(".scroll").scrollLeft = scrolled;
    if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
  const status = document.querySelector("#head .status");
  if (status) document.title = document.title.replace(/: [A-Z_]+ ·/, `: ${status.textContent} ·`);
}

if (document.body.dataset.events) follow(document.body.dataset.events, { parts: put });

const log = document.getElementById("lines");
if (log) {
  let job = "", count = 0;
  const state = document.getElementById("log-state");
  follow(log.dataset.log, {
    lines(lines) {
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      for (const [where, level, text] of lines) {
        if (where !== job) log.append(Object.assign(document.createElement("b"), { textContent: `${job ? "\n" : ""}${where}\n` }));
        job = where;
        log.append(Object.assign(document.createElement("span"), { textContent: `${text}\n`, className: level }));
        if (++count > 20000) log.firstChild.remove();
      }
      if (atEnd) log.scrollTop = log.scrollHeight;
      state.textContent = "Following; new lines come by themselves.";
    },
    end() { state.textContent = count ? "The run has ended: these are all lines." : "Nothing was logged."; },
  });
}
