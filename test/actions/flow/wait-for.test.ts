import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { wait_for } from "../../../src/actions/flow/wait-for.ts";
import { wait_for_connection } from "../../../src/actions/flow/wait-for-connection.ts";
import { failureData } from "../../../src/core/action.ts";
import { type HeldPort, holdPort } from "../../../src/embedded/host-server.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { makeSandbox, pass } from "../harness.ts";

const servers: Server[] = [];
const holds: HeldPort[] = [];
afterEach(() => {
  for (const held of holds.splice(0)) held.release();
  for (const server of servers.splice(0)) server.close();
});

/** Listens at a port, says something to whoever connects, and gives the port. */
async function listen(says?: string, port = 0, host = "127.0.0.1"): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    if (says !== undefined) socket.write(says);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return (server.address() as { readonly port: number }).port;
}

/** A port nobody listens on, until this test does. */
async function closedPort(): Promise<number> {
  const held = await holdPort();
  holds.push(held);
  return held.port;
}

describe("a path", () => {
  test("that is there is not waited for", async () => {
    using sandbox = makeSandbox();
    writeFileSync(join(sandbox.root, "ready"), "");
    const done = await pass(wait_for({ path: "/ready" }), sandbox.system, sandbox.context({ check: true }));
    expect(done).toMatchObject({
      state: "unchanged",
      data: {
        ...{ elapsed: 0, state: "file", path: "/ready", port: null, search_regex: null },
        ...{
          match_groups: [],
          match_groupdict: {},
          uid: process.getuid?.(),
          mode: expect.stringMatching(/^0\d{3}$/),
        },
      },
    });
  });

  test("may have variables", async () => {
    using sandbox = makeSandbox();
    writeFileSync(join(sandbox.root, "ready"), "");
    const context = sandbox.context({ facts: { env: { NAME: "ready" } } });
    const done = await pass(wait_for({ path: "/$NAME" }), sandbox.system, context);
    expect(done).toMatchObject({ state: "unchanged", data: { path: "/ready" } });
  });

  test("that is not there: check mode does not know, a run waits for it", async () => {
    using sandbox = makeSandbox();
    // With a delay a run begins to wait without looking first, however late the look would come over a connection.
    const call = wait_for({ path: "/ready", state: "present", sleep: 0.01, delay: 0.01 });
    const check = await pass(call, sandbox.system, sandbox.context({ check: true }));
    expect(check.state).toBe("unknown");
    expect(check.change?.unknown).toContain("/ready exists");
    setTimeout(() => writeFileSync(join(sandbox.root, "ready"), ""), 50);
    const done = await pass(call, sandbox.system, sandbox.context());
    expect(done.state).toBe("unchanged");
    expect(done.applied?.message).toContain("/ready exists");
  });

  test("that is to go", async () => {
    using sandbox = makeSandbox();
    const path = join(sandbox.root, "lock");
    mkdirSync(path);
    const call = wait_for({ path: "/lock", state: "absent", sleep: 0.01 });
    expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).state).toBe("unknown");
    setTimeout(() => rmSync(path, { recursive: true }), 50);
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
    expect(existsSync(path)).toBe(false);
    expect((await pass(call, sandbox.system, sandbox.context())).inspected?.data?.elapsed).toBe(0);
  });

  test("that must hold a text, whose groups are told", async () => {
    using sandbox = makeSandbox();
    const path = join(sandbox.root, "log");
    writeFileSync(path, "starting\n");
    const call = wait_for({
      path: "/log",
      search_regex: "^ready (\\d+) (?P<word>\\w+)$",
      sleep: 0.01,
    });
    setTimeout(() => writeFileSync(path, "starting\nready 42 now\nmore\n"), 50);
    const { data, state } = await pass(call, sandbox.system, sandbox.context());
    expect(state).toBe("unchanged");
    expect(data).toMatchObject({ match_groups: ["42", "now"], match_groupdict: { word: "now" } });
  });

  test("that must not hold a text may be missing altogether", async () => {
    using sandbox = makeSandbox();
    const call = wait_for({ path: "/log", state: "absent", search_regex: "busy", timeout: 0 });
    expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
    writeFileSync(join(sandbox.root, "log"), "busy\n");
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(
      "Timeout when waiting for search string busy to go from /log",
    );
  });

  test("fails when its time is over, with what it was told to say", async () => {
    using sandbox = makeSandbox();
    const wait = (msg?: string) =>
      pass(
        wait_for({ path: "/never", timeout: 0.05, sleep: 0.01, ...(msg === undefined ? {} : { msg }) }),
        sandbox.system,
        sandbox.context(),
      );
    await expect(wait()).rejects.toMatchObject({
      code: "TIMEOUT",
      message: "Timeout when waiting for file /never",
    });
    const thrown = await wait("start the service first").catch((error: unknown) => error);
    expect((thrown as Error).message).toBe("start the service first");
    expect(failureData(thrown)).toEqual({ elapsed: expect.any(Number) });
  });
});

