// The frame: who is signed in, which view, the worst alarm always in sight, keys, language, light and size.
import "./style.css";
import { html, nothing, render, type TemplateResult } from "lit-html";
import { ask, begin, onSignedOut, Refused, session, signIn, signOut } from "./api";
import { badge, PRIORITIES } from "./figures/marks";
import { Live, type Topic } from "./live";
import { alarmText, subject, unit } from "./parts";
import { VIEWS, type Room, type View, type ViewName } from "./room";
import type { Session } from "./shapes";
import { save, tables } from "./sheet";
import { alarms, act } from "./views/alarms";
import { diagnosis } from "./views/diagnosis";
import { element, freshNotes } from "./views/element";
import { freshLog, health } from "./views/health";
import { keyHistory, overview } from "./views/overview";
import { plan } from "./views/plan";
import { trends } from "./views/trends";
import { clock, date, inZone, lasted, num, speak, t, tn, zoneName, w } from "./words";

const DRAWN: Record<ViewName, View> = { overview, element, trends, alarms, diagnosis, plan, health };
const NAMES: Record<ViewName, string> = { overview: w("Overview"), element: w("Element"), trends: w("Trends"), alarms: w("Alarms"), diagnosis: w("Diagnosis"), plan: w("Plan"), health: w("Health") };
const LANGUAGES = ["en", "tk", "ru"];
const STALE = 12; // s without a word from the server until the page says that it is old
const root = document.getElementById("room")!;
const kept = {
  get: (k: string): string | null => { try { return localStorage.getItem(`serai-${k}`); } catch { return null; } },
  set: (k: string, v: string): void => { try { localStorage.setItem(`serai-${k}`, v); } catch { /* private window */ } },
};
const asked = new URLSearchParams(location.search);
const options = {
  theme: asked.get("theme") ?? kept.get("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"),
  language: asked.get("lang") ?? kept.get("language") ?? LANGUAGES.find((l) => navigator.language.startsWith(l)) ?? "en",
  wall: (asked.get("wall") ?? kept.get("wall")) === "1",
  keys: kept.get("keys") !== "0",
};

let who: Session;
let room: Room | null = null;
let message = "", problem = "", working = false, lastSecond = "";

// ---------------------------------------------------------------------------------------------------------- signing in

