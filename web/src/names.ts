// What the server names by key, in the reader's language: kinds of findings, quantities, and the parameters of its texts.
import { unit } from "./units";
import { language, num, places, t, w } from "./words";

const KIND: Record<string, string> = {
  leak: w("Leak"), "leak or theft": w("Leak or theft"), theft: w("Theft"), bias: w("Meter is off"), forged: w("Forged reading"), status: w("Wrong status"), command: w("Command nobody gave"), parameter: w("Wrong parameter"),
};
const QUANTITIES: Record<string, string> = {
  pressure: w("Pressure"), flow: w("Flow"), supply: w("Supply"), withdrawal: w("Withdrawal"), outlet_pressure: w("Outlet pressure"), inlet_pressure: w("Inlet pressure"), ratio: w("Pressure ratio"), power: w("Shaft power"), drive_power: w("Drive power"), fuel: w("Fuel gas"), plant_fuel: w("Fuel gas"),
  magnitude: w("Voltage"), angle: w("Voltage angle"), active_power: w("Active power"), reactive_power: w("Reactive power"), active_power_from: w("Active power, from end"), active_power_to: w("Active power, to end"), reactive_power_from: w("Reactive power, from end"), reactive_power_to: w("Reactive power, to end"), loading: w("Loading"), temperature: w("Gas temperature"), linepack: w("Linepack"), flow_out: w("Flow out"), open: w("Open"), closed: w("Closed"), pressure_drop: w("Pressure drop"),
};
/** What an alarm is about, by the key of its record; that of another site's own record stays its key. */
const ALARMS: Record<string, string> = {
  "pressure.high": w("High pressure"),
  "pressure.near.high": w("Pressure near its highest"),
  "pressure.low.delivery": w("Low delivery pressure"),
  "pressure.low": w("Low pressure"),
  "station.outlet.high": w("High outlet pressure"),
  "station.inlet.low": w("Low inlet pressure"),
  "station.power.high": w("Station at full power"),
  "supply.stopped": w("Supply stopped"),
  "loading.over": w("Overload"),
  "loading.near": w("Near full load"),
  "voltage.high": w("High voltage"),
  "voltage.low": w("Low voltage"),
  "generator.over": w("Generator above its largest"),
  "diagnosis.loss": w("Leak or theft"),
  "diagnosis.forged": w("Forged reading"),
  "diagnosis.command": w("Command nobody gave"),
  "diagnosis.status": w("Wrong status"),
  "diagnosis.bias": w("Meter is off"),
  "diagnosis.parameter": w("Wrong parameter"),
  "data.station": w("Station is silent"),
  "data.silent": w("Signal is silent"),
  "data.bad": w("Bad readings"),
  "ahead.soon": w("Limit reached soon"),
  "ahead.later": w("Limit reached later"),
  "health.estimate": w("Estimate is late"),
  "health.late": w("Loop is late"),
  "health.links": w("Links are down"),
  "health.source": w("Link is down"),
  "health.history": w("History is not kept"),
  "health.process": w("Process is down"),
};
export const alarmName = (key: string): string => t(ALARMS[key] ?? key.replaceAll(/[._-]/g, " "));
export const kindName = (kind: string): string => t(KIND[kind] ?? kind);
export const quantityName = (q: string): string => t(QUANTITIES[q] ?? q.replaceAll("_", " "));

type Parameters = Record<string, string | number | null>;
const within = (words: string): string => words.charAt(0).toLocaleLowerCase(language()) + words.slice(1);
/** How parameters of a name are said; others are words of the catalogue, or names that stay as they are. */
const SAID: Record<string, (value: string) => string> = {
  unit, unit_of_size: unit, kind: kindName, quantity: (q) => within(quantityName(q)), flags: (f) => f.split(", ").map((x) => t(x)).join(", "),
};
/** Parameters of a text that the server tells by key, ready to be filled in; a value with as many decimals as part it from its limit. */
export function told(p: Parameters): Parameters {
  const said = Object.fromEntries(Object.entries(p).map(([name, v]) => [name, typeof v === "string" ? (SAID[name] ?? t)(v) : v]));
  const { value, limit } = p;
  if (typeof value !== "number" || typeof limit !== "number" || value === limit) return said;
  let d = Math.max(places(value), places(limit));
  while (d < 6 && value.toFixed(d) === limit.toFixed(d)) d++;
  return { ...said, value: num(value, d), limit: num(limit, d) };
}
