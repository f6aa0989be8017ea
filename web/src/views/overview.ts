// Overview: is the network normal, where is it not, shall we deliver today, can the data be trusted?
import { html, nothing, type TemplateResult } from "lit-html";
import { chart, gauge, spark } from "../figures/chart";
import { figure, type Point } from "../figures/draw";
import { MapFigure } from "../figures/map";
import { exportCard } from "../figures/mapkey";
import { badge, PRIORITIES, priorityName } from "../figures/marks";
import { History } from "../history";
import { alarmRow, asTable, empty, panel, unit } from "../parts";
import type { Room, View } from "../room";
import type { Element, Figure, Solved } from "../shapes";
import { clock, lasted, num, signed, t, tn, w } from "../words";

const layers = { gas: true, power: true, synthetic: true };
let map: MapFigure | null = null;
let mapped = "";
export const keyHistory = new History();

const FIGURES: [string, string, number][] = [ // key, words, decimals
  ["linepack", w("Linepack"), 1], ["export", w("Export"), 1], ["home_gas", w("Gas used at home"), 1], ["electric_load", w("Electric load"), 0],
  ["reserve", w("Spinning reserve"), 0], ["frequency", w("Frequency"), 2], ["gas_losses", w("Gas losses"), 2], ["grid_losses", w("Grid losses"), 1],
];

const CHARTED = ["linepack", "export", "electric_load", "reserve", "grid_losses", "home_gas"]; // the first three that the model knows

export const overview: View = {
  draw(room) {
    const { live } = room;
    if (!map || mapped !== live.layout.version) { map = new MapFigure(live, room.draw, (place) => { if (room.view === "overview") room.keep({ map: place }); }); map.load(); mapped = live.layout.version; }
    addressed(room, map);
    const toggle = (k: keyof typeof layers, words: string): TemplateResult => html`<button aria-pressed=${layers[k] ? "true" : "false"} @click=${() => { layers[k] = !layers[k]; room.keep({ off: hidden() || "none" }); room.draw(); }}>${t(words)}</button>`;
    const drawn = { ...layers, cards: true, open: (e: Element) => room.go("element", e.id) };
    const tools = html`<span class="tools" role="group" aria-label=${t("Layers")}>${toggle("gas", "Gas")}${toggle("power", "Power")}${live.case.synthetic ? toggle("synthetic", "Synthetic") : nothing}</span>`;
    return html`
      ${panel(t("Network"), html`${map.view(drawn)}${map.legend(drawn)}`, { quiet: subtitle(room), actions: tools, body: "flush", kind: "mapbox" })}
      <div class="side">${panel(t("Key figures"), figures(room), { quiet: t("12 h · limits"), body: "scroll" })}${alarms(room)}${health(room)}</div>
      <div class="three">${charts(room)}</div>
      <div class="narrow">${panel(t("Exports"), html`${(live.snapshot?.exports ?? []).map((x) => html`<div style="padding:6px 0">${exportCard(x)}</div>`)}`)}</div>`;
  },
};

/** The address says where the map stands and which layers are off; without a word there, as the reader left it. */
function addressed(room: Room, map: MapFigure): void {
  const place = room.query.get("map"), off = room.query.get("off");
  if (place !== null) map.stand(place);
  else if (map.place()) room.keep({ map: map.place() });
  if (off !== null) for (const k of Object.keys(layers) as (keyof typeof layers)[]) layers[k] = !off.split(".").includes(k);
  else if (hidden()) room.keep({ off: hidden() });
}
const hidden = (): string => (Object.keys(layers) as (keyof typeof layers)[]).filter((k) => !layers[k]).join(".");

function subtitle(room: Room): string {
  const s = room.live.snapshot;
  return s ? t("estimate of {time}", { time: clock(s.time) }) : t("waiting for the first scan");
}

