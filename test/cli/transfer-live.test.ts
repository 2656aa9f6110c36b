import xterm from "@xterm/headless";
import { expect, it, vi } from "vitest";
import { createLivePrinter } from "../../src/cli/transfer/live-printer.ts";
import type { TransferResult } from "../../src/fanout/transfer/result.ts";
import { ASCII_SYMBOLS } from "../../src/reporter/rows/wording.ts";
import { PATIENT } from "../lib/patience.ts";

const MIB = 1 << 20;

function resultOf(host: string, failed: boolean): TransferResult {
  const files = { sent: 1, resumed: 0, unchanged: 0, linked: 0, made: 0, skipped: 0, failed: 0 };
  return {
    host,
    outcome: failed ? "failed" : "ok",
    error: failed ? { code: "SFTP_FAILED", message: `${host}: no space left on the host` } : undefined,
    files,
    sentBytes: failed ? 0 : 4 * MIB,
    keptBytes: 0,
    verifiedBy: "sha256",
    noHashes: undefined,
    elapsedMs: 1_000,
  };
}

it("draws bars over themselves, tells failures above them, and leaves the table alone", async () => {
  const terminal = new xterm.Terminal({ cols: 70, rows: 10, allowProposedApi: true, convertEol: true });
  const pending: Promise<void>[] = [];
  const write = (text: string): void => void pending.push(new Promise((done) => terminal.write(text, done)));
  const screen = async (): Promise<readonly string[]> => {
    await Promise.all(pending.splice(0));
    const { active } = terminal.buffer;
    const lines = Array.from({ length: active.length }, (_none, row) =>
      (active.getLine(row)?.translateToString(true) ?? "").trimEnd(),
    );
    return lines.slice(0, lines.findLastIndex((line) => line !== "") + 1);
  };
  const hosts = ["web1", "web2", "web3"];
  const printer = createLivePrinter({
    kind: "put",
    check: false,
    hosts,
    bytesPerHost: 4 * MIB,
    writer: { write, flush: async () => {}, ready: () => undefined },
    colors: true,
    symbols: ASCII_SYMBOLS,
    verbose: false,
    size: () => ({ columns: 70, rows: 10 }),
  });
  const { listener } = printer;
  for (const host of hosts) listener.start?.(host);
  listener.progress?.("web1", MIB, "sent");
  listener.progress?.("web2", 4 * MIB, "kept");
  await vi.waitFor(
    async () =>
      expect((await screen()).map((line) => line.slice(0, 30))).toEqual([
        expect.stringMatching(/^\* web1 .*#.*\./),
        expect.stringMatching(/^\* web2 .*####/),
        expect.stringMatching(/^\* web3 .*\.\.\./),
        expect.stringMatching(/^ {2}0 of 3 /),
      ]),
    PATIENT,
  );
  listener.end?.(resultOf("web3", true));
  listener.progress?.("web1", 3 * MIB, "sent");
  listener.end?.(resultOf("web1", false));
  await vi.waitFor(async () => {
    const later = await screen();
    expect(later[0]).toBe("web3  x failed: no space left on the host");
    expect(later.slice(1).map((line) => line.slice(0, 8))).toEqual([
      "= web1  ",
      "* web2  ",
      "x web3  ",
      "  2 of 3",
    ]);
    expect(later[2]).toMatch(/100% .* verifying$/);
  }, PATIENT);
  printer.close();
  await printer.end([resultOf("web1", false), resultOf("web2", false), resultOf("web3", true)], 2_000);
  const end = await screen();
  expect(end.slice(0, 2)).toEqual([
    "web3  x failed: no space left on the host",
    "x failed  web3  no space left on the host",
  ]);
  expect(end[2]).toMatch(/^3 hosts: 1 failed, 2 ok in 2\.00s {2}files: 3 sent/);
});
