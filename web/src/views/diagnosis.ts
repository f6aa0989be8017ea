// Diagnosis: the likeliest cause, where it could be, what speaks against it, and what could be missed.
import { html, nothing, svg, type TemplateResult } from "lit-html";
import { chart } from "../figures/chart";
import { figure, text } from "../figures/draw";
import { MapFigure } from "../figures/map";
import { kindName, quantityName, told } from "../names";
import { asTable, empty, panel, unit } from "../parts";
import type { Room, View } from "../room";
import type { Finding } from "../shapes";
import { clock, num, places, t, tn, when } from "../words";

let map: MapFigure | null = null, focused = "";

export const diagnosis: View = {
  draw(room) {
    const d = room.live.diagnosis;
    if (!d) return panel(t("Diagnosis"), empty(t("The first diagnosis is not there yet.")), { kind: "all" });
    const f = d.findings.find((x) => x.id === room.argument) ?? d.findings[0];
    return html`${ranked(room, d.findings, f, d.time)}${where(room, f)}${residuals(room)}<div class="two">${evidence(room, f)}${curve(room, f)}</div>`;
  },
};
const names = (room: Room, ids: string[]): string[] => ids.map((id) => room.live.resolve(id)?.name ?? id);

function ranked(room: Room, list: Finding[], chosen: Finding | undefined, time: string): TemplateResult {
  const rest = Math.max(0, 100 - list.reduce((sum, f) => sum + (f.probability ?? 0), 0));
  const body = list.length === 0 ? html`<div class="note">${t("Nothing is wrong that the readings could show. What they could not show is in the figure below.")}</div>` : html`<table class="inset" aria-label=${t("Hypotheses")}><thead><tr><th>${t("What")}</th><th class="rest" title=${t("Where it could be")}>${t("Where it could be")}</th><th class="n">${t("Size")}</th><th class="hide">${t("Since")}</th><th>${t("Probability")}</th></tr></thead><tbody>
    ${list.map((f) => html`<tr class="pick" tabindex="0" aria-selected=${f === chosen ? "true" : "false"} @click=${() => room.go("diagnosis", f.id)}><td class="b">${kindName(f.kind)}</td><td class="rest" title=${names(room, f.set).join(", ")}><span class="one"><span class="el">${names(room, [f.where])[0]}</span>${f.set.length > 1 ? html`<span class="q hide">${tn(f.set.length - 1, "or {n} other", "or {n} others")}</span>` : nothing}</span></td>
      <td class="n">${f.size === null ? "–" : html`${num(f.size, 2)}${f.sigma === null ? "" : html` <span class="q hide">± ${num(2 * f.sigma, 2)}</span>`}<span class="u">${unit(f.unit)}</span>`}</td><td class="q2 hide">${when(f.onset, time)}</td><td>${score(f.probability)}</td></tr>`)}
    <tr><td class="q2">${t("Something else")}</td><td class="q rest" title=${t("none of these")}>${t("none of these")}</td><td></td><td class="hide"></td><td>${score(rest)}</td></tr></tbody></table>`;
  return panel(t("What is wrong"), body, { quiet: `${t("scan of {time}", { time: clock(time) })}${room.live.diagnosis?.scan_ms != null ? ` · ${num(room.live.diagnosis.scan_ms, 0)} ms` : ""}`, body: "flush scroll" });
}
const score = (p: number | null): TemplateResult => html`<span class="score"><i style="width:${Math.max(1, 0.8 * (p ?? 0)).toFixed(0)}px"></i>${num(p, 0)}<span class="u">%</span></span>`;

function where(room: Room, f: Finding | undefined): TemplateResult {
  const key = `${room.live.layout.version} ${f?.set.join() ?? ""}`;
  const set = new Set((f?.set ?? []).map((id) => room.live.resolve(id)?.id ?? id));
  if (!map || focused !== key) { map = new MapFigure(room.live, room.draw); map.load(set.size ? new Set([...set].filter((id) => room.live.byId.has(id))) : undefined); focused = key; }
  return panel(t("Where"), map.view({ gas: true, power: true, synthetic: true, only: set.size ? set : null, open: (e) => room.go("element", e.id) }), { quiet: f ? tn(set.size, "{n} element that the readings cannot tell apart", "{n} elements that the readings cannot tell apart") : "", body: "flush", kind: "mapbox" });
}