function figures(room: Room): TemplateResult {
  const key = room.live.snapshot?.key ?? {};
  const known = FIGURES.filter(([k]) => key[k]);
  if (known.length === 0) return empty(t("The first estimate is not there yet."));
  return html`${known.map(([k, words, d]) => {
    const f = key[k]!, series = keyHistory.values(k);
    return html`<div class="kpi" data-figure=${k}><div class="nm">${t(words)}<small class="el" title=${quiet(f, d)}>${quiet(f, d)}</small></div>
      <div class="sp">${figure(t("{what}, last 12 hours", { what: t(words) }), (w, h) => spark(series, w, h), "height:28px")}</div>
      ${figure(t("{what} between its limits", { what: t(words) }), (w, h) => gauge(f.value, f.low ?? null, f.high ?? null, beyond(f) ? 2 : null, w, h), "height:28px")}
      <div class="v">${beyond(f) ? badge("high", false, 14) : nothing}${num(f.value, d)}</div><span class="u">${unit(f.unit)}</span></div>`;
  })}${asTable(t("Key figures"), [t("Quantity"), t("Value"), t("Unit"), t("Lowest"), t("Highest")], known.map(([k, words, d]) => [t(words), num(key[k]!.value, d), unit(key[k]!.unit), key[k]!.low ?? null, key[k]!.high ?? null]))}`;
}
const beyond = (f: Figure): boolean => f.value !== null && ((f.low != null && f.value < f.low) || (f.high != null && f.value > f.high));
function quiet(f: Figure, d: number): string {
  if (f.nominated != null) return t("nominated {n}", { n: num(f.nominated, d) });
  if (f.largest_unit != null) return t("largest unit {n}", { n: num(f.largest_unit, 0) });
  if (f.unexplained != null) return t("{n} unexplained", { n: num(f.unexplained, d) });
  if (f.trend_per_h != null) return t("{n} per hour", { n: signed(f.trend_per_h, d) });
  return f.sigma != null ? t("estimated ± {n}", { n: num(2 * f.sigma, d + (f.sigma < 0.05 ? 1 : 0)) }) : "";
}

function alarms(room: Room): TemplateResult {
  const active = room.live.active(), open = active.filter((a) => a.state === "unacknowledged").length;
  return panel(t("Active alarms"), html`<div class="split">${PRIORITIES.map((p) => html`<div>${badge(p)}<b>${active.filter((a) => a.priority === p).length}</b><span class="q2">${priorityName(p)}</span></div>`)}</div>
    ${active.length === 0 ? empty(t("No active alarms.")) : html`<table class="fixed"><tbody>${active.slice(0, 40).map((a) => alarmRow(a, room))}</tbody></table>`}`,
    { quiet: open ? tn(open, "{n} not acknowledged", "{n} not acknowledged") : t("all acknowledged"), body: "scroll" });
}

