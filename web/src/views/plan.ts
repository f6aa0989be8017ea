// Plan: who depends on whom, is it inside the neutrality limits, what does that cost, does it survive a loss, can the pipes carry it?
import type { View } from "../room";
import { html } from "lit-html";
import { ask, Refused } from "../api";
import { empty, panel } from "../parts";
import { t } from "../words";

let told: Record<string, unknown> | null = null, trouble = "", asked = -1e9;
export const plan: View = {
  draw(room) {
    if (performance.now() - asked > 60_000) {
      asked = performance.now();
      ask<Record<string, unknown>>("plan").then((p) => { told = p; trouble = ""; room.draw(); }, (error: unknown) => { trouble = error instanceof Refused ? `${error.message}. ${error.todo}` : String(error); room.draw(); });
    }
    return html`${panel(t("Plan"), told ? html`` : empty(trouble || t("Loading…")))}`;
  },
};