function residuals(room: Room): TemplateResult {
  const list = [...(room.live.diagnosis?.residuals ?? [])].sort((a, b) => Math.abs(b.normalised) - Math.abs(a.normalised)).slice(0, 14);
  if (list.length === 0) return panel(t("Residuals"), empty(t("No scan has been diagnosed yet.")));
  const told = t("Largest normalised residuals and their limit");
  const rows = list.map((r) => [r.tag, quantityName(r.quantity), r.normalised] as [string, string, number]);
  return panel(t("Residuals"), html`${figure(told, (w, h) => {
    const limit = list[0]!.limit, most = Math.max(limit * 1.4, ...list.map((r) => Math.abs(r.normalised))), left = Math.min(190, w * 0.42), step = Math.min(22, (h - 24) / list.length), X = (v: number): number => left + (v / most) * (w - left - 46);
    const fit = Math.floor((h - 24) / 15), seen = step < 15 ? list.slice(0, fit) : list, each = Math.max(15, step);
    return svg`<rect x=${X(limit)} y="4" width=${w - 40 - X(limit)} height=${seen.length * each} fill="url(#hl)"></rect>${seen.map((r, i) => { const over = Math.abs(r.normalised) > limit, y = 6 + i * each; return svg`${text(left - 8, y + 11, short(r.tag, left), over ? "k e" : "e")}<rect x=${left} y=${y + 2} width=${Math.max(1, X(Math.abs(r.normalised)) - left)} height=${each - 6} fill=${over ? "var(--p2)" : "var(--t3)"}></rect>${text(X(Math.abs(r.normalised)) + 5, y + 11, num(Math.abs(r.normalised), 1), over ? "k" : "t")}<title>${r.tag}</title>`; })}
      <line x1=${X(limit)} x2=${X(limit)} y1="2" y2=${6 + seen.length * each} class="lim"></line>${text(X(limit), 18 + seen.length * each, t("limit {n} σ", { n: num(limit, 1) }), "m")}`;
  })}${asTable(told, [t("Tag"), t("Quantity"), "σ"], rows)}`, { quiet: t("normalised, σ") });
}
const short = (s: string, wide: number): string => (s.length * 6 > wide - 12 ? `${s.slice(0, Math.floor((wide - 18) / 6))}…` : s);

function evidence(room: Room, f: Finding | undefined): TemplateResult {
  if (!f) return panel(t("Evidence"), empty(t("Nothing to weigh.")));
  const sign = (good: boolean): TemplateResult => html`<span aria-label=${good ? t("for") : t("against")}>${good ? "+" : "−"}</span>`;
  const say = (w: Finding["evidence"][number]["words"]): string => (typeof w === "string" ? w : t(w.key, told(w.parameters)));
  return panel(t("Evidence"), html`<div class="evi">${f.evidence.map((x) => html`${sign(x.for)}<span>${say(x.words)}</span>`)}</div>
    <table style="margin-top:8px"><tbody><tr><td class="q2" style="white-space:normal">${t("Score")}</td><td class="n">${num(f.score, 1)}</td></tr><tr><td class="q2" style="white-space:normal">${t("False alarms a month at this score")}</td><td class="n">${num(f.false_alarm_per_month, places(f.false_alarm_per_month ?? 0))}</td></tr><tr><td class="q2" style="white-space:normal">${t("Smallest size that would surely be seen")}</td><td class="n">${num(f.smallest_detectable, 2)}<span class="u">${unit(f.unit)}</span></td></tr>${f.place ? html`<tr><td class="q2" style="white-space:normal">${t("Place along the line")}</td><td class="n">${num(100 * f.place.share, 0)}<span class="u">%</span> <span class="q">${f.place.low === null ? "" : `${num(100 * f.place.low, 0)}–${num(100 * (f.place.high ?? 1), 0)} %`}</span></td></tr>` : nothing}</tbody></table>
    ${f.set.length > 1 ? html`<p class="q" style="padding:8px 0 4px">${t("The readings cannot tell these apart")}</p>${names(room, f.set).slice(0, 12).map((n, k) => html`<div><a href="#element/${encodeURIComponent(f.set[k]!)}">${n}</a></div>`)}` : nothing}
    <div class="row" style="padding-top:10px"><button class="btn" @click=${() => room.go("element", room.live.resolve(f.where)?.id ?? "")}>${t("Open element")}</button></div>`, { body: "scroll" });
}
function curve(room: Room, f: Finding | undefined): TemplateResult {
  const c = room.live.diagnosis?.curve;
  if (!c || c.sizes.length < 2) return panel(t("Could it be missed?"), html`${empty(t("No curve for what is shown."))}${(room.live.diagnosis?.unobservable ?? []).slice(0, 12).map((x) => html`<div class="q2">${t("not observable: {what}", { what: x })}</div>`)}`, { body: "scroll" });
  const name = room.live.resolve(c.element)?.name ?? c.element, most = c.sizes.at(-1)!, told = t("Chance that a fault of a size is found at {name}", { name });
  return panel(t("Could it be missed?"), html`${figure(told, (w, h) => chart({
    x: [0, most], y: [0, 100], xTicks: [0.25, 0.5, 0.75, 1].map((s) => [s * most, num(s * most, 2)]), lines: [{ points: c.sizes.map((s, i) => [s, 100 * (c.chance[i] ?? 0)] as const) }], dots: f?.size != null && f.size <= most ? [[f.size, 100 * at(c, f.size)]] : [], aim: { at: 90, label: "90 %" },
  }, w, h))}${asTable(told, [unit(c.unit), "%"], c.sizes.map((s, i) => [s, 100 * (c.chance[i] ?? 0)]))}`, { quiet: `${t("chance of detection, %")} · ${unit(c.unit)}` });
}
function at(c: { sizes: number[]; chance: number[] }, x: number): number {
  const k = Math.max(1, c.sizes.findIndex((s) => s >= x)), a = c.sizes[k - 1]!, b = c.sizes[k]!;
  return c.chance[k - 1]! + ((c.chance[k]! - c.chance[k - 1]!) * (x - a)) / (b - a || 1);
}
