// Calls of the server. Every refusal has the server's words: what happened, and what to do.
import type { Session } from "./shapes";

export class Refused extends Error {
  constructor(readonly status: number, readonly kind: string, message: string, readonly todo: string) {
    super(message);
  }
}

let csrf: string | null = null;
let lost: () => void = () => {};

/** Be told when a call finds the session ended. */
export const onSignedOut = (then: () => void): void => void (lost = then);
export const signedOut = (): void => lost();

export async function ask<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET" && csrf) headers["X-Serai-Csrf"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(`/api/v1/${path}`, {
      method, headers, credentials: "same-origin", ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refused(0, "unreachable", "The server does not answer", "");
  }
  const text = await answer.text();
  let told: unknown = null;
  try { told = text ? JSON.parse(text) : null; } catch { /* a proxy's page, not ours */ }
  if (answer.ok) return told as T;
  const error = (told as { error?: { kind: string; message: string; what_to_do: string } } | null)?.error;
  if (answer.status === 401 && !path.startsWith("session")) lost();
  throw new Refused(answer.status, error?.kind ?? "unknown", error?.message ?? answer.statusText, error?.what_to_do ?? "");
}

export async function session(): Promise<Session> {
  return remember(await ask<Session>("session"));
}
export async function signIn(name: string, password: string): Promise<Session> {
  return remember(await ask<Session>("session", "POST", { name, password }));
}
export async function begin(token: string, name: string, password: string): Promise<Session> {
  return remember(await ask<Session>("first", "POST", { token, name, password }));
}
export async function signOut(): Promise<void> {
  await ask("session", "DELETE");
  csrf = null;
}
const remember = (s: Session): Session => ((csrf = s.csrf), s);
