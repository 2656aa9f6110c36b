import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createLocalTransport } from "../../src/transport/local.ts";
import { until } from "../lib/patience.ts";

/** Child processes that keep this process from exiting. */
const children = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === "ProcessWrap").length;

test("a process that outlives its connection reads what was written last, and keeps nobody from exiting", async () => {
  const { signal } = new AbortController();
  const before = children();
  const connection = await createLocalTransport().connect(
    { host: "local", address: "local", port: 22, user: "ann" } as never,
    signal,
  );
  const { stdin, stdout } = await connection.exec('echo $$; read -r line && exec sleep "$line"', signal);
  const pid = Number(String((await once(stdout, "data"))[0]));
  expect(children()).toBe(before + 1);
  stdin.write("600\n");
  connection.close();
  await until(() => children() === before);
  try {
    await until(() => commandOf(pid) === "sleep 600");
  } finally {
    process.kill(pid, "SIGKILL");
  }
});

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
}
