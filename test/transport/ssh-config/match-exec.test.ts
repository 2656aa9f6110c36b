import { existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { expect, test } from "vitest";
import { createCommands, evaluateConfig } from "../../../src/transport/ssh-config/evaluate.ts";
import { readSshConfig } from "../../../src/transport/ssh-config/read.ts";
import { until } from "../../lib/patience.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();

/** The options of `web1`, and the lines that commands of Match exec have written to the file `trace`. */
async function look(
  config: string,
  { name = "web1", signal = new AbortController().signal } = {},
): Promise<{
  readonly port: string | undefined;
  readonly hostName: string;
  readonly trace: readonly string[];
}> {
  const file = scratch.write("config", config.replaceAll("TRACE", scratch.path("trace")));
  const run = createCommands(signal);
  const { options, hostName } = await evaluateConfig(readSshConfig(file), { name, given: [] }, run);
  const trace = existsSync(scratch.path("trace")) ? readFileSync(scratch.path("trace"), "utf8") : "";
  return { port: options.first("port"), hostName, trace: trace.split("\n").filter((line) => line !== "") };
}

test.each([
  ["Match exec true\n Port 7", "7"],
  ["Match exec false\n Port 7", undefined],
  ["Match !exec false\n Port 7", "7"],
  ['Match exec "test %n = web1" host web*\n Port 7', "7"],
  ["Match exec=true originalhost=web1\n Port 7", "7"],
  ['Match exec "nosuchprogram 2>&-"\n Port 7', undefined],
])("%j: port %s", async (config, port) => {
  expect((await look(config)).port).toBe(port);
});

test("commands run only where the criteria before hold, in order, with tokens filled in, each once", async () => {
  const { trace, port } = await look(`Host web1
  HostName real-%h
  User deploy
  Port 2201
Match host nosuch exec "echo never >> TRACE"
Match host real-web1 !exec "echo %h %n %p %r %u 100%% >> TRACE; false"
  Port 7
Match exec "echo %h %n %p %r %u 100%% >> TRACE; false"
Match final exec "echo at the end >> TRACE"
Match exec "echo second >> TRACE" exec false exec "echo third >> TRACE"
`);
  const first = `real-web1 web1 2201 deploy ${userInfo().username} 100%`;
  expect(trace).toEqual([first, "second", "at the end"]);
  expect(port).toBe("2201");
});

test("they run in the user's shell, with nothing on standard input", async () => {
  const before = process.env.SHELL;
  process.env.SHELL = scratch.write(
    "shell",
    `#!/bin/sh\necho "$1 $2" >> ${scratch.path("trace")}\nexec cat\n`,
    0o755,
  );
  try {
    expect(await look("Match exec 'any thing'\n Port 7".replaceAll("'", '"'))).toMatchObject({
      port: "7",
      trace: ["-c any thing"],
    });
  } finally {
    if (before === undefined) delete process.env.SHELL;
    else process.env.SHELL = before;
  }
});

test("an unknown token, and a command that is killed, are refused", async () => {
  await expect(look("Match exec 'echo %Z'\n".replaceAll("'", '"'))).rejects.toMatchObject({
    code: "USAGE",
    message: expect.stringContaining("there is no token %Z"),
  });
  await expect(look('Match exec "kill -9 $$"\n')).rejects.toMatchObject({
    code: "USAGE",
    message: expect.stringContaining("was ended by SIGKILL"),
  });
});

test("a command that does not end is ended with the run", async () => {
  const stop = new AbortController();
  const looking = look('Match exec "echo begun > TRACE; exec sleep 1000"\n', { signal: stop.signal });
  const refused = expect(looking).rejects.toMatchObject({ code: "CANCELLED" });
  await until(() => existsSync(scratch.path("trace")));
  stop.abort();
  await refused;
});

test.each([
  ["Match !final\n Port 7", "7"],
  ["Match !all\n Port 7\nMatch all\n Port 8", "8"],
  ["Match !canonical\n Port 7", "7"],
  ["Match canonical\n Port 7\nHost *\n Port 8", "8"],
  ["Match host WEB1\n Port 7", "7"],
  ["Host WEB1\n Port 7", undefined],
  ["Match final\n Port 7\nHost web1\n Port 8", "8"],
  ["Host real\n Port 9\nHost web1\n HostName real\nMatch final host REAL\n User x", "9"],
  ["Match final all\n Port 7", "7"],
  ["Match localnetwork 127.0.0.0/8\n Port 7", "7"],
  ["Match !localnetwork 127.0.0.0/8\n Port 7", undefined],
  ["Tag fleet\nMatch tagged flee?\n Port 7", "7"],
  ["Match tagged other,!fleet\n Port 7", undefined],
])("%j: port %s", async (config, port) => {
  expect((await look(config)).port).toBe(port);
});
