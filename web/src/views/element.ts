// One element: what is measured, what is estimated, how far is the limit, since when is it odd?
import { html, nothing, svg, type SVGTemplateResult, type TemplateResult } from "lit-html";
import { guard } from "lit-html/directives/guard.js";
import { ask, Refused } from "../api";
import { chart } from "../figures/chart";
import { figure, timeTicks, type Point } from "../figures/draw";
import { badge, mark, RANK, stateMark, stateName } from "../figures/marks";
import { quantityName } from "../names";
import { asTable, alarmText, empty, panel, quality, unit } from "../parts";
import type { Room, View } from "../room";
import type { Alarm, Command, Element, Entry, Reading, Series, Trend } from "../shapes";
import { clock, language, lasted, num, t, when, w } from "../words";

const GROUPS: [string, (e: Element) => boolean][] = [
  [w("Gas lines"), (e) => e.kind === "pipe" && e.table === "pipes"], [w("Compressor stations"), (e) => e.kind === "compressor"], [w("Regulators and valves"), (e) => e.kind === "regulator" || e.kind === "valve"],
  [w("Fields"), (e) => e.table === "supplies"], [w("Exports"), (e) => e.kind === "export"], [w("Towns and plants"), (e) => e.table === "offtakes" && e.kind !== "export" || e.kind === "plant"],
  [w("Power lines"), (e) => e.carrier === "power" && e.kind === "line"], [w("Buses"), (e) => e.kind === "bus"], [w("Transformers"), (e) => e.kind === "transformer"], [w("Generators"), (e) => e.kind === "generator"], [w("Loads"), (e) => e.kind === "load"], [w("Gas nodes"), (e) => e.table === "gas_nodes"],
];
/** What may be told to the field, by kind of element. */
const SETTABLE: Record<string, string[]> = { compressor: ["outlet_pressure", "ratio", "open"], regulator: ["outlet_pressure", "open"], valve: ["open"], generator: ["active_power", "magnitude"], line: ["in_service"], transformer: ["in_service"] };

let find = "", chosen = "", series: Series[] = [], readings: Reading[] = [], past: Alarm[] = [], notes: Entry[] = [], note = "", loadedAt = -1e9, loading = "";
let proposing: { quantity: string; value: string; reason: string } | null = null, proposal: Command | null = null, trouble = "";

export const element: View = {
  draw(room) {
    const e = room.live.resolve(decodeURIComponent(room.argument)) ?? first(room);
    if (!e) return html`${panel(t("Element"), empty(t("The network is empty.")))}`;
    if (e.id !== chosen) { chosen = e.id; series = []; readings = []; past = []; notes = []; note = ""; proposing = proposal = null; trouble = ""; loadedAt = -1e9; }
    if (performance.now() - loadedAt > 15_000 && loading !== e.id) void load(room, e);
    return html`${tree(room, e)}${profile(room, e)}${faceplate(room, e)}<div class="two">${trendPanel(e)}${historyPanel(room)}</div>${readingPanel()}`;
  },
  keys: { d: (room) => room.go("diagnosis") },
};
export const freshNotes = (): void => void (loadedAt = -1e9);
const first = (room: Room): Element | undefined => room.live.resolve(room.live.active()[0]?.element ?? null) ?? room.live.elements.find((e) => e.kind === "pipe") ?? room.live.elements[0];

