// Plan: who depends on whom, is it inside the neutrality limits, what does that cost, does it survive a loss, can the pipes carry it?
import { html, nothing, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import { ask, Refused } from "../api";
import { figure, line, measure, text, ticks, decimalsOf } from "../figures/draw";
import { badge } from "../figures/marks";
import { asTable, empty, panel } from "../parts";
import type { Room, View } from "../room";
import { date, num, t, tn, w } from "../words";

interface Told {
  title: string; made: string; unit: string; money: string; years: number[]; value: number; bound: number; gap: number; futures: number;
  flows: { name: string; market: string; volume: number[] }[];
  shares: { by: string; name: string; now: number | null; plan: number; limit: number | null; year: number }[];
  frontier: { risk: number; value: number; label: string | null; chosen: boolean }[];
  price: { limit: number; given_up: number }[];
  points?: Frontier[];
  certificate: { lost: string; volume: number; left: number; cover: number; needed: number; holds: boolean }[];
  replay: { year: number; season: string; holds: boolean; element: string | null; text: string | null }[];
  builds: { name: string; year: number; cost: number | null }[];
  text: string[];
}
/** One plan of the frontier: its weight of the worst futures, its bound on every share. */
interface Frontier {
  lambda: number; limit: number; value: number | null; bound: number | null; gap: number | null; proven: boolean; mean: number | null; risk: number | null;
  price: number | null; price_step: number | null; builds: string[]; contracts: string[]; chosen: boolean;
}
const BY: Record<string, string> = { market: w("Market"), bloc: w("Bloc"), route: w("Route"), transit: w("Transit state") };
const TONES = ["var(--t1)", "var(--t2)", "var(--t3)", "var(--t4)", "var(--t5)"];

let told: Partial<Told> | null = null, trouble = "", asked = -1e9;
export const plan: View = {
  draw(room) {
    if (performance.now() - asked > 60_000) {
      asked = performance.now();
      ask<Partial<Told>>("plan").then((p) => { told = p; trouble = ""; room.draw(); }, (error: unknown) => { trouble = error instanceof Refused ? `${t(error.message)}. ${t(error.todo)}` : String(error); room.draw(); });
    }
    if (!told) return html`${panel(t("Plan"), empty(trouble || t("Loading…")))}`;
    const p = told;
    return html`${p.flows?.length && p.years ? flows(p as Told) : nothing}${p.shares?.length ? shares(p as Told) : nothing}${p.points?.length ? surface(room, p.points, p.money ?? "") : p.frontier?.length ? frontier(p as Told) : builds(p)}${p.certificate?.length ? certificate(p as Told) : nothing}${p.price?.length ? price(p as Told) : nothing}${p.replay?.length ? replay(p as Told) : p.points?.length || p.frontier?.length ? builds(p) : nothing}`;
  },
};

function flows(p: Told): TemplateResult {
  const markets = [...new Set(p.flows.map((f) => f.market || f.name))];
  const bands = markets.map((m) => ({ name: m, volume: p.years.map((_, i) => p.flows.filter((f) => (f.market || f.name) === m).reduce((sum, f) => sum + (f.volume[i] ?? 0), 0)) })).sort((a, b) => b.volume.at(-1)! - a.volume.at(-1)!);
  const total = p.years.map((_, i) => bands.reduce((sum, b) => sum + b.volume[i]!, 0)), told = t("Export by market, {unit} a year", { unit: p.unit });
  return panel(t("Export by market"), html`${figure(told, (W, H) => {
    const most = Math.max(...total) * 1.08 || 1, left = 34, right = W - Math.min(W * 0.45, 54 + Math.max(...bands.map((b) => measure(b.name)))), top = 14, bottom = H - 24, X = (i: number): number => left + (i / Math.max(1, p.years.length - 1)) * (right - left), Y = (v: number): number => bottom - (v / most) * (bottom - top);
    let below = p.years.map(() => 0), lastLabel = 1e9;
    const steps = ticks(0, most, 4), every = Math.ceil(p.years.length / 5);
    const drawn: SVGTemplateResult[] = bands.map((b, k) => {
      const above = below.map((v, i) => v + b.volume[i]!), d = `${line(above.map((v, i) => [X(i), Y(v)]))}L${below.map((v, i) => `${X(i).toFixed(1)} ${Y(v).toFixed(1)}`).reverse().join("L")}Z`;
      const middle = Math.min(lastLabel - 15, Y((above.at(-1)! + below.at(-1)!) / 2) + 4);
      lastLabel = middle;
      below = above;
      return svg`<path d=${d} fill=${TONES[Math.min(k, 4)]} stroke="var(--panel)" stroke-width="1"></path>${b.volume.at(-1)! > 0.05 ? svg`${text(right + 8, middle, b.name, "k2")}${text(W - 4, middle, num(b.volume.at(-1)!, 1), "k e")}` : ""}`;
    });
    return svg`${steps.map((v) => svg`<line x1=${left} x2=${right} y1=${Y(v)} y2=${Y(v)} class="grid"></line>${text(left - 6, Y(v) + 4, num(v, decimalsOf(steps)), "t e")}`)}${drawn}${p.years.map((y, i) => (i % every === 0 ? text(X(i), bottom + 16, String(y), "t m") : ""))}`;
  })}${asTable(told, [t("Market"), ...p.years.map(String)], bands.map((b) => [b.name, ...b.volume]))}`, { quiet: t("{unit} a year · {n} futures", { unit: p.unit, n: p.futures }) });
}
function shares(p: Told): TemplateResult {
  const groups = [...new Set(p.shares.map((s) => s.by))].map((by) => [by, p.shares.filter((s) => s.by === by)] as const), year = p.shares[0]!.year;
  const most = Math.max(0.6, ...p.shares.map((s) => Math.max(s.plan, s.now ?? 0))) * 1.05;
  return panel(t("Shares and neutrality limits"), html`<table class="fixed"><tbody>${groups.map(([by, list]) => html`<tr><td class="q" style="width:34%" title=${t(BY[by] ?? by)}>${t(BY[by] ?? by)}</td><td></td><td class="n q" style="width:52px">${year}</td></tr>${list.map((s) => html`<tr><td title=${s.name}>${s.name}</td><td>${figure(`${s.name} ${num(100 * s.plan, 0)} %`, (W, H) => {
    const X = (v: number): number => 2 + (v / most) * (W - 8), m = H / 2;
    return svg`${s.limit !== null && s.limit < most ? svg`<rect x=${X(s.limit)} y="0" width=${W - X(s.limit)} height=${H} fill="url(#hl)"></rect><line x1=${X(s.limit)} x2=${X(s.limit)} y1="0" y2=${H} class="lim"></line>` : ""}${s.now !== null ? svg`<line x1=${X(s.now)} x2=${X(s.plan)} y1=${m} y2=${m} class="quiet"></line><circle cx=${X(s.now)} cy=${m} r="3.4" fill="var(--panel)" stroke="var(--ink2)" stroke-width="1.4"></circle>` : svg`<line x1="2" x2=${X(s.plan)} y1=${m} y2=${m} class="quiet"></line>`}<circle cx=${X(s.plan)} cy=${m} r="4" fill=${s.limit !== null && s.plan > s.limit + 1e-6 ? "var(--p2)" : "var(--ink)"}></circle>`;
  }, "height:24px")}</td><td class="n b">${num(100 * s.plan, 0)}<span class="u">%</span></td></tr>`)}`)}</tbody></table>`, { quiet: `○ ${t("now")} ● ${t("plan of {year}", { year: String(year) })}`, body: "scroll" });
}
/** Expected value against the worst futures: a line for each bound on the shares, a dot for each weight of the worst. */
function surface(room: Room, points: Frontier[], money: string): TemplateResult {
  const known = points.filter((x) => x.mean !== null && x.risk !== null), limits = [...new Set(known.map((x) => x.limit))].sort((a, b) => b - a), told = t("Expected value against the mean of the worst futures"), asRows = room.query.get("frontier") === "table";
  const bound = (limit: number): string => (limit >= 100 ? t("no bound") : `≤ ${num(limit, 0)} %`), heads = ["λ", t("Bound"), t("Value"), t("Worst"), t("Price of a point"), t("Proven")];
  const rows = [...points].sort((a, b) => a.lambda - b.lambda || a.limit - b.limit);
  const choose = (how: string, words: string): TemplateResult => html`<button aria-pressed=${(how === "table") === asRows ? "true" : "false"} @click=${() => { room.keep({ frontier: how }); room.draw(); }}>${words}</button>`;
  const cells = (x: Frontier): TemplateResult => x.mean === null ? html`<td class="q" colspan="4">${t("no plan keeps the bounds")}</td>` : html`<td class="n" title=${`${x.builds.join(", ")} · ${x.contracts.join(", ")}`}>${num(x.mean, 1)}</td><td class="n">${num(x.risk, 1)}</td><td class="n q2">${num(x.price, 2)}</td><td title=${x.gap === null ? "" : t("proven within {n} %", { n: num(100 * x.gap, 2) })}><span class=${x.proven ? "ok" : "wait"}></span><span class="sr">${x.proven ? t("yes") : t("no")}</span></td>`;
  return panel(t("Value against risk"), asRows
    ? html`<table class="inset fixed" aria-label=${told}><thead><tr>${heads.map((h, i) => html`<th class=${i < 5 && i !== 1 ? "n" : ""} style="width:${[13, 20, 17, 17, 19, 14][i]}%" title=${h}>${h}</th>`)}</tr></thead><tbody>${rows.map((x) => html`<tr class=${x.chosen ? "b" : ""}><td class="n">${num(x.lambda, 2)}</td><td>${bound(x.limit)}${x.chosen ? " ●" : ""}</td>${cells(x)}</tr>`)}</tbody></table>`
    : html`${figure(told, (W, H) => surfaceDrawn(W, H, known, limits, money, bound))}${asTable(told, heads, rows.map((x) => [x.lambda, bound(x.limit), x.mean, x.risk, x.price, x.proven ? t("yes") : t("no")]))}`,
    { quiet: t("expected value, {money}", { money }), actions: html`<span class="seg" role="group" aria-label=${told}>${choose("", t("Figure"))}${choose("table", t("Table"))}</span>`, body: asRows ? "flush scroll" : "" });
}
function surfaceDrawn(W: number, H: number, known: Frontier[], limits: number[], money: string, bound: (limit: number) => string): SVGTemplateResult {
  const f = frame(W, H, known.map((x) => [x.risk!, x.mean!]), { x: t("mean of the worst futures, {money}", { money }), right: 16 + Math.max(...limits.map((l) => measure(bound(l)))) }), taken: [number, number][] = [];
  const lines = limits.map((limit) => { const list = known.filter((x) => x.limit === limit).sort((a, b) => a.lambda - b.lambda); return { limit, list, chosen: list.some((x) => x.chosen) }; });
  return svg`${f.drawn}${lines.map(({ list, chosen }) => svg`<path class=${chosen ? "est" : "quiet"} d=${line(list.map((x) => [f.X(x.risk!), f.Y(x.mean!)]))}></path>`)}
    ${lines.map(({ limit, list, chosen }) => {
      const end = list.at(-1)!;
      let y = f.Y(end.mean!) + 4;
      while (taken.some(([u, v]) => Math.abs(v - y) < 13 && Math.abs(u - f.X(end.risk!)) < 60)) y += 13;
      taken.push([f.X(end.risk!), y]);
      return svg`${text(f.X(end.risk!) + 9, y, bound(limit), chosen ? "k halop" : "t halop")}${list.map((x) => svg`<circle cx=${f.X(x.risk!)} cy=${f.Y(x.mean!)} r=${x.chosen ? 5 : 3.4} fill=${x.chosen ? "var(--ink)" : "var(--panel)"} stroke=${chosen ? "var(--ink)" : "var(--t3)"} stroke-width="1.4" stroke-dasharray=${x.proven ? nothing : "2 1.6"}><title>${`λ ${num(x.lambda, 2)}, ${bound(x.limit)}: ${num(x.mean, 1)} ${money}`}</title></circle>${x.chosen ? text(f.X(x.risk!) - 9, f.Y(x.mean!) + 16, `λ ${num(x.lambda, 2)}`, "k e halop") : ""}`)}`;
    })}`;
}
function frontier(p: Told): TemplateResult {
  const f = [...p.frontier].sort((a, b) => a.risk - b.risk), told = t("Expected value against the mean of the worst futures");
  return panel(t("Value against risk"), html`${figure(told, (W, H) => curve(W, H, f.map((x) => [x.risk, x.value]), { x: t("mean of the worst futures, {money}", { money: p.money }), dot: f.findIndex((x) => x.chosen), labels: f.map((x) => x.label) }))}${asTable(told, [t("Risk"), t("Value")], f.map((x) => [x.risk, x.value]))}`, { quiet: t("expected value, {money}", { money: p.money }) });
}
function price(p: Told): TemplateResult {
  const f = [...p.price].sort((a, b) => b.limit - a.limit), told = t("Value given up against the largest share allowed"), at = p.points?.find((x) => x.chosen);
  return panel(t("Price of neutrality"), html`${figure(told, (W, H) => curve(W, H, f.map((x) => [-x.limit, x.given_up]), { x: t("largest share allowed, %"), dot: f.findIndex((x) => x.limit === at?.limit), labels: f.map((x) => (x.limit === at?.limit ? num(x.given_up, 2) : null)), tick: (v) => num(-v, 0), under: at?.price_step == null ? "" : t("the last point costs {n}", { n: num(at.price_step, 2) }) }))}${asTable(told, ["%", p.money], f.map((x) => [x.limit, x.given_up]))}`, { quiet: t("value given up, {money}", { money: p.money }) });
}
function curve(W: number, H: number, points: [number, number][], o: { x: string; dot: number; labels: (string | null)[]; tick?: (v: number) => string; under?: string }): SVGTemplateResult {
  const { X, Y, drawn } = frame(W, H, points, { ...o, head: 34 }); // the line rises to the right: its words stand above it
  return svg`${drawn}<path class="est" d=${line(points.map(([x, y]) => [X(x), Y(y)]))}></path>${points.map(([x, y], i) => { const back = X(x) > W * 0.7; return svg`<circle cx=${X(x)} cy=${Y(y)} r=${i === o.dot ? 5 : 3.6} fill=${i === o.dot ? "var(--ink)" : "var(--panel)"} stroke="var(--ink)" stroke-width="1.4"></circle>${o.labels[i] ? text(X(x) + (back ? 5 : 9), Y(y) + (back ? (i === o.dot && o.under ? -24 : -11) : -6), o.labels[i]!, `k halop ${back ? "e" : ""}`) : ""}${i === o.dot && o.under ? text(X(x) + (back ? 5 : 9), Y(y) + (back ? -11 : 8), o.under, `t halop ${back ? "e" : ""}`) : ""}`; })}`;
}
/** Axes around points: room on all sides, at most four steps each. */
function frame(W: number, H: number, points: readonly (readonly [number, number])[], o: { x: string; tick?: (v: number) => string; right?: number; head?: number }): { X: (v: number) => number; Y: (v: number) => number; drawn: SVGTemplateResult } {
  const xs = points.map((q) => q[0]), ys = points.map((q) => q[1]), pad = (a: number, b: number): [number, number] => { const d = (b - a || Math.abs(a) || 1) * 0.1; return [a - d, b + d]; };
  const [x0, x1] = pad(Math.min(...xs), Math.max(...xs)), [y0, y1] = pad(Math.min(...ys), Math.max(...ys)), left = 48, right = W - (o.right ?? 16), top = o.head ?? 10, bottom = H - 40;
  const X = (v: number): number => left + ((v - x0) / (x1 - x0)) * (right - left), Y = (v: number): number => bottom - ((v - y0) / (y1 - y0)) * (bottom - top), sx = ticks(x0, x1, 4), sy = ticks(y0, y1, 4);
  return { X, Y, drawn: svg`${sy.map((v) => svg`<line x1=${left} x2=${right} y1=${Y(v)} y2=${Y(v)} class="grid"></line>${text(left - 6, Y(v) + 4, num(v, decimalsOf(sy)), "t e")}`)}${sx.map((v) => text(X(v), bottom + 16, o.tick ? o.tick(v) : num(v, decimalsOf(sx)), "t m"))}<line x1=${left} x2=${right} y1=${bottom} y2=${bottom} class="ax"></line>${text((left + right) / 2, H - 6, o.x, "t m")}` };
}
function certificate(p: Told): TemplateResult {
  const good = p.certificate.filter((c) => c.holds).length;
  return panel(t("N-1 certificate"), html`<table class="inset"><thead><tr><th class="rest" title=${t("Lost piece")}>${t("Lost piece")}</th><th class="n">${t("Lost")}</th><th class="n">${t("Left")}</th><th class="n">${t("Cover")}</th><th class="n">${t("Needed")}</th><th>${t("Verdict")}</th></tr></thead><tbody>${p.certificate.map((c) => html`<tr class=${c.holds ? "" : "b"}><td class="rest" title=${c.lost}>${c.lost}</td><td class="n">${num(c.volume, 1)}</td><td class="n">${num(c.left, 1)}</td><td class="n"><span class=${c.cover < c.needed ? "ab2" : "b"}>${num(c.cover, 0)}</span><span class="u">%</span></td><td class="n q2">≥ ${num(c.needed, 0)}</td><td title=${c.holds ? t("holds") : t("fails")}><span class=${c.holds ? "ok" : "no"}>${c.holds ? t("holds") : t("fails")}</span></td></tr>`)}</tbody></table>${(p.text ?? []).map((s) => html`<p class="note">${s}</p>`)}`, { quiet: t("{unit} a year, peak-day cover", { unit: p.unit }), actions: html`<span class="b">${good < p.certificate.length ? badge("high", false, 14) : nothing} ${t("{n} of {m} hold", { n: good, m: p.certificate.length })}</span>`, body: "flush scroll" });
}
function replay(p: Told): TemplateResult {
  const years = [...new Set(p.replay.map((r) => r.year))], seasons = [...new Set(p.replay.map((r) => r.season))], good = p.replay.filter((r) => r.holds).length;
  return panel(t("Hydraulic replay"), html`<table class="fixed" aria-label=${t("Hydraulic replay")}><thead><tr><th style="width:52px"></th>${seasons.map((s) => html`<th style="text-align:center" title=${t(s)}>${t(s)}</th>`)}</tr></thead><tbody>${years.map((y) => html`<tr><td class="q2">${y}</td>${seasons.map((s) => { const r = p.replay.find((x) => x.year === y && x.season === s); return html`<td style="text-align:center;background:${r ? (r.holds ? "var(--norm)" : "var(--p2t)") : "none"};border:1px solid ${r && !r.holds ? "var(--p2)" : "var(--panel)"}" title=${r?.text ?? ""}>${r ? (r.holds ? html`<span class="sr">${t("holds")}</span>` : "×") : ""}</td>`; })}</tr>`)}</tbody></table>
    ${p.replay.filter((r) => !r.holds).slice(0, 6).map((r) => html`<div class="no" style="padding-top:6px">${r.year} ${t(r.season)}: ${r.element ?? ""} <span class="q2" style="font-weight:400">${r.text ?? ""}</span></div>`)}`, { quiet: t("can the pipes carry it?"), actions: html`<span class="b">${t("{n} of {m}", { n: good, m: p.replay.length })}</span>`, body: "scroll" });
}
function builds(p: Partial<Told>): TemplateResult {
  return panel(t("What is built"), html`<p class="q2">${p.made ? t("computed on {date}", { date: date(p.made) }) : ""}${p.gap !== undefined ? ` · ${t("proven within {n} %", { n: num(100 * p.gap, 2) })}` : ""}${p.futures ? ` · ${tn(p.futures, "{n} future", "{n} futures")}` : ""}</p><table><thead><tr><th title=${t("Project")}>${t("Project")}</th><th class="n" title=${t("Year")}>${t("Year")}</th><th class="n" title=${t("Cost")}>${t("Cost")}</th></tr></thead><tbody>${(p.builds ?? []).map((b) => html`<tr><td>${b.name}</td><td class="n">${b.year}</td><td class="n">${num(b.cost, 1)}<span class="u">${p.money ?? ""}</span></td></tr>`)}</tbody></table>`, { body: "scroll" });
}
