// What the page knows of the running twin. One stream of events keeps it new; when the stream is cut, the page says how
// old everything is, tries again, and takes up where it was.
import { ask, signedOut } from "./api";
import { place as drawSchematic, unplaced } from "./schematic";
import type { Ahead, Alarm, Case, Diagnosis, Element, Health, Layout, Outages, Session, Snapshot, Value } from "./shapes";

export type Topic = "scan" | "alarm" | "health" | "diagnosis" | "ahead" | "outages" | "log" | "command" | "link";

const AGAIN = 3000; // ms until a refused stream is asked for again
const DEAD = 25; // s of silence after which an open stream is not believed

export class Live {
  case!: Case;
  elements: Element[] = [];
  byId = new Map<string, Element>();
  byName = new Map<string, Element[]>();
  layout: Layout = { version: "", values: [] };
  place = new Map<string, number>();
  snapshot: Snapshot | null = null;
  alarms = new Map<string, Alarm>();
  health: Health | null = null;
  diagnosis: Diagnosis | null = null;
  ahead: Ahead | null = null;
  outages: Outages | null = null;
  heard = 0; // performance.now() of the last event or heartbeat
  linked = false;
  private stream: EventSource | null = null;
  private listeners = new Set<(topic: Topic) => void>();
  private page: string | null = null;
  private followed = 0; // performance.now() when the stream was asked for
  private greeted = false;

  /** Load what does not change, then follow. */
  async open(): Promise<void> {
    this.case = await ask<Case>("case");
    this.page ??= this.case.page ?? null;
    await Promise.all([this.loadNetwork(), this.refresh()]);
    this.follow();
  }

  private async loadNetwork(): Promise<void> {
    const [network, layout] = await Promise.all([
      ask<{ elements: Element[] }>("network"), ask<Layout>("layout"),
    ]);
    this.elements = network.elements;
    if (!this.case.has_map && unplaced(this.elements)) drawSchematic(this.elements);
    this.byId = new Map(this.elements.map((e) => [e.id, e]));
    this.byName = new Map();
    for (const e of this.elements) this.byName.set(e.name, [...(this.byName.get(e.name) ?? []), e]);
    this.layout = layout;
    this.place = new Map(layout.values.map((v, k) => [`${v.quantity}:${v.where}`, k]));
  }

  /** Ask for everything that events tell changes of: at the start and after a gap. */
  async refresh(): Promise<void> {
    const maybe = async <T>(path: string): Promise<T | null> => ask<T>(path).catch(() => null);
    const [snapshot, alarms, health, diagnosis, ahead, outages] = await Promise.all([
      maybe<Snapshot>("snapshot"), maybe<Alarm[]>("alarms?limit=5000"), maybe<Health>("health"), maybe<Diagnosis>("diagnosis"),
      maybe<Ahead>("ahead"), maybe<Outages>("outages"),
    ]);
    this.snapshot = snapshot ?? this.snapshot;
    if (alarms) this.alarms = new Map(alarms.map((a) => [a.id, a]));
    this.health = health ?? this.health;
    this.diagnosis = diagnosis ?? this.diagnosis;
    this.ahead = ahead ?? this.ahead;
    this.outages = outages ?? this.outages;
    this.tell("scan", "alarm", "health", "diagnosis", "ahead", "outages");
  }