async function load(room: Room, e: Element): Promise<void> {
  loading = e.id;
  const end = room.live.snapshot ? new Date(room.live.snapshot.time) : new Date(), start = new Date(+end - 6 * 3.6e6);
  const mine = relevant(room, e).slice(0, 4).map((k) => { const v = room.live.layout.values[k]!; return `series=${encodeURIComponent(`${v.quantity}:${v.where}`)}`; });
  const quiet = async <T>(path: string, none: T): Promise<T> => ask<T>(path).catch(() => none);
  const [trend, own, happened, written] = await Promise.all([
    mine.length ? quiet<Trend | null>(`trend?${mine.join("&")}&start=${start.toISOString()}&end=${end.toISOString()}&points=360`, null) : null,
    quiet<Reading[]>(`readings?where=${encodeURIComponent(e.name)}`, []),
    quiet<Alarm[]>(`alarms?state=normal&state=acknowledged&state=unacknowledged&state=returned&state=shelved&limit=400`, []),
    quiet<Entry[]>("log?limit=1000", []),
  ]);
  loading = "";
  if (chosen !== e.id) return;
  loadedAt = performance.now();
  series = trend?.series ?? [];
  readings = own;
  past = happened.filter((a) => room.live.resolve(a.element)?.id === e.id);
  notes = written.filter((n) => n.subject === e.id);
  room.draw();
}
/** Places of the live arrays that tell of an element: its own values, and the pressures at its ends. */
function relevant(room: Room, e: Element): number[] {
  const own = room.live.valuesOf(e.name);
  const ends = [e.from, e.to].filter((n): n is string => !!n).flatMap((n) => room.live.valuesOf(n).filter((k) => ["pressure", "magnitude"].includes(room.live.layout.values[k]!.quantity)));
  return [...new Set([...own, ...ends])];
}

function tree(room: Room, chosenElement: Element): TemplateResult {
  const marked = room.live.marked(), q = find.toLowerCase();
  const groups = (): (readonly [string, Element[]])[] => GROUPS.map(([name, test]) => [name, room.live.elements.filter((e) => test(e) && (!q || e.name.toLowerCase().includes(q)))] as const).filter(([, list]) => list.length);
  return panel(t("Elements"), html`<input id="find" class="field search" placeholder=${`${t("Find an element")}  /`} aria-label=${t("Find an element")} .value=${find} @input=${(ev: Event) => { find = (ev.target as HTMLInputElement).value; room.draw(); }}>
    <nav aria-label=${t("Elements")}>${guard([room.live.elements, q, chosenElement.id, language(), ...[...marked].map(([id, a]) => `${id} ${a.priority}`)], () => groups().map(([name, list]) => html`<h3>${t(name)}</h3>${list.map((e) => html`<a href="#element/${encodeURIComponent(e.id)}" aria-current=${e === chosenElement ? "true" : nothing} title=${e.name}><span class="el">${e.name}</span><span class="grow"></span>${marked.has(e.id) ? badge(marked.get(e.id)!.priority, false, 14) : nothing}</a>`)}`))}</nav>`, { kind: "tree", body: "flush scroll" });
}

