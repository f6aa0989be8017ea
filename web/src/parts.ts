// Parts that views share.
import { html, nothing, type TemplateResult } from "lit-html";
import type { Room } from "./room";
import { badge, stateMark, stateName } from "./figures/marks";
import { told } from "./names";
import type { Alarm } from "./shapes";
import { unit } from "./units";
import { num, t, when } from "./words";

export { unit };

/** A panel: a title, a quiet line, actions, a body. */
export function panel(title: string, body: unknown, o: { quiet?: unknown; actions?: unknown; body?: string; kind?: string } = {}): TemplateResult {
  return html`<section class="pn ${o.kind ?? ""}" aria-label=${title}><header><h2>${title}</h2>${o.quiet ? html`<span class="q el" title=${typeof o.quiet === "string" ? o.quiet : nothing}>${o.quiet}</span>` : nothing}<span class="grow"></span>${o.actions ?? nothing}</header><div class="body ${o.body ?? ""}">${body}</div></section>`;
}
export const empty = (text: string): TemplateResult => html`<p class="empty">${text}</p>`;

/** A table for those who cannot see a figure, and for copying. */
export function asTable(label: string, heads: string[], rows: (string | number | null)[][]): TemplateResult {
  return html`<table class="sr" aria-label=${label}><thead><tr>${heads.map((h) => html`<th>${h}</th>`)}</tr></thead><tbody>${rows.map((r) => html`<tr>${r.map((c) => html`<td>${typeof c === "number" ? num(c, 2) : (c ?? "–")}</td>`)}</tr>`)}</tbody></table>`;
}
/** What an alarm says, in the reader's language where it has words. */
export function alarmText(a: Alarm): string {
  const said = a.words ? t(a.words.key, told(a.words.parameters)) : "";
  if (said && said !== a.words?.key) return said;
  return a.text.replace(/\b[a-z0-9]+(_[a-z0-9]+)+\b/g, unit); // as the record says it, units as tables write them
}
/** What an alarm names, as people call it: not every subject is an element. */
export const subject = (room: Room, id: string | null): string => room.live.resolve(id)?.name ?? t((id ?? "").replace(/^[a-z_]+\//, ""));
export function alarmRow(a: Alarm, room: Room): TemplateResult {
  const name = subject(room, a.element), said = alarmText(a), where = name && !said.includes(name) ? html` <span class="q">· ${name}</span>` : nothing;
  return html`<tr class="pick ${a.state === "unacknowledged" ? "unack" : "calm"}" tabindex="0" data-alarm=${a.id} @click=${() => room.go("alarms", a.id)}>
    <td style="width:26px">${badge(a.priority, a.state === "unacknowledged")}</td><td class="el" title=${`${said} · ${name}`}>${said}${where}</td>
    <td class="n" style="width:${a.value === null ? 8 : 112}px">${a.value === null ? "" : html`${num(a.value, 1)}<span class="u">${unit(a.unit)}</span>`}</td><td class="n q2" style="width:52px">${when(a.began, room.live.snapshot?.time)}</td></tr>`;
}
export const state = (s: string): TemplateResult => html`<span class="st">${stateMark(s)}${stateName(s)}</span>`;

/** Quality bits of a live value (serai.telemetry.readings.Quality) as one word. */
export function quality(bits: number): "good" | "suspect" | "stale" | "bad" {
  if (bits === 0) return "good";
  if (bits & (INVALID | OUT_OF_RANGE)) return "bad";
  return bits & (STALE | NOT_TOPICAL) ? "stale" : "suspect";
}
const NOT_TOPICAL = 0x40, INVALID = 0x80, STALE = 0x0100, OUT_OF_RANGE = 0x0200;
