// Live pages: the daemon tells that something changed, and the part of the page that
// may be news is fetched anew. Without this script every page works, and is reloaded
// by hand.
"use strict";
(() => {
  const quiet = 2000;   // at most one fetch in so many milliseconds
  const anyhow = 60000; // and one in so many, for what only time changes
  const again = 30000;  // until it is tried to listen anew
  const toggled = new Map(); // id of a <details> → open, as the person left it
  let source = null, due = 0, last = 0, words = "";

  const part = () => document.getElementById("part");
  const isLive = () => part() && part().dataset.live === "true";

  function say(text) {
    words = text;
    const live = document.getElementById("live");
    if (live && text) live.textContent = text;
  }

  // What a person does must survive the exchange: where the focus is, what was opened
  // or closed, and what stands at the top of the window.
  function place(e) {
    if (!e || !part().contains(e)) return null;
    if (e.id) return "#" + CSS.escape(e.id);
    if (e.tagName === "SUMMARY") return "#" + CSS.escape(e.parentElement.id) + " > summary";
    if (e.getAttribute("href") === null) return null;
    const box = e.closest("[id]");
    return "#" + CSS.escape(box.id) + " " + e.tagName.toLowerCase() + '[href="' + CSS.escape(e.getAttribute("href")) + '"]';
  }

  function anchor() {
    if (window.scrollY === 0) return null;
    for (const e of part().querySelectorAll("[id]")) {
      const box = e.getBoundingClientRect();
      if (box.bottom > 0 && box.height > 0) return { id: e.id, top: box.top };
    }
    return null;
  }

  function exchange(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("part");
    if (!fresh) return false;
    const focus = place(document.activeElement), at = anchor();
    for (const [id, open] of toggled) {
      const e = fresh.querySelector("#" + CSS.escape(id));
      if (e) e.open = open;
    }
    part().replaceWith(fresh);
    say(words);
    const e = focus && document.querySelector(focus);
    if (e) e.focus({ preventScroll: true });
    const top = at && document.getElementById(at.id);
    if (top) window.scrollBy(0, top.getBoundingClientRect().top - at.top);
    return true;
  }

  const selecting = () => {
    const s = window.getSelection();
    return s && !s.isCollapsed && part().contains(s.anchorNode);
  };

  async function refresh() {
    if (selecting()) return want(); // what somebody is about to copy stays
    last = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Part": "1" }, credentials: "same-origin" });
      if (answer.status === 401) return location.reload();
      if (!answer.ok || !exchange(await answer.text())) throw new Error(answer.status);
    } catch (e) {
      say("Not live, and not reached a moment ago:");
      return;
    }
    if (source && source.readyState === EventSource.OPEN) say("Live.");
  }

  function want(now) {
    if (due && !now) return;
    clearTimeout(due);
    due = setTimeout(() => { due = 0; refresh(); }, now ? 0 : Math.max(100, last + quiet - Date.now()));
  }

  function listen() {
    if (source || document.hidden || !isLive()) return;
    source = new EventSource("/events");
    source.addEventListener("hello", e => {
      say("Live.");
      if (String(JSON.parse(e.data).n) !== part().dataset.n) want();
    });
    source.addEventListener("changed", e => {
      const of = JSON.parse(e.data).cluster, mine = part().dataset.cluster;
      if (!of || !mine || of === mine) want();
    });
    source.onerror = () => {
      say("Not live:");
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again itself
      source = null;
      setTimeout(listen, again);
    };
  }

  function hush() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("click", e => {
    const summary = e.target.closest("summary");
    if (summary && !e.target.closest("a")) toggled.set(summary.parentElement.id, !summary.parentElement.open);
  });
  document.addEventListener("visibilitychange", () => document.hidden ? hush() : (isLive() && (listen(), want())));
  setInterval(() => { if (isLive() && !document.hidden && Date.now() - last > anyhow) want(); }, anyhow);

  const filter = document.getElementById("filter");
  if (filter) {
    const q = document.getElementById("q");
    const narrow = () => {
      history.replaceState(null, "", q.value.trim() ? "/?q=" + encodeURIComponent(q.value) : "/");
      want(true);
    };
    let typing = 0;
    q.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(narrow, 200); });
    filter.addEventListener("submit", e => { e.preventDefault(); clearTimeout(typing); narrow(); });
  }
  listen();
})();
