// Alarms: what is most urgent, why, what happens if I wait, what do I do, are we in a flood?
import { html, nothing, type TemplateResult } from "lit-html";
import { ask, Refused } from "../api";
import { badge, PRIORITIES, priorityName, stateName } from "../figures/marks";
import { alarmName, told } from "../names";
import { alarmText, empty, panel, state, subject, unit } from "../parts";
import type { Room, View } from "../room";
import type { Alarm } from "../shapes";
import { lasted, num, t, tn, when, w } from "../words";

const FILTERS: [string, string, (a: Alarm) => boolean][] = [
  ["active", w("Active"), (a) => ["unacknowledged", "acknowledged", "returned"].includes(a.state)],
  ["unacknowledged", w("Not acknowledged"), (a) => a.state === "unacknowledged" || a.state === "returned"],
  ["shelved", w("Shelved"), (a) => a.state === "shelved"],
  ["off", w("Out of service or suppressed"), (a) => a.state === "suppressed" || a.state === "out-of-service"],
];
const ROWS = 200; // in the page at a time; the rest by its number
let asking = false, why = "", minutes = 30, note = "", trouble = "", busy = false;
let figures: Record<string, unknown> | null = null, asked = -1e9;

export const alarms: View = {
  draw(room) {
    refreshFigures(room);
    const list = shown(room), chosen = chosenOf(room);
    if (chosen) room.choose(chosen.id); // one that comes in above must not take its place under the reader's hand
    return html`${panel(t("Alarm load"), load(), { kind: "top", quiet: t("the last hours, limits after EEMUA 191") })}${table(room, list, chosen)}${detail(room, chosen)}${figures ? html`<div class="two low">${split(figures)}${frequent(room, figures)}</div>` : nothing}`;
  },
  keys: {
    a: (room) => { const a = chosenOf(room); if (a) void act(room, a, "acknowledge"); },
    s: (room) => { const a = chosenOf(room); if (a && a.priority !== "urgent") { asking = true; room.reach("why"); } },
  },
};
const shown = (room: Room): Alarm[] => {
  const test = filterOf(room)[2], order = new Map(room.live.active().map((a, k) => [a.id, k]));
  return [...room.live.alarms.values()].filter(test).sort((a, b) => (order.get(a.id) ?? 1e9) - (order.get(b.id) ?? 1e9) || b.changed.localeCompare(a.changed));
};
const filterOf = (room: Room): (typeof FILTERS)[number] => FILTERS.find(([k]) => k === room.query.get("show")) ?? FILTERS[0]!;
const chosenOf = (room: Room): Alarm | undefined => (room.argument ? room.live.alarms.get(room.argument) : shown(room)[0]);

function refreshFigures(room: Room): void {
  if (performance.now() - asked < 20_000) return;
  asked = performance.now();
  ask<Record<string, unknown>>("alarms/figures").then((f) => { figures = f; room.draw(); }, () => {});
}
function load(): TemplateResult {
  if (!figures) return empty(t("No figures yet."));
  const f = figures, rules = new Map((f["against"] as { name: string; bound: number | null; kept: boolean | null }[] | undefined)?.map((r) => [r.name, r]));
  const n = (k: string): number | null => (typeof f[k] === "number" ? (f[k] as number) : Array.isArray(f[k]) ? (f[k] as unknown[]).length : null), wait = (f["acknowledged"] as { median_s: number | null } | undefined)?.median_s ?? null;
  const fact = (k: string, words: string, d = 0): TemplateResult | typeof nothing => (n(k) === null ? nothing : html`<div><small>${t(words)}</small><b class=${rules.get(k)?.kept === false ? "ab2" : ""}>${num(n(k), d)}</b>${rules.get(k)?.bound == null ? nothing : html` <span class="q">${t("of {n}", { n: num(rules.get(k)!.bound, 0) })}</span>`}</div>`);
  return html`<div class="facts">${fact("rate", w("Alarms in 10 min"), 1)}${fact("peak", w("Most in 10 min"))}${fact("standing", w("Standing"))}${fact("stale", w("Standing for a day"))}${fact("chattering", w("Chattering"))}<div><small>${t("Time to acknowledge, median")}</small><b>${lasted(wait)}</b></div></div>`;
}

