// Keeps the page up to date while there is news to come: the same page is asked for again, and what differs is put in.
"use strict";

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.pathname);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelectorAll("[data-live]").forEach((part) => {
        const newer = fresh.getElementById(part.id);
        if (!newer || newer.innerHTML === part.innerHTML) return;
        const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
        part.replaceChildren(...newer.childNodes);
        if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      });
      document.title = fresh.title;
      document.getElementById("gone").hidden = true;
      if (answer.ok && !fresh.body.dataset.every) return;
    } catch {
      document.getElementById("gone").hidden = false;
    }
  }
  setTimeout(refresh, every);
}

// In seconds; a page of a run that has ended has none.
const every = Math.max(1000 * Number(document.body.dataset.every), 500);
if (document.body.dataset.every) setTimeout(refresh, every);
