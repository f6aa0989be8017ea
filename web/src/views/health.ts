// Health of data and links: which station is silent, how long a scan takes, what was restarted, what comes next.
import { html, nothing, type TemplateResult } from "lit-html";
import { ask } from "../api";
import { empty, panel } from "../parts";
import { quantityName } from "../names";
import type { Room, View } from "../room";
import type { Entry } from "../shapes";
import { clock, lasted, num, t, tn, when } from "../words";

let log: Entry[] = [], loadedAt = -1e9, entry = "", trouble = "";

export const health: View = {
  draw(room) {
    if (performance.now() - loadedAt > 10_000) { loadedAt = performance.now(); ask<Entry[]>("log?limit=100").then((l) => { log = l; room.draw(); }, () => {}); }
    return html`${links(room)}${loop(room)}${ahead(room)}${shiftLog(room)}`;
  },
};
export const freshLog = (): void => void (loadedAt = -1e9);

function links(room: Room): TemplateResult {
  const sources = [...(room.live.health?.sources ?? [])].sort((a, b) => Number(a.status === "up") - Number(b.status === "up") || a.name.localeCompare(b.name));
  const down = sources.filter((s) => s.status !== "up").length;
  return panel(t("Links"), sources.length === 0 ? html`<div class="note">${t("No links yet.")}</div>` : html`<table class="inset fixed"><thead><tr><th title=${t("Station")}>${t("Station")}</th><th style="width:78px" title=${t("Protocol")}>${t("Protocol")}</th><th style="width:88px" title=${t("State")}>${t("State")}</th><th class="n" style="width:84px" title=${t("Readings/s")}>${t("Readings/s")}</th><th class="n" style="width:70px" title=${t("Last")}>${t("Last")}</th><th style="width:30%" title=${t("Why")}>${t("Why")}</th></tr></thead><tbody>${sources.map((s) => html`<tr><td title=${s.name}>${s.name}</td><td class="q2">${s.protocol}</td><td>${s.status === "up" ? t("up") : html`<span class="ab4">${t(s.status)}</span>`}</td><td class="n">${num(s.readings_per_s, 1)}</td><td class="n q2">${lasted(s.age_s)}</td><td class="q" title=${s.reason}>${s.reason}</td></tr>`)}</tbody></table>`, { quiet: down ? tn(down, "{n} is down", "{n} are down") : sources.length ? t("all up") : "", body: "flush scroll" });
}
function loop(room: Room): TemplateResult {
  const h = room.live.health;
  if (!h) return panel(t("Loop"), empty(t("Not known yet.")));
  return panel(t("Loop"), html`<table class="inset"><thead><tr><th title=${t("Stage of a scan")}>${t("Stage of a scan")}</th><th class="n" title=${t("Last, ms")}>${t("Last, ms")}</th><th class="n" title=${t("Median, ms")}>${t("Median, ms")}</th><th class="n">p99, ms</th></tr></thead><tbody>${h.loop.stages.map((s) => html`<tr><td>${t(s.name)}</td><td class="n">${num(s.last_ms, 1)}</td><td class="n">${num(s.p50_ms, 1)}</td><td class="n">${num(s.p99_ms, 1)}</td></tr>`)}</tbody></table>
    <table class="inset"><thead><tr><th title=${t("Process")}>${t("Process")}</th><th title=${t("State")}>${t("State")}</th><th class="n" title=${t("Restarts")}>${t("Restarts")}</th><th class="n" title=${t("Memory, MB")}>${t("Memory, MB")}</th></tr></thead><tbody>${h.processes.map((p) => html`<tr><td>${t(p.name)}</td><td>${p.status === "up" || p.status === "running" ? t(p.status) : html`<span class="ab4">${t(p.status)}</span>`}</td><td class="n">${num(p.restarts, 0)}</td><td class="n">${num(p.memory_mb, 0)}</td></tr>`)}
      <tr><td>${t("history")}</td><td>${h.history.status === "up" ? t("up") : h.history.status ? html`<span class="ab4">${t(h.history.status)}</span>` : "–"}</td><td class="n q2" colspan="2">${h.history.rows == null ? "" : t("{n} rows", { n: num(h.history.rows, 0) })}${h.history.free_bytes == null ? "" : `${h.history.rows == null ? "" : " · "}${t("{n} GB free", { n: num(h.history.free_bytes / 1e9, 0) })}`}</td></tr></tbody></table>
    ${h.room ? html`<div class="note q">${tn(h.room.clients, "{n} page is open", "{n} pages are open")}</div>` : nothing}`, { quiet: `${t(h.loop.status)}${h.loop.behind_s > 1 ? ` · ${t("{n} s behind", { n: num(h.loop.behind_s, 0) })}` : ""}`, body: "flush scroll" });
}
function ahead(room: Room): TemplateResult {
  const a = room.live.ahead, o = room.live.outages, now = room.live.snapshot?.time;
  return panel(t("Look-ahead and single losses"), html`${a ? html`<table class="inset fixed"><thead><tr><th style="width:88px" title=${t("When")}>${t("When")}</th><th title=${t("Limit that is reached")}>${t("Limit that is reached")}</th><th class="n" style="width:120px" title=${t("Value")}>${t("Value")}</th></tr></thead><tbody>${a.reached.length === 0 ? html`<tr><td colspan="3" class="q2">${t("No limit is reached in the next {n} hours.", { n: num(a.hours, 0) })}</td></tr>` : a.reached.slice(0, 20).map((r) => html`<tr><td>${when(r.time, now)}</td><td title=${r.element}>${quantityName(r.quantity)} <span class="q">${room.live.resolve(r.element)?.name ?? r.element}</span></td><td class="n">${num(r.value, 2)} <span class="q">${t("of {n}", { n: num(r.limit, 2) })}</span></td></tr>`)}</tbody></table>
    ${a.survival.length ? html`<table class="inset fixed"><thead><tr><th title=${t("If this is lost")}>${t("If this is lost")}</th><th class="n" style="width:110px" title=${t("Linepack lasts")}>${t("Linepack lasts")}</th><th style="width:38%" title=${t("First to fail")}>${t("First to fail")}</th></tr></thead><tbody>${[...a.survival].sort((x, y) => (x.hours ?? 1e9) - (y.hours ?? 1e9)).slice(0, 20).map((s) => html`<tr><td title=${s.lost}>${room.live.resolve(s.lost)?.name ?? s.lost}</td><td class="n">${s.hours === null ? t("over {n} h", { n: num(a.hours, 0) }) : t("{n} h", { n: num(s.hours, 1) })}</td><td class="q2" title=${s.first ?? ""}>${s.first ? (room.live.resolve(s.first)?.name ?? s.first) : "–"}</td></tr>`)}</tbody></table>` : nothing}` : html`<div class="note q">${t("The look-ahead has not run yet.")}</div>`}
    ${o ? html`<table class="inset fixed"><thead><tr><th title=${t("Single loss")}>${t("Single loss")}</th><th class="n" style="width:110px" title=${t("Unserved gas")}>${t("Unserved gas")}</th><th class="n" style="width:110px" title=${t("Unserved power")}>${t("Unserved power")}</th></tr></thead><tbody>${o.cases.slice(0, 20).map((c) => html`<tr><td title=${c.lost}>${room.live.resolve(c.lost)?.name ?? c.lost}</td><td class="n">${num(c.unserved.gas, 1)}</td><td class="n">${num(c.unserved.power, 0)}</td></tr>`)}</tbody></table>` : nothing}`, { quiet: a ? t("from {time}", { time: clock(a.from, false) }) : "", body: "flush scroll" });
}
function shiftLog(room: Room): TemplateResult {
  const send = async (ev: Event): Promise<void> => {
    ev.preventDefault();
    if (!entry.trim()) return;
    try { await ask("log", "POST", { text: entry.trim(), subject: "" }); entry = ""; trouble = ""; loadedAt = -1e9; } catch (error) { trouble = error instanceof Error ? error.message : String(error); }
    room.draw();
  };
  return panel(t("Shift log"), html`${room.may("write-log") ? html`<form class="row" style="padding:0 var(--pad) 8px" @submit=${(e: Event) => void send(e)}><input class="field grow" placeholder=${t("Write into the log")} aria-label=${t("Write into the log")} .value=${entry} @input=${(e: Event) => { entry = (e.target as HTMLInputElement).value; }}><button class="btn">${t("Add")}</button></form>` : nothing}${trouble ? html`<div class="note" role="alert">${trouble}</div>` : nothing}
    ${log.length === 0 ? html`<div class="note q">${t("Nothing written yet.")}</div>` : html`<table class="inset"><tbody>${log.map((e) => html`<tr><td class="q2" style="width:84px">${when(e.time)}</td><td class="wide">${e.text}</td><td class="q">${e.who}</td></tr>`)}</tbody></table>`}`, { body: "flush scroll" });
}