function health(room: Room): TemplateResult {
  const h = room.live.health, s = room.live.snapshot, q = h?.quality;
  const solved = (name: string, x: Solved | undefined): TemplateResult | typeof nothing => x ? html`<div class="hrow"><span>${name}</span><span class=${(x.age_s ?? 1e9) > 180 ? "ab4" : ""}>${x.age_s === null ? t("never") : t("{age} old", { age: lasted(x.age_s) })}</span><span class="q">${x.chi2 === null || x.chi2_limit === null ? "" : t("χ² {a} of {b} allowed", { a: num(x.chi2, x.chi2_limit > 20 ? 0 : 2), b: num(x.chi2_limit, x.chi2_limit > 20 ? 0 : 2) })}</span></div>` : nothing;
  const down = (h?.sources ?? []).filter((x) => x.status !== "up");
  return panel(t("Data health"), html`${q ? html`<div class="hbar" role="img" aria-label=${t("{n} of {m} readings are good", { n: q.good, m: q.total })}>${([["good", "var(--t4)"], ["suspect", "var(--t2)"], ["stale", "var(--p4)"], ["bad", "var(--ink)"]] as const).map(([k, c]) => html`<i style="width:${(100 * q[k]) / Math.max(1, q.total)}%;background:${c}"></i>`)}</div>
    <div class="hkey"><span><b>${num(q.good, 0)}</b> ${t("good")}</span><span><b>${num(q.suspect, 0)}</b> ${t("suspect")}</span><span>${q.stale ? badge("data", false, 14) : nothing} <b>${num(q.stale, 0)}</b> ${t("stale")}</span><span><b>${num(q.bad, 0)}</b> ${t("bad")}</span><span class="grow"></span><span class="q">${t("of {n}", { n: num(q.total, 0) })}</span></div>` : empty(t("No readings yet."))}
    ${solved(t("State estimate, gas"), s?.health.gas)}${solved(t("State estimate, power"), s?.health.power)}
    ${down.slice(0, 2).map((x) => html`<div class="hrow"><span class="el" title=${x.name}>${t("{name} link", { name: x.name })}</span><span class="ab4">${t(x.status)} ${lasted(x.age_s)}</span><span class="q el" title=${x.reason}>${x.reason}</span></div>`)}
    ${h ? html`<div class="hrow"><span>${t("Links")}</span><span>${t("{n} of {m} up", { n: h.sources.length - down.length, m: h.sources.length })}</span><span class="q">${down.length > 2 ? t("and {n} more", { n: down.length - 2 }) : ""}</span></div>` : nothing}`, {});
}

/** Three figures over the last hours and, where the look-ahead has them, the hours to come. */
function charts(room: Room): TemplateResult[] {
  const { live } = room, now = live.snapshot ? +new Date(live.snapshot.time) : Date.now();
  const told = FIGURES.filter(([k]) => CHARTED.includes(k) && live.snapshot?.key[k]).sort((a, b) => CHARTED.indexOf(a[0]) - CHARTED.indexOf(b[0])).slice(0, 3);
  return told.map(([k, words]) => {
    const f = live.snapshot!.key[k]!;
    const past = keyHistory.points(k).filter(([x]) => x > now - 12 * 3.6e6);
    const future = live.ahead?.series.find((s) => s.quantity === k);
    const coming: Point[] = future ? future.time.map((x, i) => [+new Date(x), future.value[i] ?? null] as const).filter(([x]) => x >= now && x < now + 12 * 3.6e6) : [];
    const from = Math.min(past[0]?.[0] ?? now - 3.6e6, now - 0.5 * 3.6e6), to = coming.at(-1)?.[0] ?? now + 60e3;
    const hours = Math.max(1, Math.round((to - from) / 3.6e6 / 5)), ticks: [number, string][] = [];
    for (let x = Math.ceil(from / (hours * 3.6e6)) * hours * 3.6e6; x < to; x += hours * 3.6e6) if (Math.abs(x - now) > 0.06 * (to - from)) ticks.push([x, clock(x, false)]);
    ticks.push([now, t("now")]);
    ticks.sort((a, b) => a[0] - b[0]);
    const said = t("{what}: now {n}", { what: t(words), n: num(f.value, 1) }), rows = [...past, ...coming], every = Math.max(1, Math.ceil(rows.length / 24));
    return panel(t(words), html`${figure(said, (w, h) => chart({
      x: [from, to], xTicks: ticks, now, lines: [{ points: past }, { points: coming, kind: "fc" }], dots: f.value === null ? [] : [[now, f.value]],
      low: f.low != null ? { at: f.low, label: t("lowest {n}", { n: num(f.low, 0) }) } : null, high: f.high != null ? { at: f.high, label: t("highest {n}", { n: num(f.high, 0) }) } : null,
      aim: f.nominated != null ? { at: f.nominated, label: t("nominated {n}", { n: num(f.nominated, 1) }) } : null,
    }, w, h))}${asTable(t(words), [t("Time"), unit(f.unit)], rows.filter((_, i) => i % every === 0).map(([x, y]) => [clock(x), y]))}`, { quiet: unit(f.unit) });
  });
}
