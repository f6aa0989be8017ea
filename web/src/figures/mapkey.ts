// What stands beside the map: cards of the exports, the legend, the scale.
import { html, nothing, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import type { Export } from "../shapes";
import { unit } from "../units";
import { num, t } from "../words";
import { badge, RANK } from "./marks";

const KM_PER_DEGREE = 111.2; // of latitude
const named = (x: Export): TemplateResult => html`<b class="el" title=${x.name}>${x.name.replace(/ export$/, "")}</b>`;

/** One export at a glance: what flows, of what was nominated, of what the line can carry. */
export function exportCard(x: Export): TemplateResult {
  const most = Math.max(x.capacity ?? 0, x.nominated ?? 0, x.flow ?? 0) || 1, part = (v: number | null): string => `${Math.max(0, Math.min(100, (100 * (v ?? 0)) / most)).toFixed(1)}%`;
  const colour = x.alarm ? `var(--p${RANK[x.alarm]})` : "var(--gas)", d = x.unit === "mw" ? 0 : 1;
  return html`<span class="top">${named(x)}<span class="grow"></span>${x.alarm ? badge(x.alarm, false, 14) : nothing}<span class="q">${unit(x.unit)}</span></span>
    <span class="top"><span>${num(x.flow, d)}${x.nominated === null ? "" : html` <span class="q">${t("of {n}", { n: num(x.nominated, d) })}</span>`}</span><span class="grow"></span><span class="q">${x.capacity === null ? "" : t("max {n}", { n: num(x.capacity, 0) })}</span></span>
    <span class="gone"><i style="width:${part(x.flow)};background:${colour}"></i>${x.nominated === null ? "" : html`<b style="left:${part(x.nominated)}"></b>`}</span>`;
}
/** A smaller one, of electricity. */
export const shortCard = (x: Export): TemplateResult => html`<span class="top">${named(x)}<span class="grow"></span><span>${num(x.flow, 0)}</span><span class="q">${unit(x.unit)}</span></span>`;

export interface Key { gas: boolean; power: boolean; synthetic: boolean; cards?: boolean; most: number | null; unknown: boolean; wide: (q: number) => number; kilovolt: number[] }
/** How the map is drawn. */
export function legend(k: Key): TemplateResult {
  const line = (wide: number, drawing: SVGTemplateResult): TemplateResult => html`<svg width=${wide} height="12" aria-hidden="true">${drawing}</svg>`;
  const flows = k.most === null ? [] : [0.06, 0.3, 1].map((s) => round(s * k.most!));
  return html`<div class="legend">
    ${k.gas && flows.length ? html`<span>${line(44, svg`${flows.map((q, i) => svg`<path d=${`M${15 * i} 6h13`} stroke="var(--gas)" stroke-width=${k.wide(q).toFixed(1)}></path>`)}`)}${t("gas {list}", { list: `${flows.map((q) => num(q, 0)).join(" · ")} ${unit("million_m3_per_day")}` })}</span>
      <span>${line(28, svg`<path d="M0 6h28" stroke="var(--gas)" stroke-width="4"></path><path d="M0 6h28" stroke="var(--panel)" stroke-width="2.4"></path>`)}${t("filled, no flow")}</span>
      ${k.unknown ? html`<span>${line(28, svg`<path d="M0 6h28" class="unknown" stroke-width="1.4"></path>`)}${t("no flow known")}</span>` : nothing}` : nothing}
    ${k.power ? [k.kilovolt.filter((v) => v >= 400), k.kilovolt.filter((v) => v < 400)].map((list, i) => (list.length === 0 ? nothing : html`<span>${line(28, svg`<path d="M0 6h28" stroke="var(--pow)" stroke-width=${i ? 1.2 : 3}></path>${i ? "" : svg`<path d="M0 6h28" stroke="var(--panel)"></path>`}`)}${list.map((v) => num(v, 0)).join(" · ")} kV</span>`)) : nothing}
    ${k.synthetic ? html`<span>${line(28, svg`<path d="M0 6h28" stroke="var(--gas)" stroke-width="4"></path><path d="M0 6h28" stroke="var(--panel)" stroke-width="4.6" stroke-dasharray="1.4 6"></path>`)}${t("synthetic")}</span>` : nothing}
    ${k.cards && k.gas ? html`<span>${line(34, svg`<path d="M0 6h34" stroke="var(--sunk)" stroke-width="4"></path><path d="M0 6h20" stroke="var(--gas)" stroke-width="4"></path><path d="M26 1v10" stroke="var(--ink)" stroke-width="2"></path>`)}${t("flow, nomination, most")}</span>` : nothing}
  </div>`;
}
function round(v: number): number {
  const power = 10 ** Math.floor(Math.log10(v));
  return Math.max(1, Math.round((v / power) * 2) / 2) * power;
}
/** A length on the ground; `pixels` of one degree of latitude. */
export function scaleBar(pixels: number): TemplateResult {
  const km = KM_PER_DEGREE / pixels, power = 10 ** Math.floor(Math.log10(120 * km)), long = [5, 2, 1].map((m) => m * power).find((x) => x <= 120 * km) ?? power;
  return html`<div class="scale" style="width:${(long / km).toFixed(0)}px">${num(long, long < 1 ? 1 : 0)} km</div>`;
}