/** A pipe's pressures along its line; any other element's values against their limits, over six hours. */
function profile(room: Room, e: Element): TemplateResult {
  if (e.kind !== "pipe" || !e.from || !e.to) return trend(0, e, true);
  const line = chain(room, e), points: Point[] = [], band: { x: number; low: number | null; high: number | null }[] = [], dots: Point[] = [];
  const names: [number, string][] = [];
  let low: number | null = null, high: number | null = null;
  for (const { node, km } of line) {
    const v = room.live.value("pressure", node);
    names.push([km, node]);
    if (!v) continue;
    points.push([km, v.estimate]);
    if (v.estimate !== null && v.sigma !== null) band.push({ x: km, low: v.estimate - 2 * v.sigma, high: v.estimate + 2 * v.sigma });
    if (v.measured !== null) dots.push([km, v.measured]);
    low = v.said.low === null ? low : Math.max(low ?? -Infinity, v.said.low);
    high = v.said.high === null ? high : Math.min(high ?? Infinity, v.said.high);
  }
  const here = line.findIndex((x) => x.node === e.from) , at = [line[here]?.km ?? 0, (line[here]?.km ?? 0) + (e.length_km ?? 0)];
  const finding = room.live.diagnosis?.findings.find((f) => f.place && room.live.resolve(f.place.element)?.id === e.id);
  const long = line.at(-1)?.km ?? 1;
  const told = t("Pressure along {name}", { name: e.name });
  return panel(e.name, html`${figure(told, (w, h) => chart({
      x: [0, long], xTicks: names, lines: [{ points }], bands: [band], dots,
      low: low === null ? null : { at: low, label: t("lowest {n} bar", { n: num(low, 1) }) }, high: high === null ? null : { at: high, label: t("highest {n} bar", { n: num(high, 1) }) },
      more: (X, _Y, box) => stretch(X, box, at as [number, number], finding ? { from: at[0]! + (finding.place!.low ?? finding.place!.share) * (e.length_km ?? 0), to: at[0]! + (finding.place!.high ?? finding.place!.share) * (e.length_km ?? 0) } : null),
    }, w, h))}${asTable(told, [t("Node"), "km", "bar"], line.map((x) => [x.node, x.km, room.live.value("pressure", x.node)?.estimate ?? null]))}`, { quiet: t("pressure along the line, bar") });
}
function stretch(X: (v: number) => number, box: { top: number; bottom: number }, [a, b]: [number, number], leak: { from: number; to: number } | null): SVGTemplateResult {
  return svg`<rect x=${X(a)} y=${box.bottom - 3} width=${Math.max(1, X(b) - X(a))} height="3" fill="var(--sel)" opacity=".7"></rect>
    ${leak ? svg`<rect x=${X(leak.from)} y=${box.top} width=${Math.max(3, X(leak.to) - X(leak.from))} height=${box.bottom - box.top} fill="var(--p1)" opacity=".22"></rect>` : ""}`;
}
/** The pipes that go on straight from an element to both sides, as nodes with their distance [km]. */
function chain(room: Room, e: Element): { node: string; km: number }[] {
  const pipes = room.live.elements.filter((x) => x.table === "pipes" && x.from && x.to && x.length_km);
  const next = (node: string, used: Set<string>): Element | undefined => {
    const list = pipes.filter((x) => !used.has(x.id) && (x.from === node || x.to === node) && room.live.value("pressure", x.from === node ? x.to! : x.from!)?.estimate != null);
    return list.filter((x) => x.diameter_mm === e.diameter_mm).sort((a, b) => (b.length_km ?? 0) - (a.length_km ?? 0))[0];
  };
  const used = new Set([e.id]), forward: { node: string; km: number }[] = [{ node: e.to!, km: e.length_km ?? 0 }], back: { node: string; km: number }[] = [{ node: e.from!, km: 0 }];
  for (const [list, sign] of [[forward, 1], [back, -1]] as const)
    for (let k = 0; k < 3; k++) {
      const tail = list.at(-1)!, x = next(tail.node, used);
      if (!x) break;
      used.add(x.id);
      list.push({ node: x.from === tail.node ? x.to! : x.from!, km: tail.km + sign * (x.length_km ?? 0) });
    }
  const all = [...back.reverse(), ...forward], from = all[0]!.km;
  return all.map((x) => ({ node: x.node, km: x.km - from }));
}

