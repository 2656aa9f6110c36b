import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { written } from "../../src/cli/terminal.ts";

test("what was written to a slow reader has left the process before it ends", async () => {
  const pending: (() => void)[] = [];
  const read: string[] = [];
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      pending.push(() => {
        read.push(chunk);
        done();
      });
    },
  });
  await written(stream);
  stream.write("one");
  stream.write("two");
  const told = written(stream).then(() => read.join(" ").trimEnd());
  for (let left = 3; left > 0; left--) {
    pending.shift()!();
    await new Promise(setImmediate);
  }
  expect(await told).toBe("one two");
});

test("a reader that ends is not waited for", async () => {
  const stream = new Writable({ write: (_chunk, _encoding, done) => setImmediate(done, new Error("EPIPE")) });
  stream.on("error", () => undefined);
  stream.write("one");
  await written(stream);
  expect(stream.destroyed).toBe(true);
});