/** Alarms by priority beside what is wanted. */
function split(f: Record<string, unknown>): TemplateResult {
  const shares = (f["shares"] ?? {}) as Record<string, number | null>, count = (f["by_priority"] ?? {}) as Record<string, number>, rules = new Map(((f["against"] ?? []) as { name: string; bound: number | null; kept: boolean | null }[]).map((r) => [r.name, r]));
  const rows = PRIORITIES.filter((p) => count[p] !== undefined || shares[p] !== undefined);
  return panel(t("By priority"), html`<table class="fixed"><thead><tr><th title=${t("Priority")}>${t("Priority")}</th><th class="n" style="width:74px" title=${t("Alarms")}>${t("Alarms")}</th><th style="width:24%"></th><th class="n" style="width:52px">%</th><th class="n" style="width:74px" title=${t("Wanted")}>${t("Wanted")}</th></tr></thead><tbody>${rows.map((p) => { const share = shares[p] ?? null, rule = rules.get(p) ?? rules.get(`share ${p}`); return html`<tr><td title=${priorityName(p)}>${badge(p, false, 14)} ${priorityName(p)}</td><td class="n">${num(count[p] ?? 0, 0)}</td><td><span class="score"><i style="width:${(100 * (share ?? 0)).toFixed(0)}%"></i></span></td><td class="n"><span class=${rule?.kept === false ? "ab2" : ""}>${num(share === null ? null : 100 * share, 0)}</span></td><td class="n q">${rule?.bound == null ? "" : `≤ ${num(100 * rule.bound, 0)}`}</td></tr>`; })}</tbody></table>`, { body: "scroll" });
}
function frequent(room: Room, f: Record<string, unknown>): TemplateResult {
  const list = (f["frequent"] ?? []) as { element: string; key: string; alarms: number }[];
  return panel(t("Most frequent"), list.length === 0 ? empty(t("None.")) : html`<table class="fixed"><tbody>${list.slice(0, 8).map((x) => html`<tr><td title=${subject(room, x.element)}>${subject(room, x.element)}</td><td class="q2" title=${alarmName(x.key)}>${alarmName(x.key)}</td><td class="n b" style="width:48px">${num(x.alarms, 0)}</td></tr>`)}</tbody></table>`, { body: "scroll" });
}

function table(room: Room, list: Alarm[], chosen: Alarm | undefined): TemplateResult {
  const now = room.live.snapshot?.time ?? Date.now();
  const tools = html`<span class="seg" role="group" aria-label=${t("Which alarms")}>${FILTERS.map(([k, words, test]) => html`<button aria-pressed=${filterOf(room)[0] === k ? "true" : "false"} @click=${() => room.go("alarms", "", k === "active" ? {} : { show: k })}>${t(words)} ${num([...room.live.alarms.values()].filter(test).length, 0)}</button>`)}</span>`;
  const rows = list.slice(0, ROWS);
  const body = list.length === 0 ? html`<div class="note">${t("No alarms here.")}</div>` : html`<table class="inset fixed" aria-label=${t("Alarms")}><thead><tr><th style="width:38px"><span class="sr">${t("Priority")}</span></th><th style="width:88px" title=${t("Since")}>${t("Since")}</th><th title=${t("Alarm")}>${t("Alarm")}</th><th class="n hide" style="width:128px" title=${t("Value")}>${t("Value")}</th><th class="st" title=${t("State")}>${t("State")}</th></tr></thead>
    <tbody>${rows.map((a) => html`<tr class="pick ${a.state === "unacknowledged" ? "unack" : "calm"}" tabindex="0" data-alarm=${a.id} aria-selected=${a === chosen ? "true" : "false"} @click=${() => { asking = false; trouble = ""; room.go("alarms", a.id, Object.fromEntries(room.query)); }}>
      <td>${badge(a.priority, a.state === "unacknowledged")}</td><td class="q2">${when(a.began, now)}</td><td title=${`${alarmText(a)} · ${subject(room, a.element)}`}>${alarmText(a)}${alarmText(a).includes(subject(room, a.element)) ? nothing : html` <span class="q">· ${subject(room, a.element)}</span>`}${a.first_out ? html` <span class="q">· ${t("first out")}</span>` : nothing}</td>
      <td class="n hide">${a.value === null ? "" : html`${num(a.value, 2)}<span class="u">${unit(a.unit)}</span>`}</td><td class="st" title=${stateName(a.state)}>${state(a.state)}</td></tr>`)}</tbody></table>${list.length > ROWS ? html`<div class="note">${tn(list.length - ROWS, "and {n} more", "and {n} more")}</div>` : nothing}`;
  return panel(t("Alarms"), body, { actions: tools, body: "flush scroll" });
}