  private follow(): void {
    this.stream?.close();
    this.followed = performance.now();
    const stream = (this.stream = new EventSource("/api/v1/events"));
    const on = <T>(kind: string, take: (data: T) => void): void =>
      stream.addEventListener(kind, (event) => {
        this.heard = performance.now();
        this.setLinked(true);
        take(JSON.parse((event as MessageEvent<string>).data) as T);
      });
    on<{ page?: string; resumed?: boolean }>("hello", (hello) => this.greet(hello));
    on<Snapshot>("scan", (s) => {
      if (s.estimate.length !== this.layout.values.length) return void this.loadNetwork().then(() => this.refresh(), () => {});
      this.snapshot = s;
      this.tell("scan");
    });
    on<Alarm>("alarm", (a) => {
      if (a.state === "normal") this.alarms.delete(a.id);
      else this.alarms.set(a.id, a);
      this.tell("alarm");
    });
    on<Health>("health", (h) => { this.health = h; this.tell("health"); });
    on<Diagnosis>("diagnosis", (d) => { this.diagnosis = d; this.tell("diagnosis"); });
    on<Ahead>("ahead", (a) => { this.ahead = a; this.tell("ahead"); });
    on<Outages>("outages", (o) => { this.outages = o; this.tell("outages"); });
    on("log", () => this.tell("log"));
    on("command", () => this.tell("command"));
    on("tally", () => this.tell("alarm"));
    stream.onerror = () => {
      if (stream !== this.stream) return;
      this.setLinked(false);
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => void this.again(stream), AGAIN);
    };
  }
  /** The server refused the stream: the session has ended, or there are too many; ask which. */
  private async again(refused: EventSource): Promise<void> {
    if (refused !== this.stream) return;
    const session = await ask<Session>("session").catch(() => null);
    if (session && !session.signed_in) return signedOut();
    if (refused === this.stream) this.follow();
  }
  /** Looked after every second: a line that is open and says nothing is taken up anew. */
  watch(): void {
    if (this.stream && this.silence() > DEAD && performance.now() - this.followed > DEAD * 1000) this.follow();
  }
  /** The browser has its network again: do not wait for the next try. */
  retry(): void {
    if (this.stream && !this.linked) this.follow();
  }
  close(): void {
    this.stream?.close();
    this.stream = null;
    this.listeners.clear();
  }

  /** The server said hello: another page belongs to it -> load that; events were missed -> load everything again. */
  private greet(hello: { page?: string; resumed?: boolean }): void {
    if (hello.page && this.page && hello.page !== this.page) return void location.reload();
    const first = !this.greeted;
    this.greeted = true;
    if (first) void this.loadAlarms(); // what changed between the first answers and the stream
    else if (!hello.resumed) void this.loadNetwork().then(() => this.refresh(), () => {});
  }
  private async loadAlarms(): Promise<void> {
    const alarms = await ask<Alarm[]>("alarms?limit=5000").catch(() => null);
    if (!alarms) return;
    this.alarms = new Map(alarms.map((a) => [a.id, a]));
    this.tell("alarm");
  }

  private setLinked(linked: boolean): void {
    if (linked !== this.linked) { this.linked = linked; this.tell("link"); }
  }

  /** Seconds since the page last heard of the server. */
  silence(): number {
    return this.heard ? (performance.now() - this.heard) / 1000 : 0;
  }
  on(listener: (topic: Topic) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
  tell(...topics: Topic[]): void {
    for (const topic of topics) for (const listener of this.listeners) listener(topic);
  }

  // ---- what stands where
  at(quantity: string, where: string): number {
    return this.place.get(`${quantity}:${where}`) ?? -1;
  }
  value(quantity: string, where: string): { value: number | null; estimate: number | null; measured: number | null; sigma: number | null; said: Value } | null {
    const k = this.at(quantity, where);
    const said = this.layout.values[k];
    if (!said || !this.snapshot) return null;
    const s = this.snapshot, estimate = s.estimate[k] ?? null, measured = s.measured[k] ?? null;
    return { value: estimate ?? measured, estimate, measured, sigma: s.sigma[k] ?? null, said };
  }
  valuesOf(name: string): number[] {
    const found: number[] = [];
    this.layout.values.forEach((v, k) => { if (v.where === name) found.push(k); });
    return found;
  }
  active(): Alarm[] {
    const order = { urgent: 0, high: 1, low: 2, data: 3 };
    return [...this.alarms.values()]
      .filter((a) => ["unacknowledged", "acknowledged", "returned"].includes(a.state))
      .sort((a, b) => Number(a.state === "acknowledged") - Number(b.state === "acknowledged")
        || order[a.priority] - order[b.priority] || b.began.localeCompare(a.began));
  }
  /** The worst active alarm of each element, also of the set that a finding cannot tell apart. */
  marked(): Map<string, Alarm> {
    const found = new Map<string, Alarm>();
    for (const alarm of [...this.active()].reverse())
      for (const id of [alarm.element, ...(alarm.set ?? [])]) if (id) found.set(this.resolve(id)?.id ?? id, alarm);
    return found;
  }
  /** An element by id ("pipes/Malay - Gedaim") or by name. */
  resolve(id: string | null): Element | undefined {
    return id ? this.byId.get(id) ?? this.byName.get(id)?.[0] : undefined;
  }
}
