import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { createPainter } from "../../../src/fanout/shell/screen.ts";
import { until } from "../../lib/patience.ts";
import { cellsOf } from "./screen.ts";

/** A terminal that takes a frame in when it is told to. */
function slowTerminal() {
  const written: string[] = [];
  let done: (() => void) | undefined;
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, callback) => {
      written.push(chunk.toString("utf8"));
      done = callback;
    },
  });
  return { stream, written, read: () => done?.() };
}

it("leaves out frames that a slow terminal has no time for, and ends with the last", async () => {
  const { stream, written, read } = slowTerminal();
  let text = "0";
  let composed = 0;
  const painter = createPainter(
    stream,
    () => {
      composed++;
      return { cells: cellsOf([text], 10), cursor: undefined };
    },
    { depth: 24, ascii: false },
  );
  painter.invalidate();
  await until(() => written.length === 1);
  for (let number = 1; number <= 50; number++) {
    text = String(number);
    painter.invalidate();
    await sleep(1);
  }
  expect(written).toHaveLength(1);
  expect(composed).toBe(1);
  read();
  await until(() => written.length === 2);
  expect(written[1]).toContain("50");
  read();
  painter.redraw();
  await until(() => written.length === 3);
  expect(written[2]).toContain("\x1b[2J");
  painter.stop();
});
