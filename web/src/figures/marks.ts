// Marks: shape, number and colour say a priority; state and source have marks of their own.
import { html, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import type { Priority } from "../shapes";
import { t, w } from "../words";

export const RANK: Record<Priority, 1 | 2 | 3 | 4> = { urgent: 1, high: 2, low: 3, data: 4 };
export const PRIORITIES: Priority[] = ["urgent", "high", "low", "data"];
const SHAPE = {
  1: "M8 .8 15.2 8 8 15.2.8 8Z", 2: "M8 1.2 15.4 14.6H.6Z", 3: "M8 .9a7.1 7.1 0 1 1 0 14.2A7.1 7.1 0 0 1 8 .9Z", 4: "M1.4 1.4h13.2v13.2H1.4Z",
};
export const priorityName = (p: Priority): string => t({ urgent: w("Urgent"), high: w("High"), low: w("Low"), data: w("Data") }[p]);

/** The badge as a part of a drawing, 16 px. */
export function badgeIn(p: Priority, blink = false): SVGTemplateResult {
  const k = RANK[p];
  return svg`<g class="badge ${blink ? "blink" : ""}"><path d=${SHAPE[k]} fill="var(--p${k})" stroke="var(--edge)" stroke-width=${k === 3 ? 1 : 0}></path><text x="8" y=${k === 2 ? 13 : 11.6} style="fill:var(--pi${k})">${k}</text></g>`;
}
export function badge(p: Priority, blink = false, size = 16): TemplateResult {
  return html`<svg class="badge" width=${size} height=${size} viewBox="0 0 16 16" role="img" aria-label=${`${t("Priority")} ${RANK[p]}, ${priorityName(p)}`}>${badgeIn(p, blink)}</svg>`;
}
const SOURCES = {
  measured: svg`<circle cx="5.5" cy="5.5" r="3.6" fill="var(--ink)"></circle>`,
  estimated: svg`<circle cx="5.5" cy="5.5" r="3.2" fill="none" stroke="var(--ink)" stroke-width="1.5"></circle>`,
  forecast: svg`<circle cx="5.5" cy="5.5" r="3.2" fill="none" stroke="var(--ink)" stroke-width="1.5" stroke-dasharray="2 1.6"></circle>`,
  synthetic: svg`<path d="M1.5 1.5h8v8h-8Z" fill="none" stroke="var(--ink3)" stroke-dasharray="2 1.5"></path>`,
};
export function mark(kind: keyof typeof SOURCES): TemplateResult {
  return html`<svg class="mk" viewBox="0 0 11 11" role="img" aria-label=${t(kind)}>${SOURCES[kind]}</svg>`;
}
const STATES: Record<string, SVGTemplateResult> = {
  unacknowledged: svg`<circle cx="5.5" cy="5.5" r="4" fill="var(--ink)"></circle>`,
  acknowledged: svg`<circle cx="5.5" cy="5.5" r="4.4" fill="none" stroke="var(--ink2)" stroke-width="1.2"></circle><path d="M3.4 5.6 5 7.2 7.8 4" fill="none" stroke="var(--ink2)" stroke-width="1.3"></path>`,
  returned: svg`<circle cx="5.5" cy="5.5" r="4.2" fill="none" stroke="var(--ink2)" stroke-width="1.3" stroke-dasharray="2 1.6"></circle>`,
  shelved: svg`<path d="M1 5v4h9V5" fill="none" stroke="var(--ink2)" stroke-width="1.3"></path>`,
  suppressed: svg`<path d="M1.5 5.5h8" stroke="var(--ink2)" stroke-width="2"></path>`,
  "out-of-service": svg`<path d="M2 2l7 7M9 2l-7 7" stroke="var(--ink2)" stroke-width="1.5"></path>`,
};
export function stateName(state: string): string {
  return t({
    unacknowledged: w("unacknowledged"), acknowledged: w("acknowledged"), returned: w("back to normal"), shelved: w("shelved"),
    suppressed: w("suppressed by design"), "out-of-service": w("out of service"), normal: w("normal"),
  }[state] ?? state);
}
export function stateMark(state: string): TemplateResult {
  return html`<svg class="mk" viewBox="0 0 11 11" aria-hidden="true">${STATES[state] ?? ""}</svg>`;
}
