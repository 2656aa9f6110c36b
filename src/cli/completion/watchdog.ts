import { Worker } from "node:worker_threads";

/**
 * Kill this process once a time has passed, unless it has ended by then: code of an inventory or a playbook that never
 * comes back to the event loop would keep the shell waiting.
 */
export function startWatchdog(limitMs: number): void {
  const code = `setTimeout(() => process.kill(process.pid, "SIGKILL"), ${limitMs})`;
  new Worker(code, { eval: true }).unref();
}
