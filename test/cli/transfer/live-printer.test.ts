import xterm from "@xterm/headless";
import { describe, expect, it, vi } from "vitest";
import {
  createLivePrinter,
  createRateMeter,
  type FrameState,
  type HostProgress,
  liveFrame,
  remainingMs,
} from "../../../src/cli/transfer/live-printer.ts";
import type { TransferOutcome, TransferResult } from "../../../src/fanout/transfer/result.ts";
import { textWidth } from "../../../src/reporter/rows/layout.ts";
import { ASCII_SYMBOLS } from "../../../src/reporter/rows/wording.ts";
import { PATIENT } from "../../lib/patience.ts";

const MIB = 1 << 20;

function host(name: string, bytes: number, outcome?: TransferOutcome): HostProgress {
  const rate = createRateMeter(0);
  if (outcome === undefined) for (let at = 7_000; at < 10_000; at += 250) rate.add(MIB / 4, at);
  return { host: name, totalBytes: 10 * MIB, bytes, sentBytes: bytes, outcome, rate };
}

function frameOf(hosts: readonly HostProgress[], size: { columns: number; rows: number }): readonly string[] {
  const state: FrameState = {
    hosts,
    hostCount: 30,
    totalBytes: 300 * MIB,
    bytes: hosts.reduce((sum, { bytes }) => sum + bytes, 0),
    rate: createRateMeter(0),
    nowMs: 10_000,
    startedMs: 0,
  };
  return liveFrame(state, { ...size, symbols: ASCII_SYMBOLS }).map((row) =>
    row.map(({ text }) => text).join(""),
  );
}

describe("a frame", () => {
  it("has a row for each host, with names and figures aligned, and the sum below", () => {
    const lines = frameOf([host("web1", 5 * MIB), host("db-primary", 10 * MIB, "ok")], {
      columns: 80,
      rows: 24,
    });
    expect(lines).toEqual([
      "* web1        ###########...........  50%   5.0 MB    1.0 MB/s  eta 0:05",
      "= db-primary  ###################### 100%    10 MB                      ",
      "  1 of 30     #.....................   5%    15 MB                        0:10",
    ]);
  });

  it("shows those at work before those that have ended where there is little room", () => {
    const hosts = [
      host("done1", 10 * MIB, "ok"),
      host("busy1", MIB),
      host("done2", 10 * MIB, "failed"),
      host("busy2", MIB),
      host("busy3", MIB),
    ];
    const lines = frameOf(hosts, { columns: 80, rows: 8 });
    expect(lines.map((line) => line.slice(0, 8).trim())).toEqual([
      "* busy1",
      "x done2",
      "* busy2",
      "* busy3",
      "and 1",
      "2 of 3",
    ]);
  });

  it.each([20, 40, 60, 120])("is never wider than %i columns, whatever hosts are called", (columns) => {
    const hosts = [host("ü".repeat(100), MIB), host("\x1b[31mred\nline", MIB), host("漢字".repeat(20), MIB)];
    for (const line of frameOf(hosts, { columns, rows: 24 })) {
      expect(textWidth(line)).toBeLessThanOrEqual(columns);
      expect(line).not.toMatch(/\p{Cc}/u);
    }
  });
});

describe("a rate", () => {
  it("is that of the last three seconds", () => {
    const meter = createRateMeter(0);
    for (let at = 0; at < 10_000; at += 100) meter.add(at < 5_000 ? 1_000 : 100, at);
    expect(meter.bytesPerSecond(10_000)).toBeCloseTo(1_000, -1);
  });
  it("gives the time left, where there is any", () => {
    expect(remainingMs({ totalBytes: 300, bytes: 100 }, 100)).toBe(2_000);
    expect(remainingMs({ totalBytes: undefined, bytes: 100 }, 100)).toBeUndefined();
    expect(remainingMs({ totalBytes: 300, bytes: 100 }, 0)).toBeUndefined();
    expect(remainingMs({ totalBytes: 300, bytes: 300 }, 100)).toBeUndefined();
  });
});

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