function faceplate(room: Room, e: Element): TemplateResult {
  const marked = [...room.live.alarms.values()], s = room.live.snapshot;
  const rows = relevant(room, e).map((k) => {
    const v = room.live.layout.values[k]!, m = s?.measured[k] ?? null, x = s?.estimate[k] ?? null, sd = s?.sigma[k] ?? null, q = quality(s?.quality[k] ?? 0);
    const alarm = marked.find((a) => a.quantity === v.quantity && room.live.resolve(a.element)?.name === v.where && a.state !== "normal");
    const d = v.decimals > 2 ? 2 : v.decimals, limit = v.high !== null && (x ?? m ?? 0) > ((v.low ?? -Infinity) + v.high) / 2 ? v.high : (v.low ?? v.high);
    return html`<tr><td title=${`${quantityName(v.quantity)} ${v.where}`}>${quantityName(v.quantity)}${v.where === e.name ? "" : html` <span class="q">${v.where}</span>`}</td><td class="n">${alarm ? badge(alarm.priority, false, 14) : nothing}<span class=${alarm ? `ab${RANK[alarm.priority]}` : q === "good" ? "" : "ab4"} title=${q === "good" ? "" : t(q)}>${num(m, d)}</span></td><td class="n">${num(x, d)}</td><td class="n q2 hide">${sd === null ? "–" : num(2 * sd, d)}</td><td class="n q2">${limit === null ? "" : `${limit === v.low ? "≥ " : ""}${num(limit, d)}`}</td><td class="q" title=${unit(v.unit)}>${unit(v.unit)}</td></tr>`;
  });
  const quiet = [e.length_km === null ? "" : `${num(e.length_km, 0)} km`, e.diameter_mm === null ? "" : `${num(e.diameter_mm, 0)} mm`, e.level_kv === null ? "" : `${num(e.level_kv, 0)} kV`].filter(Boolean).join(" · ");
  const settable = SETTABLE[e.kind] ?? [];
  return panel(t("Faceplate"), html`<table class="inset fixed"><thead><tr><th title=${t("Quantity")}>${t("Quantity")}</th><th class="n" style="width:90px" title=${t("Measured")}>${mark("measured")}${t("Measured")}</th><th class="n" style="width:80px" title=${t("Estimate")}>${mark("estimated")}${t("Estimate")}</th><th class="n hide" style="width:46px">± 2σ</th><th class="n" style="width:62px" title=${t("Limit")}>${t("Limit")}</th><th style="width:66px"><span class="sr">${t("Unit")}</span></th></tr></thead><tbody>${rows}</tbody></table>${rows.length === 0 ? html`<div class="note">${t("Nothing live is known of this element.")}</div>` : nothing}
    <div class="row" style="padding:10px var(--pad)"><button class="btn" @click=${() => room.go("diagnosis")}>${t("Diagnose")}<kbd>D</kbd></button><button class="btn" @click=${() => room.go("trends", "", { s: relevant(room, e).slice(0, 3).map((k) => { const v = room.live.layout.values[k]!; return `${v.quantity}:${v.where}`; }).join("|") })}>${t("Show trends")}</button>${settable.length && room.may("command") ? html`<button class="btn" @click=${() => { proposing = proposing ? null : { quantity: settable[0]!, value: "", reason: "" }; proposal = null; trouble = ""; room.draw(); }}>${t("Propose command")}</button>` : nothing}</div>
    ${proposing ? propose(room, e, settable) : nothing}${noted(room, e)}
    ${e.synthetic ? html`<div class="note">${mark("synthetic")}${t("Synthetic: this element is a plausible stand-in, not a published fact.")}</div>` : nothing}
    <table class="inset"><tbody>${e.facts.filter((f) => !["latitude", "longitude"].includes(f.key)).slice(0, 24).map((f) => html`<tr><td class="q2">${f.key.replaceAll("_", " ")}</td><td class="n">${typeof f.value === "number" ? num(f.value, Math.abs(f.value) < 10 ? 3 : 1) : String(f.value)}<span class="u">${unit(f.unit)}</span></td></tr>`)}<tr><td class="q2">${t("source")}</td><td class="wide">${e.source || "–"} <span class="q">${t("confidence {word}", { word: t(e.confidence) })}</span></td></tr></tbody></table>`, { quiet, body: "flush scroll" });
}

/** What people have written about the element, and a line to write. */
function noted(room: Room, e: Element): TemplateResult {
  const send = async (ev: Event): Promise<void> => {
    ev.preventDefault();
    if (!note.trim()) return;
    try { await ask("notes", "POST", { subject: e.id, text: note.trim() }); note = ""; trouble = ""; await load(room, e); } catch (error) { trouble = why(error); }
    room.draw();
  };
  return html`${notes.slice(0, 8).map((n) => html`<div class="note slim">${n.text} <span class="q">${n.who} · ${when(n.time, room.live.snapshot?.time)}</span></div>`)}
    ${room.may("write-log") ? html`<form class="row" style="padding:2px var(--pad) 10px" @submit=${(ev: Event) => void send(ev)}><input class="field grow" placeholder=${t("Write a note")} aria-label=${t("Write a note")} .value=${note} @input=${(ev: Event) => { note = (ev.target as HTMLInputElement).value; }}><button class="btn">${t("Add")}</button></form>` : nothing}
    ${trouble && !proposing ? html`<div class="note" role="alert">${trouble}</div>` : nothing}`;
}

