import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { KeptConnection } from "../../transport/persist/protocol.ts";

/** Add `volley persist`. */
export function addPersistCommand(program: Command): void {
  const persist = program
    .command("persist")
    .description("show or end the background process that keeps connections (--persist)");
  persist
    .command("list")
    .description("list the connections that are kept")
    .option("-o, --output <kind>", "text or json", "text")
    .action(async ({ output }: { readonly output: string }) => {
      if (output !== "text" && output !== "json")
        throw new VolleyError("USAGE", `--output must be text or json, not "${output}"`);
      const { listKept } = await import("../../transport/persist/visit.ts");
      const { persistDirectory } = await import("../../transport/persist/place.ts");
      const kept = await listKept(persistDirectory());
      process.stdout.write(output === "json" ? `${JSON.stringify(kept)}\n` : await tableOf(kept));
    });
  persist
    .command("stop")
    .description(
      "close the connections to these hosts, or all, and end the background process with the last one, even one that does not answer",
    )
    .argument("[hosts...]", "names of hosts, as volley persist list shows them (default: all)")
    .action(async (hosts: readonly string[]) => {
      const { stopKept } = await import("../../transport/persist/visit.ts");
      const { persistDirectory } = await import("../../transport/persist/place.ts");
      const { hosts: stopped, killed } = await stopKept(
        persistDirectory(),
        hosts.length === 0 ? undefined : hosts,
      );
      const missing = hosts.filter((host) => !stopped.includes(host));
      if (missing.length > 0)
        throw new VolleyError("USAGE", `no connection is kept to ${missing.join(", ")}`, {
          hint: "volley persist list shows those that are",
        });
      for (const pid of killed)
        process.stdout.write(`process ${pid} did not answer and was killed, with its connections\n`);
      const count = stopped.length;
      if (count === 0 && killed.length > 0) return;
      process.stdout.write(`${count} ${count === 1 ? "connection" : "connections"} closed\n`);
    });
  persist.command("serve", { hidden: true }).action(async () => {
    const { serve } = await import("./serve.ts");
    await serve();
  });
}

async function tableOf(kept: readonly KeptConnection[]): Promise<string> {
  if (kept.length === 0) return "no connection is kept\n";
  const { printable } = await import("../../core/errors.ts");
  const rows = kept.map(({ host, user, address, port, idleMs, leftMs, channels }) => [
    printable(host, 60),
    printable(`${user}@${address.includes(":") ? `[${address}]` : address}:${port}`, 80),
    idleMs === undefined ? "in use" : timeOf(idleMs),
    leftMs === undefined ? "" : timeOf(leftMs),
    String(channels),
  ]);
  const lines = [["HOST", "ADDRESS", "IDLE", "LEFT", "CHANNELS"], ...rows];
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

/** Return a time as people write it, such as `9m30s`. */
function timeOf(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  const [hours, minutes, rest] = [
    Math.floor(seconds / 3_600),
    Math.floor((seconds % 3_600) / 60),
    seconds % 60,
  ];
  if (hours > 0) return `${hours}h${minutes}m`;
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}
