// What every view may use: the twin, who is signed in, what is chosen, and how to draw again.
import type { TemplateResult } from "lit-html";
import type { Live } from "./live";
import type { Session } from "./shapes";

export const VIEWS = ["overview", "element", "trends", "alarms", "diagnosis", "plan", "health"] as const;
export type ViewName = (typeof VIEWS)[number];

export interface Room {
  live: Live;
  session: Session;
  view: ViewName;
  argument: string; // what the address says after the view
  query: URLSearchParams;
  go: (view: ViewName, argument?: string, query?: Record<string, string>) => void;
  keep: (change: Record<string, string>) => void; // into the address of this view, without a step back to it
  choose: (argument: string) => void; // what this view has chosen by itself, into its address: it stays chosen
  draw: () => void; // soon, once for all that has changed
  reach: (id: string) => void; // draw now, and put the reader's hand into this field
  say: (text: string) => void; // to the reader, and to a screen reader
  may: (permission: string) => boolean;
}
/** A view draws itself from the room; `keys` are its own single keys. */
export interface View {
  draw: (room: Room) => TemplateResult;
  keys?: Record<string, (room: Room) => void>;
  csv?: (room: Room) => string; // what is on screen, where its tables do not hold all of it
  link?: (room: Room) => Record<string, string>; // what the address must say so that a link shows the same later
}