function propose(room: Room, e: Element, settable: string[]): TemplateResult {
  const p = proposing!, set = (k: "quantity" | "value" | "reason") => (ev: Event): void => { p[k] = (ev.target as HTMLInputElement).value; };
  const u = room.live.layout.values.find((v) => v.quantity === p.quantity)?.unit ?? "";
  return html`<form class="pop" style="margin:0 var(--pad) 10px" @submit=${(ev: Event) => { ev.preventDefault(); void send(room, e, u); }}>
    <div class="row"><select class="field" aria-label=${t("Quantity")} @change=${(ev: Event) => { set("quantity")(ev); room.draw(); }}>${settable.map((q) => html`<option value=${q} ?selected=${q === p.quantity}>${quantityName(q)}</option>`)}</select><input class="field" style="width:90px" inputmode="decimal" required aria-label=${t("Value")} placeholder=${t("Value")} .value=${p.value} @input=${set("value")}><span class="q">${unit(u)}</span></div>
    <input class="field" required minlength="3" aria-label=${t("Reason")} placeholder=${t("Reason")} .value=${p.reason} @input=${set("reason")}>
    ${proposal ? effect(room, proposal) : html`<div class="row"><button class="btn strong">${t("Predict the effect")}</button><span class="q">${t("Nothing is sent before you confirm.")}</span></div>`}
    ${trouble ? html`<div class="why" role="alert">${trouble}</div>` : nothing}</form>`;
}
function effect(room: Room, c: Command): TemplateResult {
  const rows = c.effect?.changes ?? [];
  return html`<table><thead><tr><th title=${t("Predicted")}>${t("Predicted")}</th><th class="n" title=${t("Before")}>${t("Before")}</th><th class="n" title=${t("After")}>${t("After")}</th><th class="n" title=${t("Limit")}>${t("Limit")}</th></tr></thead><tbody>${rows.slice(0, 8).map((r) => html`<tr><td>${quantityName(r.quantity)} <span class="q">${r.where}</span></td><td class="n">${num(r.before, 2)}</td><td class="n"><span class=${r.broken ? "ab2" : ""}>${num(r.after, 2)}</span></td><td class="n q2">${r.limit === null ? "" : num(r.limit, 2)} ${unit(r.unit)}</td></tr>`)}</tbody></table>
    ${c.refused_because ? html`<div class="why" role="alert">${typeof c.refused_because === "string" ? c.refused_because : t("refused")}</div>` : nothing}
    <div class="row"><button type="button" class="btn strong" ?disabled=${c.state !== "predicted"} @click=${() => void settle(room, c, "confirm")}>${t("Send it")}</button><button type="button" class="btn" @click=${() => void settle(room, c, "withdraw")}>${t("Withdraw")}</button><span class="q">${t(c.state)}${c.confirm_before ? ` · ${t("confirm before {time}", { time: clock(c.confirm_before) })}` : ""}</span></div>`;
}
async function send(room: Room, e: Element, u: string): Promise<void> {
  const p = proposing!, value = Number(p.value.replace(",", ".").replace("−", "-"));
  trouble = Number.isFinite(value) ? "" : t("Write the value as a number.");
  if (!trouble) try { proposal = await ask<Command>("commands", "POST", { quantity: p.quantity, where: e.name, value, unit: u, reason: p.reason }); } catch (error) { trouble = why(error); }
  room.draw();
}
async function settle(room: Room, c: Command, verb: "confirm" | "withdraw"): Promise<void> {
  try { proposal = await ask<Command>(`commands/${c.id}/${verb}`, "POST"); trouble = ""; room.say(t(proposal.state)); } catch (error) { trouble = why(error); }
  room.draw();
}
const why = (error: unknown): string => (error instanceof Refused ? `${error.message}${error.todo ? `. ${error.todo}` : ""}` : String(error));