onSignedOut(() => {
  if (!room) return;
  room.live.close();
  room = null;
  gate(t("Your session has ended. Sign in again."));
});
async function start(): Promise<void> {
  dress();
  await speak(options.language).catch(() => {});
  try {
    who = await session();
  } catch (error) {
    return gate(why(error), true);
  }
  const token = /[#&](first|password)=([^&]+)/.exec(location.hash);
  if (token) return once(token[1]!, decodeURIComponent(token[2]!));
  if (!who.signed_in) return gate();
  render(html`<div class="gate"><p class="q2">${t("Loading the network…")}</p></div>`, root);
  await enter();
}
function gate(said = "", retry = false): void {
  if (retry) setTimeout(() => void start(), 3000);
  const send = async (e: Event): Promise<void> => {
    e.preventDefault();
    const f = new FormData(e.target as HTMLFormElement);
    try {
      who = await signIn(String(f.get("name")), String(f.get("password")));
      await enter();
    } catch (error) { gate(why(error)); }
  };
  document.title = "serai";
  render(html`<div class="gate"><form @submit=${(e: Event) => void send(e)}><h1>serai</h1><p class="q2">${t("Control room")}</p>
    ${said ? html`<div class="why" role="alert">${said}</div>` : nothing}${who?.first_run ? html`<div class="why">${t("There is no account yet. Open the one-time link that the server printed when it started.")}</div>` : nothing}
    <label>${t("Name")}<input name="name" autocomplete="username" required autofocus></label><label>${t("Password")}<input name="password" type="password" autocomplete="current-password" required></label>
    <button class="btn strong" style="height:34px">${t("Sign in")}</button>${languages()}</form></div>`, root);
}
/** The one-time links: the first administrator, or the password of a new account. */
function once(kind: string, token: string, said = ""): void {
  const send = async (e: Event): Promise<void> => {
    e.preventDefault();
    const f = new FormData(e.target as HTMLFormElement), password = String(f.get("password"));
    try {
      if (password !== String(f.get("again"))) throw new Error(t("The two passwords differ."));
      if (kind === "first") await begin(token, String(f.get("name")), password);
      else await ask("session/set", "POST", { token, password });
      history.replaceState(null, "", location.pathname);
      gate(t("Done. Sign in now."));
    } catch (error) { once(kind, token, why(error)); }
  };
  render(html`<div class="gate"><form @submit=${(e: Event) => void send(e)}><h1>serai</h1><p class="q2">${kind === "first" ? t("The first security administrator") : t("Choose your password")}</p>${said ? html`<div class="why" role="alert">${said}</div>` : nothing}
    ${kind === "first" ? html`<label>${t("Name")}<input name="name" autocomplete="username" required></label>` : nothing}<label>${t("Password, 15 characters or more")}<input name="password" type="password" autocomplete="new-password" minlength="15" required></label><label>${t("Once more")}<input name="again" type="password" autocomplete="new-password" required></label><button class="btn strong" style="height:34px">${t("Set")}</button></form></div>`, root);
}
const why = (error: unknown): string => (error instanceof Refused ? `${t(error.message)}${error.todo ? `. ${t(error.todo)}` : ""}` : error instanceof Error ? error.message : String(error));

async function enter(): Promise<void> {
  who = await session();
  const live = new Live();
  try {
    await live.open();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return gate();
    render(html`<div class="gate"><p class="q2">${why(error)} ${t("Trying again…")}</p></div>`, root);
    return void setTimeout(() => void enter(), 3000);
  }
  inZone(live.case.time_zone || "UTC");
  room = { live, session: who, view: "overview", argument: "", query: new URLSearchParams(), go, keep, choose, draw, reach, say, may: (p) => who.permissions.includes(p) };
  live.on(hear);
  if (live.snapshot) { keyHistory.take(live.snapshot); void keyHistory.load(Object.keys(live.snapshot.key), +new Date(live.snapshot.time)).then(draw); }
  route();
}
function hear(topic: Topic): void {
  if (topic === "scan" && room?.live.snapshot) keyHistory.take(room.live.snapshot);
  if (topic === "log") { freshLog(); freshNotes(); }
  draw();
}

// --------------------------------------------------------------------------------------------------------- where we are

function route(): void {
  if (!room) return;
  const [path = "", query = ""] = location.hash.slice(1).split("?"), [view = "", ...rest] = path.split("/");
  room.view = (VIEWS as readonly string[]).includes(view) ? (view as ViewName) : "overview";
  room.argument = decodeURIComponent(rest.join("/"));
  room.query = new URLSearchParams(query);
  draw();
}
function go(view: ViewName, argument = "", query: Record<string, string> = {}): void {
  const hash = address(view, argument, new URLSearchParams(query));
  if (location.hash !== hash) history.pushState(null, "", hash);
  route();
}
function keep(change: Record<string, string>): void {
  if (!room) return;
  for (const [k, v] of Object.entries(change)) if (v) room.query.set(k, v); else room.query.delete(k);
  history.replaceState(null, "", address(room.view, room.argument, room.query));
}
function choose(argument: string): void {
  if (!room || room.argument === argument) return;
  room.argument = argument;
  history.replaceState(null, "", address(room.view, argument, room.query));
}
const address = (view: ViewName, argument: string, query: URLSearchParams): string => `#${view}${argument ? `/${encodeURIComponent(argument)}` : ""}${query.size ? `?${query.toString()}` : ""}`;
function say(text: string): void {
  message = text;
  draw();
}

// --------------------------------------------------------------------------------------------------------------- drawing

let frame = 0;
function draw(): void {
  frame ||= requestAnimationFrame(() => { frame = 0; paint(); });
}
let stood = "";
/** On a narrow screen the rail is a strip: what is open stands in its sight. */
function strip(view: string): void {
  const rail = document.getElementById("rail")!, here = rail.querySelector<HTMLElement>(`[href="#${view}"]`);
  if (here) rail.scrollLeft = here.offsetLeft - (rail.clientWidth - here.clientWidth) / 2;
}
/** Put the reader's hand into a field that is about to be drawn: at once, so that no letter typed next is taken for a key. */
function reach(id: string): void {
  paint();
  document.getElementById(id)?.focus();
}
function paint(): void {
  if (!room) return;
  const { live, view } = room, old = live.silence() > STALE || !live.linked;
  document.title = `${t(NAMES[view])} · serai`;
  document.body.classList.toggle("old", old && live.heard > 0);
  const active = live.active(), open = active.filter((a) => a.state === "unacknowledged").length;
  render(html`
    <header id="top"><span class="mark">serai</span><span class="mode">${t("Live")}</span>${live.case.synthetic ? html`<span class="mode" title=${t("The field is simulated: no real operation.")}>${t("Simulated field")}</span>` : nothing}<span class="where el" title=${live.case.title || live.case.name}><b>${live.case.title || live.case.name}</b></span><span class="grow"></span>
      <span class="tally" role="img" aria-label=${t("Active alarms by priority")}>${PRIORITIES.map((p) => html`<span>${badge(p, active.some((a) => a.priority === p && a.state === "unacknowledged"))}${num(active.filter((a) => a.priority === p).length, 0)}</span>`)}</span>
      ${languages()}<span class="tools"><button @click=${() => theme()}>${options.theme === "light" ? t("Dark") : t("Light")}</button><button @click=${listKeys}>${t("Keys")}</button><button title=${who.name ?? ""} @click=${() => void signOut().then(start, start)}>${t("Sign out")}</button></span>
      <span class="clock" title=${t("Time of the newest estimate")}><b>${live.snapshot ? clock(live.snapshot.time) : "–"}</b><span>${live.snapshot ? `${date(live.snapshot.time)} ${zoneName(live.snapshot.time)}` : ""}</span></span></header>
    <nav id="rail" aria-label=${t("Views")}>${VIEWS.map((v, k) => html`<a href="#${v}" aria-current=${v === view ? "page" : nothing}><i>${k + 1}</i><span class="el" title=${t(NAMES[v])}>${t(NAMES[v])}</span>${v === "alarms" && open ? html`<b class="b" aria-label=${tn(open, "{n} not acknowledged", "{n} not acknowledged")}>${num(open, 0)}</b>` : nothing}</a>`)}
      <div class="end">${hand(room, "")}<span class="el" title="${live.case.name} ${live.case.version}">serai ${live.case.version}</span></div></nav>
    <main id="view" class="v-${view}" tabindex="-1" aria-label=${t(NAMES[view])}>${DRAWN[view].draw(room)}<div class="narrow"><div class="row">${hand(room, "btn")}</div></div></main>
    ${banner(room, old)}
    ${keyList()}
    <div class="sr" role="status" aria-live="polite">${message}</div>`, root);
  if (stood !== view) strip((stood = view));
}
function banner(room: Room, old: boolean): TemplateResult {
  const { live } = room, worst = live.active().find((a) => a.state === "unacknowledged");
  if (old && live.heard > 0) return html`<footer id="ban" class="stale" role="status"><span class="m">${t("The server does not answer.")}</span><span>${t("Everything shown is {age} old. Trying again.", { age: lasted(live.silence()) })}</span></footer>`;
  const note = problem ? html`<span class="el" title=${problem}>${problem}</span>` : nothing;
  if (!worst) return html`<footer id="ban" role="status"><span>${t("No unacknowledged alarms")}</span><span class="grow"></span>${note}</footer>`;
  const name = subject(room, worst.element), rank = { urgent: "p1", high: "p2", low: "", data: "" }[worst.priority];
  return html`<footer id="ban" class=${rank} role="status">${badge(worst.priority, true)}<span class="q hide">${clock(worst.began)}</span><a class="m el" style="color:inherit" href="#alarms/${worst.id}" title=${alarmText(worst)}>${alarmText(worst)}</a><span class="hide el">${alarmText(worst).includes(name) ? "" : name}</span>
    <span class="hide">${worst.value === null ? "" : `${num(worst.value, 2)} ${unit(worst.unit)}`} ${worst.limit === null ? "" : html`<span class="q">${t("limit {n}", { n: num(worst.limit, 2) })}</span>`}</span><span class="grow"></span>${note}
    <button class="btn" ?disabled=${!room.may("handle-alarms") || working} @click=${() => { working = true; void act(room, worst, "acknowledge").finally(() => { working = false; draw(); }); }}>${t("Acknowledge")}</button></footer>`;
}
/** What the reader may take along: at the foot of the rail; on a narrow screen, which has none, at the end of the page. */
const hand = (room: Room, kind: string): TemplateResult => html`<button class=${kind} @click=${() => exported(room)}>${t("Export")}</button><button class=${kind} @click=${() => print()}>${t("Print")}</button><button class=${kind} @click=${() => void linked(room)}>${t("Copy link")}</button>`;
function exported(room: Room): void {
  save(`${room.live.case.name}-${room.view}`, DRAWN[room.view].csv?.(room) ?? tables(document.getElementById("view")!), room.live.snapshot?.time);
}
/** The address of exactly what is shown, for a colleague. */
async function linked(room: Room): Promise<void> {
  const query = new URLSearchParams(room.query);
  for (const [k, v] of Object.entries(DRAWN[room.view].link?.(room) ?? {})) if (v) query.set(k, v); else query.delete(k);
  const link = `${location.origin}${location.pathname}${address(room.view, room.argument, query)}`;
  try {
    await navigator.clipboard.writeText(link);
    problem = t("The link is copied.");
  } catch {
    problem = link; // a page without TLS may not write to the clipboard
  }
  setTimeout(() => { problem = ""; draw(); }, 8000);
  say(problem);
}
function languages(): TemplateResult {
  return html`<span class="tools" role="group" aria-label=${t("Language")}>${LANGUAGES.map((l) => html`<button type="button" lang=${l} aria-pressed=${options.language === l ? "true" : "false"} @click=${() => void talk(l)}>${l.toUpperCase()}</button>`)}</span>`;
}
async function talk(l: string): Promise<void> {
  options.language = l;
  kept.set("language", l);
  await speak(l).catch((error: unknown) => { problem = why(error); });
  if (room) draw(); else void start();
}
function theme(): void {
  options.theme = options.theme === "light" ? "dark" : "light";
  kept.set("theme", options.theme);
  dress();
  draw();
}
function dress(): void {
  document.documentElement.dataset["theme"] = options.theme;
  document.body.classList.toggle("wall", options.wall);
}

// ------------------------------------------------------------------------------------------------------------------ keys

// The list is always in the page, closed: whether it is open is the browser's word alone. Drawn when asked for, keys pressed
// before the drawing, or between the Escape and the event that tells of it, were lost.
const keyDialog = (): HTMLDialogElement | null => document.getElementById("keys") as HTMLDialogElement | null;
const listKeys = (): void => keyDialog()?.showModal();
function keyList(): TemplateResult {
  const all: [string, string][] = [[`1 – ${VIEWS.length}`, w("open a view")], ["↑ ↓", w("move in a list")], ["Enter", w("open")], ["← →", w("earlier, later (Trends)")], ["+ −", w("nearer, farther (Trends)")], ["A", w("acknowledge")], ["S", w("shelve")], ["D", w("diagnose")], ["/", w("find an element")], ["T", w("light or dark")], ["L", w("language")], ["W", w("wall size")], ["Esc", w("close")], ["?", w("this list")]];
  return html`<dialog id="keys" aria-labelledby="keysh"><h2 id="keysh" class="head2">${t("Keys")}</h2><dl>${all.map(([k, words]) => html`<dt><kbd>${k}</kbd></dt><dd>${t(words)}</dd>`)}</dl>
    <label class="row"><input type="checkbox" ?checked=${options.keys} @change=${(e: Event) => { options.keys = (e.target as HTMLInputElement).checked; kept.set("keys", options.keys ? "1" : "0"); }}> ${t("Single-key shortcuts on")}</label>
    <div class="row" style="margin-top:12px"><button class="btn strong" @click=${() => keyDialog()?.close()}>${t("Close")}</button></div></dialog>`;
}
addEventListener("keydown", (e) => {
  if (!room || e.ctrlKey || e.metaKey || e.altKey) return;
  const at = document.activeElement as HTMLElement | null, typing = !!at && /INPUT|SELECT|TEXTAREA/.test(at.tagName);
  if (e.key === "Escape") { if (typing) at.blur(); return; }
  if (typing || keyDialog()?.open) return;
  if ((e.key === "Enter" || e.key === " ") && at?.classList.contains("pick")) { e.preventDefault(); at.click(); return; }
  if (e.key === "ArrowDown" || e.key === "ArrowUp") {
    const rows = [...(at?.closest("tbody") ?? document.getElementById("view")!).querySelectorAll<HTMLElement>("tr.pick")], k = rows.indexOf(at as HTMLElement);
    const next = rows[Math.max(0, Math.min(rows.length - 1, k + (e.key === "ArrowDown" ? 1 : -1)))];
    if (next) { e.preventDefault(); next.focus(); if (room.view === "alarms" || room.view === "diagnosis") next.click(); }
    return;
  }
  if (!options.keys) return;
  const k = e.key.toLowerCase(), own = DRAWN[room.view].keys?.[k];
  if (own) own(room);
  else if (/^[1-9]$/.test(k) && Number(k) <= VIEWS.length) go(VIEWS[Number(k) - 1]!);
  else if (k === "d") go("diagnosis");
  else if (k === "t") theme();
  else if (k === "l") void talk(LANGUAGES[(LANGUAGES.indexOf(options.language) + 1) % LANGUAGES.length]!);
  else if (k === "w") { options.wall = !options.wall; kept.set("wall", options.wall ? "1" : "0"); dress(); draw(); }
  else if (k === "?") listKeys();
  else if (k === "/") { if (room.view !== "element") go("element"); reach("find"); }
  else return;
  e.preventDefault();
});
document.fonts.addEventListener("loadingdone", draw); // names on maps are laid out by their width
addEventListener("hashchange", route);
addEventListener("popstate", route);
addEventListener("online", () => room?.live.retry());
setInterval(() => { room?.live.watch(); const s = room ? String(Math.floor(room.live.silence())) : ""; if (s !== lastSecond) { lastSecond = s; if (room && room.live.silence() > STALE - 1) draw(); } }, 1000);
void start();