function detail(room: Room, a: Alarm | undefined): TemplateResult {
  if (!a) return panel(t("Alarm"), empty(room.argument ? t("This alarm is over.") : t("Choose an alarm.")), { kind: "det" });
  const e = room.live.resolve(a.element), may = room.may("handle-alarms"), now = room.live.snapshot?.time ?? Date.now();
  const said = (heading: string, text: string): TemplateResult | typeof nothing => (text ? html`<div><h3>${heading}</h3>${text}</div>` : nothing);
  return panel(t("Alarm"), html`<div class="dl">
    <div class="row" style="flex-wrap:nowrap;align-items:flex-start">${badge(a.priority, a.state === "unacknowledged", 22)}<span class="head2">${alarmText(a)}</span></div>
    <div class="row q2">${e ? html`<a href="#element/${encodeURIComponent(e.id)}">${e.name}</a>` : subject(room, a.element)}<span>${t("since {time}", { time: when(a.began, now) })}</span>${state(a.state)}</div>
    ${a.value === null ? nothing : html`<div><span class="q">${t("now")}</span> <span class="bigv">${num(a.value, 2)}</span><span class="u">${unit(a.unit)}</span>${a.limit === null ? nothing : html` <span class="q">${t("limit {n}", { n: num(a.limit, 2) })}</span>`}</div>`}
    ${a.probability != null || a.size != null ? html`<div class="q2">${[a.size == null ? "" : t("size {n}", { n: `${num(a.size, 2)} ${unit(String(a.words?.parameters["unit_of_size"] ?? ""))}`.trim() }), a.probability == null ? "" : t("{n} % likely", { n: num(a.probability, 0) }), a.set?.length ? tn(a.set.length, "{n} element it could be", "{n} elements it could be") : ""].filter(Boolean).join(" · ")}</div>` : nothing}
    ${said(t("Cause"), words(a, "cause"))}${said(t("If nothing is done"), words(a, "consequence"))}${said(t("Response"), words(a, "response"))}
    ${a.time_to_respond_s === null ? nothing : html`<div><h3>${t("Time to respond")}</h3>${lasted(a.time_to_respond_s)}</div>`}
    ${a.acknowledged_by ? html`<div class="q2">${t("acknowledged by {name}", { name: a.acknowledged_by })}</div>` : nothing}${a.shelved_until ? html`<div class="q2">${t("shelved until {time}", { time: when(a.shelved_until, now) })}</div>` : nothing}
    <div class="row">
      <button class="btn strong" ?disabled=${!may || busy || !["unacknowledged", "returned"].includes(a.state)} @click=${() => void act(room, a, "acknowledge")}>${t("Acknowledge")}<kbd>A</kbd></button>
      ${a.state === "shelved" ? html`<button class="btn" ?disabled=${!may || busy} @click=${() => void act(room, a, "unshelve")}>${t("Unshelve")}</button>` : html`<button class="btn" ?disabled=${!may || a.priority === "urgent"} title=${a.priority === "urgent" ? t("Urgent alarms cannot be shelved.") : ""} @click=${() => { asking = !asking; room.draw(); }}>${t("Shelve")}<kbd>S</kbd></button>`}
      <button class="btn" @click=${() => room.go("diagnosis")}>${t("Diagnose")}<kbd>D</kbd></button>
    </div>
    ${asking && a.state !== "shelved" ? html`<form class="pop" @submit=${(ev: Event) => { ev.preventDefault(); void act(room, a, "shelve", { minutes, reason: why }); }}>
      <label class="row">${t("For")} <select class="field" @change=${(ev: Event) => { minutes = Number((ev.target as HTMLSelectElement).value); }}>${[15, 30, 60, 240, 480].map((m) => html`<option value=${m} ?selected=${m === minutes}>${lasted(m * 60)}</option>`)}</select></label>
      <input id="why" class="field" required minlength="3" placeholder=${t("Reason")} aria-label=${t("Reason")} .value=${why} @input=${(ev: Event) => { why = (ev.target as HTMLInputElement).value; }}>
      <div class="row"><button class="btn strong" ?disabled=${busy}>${t("Shelve")}</button><button type="button" class="btn" @click=${() => { asking = false; room.draw(); }}>${t("Keep it")}</button></div></form>` : nothing}
    ${trouble ? html`<div class="pop"><div class="why" role="alert">${trouble}</div></div>` : nothing}
    <div><h3>${t("Notes")}</h3>${a.notes.length === 0 ? empty(t("None.")) : a.notes.map((n) => html`<div>${n.text} <span class="q">${n.who} · ${when(n.time, now)}</span></div>`)}
      ${room.may("write-log") ? html`<form class="row" style="padding-top:6px" @submit=${(ev: Event) => { ev.preventDefault(); void annotate(room, a); }}><input class="field grow" placeholder=${t("Write a note")} aria-label=${t("Write a note")} .value=${note} @input=${(ev: Event) => { note = (ev.target as HTMLInputElement).value; }}><button class="btn">${t("Add")}</button></form>` : nothing}</div>
    ${may ? nothing : html`<p class="q">${t("Your role may look at alarms, not handle them.")}</p>`}
  </div>`, { kind: "det", body: "scroll" });
}
/** Cause, consequence and response in the reader's language, where the catalogue has them. */
function words(a: Alarm, part: "cause" | "consequence" | "response"): string {
  const key = a.words ? `${a.words.key}.${part}` : "", said = key ? t(key, told(a.words!.parameters)) : "";
  return said && said !== key ? said : a[part];
}

export async function act(room: Room, a: Alarm, verb: "acknowledge" | "shelve" | "unshelve", body: unknown = {}): Promise<void> {
  if (busy) return;
  busy = true;
  trouble = "";
  try {
    const now = await ask<Alarm>(`alarms/${a.id}/${verb}`, "POST", verb === "shelve" ? body : undefined);
    if (now.state === "normal") room.live.alarms.delete(now.id);
    else room.live.alarms.set(now.id, now);
    asking = false;
    room.say(t("{alarm}: {state}", { alarm: alarmText(a), state: now.state }));
  } catch (error) {
    trouble = error instanceof Refused ? `${error.message}${error.todo ? `. ${error.todo}` : ""}` : String(error);
  }
  busy = false;
  room.live.tell("alarm");
}
async function annotate(room: Room, a: Alarm): Promise<void> {
  if (!note.trim()) return;
  try {
    await ask("notes", "POST", { subject: a.id, text: note.trim() });
    note = "";
    const fresh = await ask<Alarm>(`alarms/${a.id}`);
    room.live.alarms.set(fresh.id, fresh);
  } catch (error) {
    trouble = error instanceof Error ? error.message : String(error);
  }
  room.draw();
}