function trendPanel(e: Element): TemplateResult {
  return trend(e.kind === "pipe" ? 0 : 1, e, false);
}
function trend(k: number, e: Element, large: boolean): TemplateResult {
  const s = series[k];
  if (!s || [...s.estimate, ...s.measured].every((v) => v === null)) return panel(large ? e.name : t("Trend"), empty(t("No history of this yet.")), {});
  const time = s.time.map((x) => +new Date(x)), points = time.map((x, i) => [x, s.estimate[i] ?? null] as const), dots = time.map((x, i) => [x, s.measured[i] ?? null] as const);
  const band = time.map((x, i) => { const y = s.estimate[i] ?? null, sd = s.sigma[i] ?? null; return { x, low: y === null || sd === null ? null : y - 2 * sd, high: y === null || sd === null ? null : y + 2 * sd }; });
  const a = time[0] ?? 0, b = time.at(-1) ?? 1, ticks: [number, string][] = timeTicks(a, b, 4).map((x) => [x, clock(x, false)]);
  const told = `${quantityName(s.quantity)} ${s.where}`, every = Math.max(1, Math.ceil(dots.length / 120));
  return panel(large ? e.name : quantityName(s.quantity), html`${figure(told, (w, h) => chart({ x: [a, b], xTicks: ticks, lines: [{ points }], bands: [band], dots: dots.filter((_, i) => i % every === 0), low: s.limits?.low != null ? { at: s.limits.low, label: t("lowest {n}", { n: num(s.limits.low, 1) }) } : null, high: s.limits?.high != null ? { at: s.limits.high, label: t("highest {n}", { n: num(s.limits.high, 1) }) } : null }, w, h))}${asTable(told, [t("Time"), t("Measured"), t("Estimate")], time.filter((_, i) => i % 30 === 0).map((x, i) => [clock(x), s.measured[i * 30] ?? null, s.estimate[i * 30] ?? null]))}`, { quiet: `${large ? `${quantityName(s.quantity)}, ` : ""}${unit(s.unit)} · 6 h · ± 2σ` });
}
function historyPanel(room: Room): TemplateResult {
  return panel(t("Alarm history"), past.length === 0 ? html`<div class="note q">${t("No alarms of this element are remembered.")}</div>` : html`<table class="inset fixed"><thead><tr><th style="width:84px" title=${t("Since")}>${t("Since")}</th><th style="width:26px"><span class="sr">${t("Priority")}</span></th><th title=${t("Alarm")}>${t("Alarm")}</th><th style="width:34px"><span class="sr">${t("State")}</span></th></tr></thead><tbody>${past.slice(0, 30).map((a) => html`<tr class="pick" tabindex="0" @click=${() => room.go("alarms", a.id)}><td class="q2">${when(a.began, room.live.snapshot?.time)}</td><td>${badge(a.priority, false, 14)}</td><td title=${alarmText(a)}>${alarmText(a)}</td><td title=${stateName(a.state)}>${stateMark(a.state)}<span class="sr">${stateName(a.state)}</span></td></tr>`)}</tbody></table>`, { body: "flush scroll" });
}
function readingPanel(): TemplateResult {
  return panel(t("Readings"), readings.length === 0 ? html`<div class="note q">${t("No instrument is at this element.")}</div>` : html`<table class="inset fixed"><thead><tr><th style="width:31%" title=${t("Tag")}>${t("Tag")}</th><th title=${t("Quantity")}>${t("Quantity")}</th><th class="n" style="width:112px" title=${t("Value")}>${t("Value")}</th><th style="width:62px" title=${t("Quality")}>${t("Quality")}</th><th class="n" style="width:52px" title=${t("Age")}>${t("Age")}</th><th class="n" style="width:44px">σ</th></tr></thead><tbody>${readings.map((r) => { const q = r.quality.length === 0 || r.quality.includes("good") ? "good" : r.quality[0]!; const z = r.residual !== null && r.sigma ? r.residual / r.sigma : null; return html`<tr><td title=${r.tag}>${r.tag}</td><td title=${quantityName(r.quantity)}>${quantityName(r.quantity)}</td><td class="n">${num(r.value, 2)}<span class="u">${unit(r.unit)}</span></td><td title=${r.quality.join(", ")}>${q === "good" ? t("good") : html`<span class="ab4">${t(q.replaceAll("_", " "))}</span>`}</td><td class="n q2">${lasted(r.age_s)}</td><td class="n">${z === null ? "–" : num(z, 1)}</td></tr>`; })}</tbody></table>`, { quiet: t("quality, age, residual in σ"), body: "flush scroll" });
}
