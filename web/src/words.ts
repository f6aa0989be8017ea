// Words, numbers and times in the reader's language. Everything comes from the server's catalogue: browsers write
// Turkmen numbers and dates as English.
import { ask } from "./api";

interface Catalogue {
  language: string;
  words: Record<string, string>;
  plurals: Record<string, string[]>;
  numbers: { decimal: string; group: string; minus: string };
  months: string[];
}

let catalogue: Catalogue = {
  language: "en", words: {}, plurals: {}, numbers: { decimal: ".", group: ",", minus: "−" },
  months: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
};
let zone = "UTC";

let wish = 0;
/** Speak a language; of several wishes the last holds, whichever answer comes last. */
export async function speak(language: string): Promise<void> {
  const mine = ++wish, told = await ask<Catalogue>(`words/${language}`);
  if (mine !== wish) return;
  catalogue = told;
  document.documentElement.lang = catalogue.language;
}
export const language = (): string => catalogue.language;
export const inZone = (name: string): void => void (zone = name);

/** Marks a text for the catalogue where it is not said at once. */
export const w = (key: string): string => key;
// what the server says in single words
void [
  "good", "suspect", "stale", "bad", "up", "down", "late", "running", "never", "high", "medium", "low", "predicted", "refused", "confirmed", "sent", "done", "failed", "withdrawn", "expired", "proposed",
  "measured", "estimated", "forecast", "synthetic", "readings", "quality", "estimate", "diagnose", "alarms", "history", "publish", "gas", "grid", "loop", "field", "room", "worker", "starting", "no answer", "in service",
  "overflow", "elapsed time invalid", "blocked", "substituted", "not topical", "invalid", "out of range", "frozen", "duplicated", "out of order", "clock skew", "flatline", "spike",
  "state", "scan", "beat", "diagnosis", "diagnosis beside the scan", "winter", "spring", "summer", "autumn", "power loss", "bias or forged", "unit", "stuck", "branch open", "branch closed", "position", "valve open", "efficiency", "resistance",
].map(w);

type Parameters = Record<string, string | number | null | undefined>;

/** A text of the page: the English words are its key; {names} are filled in. An unknown one stays English. */
export function t(key: string, parameters?: Parameters): string {
  const text = catalogue.words[key] ?? key;
  return parameters ? fill(text, parameters) : text;
}
/** A text with a number, in the form that the language has for it. */
export function tn(n: number, one: string, many: string): string {
  const forms = catalogue.plurals[one];
  const rule = new Intl.PluralRules(catalogue.language).select(n);
  const order = { en: ["one", "other"], tk: ["one", "other"], ru: ["one", "few", "many"] }[catalogue.language] ?? [];
  const text = forms?.[Math.max(0, order.indexOf(rule))] ?? (n === 1 ? one : many);
  return fill(text, { n: num(n, 0) });
}
const fill = (text: string, p: Parameters): string =>
  text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = p[name];
    return value === undefined || value === null ? whole : typeof value === "number" ? num(value, places(value)) : value;
  });
/** Decimals of a number in a text: what is small keeps its first digit. */
export const places = (v: number): number => (Number.isInteger(v) ? 0 : Math.abs(v) >= 10 ? 1 : Math.min(6, Math.max(2, -Math.floor(Math.log10(Math.abs(v))))));

/** A number with its decimals; an en dash where nothing is known. */
export function num(value: number | null | undefined, decimals = 1): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const { decimal, group, minus } = catalogue.numbers;
  const [whole = "0", part] = Math.abs(value).toFixed(decimals).split(".");
  const zero = Number(Math.abs(value).toFixed(decimals)) === 0;
  return (value < 0 && !zero ? minus : "") + whole.replace(/\B(?=(\d{3})+$)/g, group) + (part ? decimal + part : "");
}
export const signed = (value: number | null, decimals = 1): string =>
  value !== null && value > 0 ? `+${num(value, decimals)}` : num(value, decimals);

interface Parts { year: number; month: number; day: number; hour: string; minute: string; second: string; name: string }
const formats = new Map<string, Intl.DateTimeFormat>();
function parts(time: Date): Parts {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "2-digit",
      minute: "2-digit", second: "2-digit", timeZoneName: "short",
    });
    formats.set(zone, format);
  }
  const p = Object.fromEntries(format.formatToParts(time).map((x) => [x.type, x.value]));
  return {
    year: Number(p["year"]), month: Number(p["month"]), day: Number(p["day"]), hour: p["hour"] ?? "", minute: p["minute"] ?? "",
    second: p["second"] ?? "", name: p["timeZoneName"] ?? "",
  };
}
export function clock(time: string | number | Date, seconds = true): string {
  const p = parts(new Date(time));
  return seconds ? `${p.hour}:${p.minute}:${p.second}` : `${p.hour}:${p.minute}`;
}
export function date(time: string | number | Date): string {
  const p = parts(new Date(time));
  return `${p.day} ${catalogue.months[p.month - 1] ?? p.month} ${p.year}`;
}
export const zoneName = (time: string | number | Date): string => parts(new Date(time)).name;
/** Time of day, with the date where it is not today's. */
export function when(time: string | null, now: string | number | Date = Date.now()): string {
  if (!time) return "–";
  return date(time) === date(now) ? clock(time, false) : `${date(time)} ${clock(time, false)}`;
}
export function lasted(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s < 90) return t("{n} s", { n: Math.round(s) });
  if (s < 5400) return t("{n} min", { n: Math.round(s / 60) });
  if (s < 172800) return t("{n} h", { n: Math.round(s / 3600) });
  return t("{n} d", { n: Math.round(s / 86400) });
}