describe("a port", () => {
  const system = createLocalSystem();
  const wait = async (params: Parameters<typeof wait_for>[0], check = false) => {
    using sandbox = makeSandbox();
    return pass(wait_for(params), system, sandbox.context({ check }));
  };

  test("that is open is not waited for", async () => {
    const port = await listen();
    expect(await wait({ port }, true)).toMatchObject({ state: "unchanged", data: { port, elapsed: 0 } });
  });

  test("that is opened meanwhile", async () => {
    const port = await closedPort();
    expect((await wait({ port }, true)).state).toBe("unknown");
    setTimeout(() => void listen(undefined, port), 50);
    expect((await wait({ port, sleep: 0.01 })).state).toBe("unchanged");
  });

  test("that is closed meanwhile", async () => {
    const port = await listen();
    setTimeout(() => servers.pop()?.close(), 50);
    expect((await wait({ port, state: "stopped", sleep: 0.01 })).state).toBe("unchanged");
    expect((await wait({ port, state: "absent" }, true)).state).toBe("unchanged");
  });

  test("that must say something", async () => {
    const port = await listen("220 mail.example.org ESMTP\r\n");
    expect((await wait({ port, search_regex: "^220 (\\S+)" })).data?.match_groups).toEqual([
      "mail.example.org",
    ]);
    const silent = await listen();
    await expect(
      wait({ port: silent, search_regex: "220", timeout: 0.05, connect_timeout: 0.02, sleep: 0.01 }),
    ).rejects.toThrow(`Timeout when waiting for search string 220 in 127.0.0.1:${silent}`);
  });

  test.each(["127.0.0.1", "::1"])("at %s is drained once nobody is connected", async (host) => {
    const port = await listen(undefined, 0, host);
    const states = ["ESTABLISHED" as const, "SYN_RECV" as const];
    const drained = { host, port, state: "drained" as const, active_connection_states: states };
    expect((await wait(drained, true)).state).toBe("unchanged");
    const client = connect({ host, port });
    await new Promise<void>((resolve) => client.once("connect", resolve));
    expect((await wait(drained, true)).state).toBe("unknown");
    const anywhere = host === "::1" ? "::" : "0.0.0.0";
    expect((await wait({ ...drained, host: anywhere }, true)).state).toBe("unknown");
    expect((await wait({ ...drained, exclude_hosts: [host] }, true)).state).toBe("unchanged");
    setTimeout(() => client.resetAndDestroy(), 50);
    expect((await wait({ ...drained, sleep: 0.01 })).state).toBe("unchanged");
  });

  test("is not waited for once the run is cancelled", async () => {
    const port = await closedPort();
    using sandbox = makeSandbox();
    const controller = new AbortController();
    const context = { ...sandbox.context(), signal: controller.signal };
    setTimeout(() => controller.abort(), 50);
    await expect(pass(wait_for({ port }), system, context)).rejects.toMatchObject({ code: "CANCELLED" });
  });
});

test("neither port nor path waits for as long as it is told", async () => {
  using sandbox = makeSandbox();
  const call = wait_for({ timeout: 0.02 });
  expect((await pass(call, sandbox.system, sandbox.context({ check: true }))).inspected?.message).toBe(
    "would wait 0.02 s",
  );
  expect((await pass(call, sandbox.system, sandbox.context())).state).toBe("unchanged");
});

test.each([
  [{ port: 1, path: "/x" }, "port and path parameter can not both be passed to wait_for"],
  [{ path: "/x", state: "drained" }, "state=drained should only be used for checking a port"],
  [{ path: "/x", state: "stopped" }, "for a path it is absent"],
  [{ state: "absent" }, "say what to wait for"],
  [{ port: 80, exclude_hosts: ["a"] }, "exclude_hosts should only be with state=drained"],
  [{ prot: 80 }, 'did you mean "port"?'],
  [{ port: 70_000 }, 'parameter "port"'],
  [
    { port: 80, state: "drained", active_connection_states: ["OPEN"] },
    'parameter "active_connection_states.0"',
  ],
] as const)("%j is refused", (params, why) => {
  expect(() => wait_for(params as never)).toThrow(why);
});

test("wait_for_connection waits for its delay alone", async () => {
  using sandbox = makeSandbox();
  const late = wait_for_connection({ delay: 1 });
  expect(await pass(late, sandbox.system, sandbox.context())).toMatchObject({
    state: "unchanged",
    data: { elapsed: 1 },
  });
  expect((await pass(late, sandbox.system, sandbox.context({ check: true }))).data).toEqual({ elapsed: 0 });
  const call = wait_for_connection({ timeout: 300 });
  expect(await pass(call, sandbox.system, sandbox.context())).toMatchObject({
    state: "unchanged",
    data: { elapsed: 0 },
  });
  expect(() => wait_for_connection({ dealy: 5 } as never)).toThrow('did you mean "delay"?');
});
